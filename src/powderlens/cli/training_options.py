"""Options that `powderlens train` and `powderlens evaluate` share: what is chosen instead of the recipe, and where."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Accelerator(StrEnum):
    """Where torch works."""

    cpu = "cpu"
    gpu = "gpu"
    auto = "auto"


class Size(StrEnum):
    """Of a network: as published, or reduced so that two cores train it."""

    full = "full"
    small = "small"


class Precision(StrEnum):
    """Of the arithmetic; fp32, bf16 and fp16 are short for the others."""

    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"
    full = "32-true"
    bf16_mixed = "bf16-mixed"
    fp16_mixed = "16-mixed"


Data = Annotated[
    list[Path] | None,
    typer.Option(
        help="Reflection table from `powderlens corpus reflections`, may be given often; for synthetic crystals "
        "statistics from `crystals statistics`, the shipped ones if left out."
    ),
]
Network = Annotated[
    str | None, typer.Option(help="Another network than the recipe's; MODULE:CLASS for one of your own.")
]
Tasks = Annotated[list[str] | None, typer.Option(help="This task only; may be given often.")]
Loss = Annotated[
    str | None,
    typer.Option(help="Another loss: focal, gemd, with its number gemd=2; MODULE:FUNCTION for one of your own."),
]
Sizes = Annotated[Size | None, typer.Option(help="Another size of the network.")]
AsPublished = Annotated[bool, typer.Option("--as-published", help="Repeat the network's published faults.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Another seed.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of the network.")]
Accelerators = Annotated[Accelerator, typer.Option(help="What the network works on.")]
Cache = Annotated[Path | None, typer.Option(help="Folder where drawn patterns are kept for other runs.")]
