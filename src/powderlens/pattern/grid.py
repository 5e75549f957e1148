"""`Grid`: equally spaced 2theta positions at a stated wavelength, and putting any pattern onto one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import arcsin, sin
from powderlens.core.errors import InputError, WavelengthError
from powderlens.pattern.pattern import Pattern

GAP_STEPS = 10
"""A step longer than this many median steps is a pause in the scan: nothing was measured there."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """2theta = start + step * i for i = 0 .. points - 1, at one wavelength.

    Attributes:
        start_deg: first 2theta, degrees.
        step_deg: spacing, degrees.
        points: number of positions.
        wavelength_A: the wavelength at which these angles are meant, A.
    """

    start_deg: float
    step_deg: float
    points: int
    wavelength_A: float

    @property
    def two_theta_deg(self) -> NDArray[np.float64]:
        """(points,) positions, degrees."""
        return np.asarray(self.start_deg + self.step_deg * np.arange(self.points), dtype=np.float64)

    @property
    def end_deg(self) -> float:
        """Last position, degrees."""
        return self.start_deg + self.step_deg * (self.points - 1)

    @property
    def d_min_A(self) -> float:
        """Smallest spacing that the grid reaches, A (Bragg's law)."""
        return float(self.wavelength_A / (2 * sin(np.radians(self.end_deg / 2))))


def convert_two_theta(two_theta_deg: NDArray[np.float64], from_A: float, to_A: float) -> NDArray[np.float64]:
    """The angles at which the same d spacings appear with another wavelength (Bragg's law).

    Args:
        two_theta_deg: any shape, degrees.
        from_A: wavelength of the given angles, A.
        to_A: wavelength wanted, A.

    Returns:
        Angles in degrees; NaN where the spacing cannot be reached with `to_A`.
    """
    if not (from_A > 0 and to_A > 0):
        raise WavelengthError(f"wavelengths {from_A:g} and {to_A:g} A must be positive")
    sine = sin(np.radians(two_theta_deg) / 2) * (to_A / from_A)
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(sine) <= 1, 2 * np.degrees(arcsin(sine)), np.nan)


def to_grid(pattern: Pattern, grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Put a pattern on a grid, whatever its wavelength, range and spacing.

    Every grid position takes the mean of the measured (linearly joined) profile over its own cell of one
    step, so that fine scans are averaged, not sampled, and coarse ones are interpolated. A position at which a masked
    point of the pattern has a share counts as not measured.

    Args:
        pattern: measured or calculated; its wavelength must be known.
        grid: where to.

    Returns:
        (points,) intensities, zero where nothing was measured, and (points,) bool mask, True where something was.

    Raises:
        WavelengthError: the pattern has no wavelength.
        InputError: pattern and grid do not overlap.
    """
    if pattern.wavelength_A is None:
        raise WavelengthError(
            f"{pattern.source or 'pattern'}: no wavelength known; give one (angstrom, CuKa, MoKa, ...)"
        )
    x = convert_two_theta(pattern.two_theta_deg, pattern.wavelength_A, grid.wavelength_A)
    reached = np.isfinite(x)
    excluded = None if pattern.mask is None else _excluded(x[reached], ~pattern.mask[reached], grid)
    if pattern.mask is not None:
        reached &= pattern.mask
    x, y = x[reached], pattern.intensity[reached]
    edges = np.asarray(grid.start_deg + grid.step_deg * (np.arange(grid.points + 1) - 0.5), np.float64)
    inside = cells_inside(x, edges)
    if inside.any():
        inside &= ~_in_gap(x, grid)
        if excluded is not None:
            inside &= ~excluded
    if not inside.any():
        raise InputError(
            f"{pattern.source or 'pattern'}: measured {pattern.two_theta_deg[0]:g} to {pattern.two_theta_deg[-1]:g} "
            f"degrees at {pattern.wavelength_A:g} A does not overlap {grid.start_deg:g} to {grid.end_deg:g} degrees "
            f"at {grid.wavelength_A:g} A"
        )
    return np.where(inside, cell_means(x, y, edges), 0.0), inside


def cells_inside(x: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(cells,) whether a profile reaches over each cell, but for three quarters of the cell's width at its ends.

    Args:
        x: (n,) positions of the profile, rising.
        edges: (cells + 1,) of the cells, not falling; a cell without width is not reached.
    """
    if len(x) < 2:
        return np.zeros(len(edges) - 1, bool)
    width = np.diff(edges)
    slack = 0.75 * width
    return np.asarray((edges[:-1] >= x[0] - slack) & (edges[1:] <= x[-1] + slack) & (width > 0))


def cell_means(x: NDArray[np.float64], y: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """(cells,) mean of the linearly joined profile over each cell, over the part of it where there is a profile.

    Args:
        x: (n,) positions, rising, at least two.
        y: (n,) values there.
        edges: (cells + 1,) of the cells, not falling.
    """
    integral = np.concatenate([[0.0], np.cumsum(np.diff(x) * (y[1:] + y[:-1]) / 2)])
    # The integral of the joined profile is quadratic between points: interpolate it exactly.
    index = np.clip(np.searchsorted(x, edges) - 1, 0, len(x) - 2)
    t = np.clip(edges - x[index], 0.0, x[index + 1] - x[index])
    slope = (y[index + 1] - y[index]) / (x[index + 1] - x[index])
    area = integral[index] + t * (y[index] + slope * t / 2)
    width = np.diff(np.clip(edges, x[0], x[-1]))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(width > 1e-12, np.diff(area) / width, 0.0)


def _in_gap(x: NDArray[np.float64], grid: Grid) -> NDArray[np.bool_]:
    """(points,) True where a grid position lies in a pause of the scan, away from its two ends."""
    steps = np.diff(x)
    if steps.max() <= GAP_STEPS * steps.min():
        return np.zeros(grid.points, bool)
    at = grid.two_theta_deg
    left = np.clip(np.searchsorted(x, at) - 1, 0, len(steps) - 1)
    near = np.minimum(np.abs(at - x[left]), np.abs(x[left + 1] - at)) <= grid.step_deg
    return np.asarray((steps[left] > GAP_STEPS * np.median(steps)) & ~near)


def _excluded(x: NDArray[np.float64], masked: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """(points,) True where a masked point of the pattern lies in the cell of a grid position, or next to it."""
    at, half = grid.two_theta_deg, 0.5 * grid.step_deg
    counted = np.concatenate([[0], np.cumsum(masked)])
    first = np.clip(np.searchsorted(x, at - half, side="right") - 1, 0, len(x))
    end = np.clip(np.searchsorted(x, at + half, side="left") + 1, 0, len(x))
    return np.asarray(counted[np.maximum(first, end)] > counted[first])
