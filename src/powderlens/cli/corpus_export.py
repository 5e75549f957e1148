"""`powderlens corpus export`: patterns as Parquet, NumPy or SimXRD's ASE database."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from powderlens.cli.console import complain, print_json
from powderlens.cli.extras import need
from powderlens.cli.workers import Ray, RayAddress, Workers, mapper_for

REPORT_S = 5.0


def export(
    corpus: Annotated[Path, typer.Argument(metavar="DIR", help="A corpus, built or imported.")],
    form: Annotated[str, typer.Option("--format", help="parquet, npy or ase (SimXRD's records).")],
    output: Annotated[Path, typer.Option(help="A folder, made if it is not there.")],
    part: Annotated[str, typer.Option("--split", help="Part of the split; an imported corpus has one, all.")],
    dtype: Annotated[str, typer.Option(help="Of the intensities: float16 or float32.")] = "float32",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first patterns.")] = None,
    workers: Workers = None,
    ray: Ray = False,
    ray_address: RayAddress = None,
) -> None:
    """Draw the patterns of one part of a corpus and write them.

    Interrupted, it goes on where it stopped when the same command is given again, and gives the same bytes.
    """
    need("exporting a corpus", "pyarrow")
    from powderlens.corpus.exchange.export import export_corpus

    told = time.monotonic()

    def progress(message: str) -> None:
        nonlocal told
        if time.monotonic() - told > REPORT_S:
            told = time.monotonic()
            complain(message)

    manifest = export_corpus(
        corpus,
        output,
        form=form,
        part=part,
        dtype=dtype,
        limit=limit,
        mapper=mapper_for(workers, ray, ray_address),
        progress=progress,
    )
    print_json({key: manifest[key] for key in ("patterns", "axis", "job", "files")})
