"""Whether two reduced cells are one lattice, to a tolerance."""

from __future__ import annotations

from functools import cache
from itertools import product as combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from powderlens.core.elementary import arccos, determinant, product
from powderlens.crystal.structure import lattice_from_cell

LENGTH = 0.005
"""Relative difference of lengths that still counts as the same cell."""
ANGLE_DEG = 0.5


def same_lattice(
    reduced: ArrayLike, others: ArrayLike, *, length: float = LENGTH, angle_deg: float = ANGLE_DEG
) -> NDArray[np.bool_]:
    """Which reduced cells span the same lattice as one.

    A reduced cell jumps where a lattice is nearly symmetric: 60 becomes 120 degrees, two lengths change places. So
    every other basis of the first lattice is tried that its three vectors give with the coefficients -1, 0 and 1: a hop
    to another reduced basis needs no others.

    Args:
        reduced: (6,) Niggli cell, A and degrees.
        others: (n, 6) Niggli cells.
        length: largest relative difference of each length.
        angle_deg: largest difference of each angle.

    Returns:
        (n,) True where one of the bases agrees in all lengths and angles.
    """
    cells = np.atleast_2d(np.asarray(others, float))
    lattice = lattice_from_cell(np.asarray(reduced, float).tolist())
    edges, cosines = _bases(lattice)
    out = np.zeros(len(cells), bool)
    for at, cell in enumerate(cells):
        near = np.flatnonzero((np.abs(edges / cell[:3] - 1) <= length).all(axis=1))
        if len(near):
            angles = np.degrees(arccos(np.clip(cosines[near], -1.0, 1.0)))
            out[at] = bool((np.abs(angles - cell[3:]) <= angle_deg).all(axis=1).any())
    return out


def _bases(lattice: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lengths in A and cosines of the angles of every basis that is tried, (k, 3) each."""
    vectors = product(_changes().reshape(-1, 3).astype(float), lattice).reshape(-1, 3, 3)
    edges = np.sqrt((vectors**2).sum(axis=-1))
    first, second = [1, 0, 0], [2, 2, 1]
    dots = (vectors[:, first] * vectors[:, second]).sum(axis=-1)
    return edges, dots / (edges[:, first] * edges[:, second])


@cache
def _changes() -> NDArray[np.int64]:
    """(k, 3, 3) changes of basis with coefficients -1, 0 and 1 and determinant 1."""
    rows = np.array([row for row in combinations((-1, 0, 1), repeat=3) if any(row)], np.int64)
    triples = rows[np.array(list(combinations(range(len(rows)), repeat=3)))]
    return np.ascontiguousarray(triples[np.rint(determinant(triples.astype(float))) == 1])
