"""Any network as ONNX, for a runtime without torch, and for torch again (`powderlens.models.load_torch`)."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.onnx import OnnxExporterError, TrainingMode

from powderlens.core.errors import InputError
from powderlens.models.network import Network
from powderlens.models.weights import ARCHITECTURE

if TYPE_CHECKING:
    import onnx

OPSET = 18
SAME = "powderlens.same"
"""Key of what the file says of tensors that are stored once: name -> name of the one that is stored."""
HALF = "_half"
"""End of the names of weights in half precision."""


def to_onnx(network: Network, *, half: bool = False) -> bytes:
    """The network in evaluation mode and single precision, for any number of patterns.

    Inputs `x` (b, points), intensities at any scale, and, where the network reads a mask, `mask` (b, points), above 0
    where measured; one output per task under its name, as `Network.forward` gives them. The initialisers are the
    network's parameters and buffers under their own names: nothing is folded, which ONNX Runtime does when it loads.

    torch's tracing exporter writes it: recurrent layers stay single operators, which its newer exporter writes out step
    by step (six minutes for 175 steps).

    Args:
        network: on the CPU; its mode is kept.
        half: store weights of two and more axes in half precision, each followed by a cast back, so that arithmetic
            stays in single precision.

    Returns:
        The ONNX file.

    Raises:
        InputError: a network of one's own with a step that the exporter does not know.
    """
    import onnx

    was_training = network.training
    outputs = [task.name for task in network.tasks]
    inputs = {"x": torch.rand(2, network.points)}
    if network.mask:
        inputs["mask"] = torch.ones(2, network.points)
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder) / "network.onnx"
        # Its words on its own future, on shapes that are fixed, and on recurrent layers of another batch, which
        # tests/contract/test_networks.py compares.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                network.eval(),
                tuple(inputs.values()),
                path,
                input_names=list(inputs),
                output_names=outputs,
                dynamic_axes={name: {0: "batch"} for name in [*inputs, *outputs]},
                opset_version=OPSET,
                training=TrainingMode.PRESERVE,
                do_constant_folding=False,
                dynamo=False,
            )
        except (OnnxExporterError, RuntimeError) as error:
            said = (str(error).splitlines() or [""])[0]
            raise InputError(
                f"{network.card.name}: cannot be written as ONNX, torch's tracing exporter says: {said}; "
                "take another operation in its forward"
            ) from None
        finally:
            network.train(was_training)
        model = onnx.load(path)
    onnx.helper.set_model_props(
        model, {ARCHITECTURE: network.card.name, SAME: json.dumps(_stored_once(network, model))}
    )
    if half:
        _halve(model)
    onnx.checker.check_model(model)
    written: bytes = model.SerializeToString()
    return written


def _stored_once(network: Network, model: onnx.ModelProto) -> dict[str, str]:
    """The exporter stores equal tensors once: which name stands for which others."""
    state = network.state_dict()
    held = [tensor.name for tensor in model.graph.initializer if tensor.name in state]
    return {
        name: other
        for name, value in state.items()
        if name not in held
        for other in held
        if value.shape == state[other].shape and value.dtype == state[other].dtype and torch.equal(value, state[other])
    }


def _halve(model: onnx.ModelProto) -> None:
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        values, name = numpy_helper.to_array(tensor).astype(np.float16), tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values, name + HALF))
        casts.append(helper.make_node("Cast", [name + HALF], [name], to=TensorProto.FLOAT))
    for node in reversed(casts):
        model.graph.node.insert(0, node)
