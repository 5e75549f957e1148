"""From a pattern to what networks and library read: background, grid, mask, floor, scale.

`identify`, evaluation and the measured patterns of a training all go through `prepare`; streams of simulated patterns,
which are on their grid already, through `above_floor`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import CoverageError
from powderlens.pattern.background import subtract_background
from powderlens.pattern.grid import Grid, to_grid
from powderlens.pattern.pattern import Pattern

WINDOW_POINTS = 250
QUANTILE = 0.3
WHOLE = 0.99
"""A pattern that was measured at so much of a grid counts as whole: 5 to 90 degrees of K-alpha's mean are 99.9 % of the
same range at K-alpha-1."""


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


@dataclass(frozen=True, eq=False)
class Prepared:
    """A pattern on a grid.

    Attributes:
        source: of the pattern.
        grid: where it is.
        flat: (points,) intensities without background, any scale, noise about zero; 0 where not measured.
        mask: (points,) True where measured.
        background: whether one was found and subtracted.
    """

    source: str
    grid: Grid
    flat: NDArray[np.float64]
    mask: NDArray[np.bool_]
    background: bool

    @cached_property
    def above_floor(self) -> NDArray[np.float32]:
        """(points,) without floor, strongest 1, see `above_floor`: what the library reads, and many networks."""
        return above_floor(self.flat, self.mask).astype(np.float32)

    def for_network(self, *, floor: bool, mask: bool, name: str = "the network") -> NDArray[np.float32]:
        """What a network reads; how it scales intensities further is its own affair.

        Args:
            floor: it was trained on patterns above their floor; else only what is below zero is cut off.
            mask: it reads a mask beside them.
            name: of it, for the message.

        Returns:
            (points,) intensities, strongest 1, 0 where not measured.

        Raises:
            CoverageError: it reads no mask, and less than 99 % of its grid was measured.
        """
        if not mask and self.mask.mean() < WHOLE:
            low, high = self.grid.two_theta_deg[self.mask][[0, -1]]
            raise CoverageError(
                f"{self.source or 'pattern'}: measured at {int(self.mask.sum())} of {len(self.mask)} points, {low:.1f} "
                f"to {high:.1f} degrees (as with {self.grid.wavelength_A:g} A) of {self.grid.start_deg:g} to "
                f"{self.grid.end_deg:g}, and {name} reads no mask; measure all of it, or train it with mask = true"
            )
        if floor:
            return self.above_floor
        cut = np.maximum(self.flat, 0.0)
        return (cut / max(float(cut.max()), np.finfo(np.float64).tiny)).astype(np.float32)


def prepare(pattern: Pattern, grid: Grid, *, background: bool = True) -> Prepared:
    """The one way from a pattern to what is asked of it.

    Args:
        pattern: its wavelength must be known.
        grid: of the network.
        background: subtract one where there is one, see `subtract_background`; patterns that were simulated keep
            theirs, as those that a network learns do.

    Raises:
        WavelengthError: the pattern has no wavelength; none is assumed.
        InputError: pattern and grid do not overlap.
    """
    flat, removed = subtract_background(pattern) if background else (pattern, False)
    intensity, mask = to_grid(flat, grid)
    return Prepared(pattern.source, grid, intensity, mask, removed)
