"""`powderlens table`: the papers' tables, made from records."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from powderlens.cli import console
from powderlens.cli.extras import need
from powderlens.cli.options import NoColor
from powderlens.core.errors import InputError

if TYPE_CHECKING:
    from powderlens.reproduce.tables.table import Table


class Format(StrEnum):
    """How a table is written."""

    text = "text"
    md = "md"
    csv = "csv"
    latex = "latex"


def table(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A table of the list.")] = None,
    records: Annotated[
        list[Path] | None, typer.Option(metavar="PATH", help="A folder of records, or a record; may be repeated.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How it is written.")] = Format.text,
    output: Annotated[Path | None, typer.Option(help="A file instead of the screen.")] = None,
    list_tables: Annotated[bool, typer.Option("--list", help="Name the tables.")] = False,
    no_color: NoColor = False,
) -> None:
    """Print a table of the benchmark, made from records alone, with the paper's figures beside ours."""
    from powderlens.reproduce.tables.registry import TABLES, make_table

    if list_tables or name is None:
        if name is not None or records or output is not None:
            raise InputError("--list: takes nothing else; give it alone, or a NAME with --records")
        _print_list(no_color)
        return
    if not records:
        if name in TABLES:
            raise InputError(f"{name}: no --records; give the folder that `powderlens evaluate` wrote to")
        records = []
    need("reading records", "pyarrow")
    made = make_table(name, records)
    if form is Format.text:
        _print_text(made, output, no_color)
        return
    from powderlens.reproduce.tables import formats

    write = {Format.md: formats.as_markdown, Format.csv: formats.as_csv, Format.latex: formats.as_latex}
    _give(write[form](made), output)


def _print_list(no_color: bool) -> None:
    from rich.text import Text

    from powderlens.reproduce.tables.registry import TABLES

    rows = ((name, Text(known.about)) for name, known in TABLES.items())
    console.console(no_color).print(console.table(("table", "what it shows"), rows, whole=True))


def _print_text(made: Table, output: Path | None, no_color: bool) -> None:
    from powderlens.reproduce.tables.formats import print_text

    if output is None:
        print_text(made, console.console(no_color))
        return
    from io import StringIO

    from rich.console import Console

    written = StringIO()
    print_text(made, Console(file=written, width=console.PIPED_WIDTH, color_system=None))
    _give(written.getvalue(), output)


def _give(text: str, output: Path | None) -> None:
    if output is None:
        typer.echo(text, nl=False)
        return
    from powderlens.core.files import atomic_write

    with atomic_write(output) as aside:
        aside.write_text(text, encoding="utf-8")
