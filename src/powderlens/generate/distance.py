"""Coordinates for the sites of a crystal: uniform, and where asked for with no two atoms too close."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from powderlens.crystal.expand import MERGE_DISTANCE_A
from powderlens.generate.sites import GroupSites
from powderlens.generate.stream import Stream

PLACE_TRIES = 30
"""How often the coordinates of one site are drawn until it is far enough from the others."""


def draw_coordinates(
    sites: GroupSites, places: NDArray[np.intp], lattice: NDArray[np.float64], min_distance_A: float, stream: Stream
) -> NDArray[np.float64] | None:
    """Parameters of each site's Wyckoff position, uniform in 0..1.

    Args:
        sites: of the group.
        places: (n,) index of each site's position.
        lattice: (3, 3) primitive cell, rows are its vectors, A.
        min_distance_A: shortest distance of two atoms; 0 asks nothing.
        stream: random numbers.

    Returns:
        (n, 3), or None where some site finds no room in `PLACE_TRIES` tries.
    """
    if min_distance_A == 0:
        return stream.uniform(3 * len(places)).reshape(-1, 3)
    xyz = np.empty((len(places), 3))
    shifts = lattice_shifts(lattice, min_distance_A)
    placed = np.empty((0, 3))
    for i, place in enumerate(places.tolist()):
        for _ in range(PLACE_TRIES if sites.free[place] else 1):
            xyz[i] = stream.uniform(3)
            own = sites.primitive_frac(places[i : i + 1], xyz[i : i + 1])
            if _far(own[0], own[1:], placed, lattice, shifts, min_distance_A):
                placed = np.concatenate([placed, own])
                break
        else:
            return None
    return xyz


def overlapping(frac: NDArray[np.float64], firsts: NDArray[np.int64], lattice: NDArray[np.float64]) -> bool:
    """Whether two atoms are within `MERGE_DISTANCE_A`, where readers take them for one.

    Args:
        frac: (n, 3) atoms of the primitive cell.
        firsts: one atom of each orbit: by symmetry, the others need no look.
        lattice: (3, 3) of that cell, A.
    """
    difference = frac[firsts, None, :] - frac
    difference -= np.round(difference)
    squared = np.square(difference.reshape(-1, 3) @ lattice).sum(axis=1).reshape(len(firsts), -1)
    squared[np.arange(len(firsts)), firsts] = np.inf
    return bool(squared.min() < MERGE_DISTANCE_A**2)


def lattice_shifts(lattice: NDArray[np.float64], distance_A: float) -> NDArray[np.float64]:
    """Whole shifts (k, 3), the zero first, that can bring a difference within +-1/2 to less than this distance."""
    reach = np.floor(distance_A * np.linalg.norm(np.linalg.inv(lattice), axis=0) + 0.5).astype(int)
    grid = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), axis=-1).reshape(-1, 3)
    return grid[np.argsort(np.abs(grid).sum(axis=1), kind="stable")].astype(float)


def _far(
    atom: NDArray[np.float64],
    images: NDArray[np.float64],
    placed: NDArray[np.float64],
    lattice: NDArray[np.float64],
    shifts: NDArray[np.float64],
    distance_A: float,
) -> bool:
    """Whether an atom keeps its distance from its translations, its images by symmetry, and the atoms placed before."""
    difference = np.concatenate([images, placed]) - atom
    difference -= np.round(difference)
    near = ((difference[:, None, :] + shifts) @ lattice).reshape(-1, 3)
    own = shifts[1:] @ lattice
    return bool((np.square(np.concatenate([near, own])).sum(axis=1) >= distance_A**2).all())
