"""`powderlens benchmark`: a whole comparison of networks from one plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from powderlens.cli.console import command_line, print_json, tell
from powderlens.cli.extras import need


def benchmark(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="benchmark-small, or a file ending in .toml.")],
    crystals: Annotated[Path, typer.Option(help="A table of crystals, as `crystals curate` writes them.")],
    output: Annotated[Path, typer.Option(help="Folder of the benchmark; the same command goes on from what is there.")],
    measured: Annotated[
        Path | None, typer.Option(help="A corpus of measured patterns to test on too, as `corpus import` makes it.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Networks that are trained beside each other.")] = 2,
) -> None:
    """Train and test every network of a plan under one budget: rates tried, records written.

    Interrupted or killed, it goes on when the same command is given again. `powderlens table`
    makes tables of the records.
    """
    need("a benchmark", "torch", "lightning", "pyarrow")
    from powderlens.reproduce.benchmark.plan import load_bench
    from powderlens.reproduce.benchmark.run import run_benchmark

    command = command_line("benchmark", plan, crystals=crystals, output=output, measured=measured)
    records = run_benchmark(
        load_bench(plan), crystals, output, measured=measured, workers=workers, command=command, report=tell
    )
    print_json({"records": records.name, "count": len(list(records.glob("*.json")))})
