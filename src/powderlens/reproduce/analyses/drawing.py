"""How the pictures of all analyses are drawn: a grid of panels, curves with a legend beside them, heat maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from powderlens.diffraction.figure import PALE

STROKES, MARKERS = ("-", "--", ":"), "osD^vP"
ROW_IN, COLUMN_IN = 0.27, 0.52
"""Height and width of a field of a heat map, inches."""


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


def strokes(many: int) -> list[dict[str, Any]]:
    """Colour, stroke and marker for each of so many curves, as `Axes.plot` takes them."""
    colours = colormaps["tab10"].colors  # type: ignore[attr-defined]
    return [
        {
            "color": colours[i % len(colours)],
            "linestyle": STROKES[i // len(colours) % len(STROKES)],
            "marker": MARKERS[i % len(MARKERS)],
            "markersize": 3.5,
        }
        for i in range(many)
    ]


def beside(axes: Any, rows: int = 24) -> None:
    """The legend, right of the picture, in columns of so many rows; nothing where no curve has a name."""
    handles, names = axes.get_legend_handles_labels()
    if names:
        axes.legend(
            handles,
            names,
            loc="upper left",
            bbox_to_anchor=(1.01, 1.0),
            borderaxespad=0.0,
            frameon=False,
            fontsize=8,
            ncols=1 + (len(names) - 1) // rows,
        )


def tidy(axes: Any) -> None:
    """A pale grid behind the curves and no frame above and on the right."""
    axes.grid(color=PALE, linewidth=0.6)
    axes.set_axisbelow(True)
    open_frame(axes)


def logarithmic(axes: Any, scale: Literal["x", "y"]) -> None:
    """A logarithmic scale with plain numbers at 1, 2 and 5 of every decade."""
    getattr(axes, f"set_{scale}scale")("log")
    axis = getattr(axes, f"{scale}axis")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.12g}"))
    axis.set_minor_formatter(NullFormatter())


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
    """A table as a picture: a row a network, a column a class or an interval, the figure in each field.

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
