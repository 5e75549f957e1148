"""What the papers print, data/published.toml, and how the tables look, data/tables.toml."""

from __future__ import annotations

import math
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def read_data(name: str) -> dict[str, Any]:
    """A whole file NAME.toml; the program's own, so nothing in it is checked but by tests."""
    text = files("powderlens.reproduce").joinpath(f"data/{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def published() -> dict[str, Any]:
    """The papers' figures, by paper and table."""
    return read_data("published")


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
