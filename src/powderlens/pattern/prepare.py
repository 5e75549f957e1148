"""From intensities on a grid to what a network reads. Training and answering call the same function."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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


def network_input(intensity: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Floor subtracted, cut at zero, strongest point 1, square root; and the mask.

    Args:
        intensity: (n,) on the network's grid, any scale.
        mask: (n,) True where measured.

    Returns:
        (2, n) float32: square-root intensities (0 where not measured), and the mask as 0 or 1.
    """
    out = np.zeros((2, len(intensity)), np.float32)
    measured = intensity[mask]
    above = np.maximum(measured - residual_floor(measured), 0.0)
    top = above.max()
    if top > 0:
        out[0, mask] = np.sqrt(above / top)
    out[1, mask] = 1.0
    return out
