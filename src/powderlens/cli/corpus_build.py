"""`powderlens corpus build`: crystals and a protocol in, a corpus out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from powderlens.cli.console import print_json, tell
from powderlens.cli.extras import need
from powderlens.cli.workers import Ray, RayAddress, Workers, mapper_for


def build(
    crystals: Annotated[Path, typer.Option(help="A table of crystals, as `crystals curate` writes them.")],
    protocol: Annotated[str, typer.Option(help="Conditions: a protocol's name or file.")],
    output: Annotated[Path, typer.Option(help="The folder of the corpus; it must not be there yet.")],
    per_crystal: Annotated[int, typer.Option(min=1, help="Patterns of each crystal.")] = 33,
    split: Annotated[
        str,
        typer.Option(
            help="in-library, out-of-library, out-of-library-consecutive, structure-type, composition, or a .csv file "
            "with the columns id and part."
        ),
    ] = "in-library",
    seed: Annotated[int, typer.Option(min=0, help="Of conditions, noise and split.")] = 0,
    workers: Workers = None,
    ray: Ray = False,
    ray_address: RayAddress = None,
) -> None:
    """Build a corpus: crystals, reflections and condition seeds, of which patterns are drawn when they are asked for.

    Interrupted, it goes on from the parts on disk when the same command is given again.
    """
    need("a corpus", "pyarrow")
    from powderlens.corpus.store.build import build_corpus
    from powderlens.corpus.store.info import corpus_summary

    build_corpus(
        crystals,
        output,
        protocol=protocol,
        per_crystal=per_crystal,
        split=split,
        seed=seed,
        mapper=mapper_for(workers, ray, ray_address),
        progress=tell,
    )
    print_json(corpus_summary(output))
