"""What the commands print: results on stdout, complaints on stderr."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from powderlens.core.errors import PowderlensError
from powderlens.core.text import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from powderlens.crystal.structure import Structure

PIPED_WIDTH = 100
"""Columns of a table that goes to a file or a pipe, which have no width of their own."""


def console(no_color: bool = False, *, stderr: bool = False) -> Console:
    """Where tables go: stdout, coloured only on a terminal, and not with NO_COLOR; what a file says is shown tame.

    Args:
        no_color: never coloured.
        stderr: where complaints go, in lines of any length.
    """
    from rich.console import Console

    if stderr:
        made = Console(stderr=True, no_color=no_color or None, highlight=False, soft_wrap=True)
    else:
        width = None if sys.stdout.isatty() else PIPED_WIDTH
        made = Console(no_color=no_color or None, width=width, highlight=False)
    return tamed(made)


def tamed(made: Console) -> Console:
    """The console, which from now on writes out controls that stand in what it is given, such as escapes in a label."""
    from rich.console import ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
    from rich.segment import Segment

    class Tame:
        def __init__(self, inner: ConsoleRenderable) -> None:
            self.inner = inner

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            for text, style, control in console.render(self.inner, options):
                lines = (printable(line) for line in text.split("\n"))
                yield Segment(text if control else "\n".join(lines), style, control)

    class Taming(RenderHook):
        def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
            return [Tame(inner) for inner in renderables]

    made.push_render_hook(Taming())
    return made


def table(
    columns: Sequence[str],
    rows: Iterable[Iterable[RenderableType]] = (),
    *,
    right: Collection[str] = (),
    whole: bool = False,
    fold: bool = False,
    **style: Any,
) -> Table:
    """A table for a console, without lines around it.

    Args:
        columns: their names.
        rows: a cell for each column.
        right: names of the columns that stand at the right.
        whole: all columns but the last keep their words in one line.
        fold: words that are too long for their column are broken, not cut short.
        style: what else `rich.table.Table` takes.
    """
    from rich.table import Table

    made = Table(**{"box": None, "pad_edge": False, "title_justify": "left", **style})
    for at, name in enumerate(columns):
        one_line = whole and at < len(columns) - 1
        side, end = "right" if name in right else "left", "fold" if fold else "ellipsis"
        made.add_column(name, justify=side, no_wrap=one_line, overflow=end)  # type: ignore[arg-type]
    for row in rows:
        made.add_row(*row)
    return made


def show_counts(to: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table of counts under its title, where there are any; the first column and symbols stand at the left."""
    from rich.box import HEAVY_HEAD

    if not rows:
        return
    right = [name for name in columns[1:] if name != "symbol"]
    to.print(table(columns, rows, right=right, title=title, box=HEAVY_HEAD, pad_edge=True, fold=True))


def print_json(value: object) -> None:
    """One line of strict JSON on stdout; NaN is a mistake of ours."""
    print(json.dumps(value, allow_nan=False))  # noqa: T201


def one_line(error: Exception) -> str:
    """The message of an error, without line breaks and controls."""
    return printable(" ".join(str(error).split()))


def complain(message: str, *, no_color: bool = False) -> None:
    """One line on stderr, red on a terminal."""
    console(no_color, stderr=True).print(f"powderlens: {message}", style="red", markup=False)


def warn(message: str, *, no_color: bool = False) -> None:
    """One line on stderr about what is used all the same, yellow on a terminal."""
    console(no_color, stderr=True).print(f"powderlens: warning: {message}", style="yellow", markup=False)


def warn_of_structure(file: Path, structure: Structure, *, no_color: bool) -> None:
    """Say what a file states of its crystal and the crystal is not, where there is any such thing."""
    if structure.remarks:
        warn(f"{file.name}: {structure.remarks}", no_color=no_color)


def tell(message: str) -> None:
    """One line of progress on stderr."""
    print(f"powderlens: {printable(message)}", file=sys.stderr, flush=True)  # noqa: T201


def counting(step: int, form: str) -> Callable[[int], None]:
    """What tells how many are done, on stderr, after every `step` of them; `form` such as "{:,} crystals"."""
    told = 0

    def progress(done: int) -> None:
        nonlocal told
        if done // step > told:
            told = done // step
            complain(form.format(done))

    return progress


def command_line(*words: object, **options: object) -> str:
    """The command that repeats this one, with the names of files instead of their places.

    Args:
        words: command and arguments.
        options: by name; True is a flag, a list is an option given often, None is left out.
    """
    parts = ["powderlens", *(str(getattr(word, "name", word)) for word in words)]
    for option, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                flag = f"--{option.replace('_', '-')}"
                parts += [flag] if one is True else [flag, str(getattr(one, "name", one))]
    return shlex.join(parts)


def report_bad_file(file: Path, error: PowderlensError, *, as_json: bool, no_color: bool) -> None:
    """What a batch says about a file that it cannot use; the rest goes on."""
    if as_json:
        print_json({"file": str(file), "error": one_line(error)})
    else:
        complain(one_line(error), no_color=no_color)
