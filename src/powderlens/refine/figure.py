"""A fit as a picture: measured points, the calculated line, where each reflection is, and the difference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from powderlens.diffraction.figure import BLUE, INK, PALE, RED, STYLE, check_format, save

if TYPE_CHECKING:
    from powderlens.refine.result import Fit

TICKS = (0.0, 0.01, 0.05, 0.2, 0.5, 1.0)


def plot_fit(found: Fit, path: Path) -> None:
    """Draw a fit, as a file.

    The intensities are on a square-root scale, on which the noise of counting is equally high everywhere; the
    difference is in standard uncertainties.

    Args:
        found: from `fit`.
        path: ends in .png, .svg or .pdf.

    Raises:
        InputError: another extension, or a place that cannot be written to.
    """
    check_format(path)
    import matplotlib
    from matplotlib.figure import Figure

    x, y = found.pattern.two_theta_deg, found.pattern.intensity
    top = max(float(y.max()), float(found.calculated.max()))
    base = min(0.0, float(found.background.min()))
    span = top - base

    def height(intensity: np.ndarray) -> np.ndarray:
        return np.asarray(np.sqrt(np.maximum(intensity - base, 0.0) / span))

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11, 6.2), layout="constrained")
        above, middle, below = figure.subplots(3, 1, sharex=True, height_ratios=[8, 0.7, 2.6])
        above.plot(x, height(y), ".", color=BLUE, markersize=2.2, label="measured", rasterized=len(x) > 3000)
        above.plot(x, height(found.calculated), color=RED, linewidth=0.9, label="calculated")
        above.plot(x, height(found.background), color=INK, linewidth=0.8, linestyle="--", label="background")
        above.set_xlim(float(x[0]), float(x[-1]))
        above.set_ylim(-0.02, 1.06)
        above.set_yticks(np.sqrt(TICKS), [f"{100 * tick:g}" for tick in TICKS])
        above.set_ylabel("intensity (% of the highest, √ scale)")
        above.grid(axis="y", color=PALE, linewidth=0.6)
        above.set_axisbelow(True)
        above.legend(loc="upper right", frameon=False, ncols=3, markerscale=3)
        above.set_title(_title(found), loc="left", fontweight="bold", parse_math=False)
        middle.vlines(found.line_deg, 0, 1, color=RED, linewidth=0.7)
        middle.set_ylim(-0.2, 1.2)
        middle.set_yticks([])
        difference = (y - found.calculated) / found.sigma
        limit = max(4.0, 1.05 * float(np.percentile(np.abs(difference), 99.9)))
        below.plot(x, difference, color=BLUE, linewidth=0.6)
        below.axhline(0.0, color=INK, linewidth=0.6)
        below.set_ylim(-limit, limit)
        below.set_ylabel("difference / σ")
        below.set_xlabel(f"2θ (degrees) at {found.radiation.wavelength_A:.6g} Å")
        for axes in (above, middle, below):
            axes.spines[["top", "right"]].set_visible(False)
        middle.spines[["left", "bottom"]].set_visible(False)
        middle.tick_params(bottom=False)
        save(figure, path)


def _title(found: Fit) -> str:
    a, b, c, alpha, beta, gamma = found.cell
    name = found.name if len(found.name) <= 40 else found.name[:39] + "…"
    angles = "" if (alpha, beta, gamma) == (90.0, 90.0, 90.0) else f", {alpha:.2f} {beta:.2f} {gamma:.2f}°"
    return f"{name}   {a:.4f} {b:.4f} {c:.4f} Å{angles}   Rwp {100 * found.r_wp:.1f} %, χ² {found.chi2:.3g}"
