"""Trained weights by name: those that ship, and those that were exported to a file. No torch."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path

from powderlens.core.errors import InputError
from powderlens.models.card import Card, Weights

DEFAULT_MODEL = "prism-1"
SHIPPED = Path(str(files("powderlens.models") / "data"))
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
        if text == name or (text.endswith(f".{name}") and text == read_card(path).id):
            return path
    raise InputError(
        f"no model {text!r}; there are: {', '.join(here) or 'none'}, and what `powderlens export` made, as FILE{ONNX}"
    )


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
