"""`powderlens train` and `powderlens export`: from a recipe to a network that ships."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from powderlens.cli.console import print_json, tell
from powderlens.cli.extras import need
from powderlens.cli.workers import Ray, RayAddress, ray_cluster


class Accelerator(StrEnum):
    """Where torch works."""

    cpu = "cpu"
    gpu = "gpu"
    auto = "auto"


class Size(StrEnum):
    """Of a network of the registry."""

    full = "full"
    small = "small"


def train(
    recipe: Annotated[
        Path,
        typer.Argument(metavar="RECIPE", help="A shipped recipe, such as simxrd-small, or a file ending in .toml."),
    ],
    output: Annotated[Path, typer.Option(help="Folder of the run: checkpoints, metrics.csv, run.json.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="Reflection table from `powderlens corpus reflections`, may be given often; for synthetic crystals "
            "statistics from `crystals statistics`, the shipped ones if left out."
        ),
    ] = None,
    corpus: Annotated[Path | None, typer.Option(help="Corpus whose training part is learnt.")] = None,
    network: Annotated[str | None, typer.Option(help="Another network than the recipe's.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="This task only; may be given often.")] = None,
    loss: Annotated[str | None, typer.Option(help="Another loss: focal, gemd, or with its number gemd=2.")] = None,
    size: Annotated[Size | None, typer.Option(help="Another size of the network.")] = None,
    as_published: Annotated[
        bool, typer.Option("--as-published", help="Repeat the network's published faults.")
    ] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="Another seed.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Processes that draw patterns; 1 if not given, on Ray as many as it has CPUs."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the network.")] = 2,
    accelerator: Annotated[Accelerator, typer.Option(help="What the network is trained on.")] = Accelerator.cpu,
    devices: Annotated[int, typer.Option(min=1, help="Devices that share every batch.")] = 1,
    memory_gb: Annotated[float, typer.Option(min=0, help="A corpus that takes less is drawn once.")] = 4.0,
    cache: Annotated[Path | None, typer.Option(help="Folder where drawn patterns are kept for other runs.")] = None,
    ray: Ray = False,
    ray_address: RayAddress = None,
) -> None:
    """Train a network; the validation of held-out patterns chooses the checkpoint.

    Recipes for networks of the registry (`powderlens models list`) take --corpus or --data as their data ask for, and
    what is chosen here; recipes for prism take --data.
    """
    need("training", "torch", "lightning", "pyarrow")
    from powderlens.core.errors import InputError
    from powderlens.train.quiet import quiet_lightning
    from powderlens.train.recipe_zoo import is_zoo_recipe, load_zoo_recipe, with_choices

    crew = 1 if workers is None else workers
    if is_zoo_recipe(recipe):
        if ray or ray_address is not None:
            raise InputError(f"{recipe}: recipes of the registry do not draw on Ray; leave --ray out")
        chosen = with_choices(
            load_zoo_recipe(recipe),
            network=network,
            size=None if size is None else size.value,
            as_published=as_published,
            tasks=task or [],
            loss=loss,
            seed=seed,
        )
        from powderlens.train.batches import Machine
        from powderlens.train.zoo_engine import train_zoo

        with quiet_lightning():
            best = train_zoo(
                chosen,
                output,
                corpus=corpus,
                tables=data or [],
                resume=resume,
                machine=Machine(workers=crew, memory_GB=memory_gb, cache=cache),
                threads=threads,
                accelerator=accelerator.value,
                devices=devices,
                report=tell,
            )
    else:
        choices = (
            network,
            task,
            loss,
            size,
            as_published or None,
            seed,
            corpus,
            cache,
            None if devices == 1 else devices,
        )
        if any(choice is not None for choice in choices):
            raise InputError(f"{recipe}: a recipe of prism, which takes none of the choices; see --help")
        from powderlens.train.engine import train as run
        from powderlens.train.recipe import load_recipe

        old = load_recipe(recipe)
        if not data:
            raise InputError("no reflection table is given with --data; make one with `powderlens corpus reflections`")
        with ray_cluster(workers, ray, ray_address) as cluster, quiet_lightning():
            best = run(
                old,
                data,
                output,
                resume=resume,
                workers=crew,
                threads=threads,
                accelerator=accelerator.value,
                cluster=cluster,
            )
    if os.environ.get("LOCAL_RANK", "0") == "0":  # one of several devices speaks for all
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
