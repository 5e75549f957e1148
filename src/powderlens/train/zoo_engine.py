"""The training run of any network of the registry: on Lightning, resumable exactly, on one device or several."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from torch.utils.data import DataLoader

from powderlens import __version__
from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write, make_folder
from powderlens.models.network import Network
from powderlens.models.registry import build, check_build
from powderlens.train.batches import Machine
from powderlens.train.callbacks import Newest, Progress, Stops
from powderlens.train.checkpoint import describe, read_checkpoint
from powderlens.train.curve import Curve
from powderlens.train.drawn import Report
from powderlens.train.losses import TaskLoss
from powderlens.train.quiet import NoProfiler
from powderlens.train.recipe_parts import CorpusData
from powderlens.train.recipe_zoo import ZooRecipe
from powderlens.train.sources import Source, open_source
from powderlens.train.zoo_module import DivergedError, ZooModule


def train_zoo(
    recipe: ZooRecipe,
    output: Path,
    *,
    corpus: Path | None = None,
    tables: Sequence[Path] = (),
    resume: bool = False,
    machine: Machine | None = None,
    threads: int = 2,
    accelerator: str = "cpu",
    devices: int = 1,
    report: Report = lambda message: None,
) -> Path:
    """Train, and leave a folder.

    It holds `best.ckpt` (lowest validation loss), `last.ckpt`, `metrics.csv` (a row a validation), `run.json` (what was
    done with which data) and, when the run has ended, `outcome.json` (why, and how long it took).

    Args:
        recipe: what to do.
        output: folder of the run.
        corpus: for recipes on a corpus.
        tables: reflection tables, for recipes on crystals.
        resume: go on from `last.ckpt`, or begin where there is none; a run that has ended is left as it is.
        machine: how patterns are drawn.
        threads: torch threads.
        accelerator: as Lightning names it.
        devices: how many; each takes its share of every batch.
        report: is told one line now and then.

    Returns:
        The checkpoint that counts, as `recipe.keep` says.

    Raises:
        InputError: data, network and recipe do not fit; the folder holds a run and it is not to be resumed, or one of
            another recipe or of other data.
        DivergedError: the loss was no number; `best.ckpt` and `last.ckpt` are those before.
    """
    torch.set_num_threads(threads)
    first_process = os.environ.get("LOCAL_RANK", "0") == "0"
    machine = replace(machine or Machine(), rank=int(os.environ.get("LOCAL_RANK", "0")), world=devices)
    source = open_source(recipe, corpus=corpus, tables=tables, machine=machine, report=report)
    chosen = recipe.network
    network = _network(recipe, source)
    losses = [TaskLoss(t, recipe.tasks[t.name].loss, (source.counts or {}).get(t.name)) for t in source.tasks]
    run = {
        "powderlens": __version__,
        "recipe": recipe.model_dump(mode="json"),
        "data": source.about,
        "network": {**chosen.model_dump(mode="json"), "parameters": sum(p.numel() for p in network.parameters())},
        "classes": {task.name: list(task.classes) for task in source.tasks if task.kind == "classes"},
        "grid": describe(chosen, source.tasks, source.grid)["grid"],
    }
    newest = make_folder(output) / "last.ckpt"
    epoch_steps = -(-source.epoch_patterns // recipe.batch)
    total = recipe.limits.total_steps(recipe.batch, epoch_steps)
    stops = Stops(recipe, total)
    state = _state(output, newest, run, stops, resume=resume)
    if state.get("reason"):
        stops.load_state_dict(state)
        return _finish(output, stops, recipe, step=state["step"], epoch_steps=epoch_steps)
    lightning.seed_everything(recipe.seed, workers=False, verbose=False)
    module = ZooModule(
        network,
        recipe,
        losses,
        epoch_steps=epoch_steps,
        total_steps=total,
        about=describe(chosen, source.tasks, source.grid),
        clock=lambda: stops.seconds,
    )
    first = int(state.get("step", 0))
    every = _steps_between_validations(recipe, epoch_steps)
    best = ModelCheckpoint(output, filename="best", monitor="val_loss", enable_version_counter=False)
    trainer = _trainer(
        accelerator,
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        precision=recipe.precision,
        max_steps=-1,
        max_epochs=1 if first == 0 else -1,
        val_check_interval=every,
        logger=_loggers(output, first, source) if first_process else [],
        callbacks=[stops, Progress(report, stops), best, Newest(newest, recipe.checkpoint_steps, every)],
    )
    if first_process:
        run["machine"] = {
            "torch": torch.__version__,
            "device": _device_name(trainer),
            "devices": devices,
            "threads": threads,
            "processor": platform.machine(),
            "cores": os.cpu_count(),
        }
        _write(output / "run.json", run)
    try:
        trainer.fit(
            module,
            source.batches(first, total),
            DataLoader(source.validation, batch_size=None),
            ckpt_path=newest if first else None,
        )
    except DivergedError as error:
        stops.reason = "diverged"
        if first_process:
            _finish(output, stops, recipe, step=module.global_step, epoch_steps=epoch_steps, why=str(error))
        raise
    if first_process:
        return _finish(output, stops, recipe, step=trainer.global_step, epoch_steps=epoch_steps)
    return output / f"{recipe.keep}.ckpt"


def _steps_between_validations(recipe: ZooRecipe, epoch_steps: int) -> int:
    patterns = recipe.data.validate_patterns if isinstance(recipe.data, CorpusData) else None
    return epoch_steps if patterns is None else -(-patterns // recipe.batch)


def _network(recipe: ZooRecipe, source: Source) -> Network:
    """The network with fresh weights of the recipe's seed."""
    chosen = recipe.network
    how: dict[str, Any] = {"points": source.grid.points, "as_published": chosen.as_published, "size": chosen.size}
    check_build(chosen.name, source.tasks, **how)
    return build(chosen.name, source.tasks, seed=recipe.seed, **how)


def _trainer(accelerator: str, **options: Any) -> lightning.Trainer:
    try:
        return lightning.Trainer(
            accelerator=accelerator,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            log_every_n_steps=1,
            profiler=NoProfiler(),
            **options,
        )
    except MisconfigurationException as error:
        raise InputError(f"accelerator {accelerator}: {str(error).splitlines()[0]}") from None


def _loggers(output: Path, first: int, source: Source) -> list[Logger]:
    """The curve, and TensorBoard where it is installed."""
    figures = []
    for task in source.tasks:
        figures += [f"val_{task.name}"] if task.kind == "classes" else ["val_length_A", "val_angle_deg"]
    columns = ["step", "epoch", "patterns", "seconds", "learning_rate", "train_loss", "val_loss", *figures]
    loggers: list[Logger] = [Curve(output / "metrics.csv", first + 1 if first else 0, columns, counting=False)]
    if find_spec("tensorboard") or find_spec("tensorboardX"):
        loggers.append(TensorBoardLogger(output, name="tensorboard", version="", purge_step=first))
    return loggers


def _state(output: Path, newest: Path, run: dict[str, Any], stops: Stops, *, resume: bool) -> dict[str, Any]:
    """What the newest checkpoint says: its step, and how the run stood; empty where there is none."""
    if not newest.exists():
        return {}
    if not resume:
        raise InputError(f"{output}: holds a run already; go on with --resume, or give another folder")
    try:
        before = json.loads((output / "run.json").read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{output}: a checkpoint but no readable run.json beside it ({error})") from None
    for what in ("recipe", "data", "classes", "grid"):
        if before.get(what) != run[what]:
            raise InputError(f"{output}: this run began with other {what}; --resume goes on with the same only")
    content = read_checkpoint(newest)
    stood = content["callbacks"]["Stops"]
    if stood.keys() != stops.state_dict().keys():
        raise InputError(f"{newest}: a checkpoint of another version of powderlens; train anew, in another folder")
    return {**stood, "step": int(content["global_step"])}


def _finish(
    output: Path, stops: Stops, recipe: ZooRecipe, *, step: int, epoch_steps: int, why: str | None = None
) -> Path:
    """Write `outcome.json`.

    Returns:
        The checkpoint that counts.
    """
    has_best = stops.best_step > 0
    outcome = {
        "stopped_by": stops.reason,
        "message": why,
        "steps": step,
        "epochs": step / epoch_steps,
        "patterns": step * recipe.batch,
        "seconds": round(stops.seconds, 3),
        "cpu_seconds": round(stops.cpu_seconds, 3),
        "last_val_loss": stops.newest if has_best else None,
        "best_val_loss": stops.best if has_best else None,
        "best_step": stops.best_step if has_best else None,
        "best_epoch": stops.best_step / epoch_steps if has_best else None,
        "checkpoint": f"{recipe.keep}.ckpt" if has_best else None,
    }
    _write(output / "outcome.json", outcome)
    return output / f"{recipe.keep}.ckpt"


def _write(path: Path, content: dict[str, Any]) -> None:
    with atomic_write(path) as aside:
        aside.write_text(json.dumps(content, indent=2) + "\n")


def _device_name(trainer: lightning.Trainer) -> str:
    device = trainer.strategy.root_device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
