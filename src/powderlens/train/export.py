"""From a run to what ships: the weights for torch and for ONNX Runtime, and their card."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from powderlens.core.errors import InputError, MissingExtraError
from powderlens.core.files import atomic_write, make_folder
from powderlens.models.card import Weights
from powderlens.models.registry import resolve
from powderlens.models.to_onnx import to_onnx
from powderlens.models.weights import ONNX, TORCH
from powderlens.train.components.checkpoint import load_network
from powderlens.train.recipe import Recipe, parse_recipe


def export(checkpoint: Path, run: Path, output: Path, *, averaged: float = 1.0, network: str | None = None) -> Path:
    """Write `NAME.safetensors` (to train on from), `NAME.onnx` (to ask) and `NAME.json` (the card) into a folder.

    NAME is the recipe's. The ONNX file holds large weights in half precision. All three are written aside first, and
    take their places together at the end.

    Args:
        checkpoint: of the run.
        run: folder of the training run, for its `run.json`.
        output: where to.
        averaged: share of the averaged weights, see `load_network`.
        network: repeats the run's network where it is one of your own, so that its module is imported.

    Returns:
        Path of the ONNX file.

    Raises:
        InputError: no run in that folder, a checkpoint that cannot be used, or a network of one's own whose module the
            command line does not name.
        MissingExtraError: safetensors is not installed.
    """
    try:
        from safetensors.torch import save
    except ImportError:
        raise MissingExtraError("exporting needs safetensors: pip install 'powderlens[train]'") from None
    about, recipe = _read_run(run, network)
    made, grid, told = load_network(checkpoint, averaged=averaged)
    chosen = recipe.network
    if told["network"] != chosen.model_dump(mode="json"):
        raise InputError(
            f"{checkpoint}: holds weights of another network ({told['network']['name']}) than the run says "
            f"({chosen.name}); give a checkpoint of this run"
        )
    card = replace(
        made.card,
        weights=Weights(
            name=recipe.name,
            size=chosen.size,
            as_published=chosen.as_published,
            options=chosen.options,
            mask=chosen.mask,
            floor=told["floor"],
            grid=grid,
            tasks=made.tasks,
            parameters=sum(parameter.numel() for parameter in made.parameters()),
            step=told["step"],
            chosen_by=_chosen_by(recipe, checkpoint, averaged),
            averaged_share=averaged if recipe.averaging is not None else 0.0,
            training=about,
        ),
    )
    contents = {
        TORCH: save({name: value.contiguous() for name, value in made.state_dict().items()}),
        ONNX: to_onnx(made, half=True),
        ".json": (json.dumps(card.to_dict(), indent=2) + "\n").encode(),
    }
    folder = make_folder(output)
    with ExitStack() as written:
        for end, content in contents.items():
            written.enter_context(atomic_write(folder / f"{recipe.name}{end}")).write_bytes(content)
    return folder / f"{recipe.name}{ONNX}"


def _read_run(run: Path, network: str | None) -> tuple[dict[str, Any], Recipe]:
    path = run / "run.json"
    try:
        about = json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"{run}: no training run ({error.strerror}: run.json)") from None
    except ValueError as error:
        raise InputError(f"{path}: damaged ({str(error).splitlines()[0]})") from None
    if not isinstance(about, dict) or not isinstance(about.get("recipe"), dict):
        raise InputError(f"{path}: names no recipe; it is not of a training run")
    if network is not None:
        trained = about["recipe"].get("network", {}).get("name")
        if network != trained:
            raise InputError(f"{run}: is of the network {trained}, not of {network}")
        resolve(network, imports=True)
    return about, parse_recipe(about["recipe"], str(path))


def _chosen_by(recipe: Recipe, checkpoint: Path, averaged: float) -> str:
    """What chose these weights."""
    if checkpoint.name == "best.ckpt":
        words = "lowest loss on the validation patterns"
    else:
        words = "nothing: the last checkpoint" if checkpoint.name == "last.ckpt" else f"by hand: {checkpoint.name}"
    if recipe.averaging is not None and averaged < 1:
        words += f"; {averaged:g} of the averaged weights, the share chosen by hand"
    return words
