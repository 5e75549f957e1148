"""What the papers print: data/published.toml."""

from __future__ import annotations

import math
import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import Any


@lru_cache(maxsize=1)
def published() -> dict[str, Any]:
    """The whole file, by paper and table; the program's own, so nothing in it is checked but by tests."""
    text = files("powderlens.reproduce").joinpath("data/published.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def figures(table: dict[str, Any], rows: dict[str, list[float]]) -> dict[str, dict[str, float | None]]:
    """Row -> column -> figure; None where the paper has none or it cannot be read.

    Args:
        table: an entry of the file, with its `columns`.
        rows: its lists by row.
    """
    return {
        row: {name: None if math.isnan(value) else value for name, value in zip(table["columns"], values, strict=True)}
        for row, values in rows.items()
    }
