"""Checkpoints of the zoo: what they are of, and the network in them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, Literal

import torch

from powderlens import __version__
from powderlens.core.errors import InputError
from powderlens.models.network import Network
from powderlens.models.registry import NAMES, build
from powderlens.models.task import Task
from powderlens.pattern.grid import Grid
from powderlens.train.recipe_zoo import NetworkRecipe

FORMAT = 1
"""Of what a checkpoint says about itself; raised when an older program could misread a newer one."""


def describe(network: NetworkRecipe, tasks: list[Task], grid: Grid) -> dict[str, Any]:
    """What goes into a checkpoint so that its network can be built again."""
    return {
        "format": FORMAT,
        "version": __version__,
        "network": network.model_dump(mode="json"),
        "tasks": [
            {"name": task.name, "kind": task.kind, "outputs": task.outputs, "classes": list(task.classes)}
            for task in tasks
        ],
        "grid": {
            "start_deg": grid.start_deg,
            "step_deg": grid.step_deg,
            "points": grid.points,
            "wavelength_A": grid.wavelength_A,
        },
    }


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of the zoo.

    Raises:
        InputError: no such file, another kind of file, or one of another version.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such checkpoint") from None
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise InputError(f"{path}: not a checkpoint of the zoo ({str(error).splitlines()[0]})") from None
    about = content.get("powderlens") if isinstance(content, dict) else None
    if not isinstance(about, dict) or not {"state_dict", "global_step"} <= content.keys():
        raise InputError(f"{path}: not a checkpoint of the zoo; make one with `powderlens train`")
    if about.get("format") != FORMAT:
        raise InputError(
            f"{path}: a checkpoint of format {about.get('format')} (powderlens {about.get('version')}), and this "
            f"powderlens {__version__} reads {FORMAT}; use the version that wrote it, or train again"
        )
    if about["network"]["name"] not in NAMES:
        raise InputError(f"{path}: its network {about['network']['name']!r} is not in the registry of {__version__}")
    return dict(content)


def load_network(path: Path) -> tuple[Network, Grid, dict[str, Any]]:
    """The network of a checkpoint in evaluation mode, its grid, and what the checkpoint says about itself.

    Raises:
        InputError: see `read_checkpoint`; weights that do not fit the network or its list of classes.
    """
    content = read_checkpoint(path)
    about = content["powderlens"]
    tasks = [Task(one["name"], one["kind"], one["outputs"], tuple(one["classes"])) for one in about["tasks"]]
    for task in tasks:
        if task.kind == "classes" and len(task.classes) != task.outputs:
            raise InputError(f"{path}: {len(task.classes)} classes of {task.name} for {task.outputs} outputs")
    chosen = about["network"]
    size: Literal["full", "small"] = chosen["size"]
    network = build(
        chosen["name"],
        tasks,
        points=about["grid"]["points"],
        as_published=chosen["as_published"],
        size=size,
        seed=0,
    )
    state = {
        name.removeprefix("network."): value
        for name, value in content["state_dict"].items()
        if name.startswith("network.")
    }
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        said = str(error).splitlines()
        raise InputError(
            f"{path}: its weights do not fit {chosen['name']} with "
            f"{', '.join(f'{task.outputs} outputs of {task.name}' for task in tasks)} ({said[-1].strip()})"
        ) from None
    return network.eval(), Grid(**about["grid"]), {**about, "step": int(content["global_step"])}
