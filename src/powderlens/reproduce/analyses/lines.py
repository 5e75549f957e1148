"""Curves of several records in one picture: colours that can be told apart, and a legend beside them."""

from __future__ import annotations

from typing import Any, Literal

import matplotlib
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from powderlens.diffraction.figure import PALE
from powderlens.reproduce.analyses.panels import open_frame

STROKES, MARKERS = ("-", "--", ":"), "osD^vP"


def strokes(many: int) -> list[dict[str, Any]]:
    """Colour, stroke and marker for each of so many curves, as `Axes.plot` takes them."""
    colours = matplotlib.colormaps["tab10"].colors  # type: ignore[attr-defined]
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
