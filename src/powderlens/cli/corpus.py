"""`powderlens corpus`: crystals and their reflections on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Compute the reflections of every crystal of a database, once, for training."""
    need("a reflection table", "pyarrow")
    from itertools import islice

    from powderlens.core.files import file_sha256
    from powderlens.corpus.store.reflection_table import build_table
    from powderlens.crystal.sources import open_source

    items = open_source(database)
    origin = f"{database.name}, sha256 {file_sha256(database)}"
    progress = counting(20_000, "{} crystals")
    print_json(build_table(islice(items, limit), output, origin=origin, workers=workers, progress=progress))
