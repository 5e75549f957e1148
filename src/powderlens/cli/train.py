"""`powderlens train` and `powderlens export`: from a recipe to a network that ships."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from powderlens.cli import training_options as options
from powderlens.cli.console import print_json, tell
from powderlens.cli.extras import need
from powderlens.cli.workers import Ray, RayAddress, ray_cluster
from powderlens.core.errors import InputError


def train(
    recipe: Annotated[
        Path,
        typer.Argument(metavar="RECIPE", help="A shipped recipe, such as simxrd-small, or a file ending in .toml."),
    ],
    output: Annotated[Path, typer.Option(help="Folder of the run: checkpoints, metrics.csv, run.json.")],
    data: options.Data = None,
    corpus: Annotated[Path | None, typer.Option(help="Corpus whose training part is learnt.")] = None,
    measured: Annotated[
        Path | None, typer.Option(help="Imported corpus that each validation reports on; it chooses nothing.")
    ] = None,
    network: options.Network = None,
    task: options.Tasks = None,
    loss: options.Loss = None,
    size: options.Sizes = None,
    as_published: options.AsPublished = False,
    mask: Annotated[bool, typer.Option("--mask", help="Let the network read which points were measured.")] = False,
    averaging: Annotated[
        float | None, typer.Option(metavar="DECAY", help="Average the weights with this decay, as 0.999.")
    ] = None,
    precision: Annotated[
        options.Precision | None, typer.Option(help="Of the arithmetic; weights stay in 32 bits.")
    ] = None,
    seed: options.Seed = None,
    patterns: Annotated[
        int | None, typer.Option(min=1, help="End after so many patterns, whatever the recipe's limits.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Begin with the weights of this checkpoint or .safetensors file.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Processes that draw patterns; 1 if not given, on Ray as many as it has CPUs."),
    ] = None,
    threads: options.Threads = 2,
    accelerator: options.Accelerators = options.Accelerator.cpu,
    devices: Annotated[int, typer.Option(min=1, help="Devices that share every batch.")] = 1,
    memory_gb: Annotated[float, typer.Option(min=0, help="A corpus that takes less is drawn once.")] = 4.0,
    cache: options.Cache = None,
    ray: Ray = False,
    ray_address: RayAddress = None,
) -> None:
    """Train a network; the validation of held-out patterns chooses the checkpoint.

    Takes --corpus or --data as the data of the recipe ask for; `powderlens models list` names the networks.
    """
    need("training", "torch", "lightning", "pyarrow")
    from powderlens.train.own import admit
    from powderlens.train.quiet import quiet_lightning
    from powderlens.train.recipe import load_recipe, with_choices

    if devices > 1 and (ray or ray_address is not None):
        raise InputError(
            f"{devices} devices on Ray: each would draw on one of its own; give one device, or leave Ray out"
        )
    admit(network, loss)
    chosen = with_choices(
        load_recipe(recipe),
        network=network,
        size=None if size is None else size.value,
        as_published=as_published,
        mask=mask,
        tasks=task or [],
        loss=loss,
        averaging=averaging,
        precision=None if precision is None else precision.value,
        seed=seed,
        patterns=patterns,
    )
    from powderlens.train.components.machine import Machine
    from powderlens.train.engine import train as run

    with ray_cluster(workers, ray, ray_address) as cluster, quiet_lightning():
        best = run(
            chosen,
            output,
            corpus=corpus,
            tables=data or [],
            measured=measured,
            weights=weights,
            resume=resume,
            machine=Machine(
                workers=1 if workers is None else workers,
                memory_GB=memory_gb,
                cache=cache,
                cluster=cluster,
                threads=threads,
                accelerator=accelerator.value,
                devices=devices,
            ),
            report=tell,
        )
    if os.environ.get("LOCAL_RANK", "0") == "0":  # one of several devices speaks for all
        print_json({"checkpoint": best.name, "run": output.name})


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a training run.")],
    output: Annotated[Path, typer.Option(help="Folder for NAME.safetensors, NAME.onnx and the card NAME.json.")],
    checkpoint: Annotated[str, typer.Option(help="Which checkpoint of the run.")] = "best.ckpt",
    averaged: Annotated[
        float, typer.Option(help="Share of the averaged weights; the rest is the newest weights.")
    ] = 1.0,
    network: Annotated[
        str | None, typer.Option(help="Repeats MODULE:CLASS of a run of your own network, so that it is imported.")
    ] = None,
) -> None:
    """Export a trained network: its weights, ONNX with half-precision weights to ask it, and its card."""
    need("exporting", "torch", "lightning", "onnx", "safetensors")
    from powderlens.train.export import export as write

    path = write(run / checkpoint, run, output, averaged=averaged, network=network)
    print_json({"onnx": path.name, "bytes": path.stat().st_size})
