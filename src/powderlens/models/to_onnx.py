"""Any network of the registry as ONNX, for a runtime without torch."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from powderlens.models.network import Network

OPSET = 18


def to_onnx(network: Network) -> bytes:
    """The network in evaluation mode and single precision, for any number of patterns.

    Input `x` (b, points), intensities at any scale; one output per task under its name, as `Network.forward` gives
    them. torch's tracing exporter writes it: recurrent layers stay single operators, which its newer exporter writes
    out step by step (six minutes for 175 steps).

    Args:
        network: on the CPU; its mode is kept.

    Returns:
        The ONNX file.
    """
    was_training = network.training
    names = [task.name for task in network.tasks]
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder) / "network.onnx"
        # Its words on its own future, on shapes that are fixed, and on recurrent layers of another batch, which
        # tests/contract/test_networks.py compares.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                network.eval(),
                (torch.rand(2, network.points),),
                path,
                input_names=["x"],
                output_names=names,
                dynamic_axes={name: {0: "batch"} for name in ["x", *names]},
                opset_version=OPSET,
                dynamo=False,
            )
        finally:
            network.train(was_training)
        return path.read_bytes()
