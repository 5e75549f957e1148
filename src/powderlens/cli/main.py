"""The program `powderlens`: its commands, its exit codes, and errors in one line.

Exit codes: 0 all went well; 1 some files of a batch could not be used; 2 the input or the command line is wrong; 130
interrupted. Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Annotated

import typer

import powderlens
from powderlens.cli import corpus, crystals, evaluate, library, models, protocol
from powderlens.cli.analyse import analyse
from powderlens.cli.benchmark import benchmark
from powderlens.cli.calibrate import calibrate
from powderlens.cli.fit import fit
from powderlens.cli.identify import identify, match
from powderlens.cli.simulate import simulate
from powderlens.cli.table import table
from powderlens.cli.train import export, train
from powderlens.core.errors import PowderlensError
from powderlens.core.text import printable

app = typer.Typer(
    help="A powder X-ray diffraction pattern in; crystal system, space group, cell and phase out.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (identify, match, simulate, fit, train, export, benchmark, analyse, table, calibrate):
    app.command()(command)
for group in (crystals, corpus, library, models, protocol, evaluate):
    app.add_typer(group.app, name=group.__name__.rpartition(".")[2])


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"powderlens {powderlens.__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program.

    Args:
        arguments: the command line without the program's name; None takes `sys.argv`.

    Returns:
        The exit code, see above.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(args=words or ["--help"], prog_name="powderlens", standalone_mode=False)
        sys.stdout.flush()
    except PowderlensError as error:
        return _fail(str(error))
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): nothing is left to be said, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        # What is wrong with a command line; typer has carried its own copy of click's classes since 0.20.
        format_message = getattr(error, "format_message", None)
        if format_message is None:
            raise
        return _fail(f"{str(format_message()).rstrip('.')}; powderlens --help and COMMAND --help list what there is")
    return code if isinstance(code, int) else 0


def _fail(message: str) -> int:
    print("powderlens:", printable(" ".join(message.split())), file=sys.stderr)  # noqa: T201
    return 2


if __name__ == "__main__":
    sys.exit(main())
