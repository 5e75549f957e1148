"""The cards of the package's networks: one TOML a family, `FAMILY/cards.toml`, beside its networks. No torch.

`[shared]` holds what all networks of a family have in common, `[words]` what several cards say: its name in braces
stands for it.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from powderlens.core.errors import InputError
from powderlens.core.named_files import read_toml
from powderlens.models.card import Card

FAMILIES = ("simxrd", "ml4pxrds", "alphadiffract", "powderlens")


def family_cards(family: str) -> tuple[Card, ...]:
    """The cards of one of `FAMILIES`, in the order of the tables."""
    return read_cards(Path(str(files("powderlens.models"))) / family / "cards.toml")


def read_cards(path: Path) -> tuple[Card, ...]:
    """The cards of a file, which lies in the folder of its family.

    Raises:
        InputError: it cannot be read, a card lacks something or says what no card has, or names words that the file
            does not hold.
    """
    content = read_toml(path)
    made = []
    for name, own in content["networks"].items():
        try:
            stated = _spelt({**content.get("shared", {}), **own}, content.get("words", {}))
            made.append(Card(name=name, family=path.parent.name, **stated))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: {name}: not a card ({error})") from None
    return tuple(made)


def _spelt(value: Any, words: dict[str, str]) -> Any:
    """A value of the file with words in the place of their names, and tuples for lists."""
    if isinstance(value, dict):
        return {key: _spelt(one, words) for key, one in value.items()}
    if isinstance(value, list):
        return tuple(_spelt(one, words) for one in value)
    return value.format_map(words) if isinstance(value, str) else value
