"""`SpacingGrid`: positions that are equally spaced in the logarithm of d, whatever the wavelength.

Another wavelength, another scale of the cell and the distance of a doublet are shifts on it. Where a pattern was
measured is told by the sine of theta at each position, which also says how wide its lines are there; 0 where it was
not. That is what a network on such a grid reads as its mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core.constants import ANODES
from powderlens.core.elementary import exp
from powderlens.core.errors import InputError
from powderlens.pattern.grid import Grid
from powderlens.pattern.spacing_kernel import angles_deg

COPPER_A = ANODES["Cu"].mean_A


@dataclass(frozen=True, kw_only=True)
class SpacingGrid:
    """d = d_max exp(-step i) for i = 0 .. points - 1: low angle first.

    Attributes:
        d_max_A: first spacing, A.
        log_step: distance of two positions in ln d.
        points: number of positions.
    """

    d_max_A: float
    log_step: float
    points: int

    @property
    def d_A(self) -> NDArray[np.float64]:
        """(points,) spacings, A."""
        return np.asarray(self.d_max_A * exp(-self.log_step * np.arange(self.points)))

    @property
    def d_min_A(self) -> float:
        """Last spacing, A."""
        return float(self.d_A[-1])

    def two_theta_deg(self, wavelength_A: float) -> NDArray[np.float64]:
        """(points,) angles of the positions at a wavelength, degrees; 180 where they cannot be reached."""
        made: NDArray[np.float64] = angles_deg(self.d_max_A, self.log_step, self.points, 0.0, wavelength_A)
        return made

    def edges_deg(self, wavelength_A: float) -> NDArray[np.float64]:
        """(points + 1,) angles between which the cells of the positions lie, degrees; 180 beyond reach."""
        return _edges(self, wavelength_A)

    def copper_deg(self) -> NDArray[np.float64]:
        """(points,) angles of the positions with copper's K-alpha, degrees: in these the floor's windows are wide."""
        return _copper(self)

    def sines(self, wavelength_A: float | NDArray[Any]) -> NDArray[np.float32]:
        """(..., points) sine of theta of the positions at wavelengths (...), A; above 1 it is 0: out of reach."""
        sine = np.asarray(wavelength_A, np.float64)[..., None] / (2 * self.d_A)
        return np.where(sine < 1, sine, 0.0).astype(np.float32)


@lru_cache(maxsize=64)
def _edges(grid: SpacingGrid, wavelength_A: float) -> NDArray[np.float64]:
    edges: NDArray[np.float64] = angles_deg(grid.d_max_A, grid.log_step, grid.points + 1, 0.5, wavelength_A)
    edges.setflags(write=False)
    return edges


@lru_cache(maxsize=8)
def _copper(grid: SpacingGrid) -> NDArray[np.float64]:
    angles = grid.two_theta_deg(COPPER_A)
    angles.setflags(write=False)
    return angles


AnyGrid = Grid | SpacingGrid


def angles_of(grid: AnyGrid, what: str) -> Grid:
    """The grid, where it is one of angles.

    Args:
        grid: any.
        what: needs angles, for the message.

    Raises:
        InputError: one of spacings.
    """
    if isinstance(grid, SpacingGrid):
        raise InputError(f"{what}: needs a grid of angles at one wavelength, not one of spacings; take another network")
    return grid


def words_of(grid: AnyGrid) -> str:
    """Where a grid lies."""
    if isinstance(grid, SpacingGrid):
        ends = f"{grid.d_max_A:g} to {grid.d_min_A:.4g} A"
        return f"{grid.points} points, spacings from {ends} by {grid.log_step:g} in ln d"
    return f"{grid.points} points, {grid.start_deg:g} to {grid.end_deg:g} degrees at {grid.wavelength_A:g} A"


def grid_of(content: Mapping[str, Any]) -> AnyGrid:
    """A grid of what JSON holds of one (`dataclasses.asdict`).

    Raises:
        TypeError: other keys.
    """
    return SpacingGrid(**content) if "d_max_A" in content else Grid(**content)
