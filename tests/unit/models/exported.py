"""An exported network made up in a folder, as `powderlens.train.export` leaves it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from powderlens.models.card import Weights
from powderlens.models.network import Network
from powderlens.models.registry import build, card
from powderlens.models.task import Task
from powderlens.models.to_onnx import to_onnx
from powderlens.pattern.grid import Grid

GRID = Grid(start_deg=10.0, step_deg=0.1, points=701, wavelength_A=1.5405929)


def write_model(
    folder: Path, tasks: Sequence[Task], *, name: str = "tiny", network: str = "cnn5", mask: bool = False, **more: Any
) -> tuple[Path, Network]:
    """FILE.onnx with its card and its safetensors, and the network in evaluation mode."""
    made = build(network, tasks, points=GRID.points, mask=mask, size=more.get("size", "small"), seed=3).eval()
    about: dict[str, Any] = {
        "name": name,
        "size": "small",
        "as_published": False,
        "options": {},
        "mask": mask,
        "floor": True,
        "grid": GRID,
        "tasks": tuple(tasks),
        "parameters": sum(parameter.numel() for parameter in made.parameters()),
        "step": 1,
        "chosen_by": "nothing",
        "averaged_share": 0.0,
        "training": {"recipe": {"name": name, "seed": 3}},
        **more,
    }
    (folder / f"{name}.onnx").write_bytes(to_onnx(made))
    save_file(made.state_dict(), folder / f"{name}.safetensors")
    (folder / f"{name}.json").write_text(json.dumps(replace(card(network), weights=Weights(**about)).to_dict()))
    return folder / f"{name}.onnx", made
