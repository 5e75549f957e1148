"""Checkpoints: what they are of, and the network in them. Nothing in a checkpoint is run."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from powderlens import __version__
from powderlens.core.errors import InputError
from powderlens.core.files import file_sha256
from powderlens.models.load_torch import read_safetensors
from powderlens.models.network import Network
from powderlens.models.registry import build
from powderlens.models.task import Task
from powderlens.models.weights import TORCH
from powderlens.pattern.spacing import AnyGrid, grid_of
from powderlens.train.recipe import NetworkRecipe, Recipe

FORMAT = 1
"""Of what a checkpoint says about itself; raised when an older program could misread a newer one."""


def describe(recipe: Recipe, tasks: Sequence[Task], grid: AnyGrid) -> dict[str, Any]:
    """What goes into a checkpoint so that its network can be built again, and asked as it was trained."""
    return {
        "format": FORMAT,
        "version": __version__,
        "network": recipe.network.model_dump(mode="json"),
        "floor": recipe.data.floor,
        "tasks": [{**asdict(task), "classes": list(task.classes)} for task in tasks],
        "grid": asdict(grid),
    }


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint.

    Raises:
        InputError: no such file, another kind of file, or one of another version.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such checkpoint") from None
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise InputError(f"{path}: not a checkpoint ({str(error).splitlines()[0]})") from None
    about = content.get("powderlens") if isinstance(content, dict) else None
    if not isinstance(about, dict) or not {"state_dict", "global_step"} <= content.keys():
        raise InputError(f"{path}: not a checkpoint that this powderlens can read; make one with `powderlens train`")
    if about.get("format") != FORMAT:
        raise InputError(
            f"{path}: a checkpoint of format {about.get('format')} (powderlens {about.get('version')}), and this "
            f"powderlens {__version__} reads {FORMAT}; use the version that wrote it, or train again"
        )
    return dict(content)


def begin_with(network: Network, path: Path) -> dict[str, str]:
    """Give a fresh network the weights of a checkpoint, or of an exported `.safetensors` file.

    Args:
        network: of the same architecture, grid and tasks.
        path: of the checkpoint, whose averaged weights are taken where its run has any, or of the file.

    Returns:
        Name and sha256 of the file, for `run.json`.

    Raises:
        InputError: no such file, another kind of file, or weights that do not fit the network.
    """
    if path.suffix == TORCH:
        state = read_safetensors(path)
    else:
        whole = read_checkpoint(path)["state_dict"]
        state = {name.removeprefix("network."): v for name, v in whole.items() if name.startswith("network.")}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(
            f"{path}: its weights do not fit {network.card.name} as the recipe builds it "
            f"({str(error).splitlines()[-1].strip()}); take weights of the same network, grid and tasks"
        ) from None
    return {"file": path.name, "sha256": file_sha256(path)}


def load_network(path: Path, *, averaged: float = 1.0) -> tuple[Network, AnyGrid, dict[str, Any]]:
    """The network of a checkpoint in evaluation mode, its grid, and what the checkpoint says about itself.

    Args:
        path: of the checkpoint.
        averaged: share of the averaged weights, where the run has any; the rest is the newest weights. Less than 1
            shortens the memory of the average.

    Raises:
        InputError: see `read_checkpoint`; weights that do not fit the network or its list of classes, or a share of an
            average that is not there.
    """
    if not 0 <= averaged <= 1:
        raise InputError(f"averaged share {averaged:g}: must lie between 0 and 1")
    content = read_checkpoint(path)
    about, state = content["powderlens"], content["state_dict"]
    if averaged < 1:
        if "current_model_state" not in content:
            raise InputError(f"{path}: its run averaged no weights; leave the share {averaged:g} out")
        newest = content["current_model_state"]
        state = {k: torch.lerp(newest[k], v, averaged) if v.is_floating_point() else v for k, v in state.items()}
    try:
        tasks = [Task.from_dict(one) for one in about["tasks"]]
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    chosen = NetworkRecipe.model_validate(about["network"])
    network = build(tasks=tasks, points=about["grid"]["points"], seed=0, **chosen.model_dump())
    try:
        network.load_state_dict(
            {name.removeprefix("network."): v for name, v in state.items() if name.startswith("network.")}
        )
    except RuntimeError as error:
        said = str(error).splitlines()
        raise InputError(
            f"{path}: its weights do not fit {chosen.name} with "
            f"{', '.join(f'{task.outputs} outputs of {task.name}' for task in tasks)} ({said[-1].strip()})"
        ) from None
    told = {"floor": False, **about, "network": chosen.model_dump(mode="json"), "step": int(content["global_step"])}
    return network.eval(), grid_of(about["grid"]), told
