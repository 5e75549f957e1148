"""The tables that ship with this package, each made by the script that it names."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def read_table(name: str, key: str) -> list[Any]:
    """The list under a key of a file of `data`."""
    text = (files("powderlens.symmetry") / "data" / f"{name}.json").read_text(encoding="utf-8")
    table: list[Any] = json.loads(text)[key]
    return table
