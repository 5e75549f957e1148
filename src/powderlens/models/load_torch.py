"""Trained weights as a torch network, to look inside or to train on from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from powderlens.core.errors import InputError, MissingExtraError
from powderlens.models.card import Card
from powderlens.models.network import Network
from powderlens.models.registry import build, resolve
from powderlens.models.to_onnx import HALF, SAME
from powderlens.models.weights import (
    ARCHITECTURE,
    DEFAULT_MODEL,
    TORCH,
    check_same,
    find_weights,
    read_card,
    weights_of,
)

if TYPE_CHECKING:
    import onnx


def load_torch(model: str | Path = DEFAULT_MODEL, *, network: str | None = None) -> Network:
    """The network of trained weights, in evaluation mode; needs the extra `train`.

    Args:
        model: name of shipped weights, whose ONNX file is read; or FILE.safetensors or FILE.onnx with its card beside
            it. An ONNX file holds large weights in half precision, safetensors all of them as they were trained.
        network: repeats the architecture of the card where it is one of your own (`module:attribute`), so that its
            module is imported.

    Raises:
        InputError: no such weights, a damaged file, one of another architecture, or one whose module may not be
            imported.
        MissingExtraError: onnx or safetensors is not installed.
    """
    path = find_weights(model)
    card = read_card(path)
    weights = weights_of(card)
    if network is not None:
        if network != card.name:
            raise InputError(f"{path}: holds weights of {card.name}, not of {network}")
        resolve(network, imports=True)
    how: dict[str, Any] = {name: getattr(weights, name) for name in ("mask", "as_published", "size", "options")}
    made = build(card.name, weights.tasks, points=weights.grid.points, seed=0, **how)
    state = read_safetensors(path) if path.suffix == TORCH else _onnx(path, card, set(made.state_dict()))
    try:
        missing, unexpected = made.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise InputError(
            f"{path}: weights of another architecture than {card.name} ({str(error).splitlines()[-1].strip()})"
        ) from None
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        wrong = f"{missing[0]} is missing" if missing else f"{unexpected[0]} is none of its own"
        raise InputError(f"{path}: weights of another architecture than {card.name} ({wrong})")
    return made.eval()


def _onnx(path: Path, card: Card, own: set[str]) -> dict[str, Tensor]:
    """The initialisers that are parameters and buffers of the network, by name, in single precision."""
    try:
        import onnx
    except ImportError:
        raise MissingExtraError("reading weights from ONNX needs onnx: pip install 'powderlens[train]'") from None
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's own classes
        raise InputError(f"{path}: not an ONNX file ({type(error).__name__})") from None
    told = {one.key: one.value for one in model.metadata_props}
    shapes = {one.name: one.type.tensor_type.shape.dim for one in (*model.graph.input, *model.graph.output)}
    widths = {name: shape[-1].dim_value if shape else None for name, shape in shapes.items()}
    check_same(path, card, told.get(ARCHITECTURE), widths)
    return read_initialisers(model, own)


def read_initialisers(model: onnx.ModelProto, own: set[str]) -> dict[str, Tensor]:
    """Parameters and buffers of an ONNX network that `to_onnx` wrote, in the precision in which they are stored.

    Args:
        model: the network.
        own: their names.
    """
    from onnx import numpy_helper

    state = {}
    for tensor in model.graph.initializer:
        name = tensor.name.removesuffix(HALF)
        if name in own:
            state[name] = torch.from_numpy(numpy_helper.to_array(tensor).copy())
    same = json.loads({one.key: one.value for one in model.metadata_props}.get(SAME, "{}"))
    return state | {name: state[other].clone() for name, other in same.items() if other in state and name in own}


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a `.safetensors` file by name.

    Raises:
        InputError: no such file, or another kind of file.
        MissingExtraError: safetensors is not installed.
    """
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise MissingExtraError("reading .safetensors needs safetensors: pip install 'powderlens[train]'") from None
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(f"{path}: not a safetensors file ({str(error).splitlines()[0]})") from None
