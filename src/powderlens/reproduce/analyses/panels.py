"""How every picture begins: a grid of panels, their colours, their titles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from matplotlib import colormaps
from matplotlib.figure import Figure


def canvas(width_in: float, height_in: float, down: int = 1, across: int = 1, **how: Any) -> tuple[Figure, Any]:
    """A figure, and its axes as an array (down, across).

    Args:
        width_in: of the figure, inches.
        height_in: likewise.
        down: rows of panels.
        across: columns.
        how: as `Figure.subplots` takes it.
    """
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    return figure, figure.subplots(down, across, squeeze=False, **how)


def tints(many: int, span: float) -> Iterator[Any]:
    """So many colours from dark violet on, over a share of viridis."""
    return (colormaps["viridis"](0.1 + span * i / max(many - 1, 1)) for i in range(many))


def name_panel(axes: Any, words: str, size: float = 9) -> None:
    """A title on the left, as it is written."""
    axes.set_title(words, loc="left", fontsize=size, parse_math=False)


def open_frame(axes: Any) -> None:
    """No frame above and on the right."""
    axes.spines[["top", "right"]].set_visible(False)
