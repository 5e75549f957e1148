"""From a pattern to what networks and library read: background, grid, mask, floor, scale.

`identify`, evaluation and the measured patterns of a training all go through `prepare`. Streams of simulated patterns
go through what it is made of: `above_floor` where they are drawn on their grid, `onto_spacings` and `above_local_floor`
where they are drawn as some instrument measures them and read on a grid of spacings.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import CoverageError, InputError, WavelengthError
from powderlens.pattern.background import subtract_background
from powderlens.pattern.grid import GAP_STEPS, Grid, cells_inside, to_grid
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.spacing import AnyGrid, SpacingGrid
from powderlens.pattern.spacing_kernel import means, subtract_floor

WINDOW_POINTS = 250
WINDOW_DEG = 5.0
"""The same on a grid of spacings: so many degrees of copper's K-alpha."""
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


def above_local_floor(
    intensity: NDArray[np.float64], mask: NDArray[np.bool_], grid: SpacingGrid
) -> NDArray[np.float64]:
    """As `above_floor`, on a grid of spacings: the windows are equally wide in copper's 2theta, some five degrees.

    Args:
        intensity: (n,) on the grid, any scale.
        mask: (n,) True where measured.
        grid: of spacings.

    Returns:
        (n,) intensities, the strongest 1, 0 where not measured.
    """
    out = np.zeros(len(intensity))
    above, angle = np.asarray(intensity[mask], np.float64), grid.copper_deg()[mask]
    if not len(above):
        return out
    subtract_floor(above, angle, max(1, round((angle[-1] - angle[0]) / WINDOW_DEG)), QUANTILE)
    top = above.max()
    if top > 0:
        out[mask] = above / top
    return out


def onto_spacings(
    two_theta_deg: NDArray[np.float64],
    intensity: NDArray[np.float64],
    wavelength_A: float,
    grid: SpacingGrid,
    measured: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """A pattern on a grid of spacings: each position takes the mean of the joined profile over its own cell.

    So peaks keep their area where the cells are wider than the steps of the scan, at high angle, and their height
    where they are narrower.

    Args:
        two_theta_deg: (n,) rising, degrees.
        intensity: (n,).
        wavelength_A: at which it was measured, A.
        grid: where to.
        measured: (n,) False for points that do not count; None counts all.

    Returns:
        (points,) intensities, 0 where nothing was measured, and (points,) bool, True where something was: not in a
        pause of the scan (a step of more than ten median ones), nor around points that do not count.
    """
    edges = grid.edges_deg(wavelength_A)
    if len(two_theta_deg) < 2:
        return np.zeros(grid.points), np.zeros(grid.points, bool)
    holes = _holes(two_theta_deg, measured)
    if measured is not None:
        two_theta_deg, intensity = two_theta_deg[measured], intensity[measured]
    inside = cells_inside(two_theta_deg, edges)
    for low, high in holes:
        inside &= (edges[1:] <= low) | (edges[:-1] >= high)
    if not inside.any():
        return np.zeros(grid.points), inside
    out = np.empty(grid.points)
    means(np.asarray(two_theta_deg, np.float64), np.asarray(intensity, np.float64), edges, out)
    return np.where(inside, out, 0.0), inside


def _holes(x: NDArray[np.float64], measured: NDArray[np.bool_] | None) -> list[tuple[float, float]]:
    """Where a scan has paused, and around points that do not count, as (from, to)."""
    steps = np.diff(x)
    usual = float(np.median(steps))
    paused = np.flatnonzero(steps > GAP_STEPS * usual)
    found = [(float(x[at]) + usual, float(x[at + 1]) - usual) for at in paused]
    if measured is None or measured.all():
        return found
    bounds = np.flatnonzero(np.diff(np.concatenate([[True], measured, [True]]).astype(int)))
    for first, end in bounds.reshape(-1, 2):
        found.append((float(x[max(first - 1, 0)]), float(x[min(end, len(x) - 1)])))
    return found


@dataclass(frozen=True, eq=False)
class Prepared:
    """A pattern on a grid.

    Attributes:
        source: of the pattern.
        grid: where it is.
        flat: (points,) intensities without background, any scale, noise about zero; 0 where not measured.
        mask: (points,) True where measured.
        background: whether one was found and subtracted.
        wavelength_A: at which it was measured, A.
    """

    source: str
    grid: AnyGrid
    flat: NDArray[np.float64]
    mask: NDArray[np.bool_]
    background: bool
    wavelength_A: float

    @cached_property
    def above_floor(self) -> NDArray[np.float32]:
        """(points,) without floor, strongest 1, see `above_floor`: what the library reads, and many networks."""
        if isinstance(self.grid, SpacingGrid):
            return above_local_floor(self.flat, self.mask, self.grid).astype(np.float32)
        return above_floor(self.flat, self.mask).astype(np.float32)

    @cached_property
    def seen(self) -> NDArray[np.float32] | NDArray[np.bool_]:
        """(points,) what a network reads as its mask: True where measured, on a grid of spacings the sine of theta."""
        if isinstance(self.grid, SpacingGrid):
            return np.where(self.mask, self.grid.sines(self.wavelength_A), np.float32(0))
        return self.mask

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
        if isinstance(self.grid, SpacingGrid):
            if not mask:
                raise CoverageError(f"{name}: reads a grid of spacings, and no mask; train it with mask = true")
        elif not mask and self.mask.mean() < WHOLE:
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


def prepare(pattern: Pattern, grid: AnyGrid, *, background: bool = True) -> Prepared:
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
    if flat.wavelength_A is None:
        raise WavelengthError(
            f"{pattern.source or 'pattern'}: no wavelength known; give one (angstrom, CuKa, MoKa, ...)"
        )
    if isinstance(grid, Grid):
        intensity, mask = to_grid(flat, grid)
    else:
        intensity, mask = onto_spacings(flat.two_theta_deg, flat.intensity, flat.wavelength_A, grid, flat.mask)
        if not mask.any():
            low, high = flat.two_theta_deg[[0, -1]]
            raise InputError(
                f"{pattern.source or 'pattern'}: measured {low:g} to {high:g} degrees at {flat.wavelength_A:g} A does "
                f"not overlap spacings of {grid.d_max_A:.4g} to {grid.d_min_A:.4g} A"
            )
    return Prepared(pattern.source, grid, intensity, mask, removed, flat.wavelength_A)
