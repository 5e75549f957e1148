"""`powderlens analyse`: what lies behind the figures of records."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from powderlens.cli.console import console, print_json, table
from powderlens.cli.extras import need
from powderlens.cli.options import Json, NoColor
from powderlens.core.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from powderlens.reproduce.analyses.base import Result

SHOWN = 40
"""Rows that are printed; all are in the table on disk."""
WIDEST = 1000
"""Columns of a table in a file or a pipe, where nothing needs to be broken."""


class Format(StrEnum):
    """Of the figure."""

    png = "png"
    svg = "svg"
    pdf = "pdf"


def analyse(
    kind: Annotated[str | None, typer.Argument(metavar="KIND", help="An analysis of --list.")] = None,
    records: Annotated[
        list[Path] | None, typer.Argument(metavar="[RECORD]...", help="Records (.json), or folders of them.")
    ] = None,
    list_kinds: Annotated[bool, typer.Option("--list", help="List the analyses and what they need.")] = False,
    output: Annotated[Path, typer.Option(help="Folder for KIND.png, KIND.csv and KIND.txt.")] = Path("."),
    corpus: Annotated[Path | None, typer.Option(help="The corpus of the records.")] = None,
    run: Annotated[
        list[Path] | None, typer.Option(help="Folder of a training run, or a checkpoint; may be given often.")
    ] = None,
    pattern: Annotated[
        list[int] | None, typer.Option(min=0, help="Number of a pattern in the corpus; may be given often.")
    ] = None,
    picture: Annotated[Format, typer.Option("--format", help="Of the figure.")] = Format.png,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn at random.")] = 0,
    as_json: Json = False,
    no_color: NoColor = False,
) -> None:
    """Draw a figure from records, with its table and what it says."""
    from powderlens.reproduce.analyses import registry

    if list_kinds:
        _list(as_json, no_color)
        return
    if kind is None:
        raise InputError("no analysis is named; `powderlens analyse --list` shows what there is")
    chosen = registry.kind(kind)
    need(f"the analysis {chosen.name}", "pyarrow", *chosen.modules)
    from powderlens.reproduce.analyses.base import carry_out, read_inputs

    inputs = read_inputs(chosen, records or [], corpus=corpus, runs=run or [], patterns=pattern or [], seed=seed)
    result, files = carry_out(chosen, inputs, output, picture.value)
    if as_json:
        names = [file.name for file in files]
        rows = [{key: _plain(value) for key, value in row.items()} for row in result.table.to_pylist()]
        print_json({"analysis": chosen.name, "files": names, "notes": list(result.notes), "rows": rows})
        return
    _print(result, files, no_color)


def _list(as_json: bool, no_color: bool) -> None:
    from powderlens.reproduce.analyses.registry import KINDS

    wants = {"records": "records", "corpus": "--corpus", "runs": "--run", "patterns": "--pattern"}
    if as_json:
        print_json([{"name": k.name, "title": k.title, **{w: getattr(k, w) for w in wants}} for k in KINDS])
        return
    listed = table(("analysis", "needs", "takes", "what it shows"), whole=True)
    for one in KINDS:
        needs, takes = (
            ", ".join(word for field, word in wants.items() if getattr(one, field) == how) for how in ("must", "may")
        )
        listed.add_row(one.name, needs, takes, f"{one.title} ({one.source})" if one.source else one.title)
    _wide(listed, no_color).print(listed)


def _wide(wanted: Table, no_color: bool) -> Console:
    """Where tables go; a file or a pipe is as wide as the table wants."""
    screen = console(no_color)
    if not screen.is_terminal:
        screen.width = max(screen.width, screen.measure(wanted, options=screen.options.update(width=WIDEST)).maximum)
    return screen


def _print(result: Result, files: list[Path], no_color: bool) -> None:
    shown = result.table.slice(0, SHOWN).to_pylist()
    made = table(result.table.column_names, ([_word(value) for value in row.values()] for row in shown))
    screen = _wide(made, no_color)
    screen.print(made)
    if (more := result.table.num_rows - SHOWN) > 0:
        screen.print(f"... and {more:,} more rows in {files[1].name}")
    for note in result.notes:
        screen.print(note, markup=False)
    screen.print(f"Written: {', '.join(str(file) for file in files)}", markup=False, soft_wrap=True)


def _word(value: object) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _plain(value: object) -> object:
    return None if value != value else value
