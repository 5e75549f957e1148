"""`powderlens identify`: what a measured pattern may be."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from powderlens.cli.console import print_json, report_bad_file
from powderlens.cli.options import WAVELENGTHS, Json, NoColor, places
from powderlens.core.errors import InputError, PowderlensError, WavelengthError

if TYPE_CHECKING:
    from collections.abc import Callable

    from powderlens.identification.answer import Answer
    from powderlens.identification.identify import Identifier
    from powderlens.pattern.pattern import Pattern
    from powderlens.pattern.wavelength import Radiation

CHUNK = 64
"""Patterns that are answered together; their answers are printed before the next are read."""
TOP = 5
DEFAULT_MODEL = "prism-1"


class Evidence(StrEnum):
    """What an answer may rest on."""

    network = "network"
    library = "library"
    all = "all"


def identify(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Patterns: xy, xye, csv, xrdml, RRUFF text and more."),
    ],
    wavelength: Annotated[
        str | None,
        typer.Option(metavar="W", help=WAVELENGTHS + " It wins over what the file says."),
    ] = None,
    evidence: Annotated[Evidence, typer.Option(help="What the answer may rest on.")] = Evidence.all,
    model: Annotated[
        str,
        typer.Option(metavar="NAME|FILE", help="The network: a shipped one's name, or a FILE.onnx of `export`."),
    ] = DEFAULT_MODEL,
    as_json: Json = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT",
            help="Draw pattern and candidates: .png, .svg or .pdf. For several files a directory, or {} in the name.",
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help=f"Candidates shown in table and figure; {TOP} unless given."),
    ] = None,
    no_color: NoColor = False,
) -> None:
    """Say which crystal system, space group, cell and mineral a measured pattern may have.

    Several files make one line each: a table, or with --json one object a line.
    """
    from powderlens.identification.identify import Identifier
    from powderlens.pattern.wavelength import parse_radiation

    if top is not None and as_json and plot is None:
        raise InputError("--top has no effect on --json, which lists everything; leave one out")
    radiation = None if wavelength is None else parse_radiation(wavelength)
    plots = places(files, plot, "--plot", ".png")
    if evidence is Evidence.library and model != DEFAULT_MODEL:
        raise InputError(f"--model {model} has no effect with --evidence library; leave one out")
    identifier = Identifier(evidence=evidence.value, model=model)
    several, failed = len(files) > 1, False
    with _progress(len(files), no_color) as advance:
        for start in range(0, len(files), CHUNK):
            part = slice(start, start + CHUNK)
            outcomes = _answer(identifier, files[part], radiation)
            good: list[Answer] = []
            for file, (_, answer) in zip(files[part], outcomes, strict=True):
                if isinstance(answer, PowderlensError):
                    if not several:
                        raise answer
                    failed = True
                    report_bad_file(file, answer, as_json=as_json, no_color=no_color)
                    continue
                good.append(answer)
                if as_json:
                    print_json(answer.to_dict())
            if not as_json:
                from powderlens.cli.answer_table import show_answer, show_answers

                if several:
                    show_answers(good, header=start == 0, no_color=no_color)
                else:
                    show_answer(good[0], top=top or TOP, no_color=no_color)
            sys.stdout.flush()
            for to_plot, (pattern, answer) in zip(plots[part], outcomes, strict=True):
                if to_plot is not None and pattern is not None and not isinstance(answer, PowderlensError):
                    from powderlens.identification.figure import plot_answer

                    plot_answer(pattern, answer, to_plot, top=top or TOP)
            advance(len(outcomes))
    raise typer.Exit(1 if failed else 0)


def _answer(
    identifier: Identifier, files: Sequence[Path], radiation: Radiation | None
) -> list[tuple[Pattern | None, Answer | PowderlensError]]:
    """Read and identify; a file that cannot be used has its error in the answer's place."""
    read = [_read(file, radiation) for file in files]
    answers = identifier.identify_many([one for one in read if not isinstance(one, PowderlensError)])
    return [(None, one) if isinstance(one, PowderlensError) else (one, next(answers)) for one in read]


def _read(file: Path, radiation: Radiation | None) -> Pattern | PowderlensError:
    """A pattern with a wavelength, or why there is none."""
    from powderlens.pattern.read import read_pattern

    try:
        pattern = read_pattern(file, wavelength=radiation)
    except PowderlensError as error:
        return error
    if pattern.wavelength_A is None:
        stated = f"{file}: the file states no wavelength; give --wavelength in angstrom, or a line such as CuKa"
        return WavelengthError(stated)
    return pattern


@contextmanager
def _progress(files: int, no_color: bool) -> Iterator[Callable[[int], None]]:
    """A bar on stderr while a long batch goes elsewhere than to the same terminal."""
    if files <= CHUNK or sys.stdout.isatty() or not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True, no_color=no_color or None), transient=True) as bar:
        task = bar.add_task("identifying", total=files)
        yield lambda count: bar.advance(task, count)
