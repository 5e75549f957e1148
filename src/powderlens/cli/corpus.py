"""`powderlens corpus`: crystals and their reflections on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from powderlens.cli.console import counting, print_json
from powderlens.cli.corpus_audit import audit
from powderlens.cli.corpus_bench import bench
from powderlens.cli.corpus_build import build
from powderlens.cli.corpus_export import export
from powderlens.cli.corpus_import import import_patterns
from powderlens.cli.corpus_info import info
from powderlens.cli.corpus_verify import verify
from powderlens.cli.extras import need
from powderlens.cli.options import Database, Limit

app = typer.Typer(help="Crystals and their reflections on disk.", no_args_is_help=True)

for command in (build, info, verify, audit, bench, export):
    app.command()(command)
app.command("import")(import_patterns)


@app.command()
def reflections(
    database: Database,
    output: Annotated[Path, typer.Option(help="The Parquet table; its manifest (.json) is written beside it.")],
    limit: Limit = None,
    d_min: Annotated[
        float | None,
        typer.Option(min=0.2, help="Smallest spacing, A; 1.07 is copper's 2theta of 90, with 2 % of room."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Compute the reflections of every crystal of a database, or of a table of crystals, once, for training."""
    need("a reflection table", "pyarrow")
    from itertools import islice

    from powderlens.corpus.store.reflection_table import D_MIN_A, build_table
    from powderlens.crystal.sources import open_source, source_sha256
    from powderlens.crystals.table import CrystalTable

    is_table = database.suffix == ".parquet"
    items = CrystalTable.load(database).structures() if is_table else open_source(database)
    origin = f"{database.name}, sha256 {source_sha256(database)}"
    how: dict[str, Any] = {"d_min_A": D_MIN_A if d_min is None else d_min, "workers": workers}
    progress = counting(20_000, "{} crystals")
    print_json(build_table(islice(items, limit), output, origin=origin, progress=progress, **how))
