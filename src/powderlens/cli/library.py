"""`powderlens library`: the table of known phases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from powderlens.cli.console import print_json
from powderlens.cli.options import Database, Limit

app = typer.Typer(help="The table of known phases.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command()
def build(
    database: Database,
    output: Annotated[Path, typer.Option(help="The library, .npz.")],
    limit: Limit = None,
) -> None:
    """Compute the lines of every phase of a database under copper radiation."""
    from itertools import islice

    from powderlens.crystal.sources import open_source
    from powderlens.library.build import build_library

    table, rejects = build_library(islice(open_source(database), limit))
    table.save(output)
    print_json({"origin": database.name, "phases": len(table), "rejects": dict(rejects.most_common())})
