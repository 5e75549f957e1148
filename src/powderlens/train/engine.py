"""The training run of any network of the registry: on Lightning, resumable exactly, on one device or several."""

from __future__ import annotations

import json
import os
import platform
import warnings
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
from powderlens.models.registry import build
from powderlens.train.components.averaging import Averaging
from powderlens.train.components.callbacks import Newest, Progress, Stops
from powderlens.train.components.checkpoint import begin_with, describe, read_checkpoint
from powderlens.train.components.curve import Curve
from powderlens.train.components.data import open_data, open_measured
from powderlens.train.components.losses import TaskLoss
from powderlens.train.components.machine import Machine, Report
from powderlens.train.module import DivergedError, RunModule, columns
from powderlens.train.quiet import NoProfiler
from powderlens.train.recipe import Recipe, parse_recipe
from powderlens.train.recipe_parts import CorpusData


def train(
    recipe: Recipe,
    output: Path,
    *,
    corpus: Path | None = None,
    tables: Sequence[Path] = (),
    measured: Path | None = None,
    weights: Path | None = None,
    resume: bool = False,
    machine: Machine | None = None,
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
        measured: an imported corpus on which every validation reports besides; it chooses nothing.
        weights: begin with the weights of this checkpoint or `.safetensors`, with optimiser and schedule as new; what
            was begun with stands in `run.json`.
        resume: go on from `last.ckpt`, or begin where there is none; a run that has ended is left as it is.
        machine: how patterns are drawn, and what the network works on.
        report: is told one line now and then.

    Returns:
        The checkpoint that counts, as `recipe.keep` says.

    Raises:
        InputError: data, network, recipe and machine do not fit; the folder holds a run and it is not to be resumed, or
            one of another recipe or of other data.
        DivergedError: the loss was no number; `best.ckpt` and `last.ckpt` are those before.
    """
    first_process = os.environ.get("LOCAL_RANK", "0") == "0"
    machine = replace(machine or Machine(), rank=int(os.environ.get("LOCAL_RANK", "0")))
    torch.set_num_threads(machine.threads)
    data = open_data(recipe, corpus=corpus, tables=tables, machine=machine, report=report)
    shown, of_shown = (None, None) if measured is None else open_measured(recipe, measured, data)
    network = build(tasks=data.tasks, points=data.grid.points, seed=recipe.seed, **recipe.network.model_dump())
    began = None if weights is None else begin_with(network, weights)
    losses = [TaskLoss(t, recipe.tasks[t.name].loss, (data.counts or {}).get(t.name)) for t in data.tasks]
    about = describe(recipe, data.tasks, data.grid)
    run = {
        "powderlens": __version__,
        "recipe": recipe.model_dump(mode="json"),
        "data": data.about,
        "measured": of_shown,
        **({} if began is None else {"began_with": began}),
        "network": {**about["network"], "parameters": sum(p.numel() for p in network.parameters())},
        "classes": {task.name: list(task.classes) for task in data.tasks if task.kind == "classes"},
        "grid": about["grid"],
    }
    newest = make_folder(output) / "last.ckpt"
    epoch_steps = -(-data.epoch_patterns // recipe.batch)
    total = recipe.limits.total_steps(recipe.batch, epoch_steps)
    stops = Stops(recipe, total)
    state = _state(output, newest, run, stops, resume=resume)
    if state.get("reason"):
        stops.load_state_dict(state)
        return _finish(output, stops, recipe, step=state["step"], epoch_steps=epoch_steps)
    lightning.seed_everything(recipe.seed, workers=False, verbose=False)
    module = RunModule(
        network,
        recipe,
        losses,
        epoch_steps=epoch_steps,
        total_steps=total,
        about=about,
        clock=lambda: stops.seconds,
    )
    first = int(state.get("step", 0))
    every = _steps_between_validations(recipe, epoch_steps)
    best = ModelCheckpoint(output, filename="best", monitor="val_loss", enable_version_counter=False)
    averaging = [] if recipe.averaging is None else [Averaging(recipe.averaging)]
    trainer = _trainer(
        recipe,
        machine,
        max_steps=-1,
        max_epochs=1 if first == 0 else -1,
        val_check_interval=every,
        logger=_loggers(output, first, columns(data.tasks, measured=shown is not None)) if first_process else [],
        callbacks=[stops, Progress(report, stops), *averaging, best, Newest(newest, recipe.checkpoint_steps, every)],
    )
    if first_process:
        run["machine"] = {
            "torch": torch.__version__,
            "device": _device_name(trainer),
            "devices": machine.devices,
            "threads": machine.threads,
            "processor": platform.machine(),
            "cores": os.cpu_count(),
        }
        _write(output / "run.json", run)
    validation = [DataLoader(data.validation, batch_size=None)]
    if shown is not None:  # a loader draws a number when it begins: this one not from those of dropout
        validation.append(DataLoader(shown, batch_size=None, generator=torch.Generator()))
    try:
        trainer.fit(
            module,
            data.batches(first=first, stop=total),
            validation,
            ckpt_path=newest if first else None,
            weights_only=True,
        )
    except DivergedError as error:
        stops.reason = "diverged"
        if first_process:
            _finish(output, stops, recipe, step=module.global_step, epoch_steps=epoch_steps, why=str(error))
        raise
    if first_process:
        return _finish(output, stops, recipe, step=trainer.global_step, epoch_steps=epoch_steps)
    return output / f"{recipe.keep}.ckpt"


def _steps_between_validations(recipe: Recipe, epoch_steps: int) -> int:
    patterns = recipe.data.validate_patterns if isinstance(recipe.data, CorpusData) else None
    return epoch_steps if patterns is None else -(-patterns // recipe.batch)


def _trainer(recipe: Recipe, machine: Machine, **options: Any) -> lightning.Trainer:
    wanted = machine.accelerator
    try:
        with warnings.catch_warnings(action="ignore"):
            trainer = lightning.Trainer(
                accelerator=wanted,
                devices=machine.devices,
                strategy="ddp" if machine.devices > 1 else "auto",
                precision=recipe.precision,
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
        raise InputError(f"accelerator {wanted}: {str(error).splitlines()[0]}") from None
    if trainer.precision != recipe.precision:  # Lightning only warns when it takes another
        raise InputError(
            f"precision {recipe.precision}: accelerator {wanted} (here {_device_name(trainer)}) cannot; take bf16-mixed"
        )
    return trainer


def _loggers(output: Path, first: int, names: Sequence[str]) -> list[Logger]:
    """The curve, and TensorBoard where it is installed."""
    loggers: list[Logger] = [Curve(output / "metrics.csv", names, first + 1 if first else 0)]
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
    if not isinstance(before, dict) or not {"recipe", "data", "classes", "grid"} <= before.keys():
        raise InputError(f"{output}: a run of powderlens 0.1, or none; --resume cannot go on, train in another folder")
    before["recipe"] = parse_recipe(before["recipe"], str(output / "run.json")).model_dump(mode="json")
    if "began_with" not in run and "began_with" in before:  # it need not be said again
        run["began_with"] = before["began_with"]
    for what in ("recipe", "data", "measured", "classes", "grid", "began_with"):
        if before.get(what) != run.get(what):
            raise InputError(f"{output}: this run began with other {what}; --resume goes on with the same only")
    content = read_checkpoint(newest)
    stood = content["callbacks"]["Stops"]
    if stood.keys() != stops.state_dict().keys():
        raise InputError(f"{newest}: a checkpoint of another version of powderlens; train anew, in another folder")
    return {**stood, "step": int(content["global_step"])}


def _finish(output: Path, stops: Stops, recipe: Recipe, *, step: int, epoch_steps: int, why: str | None = None) -> Path:
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
