"""`powderlens corpus bench`: how quickly a corpus is drawn for training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from powderlens.cli.console import complain, console, print_json
from powderlens.cli.extras import need
from powderlens.cli.options import Json, NoColor


def bench(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A corpus.")],
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw.")] = 2,
    minutes: Annotated[float, typer.Option(min=0.01, max=600, help="How long.")] = 5.0,
    part: Annotated[str, typer.Option(help="Part of the split.")] = "train",
    batch: Annotated[int, typer.Option(min=1, help="Patterns a batch.")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="Of the order.")] = 0,
    as_json: Json = False,
    no_color: NoColor = False,
) -> None:
    """Draw a corpus in shuffled batches as fast as it goes; tell the rate, the slowest batch and the memory."""
    need("drawing a corpus", "pyarrow")
    from rich.table import Table

    from powderlens.corpus.store.drawn import DrawnCorpus
    from powderlens.corpus.stream.bench import measure
    from powderlens.corpus.stream.from_corpus import CorpusStream

    # Nothing is learned here, so that measured patterns are welcome.
    stream = CorpusStream(DrawnCorpus.open(folder), part, size=batch, seed=seed, allow_measured=True)
    found = measure(
        stream, workers=workers, seconds=60 * minutes, progress=lambda text: complain(text, no_color=no_color)
    )
    if as_json:
        print_json({"corpus": folder.name, "part": part, **found.record()})
        return
    table = Table(title=f"{folder.name}, {part}: {workers} workers, batches of {batch}", show_header=False)
    memory = [sample.reader_MB + sample.workers_MB for sample in found.memory]
    for name, value in {
        "patterns a second": f"{found.patterns_per_s:,.0f}",
        "patterns an hour": f"{found.patterns_per_hour:,.0f}",
        "patterns drawn": f"{found.patterns:,} in {found.seconds:.0f} s",
        "between two batches": f"median {1000 * found.gap_median_s:.0f} ms, longest {found.gap_ratio:.2f} times that",
        "late batches": f"{found.late_batches} of {found.batches}",
        "resident memory": f"{memory[0]:,.0f} MB at the start, {memory[-1]:,.0f} MB at the end",
    }.items():
        table.add_row(name, value)
    console(no_color).print(table)
