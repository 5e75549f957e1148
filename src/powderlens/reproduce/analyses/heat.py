"""Tables as pictures: a row a network, a column a class or an interval, the figure in each field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROW_IN, COLUMN_IN = 0.27, 0.52
"""Height and width of a field, inches."""


def heat_map(
    axes: Any,
    values: NDArray[np.float64],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    shade: NDArray[np.float64] | None = None,
    limits: tuple[float, float] = (0.0, 100.0),
    colours: str = "YlGnBu",
    digits: int = 0,
) -> None:
    """Draw a table.

    Args:
        axes: of matplotlib.
        values: (rows, columns) what is written; NaN leaves a field empty.
        rows: names; empty for none.
        columns: names, drawn upright where one is longer than five letters.
        shade: (rows, columns) what is shown as colour, if not the values.
        limits: of the colours.
        colours: a colour map of matplotlib.
        digits: after the point.
    """
    tint = values if shade is None else shade
    image = axes.imshow(np.ma.masked_invalid(tint), cmap=colours, vmin=limits[0], vmax=limits[1], aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            red, green, blue, _ = image.cmap(image.norm(tint[i, j]))
            ink = "white" if 0.3 * red + 0.6 * green + 0.1 * blue < 0.55 else "black"
            axes.text(j, i, f"{value:.{digits}f}", ha="center", va="center", color=ink, fontsize=8)
    axes.set_xticks(range(len(columns)), columns, fontsize=8)
    if any(len(name) > 5 for name in columns):
        axes.tick_params(axis="x", rotation=90)
    axes.set_yticks(range(len(rows)), rows, fontsize=8, parse_math=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def heat_size(rows: int, columns: int, *, names: Sequence[str] = (), above: float = 1.6) -> tuple[float, float]:
    """Inches of a figure that holds so many fields, with row names on the left and `above` inches for the rest."""
    left = 0.4 + 0.072 * max((len(name) for name in names), default=0)
    return max(4.5, left + COLUMN_IN * columns), above + ROW_IN * rows
