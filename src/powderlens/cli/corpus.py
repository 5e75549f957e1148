"""`powderlens corpus`: crystals and their reflections on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from powderlens.cli.console import complain, print_json
from powderlens.cli.corpus_audit import audit
from powderlens.cli.corpus_bench import bench
from powderlens.cli.corpus_build import build
from powderlens.cli.corpus_export import export
from powderlens.cli.corpus_import import import_patterns
from powderlens.cli.corpus_info import info
from powderlens.cli.corpus_verify import verify
from powderlens.cli.databases import KINDS, open_database
from powderlens.cli.extras import need

app = typer.Typer(help="Crystals and their reflections on disk.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


app.command()(build)
app.command()(info)
app.command()(verify)
app.command()(audit)
app.command()(bench)
app.command()(export)
app.command("import")(import_patterns)


@app.command()
def reflections(
    database: Annotated[Path, typer.Argument(metavar="DATABASE", help=KINDS + ".")],
    output: Annotated[Path, typer.Option(help="The Parquet table; its manifest (.json) is written beside it.")],
    limit: Annotated[int | None, typer.Option(min=1, help="Take only the first crystals.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Compute the reflections of every crystal of a database, once, for training."""
    need("a reflection table", "pyarrow")
    from itertools import islice

    from powderlens.core.files import file_sha256
    from powderlens.corpus.store.reflection_table import build_table

    items = open_database(database)
    origin = f"{database.name}, sha256 {file_sha256(database)}"
    step, told = 20_000, 0

    def progress(seen: int) -> None:
        nonlocal told
        if seen // step > told:
            told = seen // step
            complain(f"{seen} crystals")

    manifest = build_table(islice(items, limit), output, origin=origin, workers=workers, progress=progress)
    print_json(manifest)
