"""What the commands print: results on stdout, complaints on stderr."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from powderlens.core.errors import PowderlensError

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 100
"""Columns of a table that goes to a file or a pipe, which have no width of their own."""


def console(no_color: bool = False) -> Console:
    """Where tables go: stdout, coloured only on a terminal, and not with NO_COLOR."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else PIPED_WIDTH
    return Console(no_color=no_color or None, width=width, highlight=False)


def print_json(value: object) -> None:
    """One line of strict JSON on stdout; NaN is a mistake of ours."""
    print(json.dumps(value, allow_nan=False))  # noqa: T201


def one_line(error: Exception) -> str:
    """The message of an error, without line breaks."""
    return " ".join(str(error).split())


def complain(message: str, *, no_color: bool = False) -> None:
    """One line on stderr, red on a terminal."""
    from rich.console import Console

    Console(stderr=True, no_color=no_color or None, highlight=False, soft_wrap=True).print(
        f"powderlens: {message}", style="red", markup=False
    )


def tell(message: str) -> None:
    """One line of progress on stderr."""
    print(f"powderlens: {message}", file=sys.stderr, flush=True)  # noqa: T201


def report_bad_file(file: Path, error: PowderlensError, *, as_json: bool, no_color: bool) -> None:
    """What a batch says about a file that it cannot use; the rest goes on."""
    if as_json:
        print_json({"file": str(file), "error": one_line(error)})
    else:
        complain(one_line(error), no_color=no_color)
