"""From a checkpoint to what ships: ONNX with half-precision weights, and the model's card."""

from __future__ import annotations

import json
import logging
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write, make_folder
from powderlens.models.prism import Prism
from powderlens.train.recipe import Recipe

HALF_FROM = 64
"""Tensors with fewer numbers (norms, biases) stay in single precision: they cost nothing."""


def load_network(checkpoint: Path, recipe: Recipe, *, averaged: float = 1.0) -> Prism:
    """The network of a checkpoint, in evaluation mode.

    Args:
        checkpoint: of a run with averaged weights.
        recipe: of that run.
        averaged: share of the averaged weights in what is returned; the rest is the newest weights. Less than 1
            shortens the memory of the average.

    Raises:
        InputError: the checkpoint is of another recipe, or no checkpoint.
    """
    network = Prism(recipe.grid.points, recipe.network.widths, recipe.network.hidden, recipe.network.dropout)
    if not 0 <= averaged <= 1:
        raise InputError(f"averaged share {averaged:g}: must lie between 0 and 1")
    content = _load(checkpoint)
    try:
        state = content["state_dict"]
        if averaged < 1:
            newest = {"network." + k.split("network.")[-1]: v for k, v in content["current_model_state"].items()}
            state = {k: torch.lerp(newest[k], v, averaged) if v.is_floating_point() else v for k, v in state.items()}
        network.load_state_dict({k.removeprefix("network."): v for k, v in state.items()})
    except (AttributeError, KeyError, RuntimeError) as error:
        raise InputError(f"{checkpoint}: not a checkpoint of this recipe ({str(error).splitlines()[0]})") from None
    return network.eval()


def _load(checkpoint: Path) -> dict[str, Any]:
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=False)
    except FileNotFoundError:
        raise InputError(f"{checkpoint}: no such checkpoint") from None
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise InputError(f"{checkpoint}: not a checkpoint ({str(error).splitlines()[0]})") from None
    if not isinstance(content, dict) or not {"state_dict", "global_step"} <= content.keys():
        raise InputError(f"{checkpoint}: not a checkpoint of a training run")
    return content


def to_onnx(network: Prism, points: int) -> onnx.ModelProto:
    """The network in single precision, for any number of patterns up to 4096.

    Input `x` (b, 2, points); outputs `system` (b, 7), `group` (b, 230) and `niggli` (b, 6), see `Prism`.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # operators of libraries that nobody asked for
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's words to itself
        program = torch.onnx.export(
            network,
            (torch.zeros(2, 2, points),),
            input_names=["x"],
            output_names=["system", "group", "niggli"],
            dynamic_shapes={"x_B2L": {0: torch.export.Dim("batch", min=1, max=4096)}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return without_traces(program.model_proto)


def without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Leave out what the exporter notes of every node: where in which file of this machine it came from."""
    for part in (model.graph, *model.functions):
        for entry in (*part.node, *part.value_info):
            del entry.metadata_props[:]
            entry.doc_string = ""
    for entry in (*model.graph.input, *model.graph.output, *model.graph.initializer, model.graph, model):
        del entry.metadata_props[:]
        entry.doc_string = ""
    return model


def halve_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store large single-precision weights as half precision, each followed by a cast back.

    ONNX Runtime folds the casts when it loads the model, so that arithmetic stays in single precision.
    """
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < HALF_FROM:
            continue
        values = numpy_helper.to_array(tensor).astype(np.float16)
        name, stored = tensor.name, tensor.name + "_half"
        tensor.CopyFrom(numpy_helper.from_array(values, stored))
        casts.append(helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT))
    for node in reversed(casts):
        graph.node.insert(0, node)
    return model


def export(checkpoint: Path, run: Path, output: Path, *, averaged: float = 1.0) -> Path:
    """Write `NAME.onnx` and `NAME.json` (the card) into a folder.

    Args:
        checkpoint: the one that the validation chose.
        run: folder of the training run, for `run.json` and `metrics.csv`.
        output: where to.
        averaged: share of the averaged weights, see `load_network`.

    Returns:
        Path of the ONNX file.

    Raises:
        InputError: no run in that folder, or a checkpoint that cannot be used.
    """
    try:
        about = json.loads((run / "run.json").read_text())
        recipe = Recipe.model_validate(about["recipe"])
    except OSError as error:
        raise InputError(f"{run}: no training run ({error.strerror}: run.json)") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{run}: its run.json is of another version or damaged ({type(error).__name__})") from None
    network = load_network(checkpoint, recipe, averaged=averaged)
    model = halve_weights(to_onnx(network, recipe.grid.points))
    onnx.checker.check_model(model)
    path = make_folder(output) / f"{recipe.name}.onnx"
    with atomic_write(path) as aside:
        aside.write_bytes(model.SerializeToString())
    card = {
        "name": recipe.name,
        "network": "prism",
        "parameters": sum(p.numel() for p in network.parameters()),
        "grid": recipe.grid.model_dump(),
        "input": "square root of intensities, floor subtracted, strongest 1; mask (pattern.prepare.network_input)",
        "outputs": "logits of 7 systems (triclinic first), logits of 230 groups, Niggli cell in A and degrees",
        "training": about,
        "chosen_by": "lowest loss on fixed simulated patterns of validation crystals"
        + ("" if averaged == 1 else "; the share of averaged weights by the measured development patterns"),
        "averaged_share_of_weights": averaged,
        "checkpoint_step": int(_load(checkpoint)["global_step"]),
    }
    with atomic_write(output / f"{recipe.name}.json") as aside:
        aside.write_text(json.dumps(card, indent=2) + "\n")
    return path
