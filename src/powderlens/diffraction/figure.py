"""A simulated pattern as a picture, and how patterns and lines are drawn in every picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write
from powderlens.pattern.pattern import Pattern

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from powderlens.diffraction.simulate import Peak

FORMATS = (".png", ".svg", ".pdf")
INK, BLUE, RED, PALE = "#1f2933", "#2f5d8a", "#c8553d", "#d9e2ec"
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.edgecolor": "#9aa5b1",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.hashsalt": "powderlens",
}


def plot_simulation(pattern: Pattern, lines: Sequence[Peak], path: Path, *, title: str) -> None:
    """A simulated pattern with its lines under it, as a file.

    Args:
        pattern: from `simulate`.
        lines: from `peaks`, for the same range.
        path: ends in .png, .svg or .pdf.
        title: a few words above.

    Raises:
        InputError: another extension, or a place that cannot be written to.
    """
    check_format(path)
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 4.5), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[5, 1])
        draw_pattern(above, pattern)
        draw_lines(
            below,
            np.array([line.two_theta_deg for line in lines]),
            np.array([line.intensity for line in lines]),
        )
        below.set_xlabel(f"2θ (degrees) at {pattern.wavelength_A:.6g} Å")
        above.set_title(title, loc="left", fontweight="bold", parse_math=False)
        save(figure, path)


def plot_steps(
    two_theta_deg: NDArray[np.float64],
    rows: Sequence[tuple[str, NDArray[np.float64]]],
    ticks_deg: NDArray[np.float64],
    path: Path,
    *,
    title: str,
) -> None:
    """Curves one below the other, each with its name, and a tick for every reflection below the last.

    Args:
        two_theta_deg: (points,) degrees.
        rows: names and (points,) intensities, any scale; each is drawn on its own.
        ticks_deg: positions of reflections.
        path: ends in .png, .svg or .pdf.
        title: a few words above.

    Raises:
        InputError: another extension, or a place that cannot be written to.
    """
    check_format(path)
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 1.4 + 1.7 * len(rows)), layout="constrained")
        *curves, below = figure.subplots(len(rows) + 1, 1, sharex=True, height_ratios=[6] * len(rows) + [1])
        for axes, (name, y) in zip(curves, rows, strict=True):
            axes.plot(two_theta_deg, y, color=BLUE, linewidth=0.7)
            axes.set_yticks([])
            axes.set_ylim(min(0.0, float(y.min())), 1.08 * float(y.max()))
            axes.text(0.995, 0.93, name, transform=axes.transAxes, ha="right", va="top", parse_math=False)
            axes.spines[["top", "right", "left"]].set_visible(False)
        inside = (ticks_deg >= two_theta_deg[0]) & (ticks_deg <= two_theta_deg[-1])
        below.vlines(ticks_deg[inside], 0, 1, color=RED, linewidth=0.8)
        below.set_yticks([])
        below.set_xlim(float(two_theta_deg[0]), float(two_theta_deg[-1]))
        below.spines[["top", "right", "left"]].set_visible(False)
        below.set_xlabel("2θ (degrees)")
        curves[0].set_title(title, loc="left", fontweight="bold", parse_math=False)
        save(figure, path)


def draw_pattern(axes: Axes, pattern: Pattern) -> None:
    """The pattern on a square-root scale, where weak lines can be seen beside strong ones."""
    intensity = np.maximum(pattern.intensity - min(0.0, float(pattern.intensity.min())), 0.0)
    axes.plot(pattern.two_theta_deg, np.sqrt(intensity / intensity.max()), color=BLUE, linewidth=0.8)
    axes.set_xlim(float(pattern.two_theta_deg[0]), float(pattern.two_theta_deg[-1]))
    axes.set_ylim(-0.02, 1.06)
    ticks = [0.0, 0.01, 0.05, 0.2, 0.5, 1.0]
    axes.set_yticks(np.sqrt(ticks), [f"{100 * tick:g}" for tick in ticks])
    axes.set_ylabel("intensity (% of the highest, √ scale)")
    axes.grid(axis="y", color=PALE, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)


def draw_lines(axes: Axes, two_theta_deg: NDArray[np.float64], intensity: NDArray[np.float64]) -> None:
    """Calculated lines as sticks that hang from the top, as long as the square root of their intensity."""
    inside = (intensity > 0) & np.isfinite(two_theta_deg)
    x, y = two_theta_deg[inside], intensity[inside]
    if len(y):
        axes.vlines(x, 1 - np.sqrt(y / y.max()), 1.0, color=RED, linewidth=1.0)
    axes.set_ylim(0, 1.02)
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)


def check_format(path: Path) -> None:
    """Refuse a name that does not end as a picture's.

    Raises:
        InputError: not one of `FORMATS`.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: a figure is not written as {path.suffix!r}; use .png, .svg or .pdf")


def save(figure: Figure, path: Path) -> None:
    """Write a figure whole or not at all, without the date, so that the same figure is the same file.

    Raises:
        InputError: a place that cannot be written to.
    """
    metadata = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[path.suffix.lower()]
    with atomic_write(path) as aside:
        figure.savefig(aside, dpi=150, metadata=metadata)
