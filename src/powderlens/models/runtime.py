"""Running trained weights on ONNX Runtime; no torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.models.card import Card, Weights
from powderlens.models.weights import ARCHITECTURE, DEFAULT_MODEL, ONNX, check_same, find_weights, read_card, weights_of
from powderlens.pattern.spacing import AnyGrid, SpacingGrid

BATCH = 64

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_] | NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Model:
    """Weights ready to answer, with the contract of `powderlens.models.network.Network`.

    Attributes:
        card: of the weights.
        session: ONNX Runtime session with the inputs `x` and, where they read one, `mask`, both (b, points).
    """

    card: Card
    session: Any

    @cached_property
    def weights(self) -> Weights:
        """The card's part on them."""
        return weights_of(self.card)

    @property
    def name(self) -> str:
        """Of the weights."""
        return self.weights.name

    @property
    def grid(self) -> AnyGrid:
        """Of the patterns."""
        return self.weights.grid

    def __call__(self, x: Floats, mask: Mask | None = None) -> dict[str, Floats]:
        """Answers of all tasks.

        Args:
            x: (b, points) intensities at any scale.
            mask: (b, points) True where measured, on a grid of spacings the sine of theta; None is everywhere.

        Returns:
            By task name logits (b, outputs), or for the lattice the Niggli cell (b, 6) in A and degrees.

        Raises:
            InputError: patterns measured in part, for weights that read no mask.
        """
        if isinstance(self.grid, SpacingGrid) and (mask is None or mask.dtype == bool):
            raise InputError(
                f"{self.card.id}: reads the sine of theta where something was measured as its mask; prepare the "
                "pattern on its grid, see powderlens.pattern.prepare"
            )
        if mask is not None and not self.weights.mask and not mask.all():
            raise InputError(
                f"{self.card.id}: {int((~mask.all(axis=1)).sum())} of {len(x)} patterns are measured on a part of its "
                "grid only, and it reads no mask; give patterns that cover the grid, or train it with mask = true"
            )
        inputs = {"x": x.astype(np.float32, copy=False)}
        if self.weights.mask:
            inputs["mask"] = (np.ones(x.shape) if mask is None else mask).astype(np.float32)
        names = [task.name for task in self.weights.tasks]
        parts = [
            self.session.run(names, {name: values[i : i + BATCH] for name, values in inputs.items()})
            for i in range(0, len(x), BATCH)
        ]
        return {name: np.concatenate(column) for name, column in zip(names, zip(*parts, strict=True), strict=True)}


def load_model(model: str | Path = DEFAULT_MODEL, *, threads: int = 0) -> Model:
    """Load weights by name, or an exported file (`FILE.onnx` and its card `FILE.json`).

    Args:
        model: see `powderlens.models.weights.find_weights`.
        threads: for one prediction; 0 lets ONNX Runtime choose.

    Raises:
        InputError: no such model, a damaged one, or weights of another network than the card beside them tells of.
    """
    import onnxruntime

    path = find_weights(model).with_suffix(ONNX)
    card = read_card(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes have no public base but this
        raise InputError(f"{path}: not a network that ONNX Runtime can load ({type(error).__name__})") from None
    widths = {one.name: (one.shape or [None])[-1] for one in (*session.get_inputs(), *session.get_outputs())}
    check_same(path, card, session.get_modelmeta().custom_metadata_map.get(ARCHITECTURE), widths)
    return Model(card, session)
