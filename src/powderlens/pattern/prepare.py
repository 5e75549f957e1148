"""From intensities on a grid to what a network reads. Training and answering call the same function."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from powderlens.pattern.background import subtract_background
from powderlens.pattern.grid import Grid, to_grid
from powderlens.pattern.pattern import Pattern

WINDOW_POINTS = 250
QUANTILE = 0.3


def residual_floor(intensity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Local 30th percentile: the pedestal on which noise sits, and slow residues of the background.

    Args:
        intensity: (n,) consecutive measured points.

    Returns:
        (n,) floor, linear between the centres of windows of 250 points (5 degrees on the usual grid).
    """
    n = len(intensity)
    count = max(1, round(n / WINDOW_POINTS))
    size = n // count
    rank = int(QUANTILE * (size - 1))
    windows = intensity[: count * size].reshape(count, size)
    level = np.partition(windows, rank, axis=1)[:, rank]
    return np.interp(np.arange(n), (np.arange(count) + 0.5) * size, level)


def flat_on_grid(pattern: Pattern, grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.bool_], bool]:
    """A measured pattern on a grid, without its background.

    Args:
        pattern: its wavelength must be known.
        grid: where to.

    Returns:
        (points,) intensities, (points,) True where measured, and whether a background was subtracted.

    Raises:
        WavelengthError: the pattern has no wavelength.
        InputError: pattern and grid do not overlap.
    """
    flat, removed = subtract_background(pattern)
    return *to_grid(flat, grid), removed


def above_floor(intensity: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Floor subtracted, cut at zero, strongest point 1.

    Args:
        intensity: (n,) on the network's grid, any scale.
        mask: (n,) True where measured.

    Returns:
        (n,) intensities, 0 where not measured.
    """
    out = np.zeros(len(intensity))
    measured = intensity[mask]
    above = np.maximum(measured - residual_floor(measured), 0.0)
    top = above.max()
    if top > 0:
        out[mask] = above / top
    return out
