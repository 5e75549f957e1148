"""Running a shipped network on ONNX Runtime; no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.pattern.grid import Grid

DEFAULT_MODEL = "prism-1"
BATCH = 64

Floats = NDArray[np.float32]


class Prediction(NamedTuple):
    """What a network says of b patterns: logits of the 7 systems and 230 groups, and the Niggli cell (A, degrees)."""

    system_logits: Floats
    group_logits: Floats
    niggli: Floats


@dataclass(frozen=True, eq=False)
class Network:
    """A network ready to answer.

    Attributes:
        name: as in its card.
        grid: the grid that it reads.
        session: ONNX Runtime session with the input `x` (b, 2, points).
    """

    name: str
    grid: Grid
    session: object

    def __call__(self, x: Floats) -> Prediction:
        """Predict for (b, 2, points) network inputs."""
        parts = [self.session.run(None, {"x": x[i : i + BATCH]}) for i in range(0, len(x), BATCH)]  # type: ignore[attr-defined]
        return Prediction(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def load_network(name: str = DEFAULT_MODEL, *, folder: Path | None = None, threads: int = 0) -> Network:
    """Load a shipped network by name, or one exported to a folder (`NAME.onnx` and its card `NAME.json`).

    Args:
        name: name of the model.
        folder: where it lies; None for the models inside the package.
        threads: for one prediction; 0 lets ONNX Runtime choose.

    Raises:
        InputError: no such model, or a damaged one.
    """
    import onnxruntime

    where = _folder(folder)
    try:
        grid = Grid(**read_card(name, folder=folder)["grid"])
    except (KeyError, TypeError):
        raise InputError(f"{where / name}.json: not the card of a model (it states no grid)") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    path = where / f"{name}.onnx"
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes have no public base but this
        raise InputError(f"{path}: not a network that ONNX Runtime can load ({type(error).__name__})") from None
    return Network(name, grid, session)


def read_card(name: str = DEFAULT_MODEL, *, folder: Path | None = None) -> dict[str, Any]:
    """The card of a model: what it is, what it reads, and how it was trained.

    Raises:
        InputError: no such model, or a damaged card.
    """
    where = _folder(folder)
    card = where / f"{name}.json"
    if not card.exists() or not card.with_suffix(".onnx").exists():
        known = sorted(path.stem for path in where.glob("*.onnx"))
        raise InputError(f"no model {name!r} in {where.name}; there are: {', '.join(known) or 'none'}")
    try:
        return dict(json.loads(card.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise InputError(f"{card}: not the card of a model ({error})") from None


def _folder(folder: Path | None) -> Path:
    return folder or Path(str(files("powderlens.models") / "data"))
