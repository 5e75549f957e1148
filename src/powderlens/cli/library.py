"""`powderlens library`: the table of known phases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from powderlens.cli.console import print_json
from powderlens.cli.databases import KINDS, open_database

app = typer.Typer(help="The table of known phases.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command()
def build(
    database: Annotated[Path, typer.Argument(metavar="DATABASE", help=KINDS + ".")],
    output: Annotated[Path, typer.Option(help="The library, .npz.")],
    limit: Annotated[int | None, typer.Option(min=1, help="Take only the first crystals.")] = None,
) -> None:
    """Compute the lines of every phase of a database under copper radiation."""
    from itertools import islice

    from powderlens.library.build import build_library

    table, rejects = build_library(islice(open_database(database), limit))
    table.save(output)
    print_json({"origin": database.name, "phases": len(table), "rejects": dict(rejects.most_common())})
