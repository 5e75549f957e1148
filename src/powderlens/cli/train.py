"""`powderlens train` and `powderlens export`: from a recipe to a network that ships."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from powderlens.cli.console import print_json
from powderlens.cli.extras import need


class Accelerator(StrEnum):
    """Where torch works."""

    cpu = "cpu"
    gpu = "gpu"
    auto = "auto"


@contextmanager
def _progress_on_stderr() -> Iterator[None]:
    """Lightning's bar goes where progress belongs, its advertisements and its remarks on a folder in use nowhere."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.filterwarnings("ignore", module=r"lightning\.")
        warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
        yield


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe, such as recipes/prism.toml.")],
    data: Annotated[
        list[Path], typer.Option(help="Reflection table from `powderlens corpus reflections`; may be given often.")
    ],
    output: Annotated[Path, typer.Option(help="Folder of the run: checkpoints, metrics.csv, run.json.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    workers: Annotated[int, typer.Option(min=0, help="Processes that draw patterns.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the network.")] = 2,
    accelerator: Annotated[Accelerator, typer.Option(help="What the network is trained on.")] = Accelerator.cpu,
) -> None:
    """Train a network on patterns drawn on the fly; the validation of held-out crystals chooses the checkpoint."""
    need("training", "torch", "lightning", "pyarrow")
    from powderlens.train.engine import train as run
    from powderlens.train.recipe import load_recipe

    chosen = load_recipe(recipe)
    with _progress_on_stderr():
        best = run(chosen, data, output, resume=resume, workers=workers, threads=threads, accelerator=accelerator.value)
    print_json({"checkpoint": best.name, "run": output.name})


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a training run.")],
    output: Annotated[Path, typer.Option(help="Folder for NAME.onnx and its card NAME.json.")],
    checkpoint: Annotated[str, typer.Option(help="Which checkpoint of the run.")] = "best.ckpt",
    averaged: Annotated[
        float, typer.Option(help="Share of the averaged weights; the rest is the newest weights.")
    ] = 1.0,
) -> None:
    """Export a trained network: ONNX with half-precision weights, and its card."""
    need("exporting", "torch", "onnx", "onnxscript")
    from powderlens.train.export import export as write

    path = write(run / checkpoint, run, output, averaged=averaged)
    print_json({"onnx": path.name, "bytes": path.stat().st_size})
