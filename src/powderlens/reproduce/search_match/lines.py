"""d-I lists: of a crystal from its reflections, as a card of a powder diffraction file; of a pattern from its peaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from powderlens.core.elementary import arcsin, inverse, lengths, product
from powderlens.diffraction.phase import Phase
from powderlens.diffraction.reflections import lorentz_polarisation
from powderlens.pattern.grid import Grid

MOST_LINES = 30
"""Of a list, the strongest."""
FAINT = 0.01
"""Share of the strongest line under which a card names none."""
RESOLVED_DEG = 0.2
"""Reflections nearer than this to the first of a line are the same line: a usual width."""
SMOOTH_DEG = 0.1
"""Standard deviation of the Gaussian before peaks are looked for; it leaves 0.5 of 2 % noise at steps of 0.02."""
PROMINENCE = 0.04
"""Share of the highest that a peak stands out by: eight times that noise."""
FLOOR_QUANTILE = 0.1
"""Of the smoothed intensities: what heights are counted from."""


@dataclass(frozen=True, eq=False)
class Lines:
    """A d-I list.

    Attributes:
        d_A: (n,) spacings, falling, A.
        intensity: (n,) shares of the strongest.
    """

    d_A: NDArray[np.float64]
    intensity: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.d_A)

    @property
    def key_lines(self) -> NDArray[np.intp]:
        """Rows, the strongest line first; of equal ones that of the larger d."""
        return np.argsort(-self.intensity, kind="stable")


def lines_of_crystal(phase: Phase, grid: Grid) -> Lines:
    """The card of a crystal at rest: its lines on a grid, with the powder's Lorentz and polarisation factors.

    Args:
        phase: with its reflections.
        grid: what was measured, and at which wavelength.

    Returns:
        At most `MOST_LINES`; none where no reflection is on the grid.
    """
    inv_d = lengths(product(phase.hkl, inverse(phase.lattice).T))
    sine = 0.5 * grid.wavelength_A * inv_d
    reached = (sine < 1) & (phase.strength > 0)
    angle_deg = 2 * np.degrees(arcsin(sine[reached]))
    intensity = phase.strength[reached] * lorentz_polarisation(angle_deg)
    on_grid = (angle_deg >= grid.start_deg) & (angle_deg <= grid.end_deg)
    angle_deg, intensity = angle_deg[on_grid], intensity[on_grid]
    order = np.argsort(angle_deg, kind="stable")
    angle_deg, intensity = angle_deg[order], intensity[order]
    starts: list[int] = []
    for row, angle in enumerate(angle_deg.tolist()):
        if not starts or angle - angle_deg[starts[-1]] > RESOLVED_DEG:
            starts.append(row)
    if not starts:
        return Lines(np.empty(0), np.empty(0))
    total = np.add.reduceat(intensity, starts)
    return _strongest(np.add.reduceat(intensity * angle_deg, starts) / total, total, grid.wavelength_A)


def lines_of_pattern(intensity: NDArray[Any], grid: Grid) -> Lines:
    """The d-I list of a pattern: peaks that stand out of the noise, with their heights.

    Args:
        intensity: (points,) on the grid, any scale.
        grid: its points.

    Returns:
        At most `MOST_LINES`; none of a pattern that is flat, or that only rises or falls.
    """
    smooth = gaussian_filter1d(np.asarray(intensity, np.float64), SMOOTH_DEG / grid.step_deg, mode="nearest")
    at, _ = find_peaks(smooth, prominence=max(PROMINENCE * float(smooth.max() - smooth.min()), 1e-300))
    height = smooth[at] - np.quantile(smooth, FLOOR_QUANTILE)
    return _strongest(grid.two_theta_deg[at][height > 0], height[height > 0], grid.wavelength_A)


def _strongest(two_theta_deg: NDArray[np.float64], intensity: NDArray[np.float64], wavelength_A: float) -> Lines:
    """The strongest of some lines, in the order of their angles."""
    share = intensity / intensity.max(initial=1e-300)
    rows = np.sort(np.argsort(-share, kind="stable")[:MOST_LINES])
    rows = rows[share[rows] >= FAINT]
    return Lines(wavelength_A / (2 * np.sin(np.radians(two_theta_deg[rows] / 2))), share[rows])
