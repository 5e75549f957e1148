"""Trained weights by name: those that ship, and those that were exported to a file. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from powderlens.core.errors import InputError
from powderlens.models.card import Card, Weights

DEFAULT_MODEL = "prism-1"
SHIPPED = Path(str(files("powderlens.models") / "data"))
ARCHITECTURE = "powderlens"
"""Key under which an ONNX file names its architecture."""
ONNX, TORCH = ".onnx", ".safetensors"
"""Ends of the names of weights on disk; the card, NAME.json, lies beside them."""


@cache
def shipped() -> dict[str, Path]:
    """The ONNX files of the weights inside the package, by name (`prism-1`)."""
    return {path.stem: path for path in sorted(SHIPPED.glob(f"*{ONNX}"))}


def find_weights(model: str | Path = DEFAULT_MODEL) -> Path:
    """The file of weights.

    Args:
        model: of shipped ones the name, alone or behind the architecture's (`prism-1`, `prism.prism-1`); of others the
            path of their file.

    Raises:
        InputError: no such weights.
    """
    text, here = str(model), shipped()
    if Path(text).suffix in (ONNX, TORCH):
        path = Path(text)
        if not path.is_file():
            raise InputError(f"{path}: no such file; `powderlens export RUN` makes one, with its card")
        return path
    for name, path in here.items():
        if text in (name, read_card(path).id):
            return path
    raise InputError(
        f"no model {text!r}; there are: {', '.join(here) or 'none'}, and what `powderlens export` made, as FILE{ONNX}"
    )


def is_weights(name: str) -> bool:
    """Whether a name is of shipped weights, or of a file of weights."""
    here = shipped().items()
    return Path(name).suffix in (ONNX, TORCH) or any(name in (one, read_card(path).id) for one, path in here)


def read_card(model: str | Path = DEFAULT_MODEL) -> Card:
    """The card of weights: what they are of, what they read and say, and how they were trained.

    Args:
        model: see `find_weights`.

    Raises:
        InputError: no such weights, no card beside them, or a damaged one.
    """
    path = find_weights(model).with_suffix(".json")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the card lies beside the weights") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not the card of a model ({str(error).splitlines()[0]})") from None
    card = Card.from_dict(content, path)
    if card.weights is None:
        raise InputError(f"{path}: the card of an architecture, without weights")
    return card


def weights_of(card: Card) -> Weights:
    """The weights' part of a card that `read_card` gave."""
    assert card.weights is not None
    return card.weights


def check_same(path: Path, card: Card, architecture: str | None, widths: Mapping[str, int | str | None]) -> None:
    """Refuse an ONNX file that is of another network than its card says.

    Args:
        path: of the file.
        card: beside it.
        architecture: as the file names it.
        widths: last axis of its inputs and outputs, by name.

    Raises:
        InputError: it is of another one.
    """
    weights = weights_of(card)
    told = {"x": weights.grid.points, **({"mask": weights.grid.points} if weights.mask else {})}
    told |= {task.name: task.outputs for task in weights.tasks}
    if architecture != card.name or widths != told:
        holds, says = (", ".join(f"{name} {width}" for name, width in of.items()) for of in (widths, told))
        raise InputError(
            f"{path}: holds weights of another architecture ({architecture or 'not stated'}: {holds}) than its card "
            f"says ({card.name}: {says}); export the run again"
        )
