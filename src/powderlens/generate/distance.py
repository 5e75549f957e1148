"""Coordinates for the sites of a crystal: uniform, and as a rule with no two atoms too close."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import inverse, lengths, product
from powderlens.core.elementary_compiled import compiled
from powderlens.core.errors import InputError
from powderlens.crystal.expand import MERGE_DISTANCE_A
from powderlens.crystal.nearest import length2, move, rest
from powderlens.generate.radii import covalent_radius_A
from powderlens.generate.sites import GroupSites
from powderlens.generate.stream import Stream

Distances = Literal["covalent", "published"]
"""What is asked of the distance of two atoms: a share of the sum of their covalent radii, or nothing, as ML4pXRDs
asks."""

COVALENT_SHARE, NONMETAL_SHARE = 0.7, 0.8
"""Shortest distance of two atoms over the sum of their covalent radii; the second for two nonmetals, whose triple bonds
are the shortest at 0.8 and whose ions keep far apart. Of ordered crystals of the Materials Project and of AMCSD, 98.8
and 98.3 % have no pair closer (2,000 and 1,450 at random); the others are uranyls most of all, U-O 1.78 A at 0.68."""

NONMETALS = frozenset(
    ("H", "D", "He", "C", "N", "O", "F", "Ne", "P", "S", "Cl", "Ar", "Se", "Br", "Kr", "I", "Xe", "Rn")
)

PLACE_TRIES = 30
"""How often the coordinates of one site are drawn until it is far enough from the others."""

STARTS = 2
"""How often all coordinates of a crystal are drawn before its cell is given up. Hardly any of these would fit: of 132
that were minimised from three starts each, atoms moved together, 9 did."""


def check_distances(distances: str) -> Distances:
    """The word itself.

    Raises:
        InputError: not one of `Distances`.
    """
    if distances not in get_args(Distances):
        raise InputError(f"distances {distances!r}: choose {' or '.join(get_args(Distances))}")
    return cast(Distances, distances)


def pair_distances_A(elements: Sequence[str], min_distance_A: float, distances: Distances) -> NDArray[np.float64]:
    """(n, n) shortest distances of atoms of these elements, A.

    Args:
        elements: n symbols, one for each site.
        min_distance_A: of any two atoms.
        distances: see `Distances`.
    """
    limits = np.full((len(elements), len(elements)), float(min_distance_A))
    if distances == "covalent":
        radii = np.array([covalent_radius_A(element) for element in elements])
        nonmetal = np.array([element in NONMETALS for element in elements])
        share = np.where(nonmetal[:, None] & nonmetal, NONMETAL_SHARE, COVALENT_SHARE)
        limits = np.maximum(limits, share * (radii[:, None] + radii))
    return limits


def draw_coordinates(
    sites: GroupSites,
    places: NDArray[np.intp],
    lattice: NDArray[np.float64],
    limits_A: NDArray[np.float64],
    stream: Stream,
) -> NDArray[np.float64] | None:
    """Parameters of each site's Wyckoff position, uniform in 0..1, where nothing stands in the way.

    Fixed points are set first, then one site after the other, those that need most room before the others: each is
    drawn until it is far enough from its own images and from what stands already.

    Args:
        sites: of the group.
        places: (n,) index of each site's position.
        lattice: (3, 3) primitive cell, rows are its vectors, A.
        limits_A: (n, n) shortest distance of atoms of two sites; all 0 asks nothing.
        stream: random numbers.

    Returns:
        (n, 3), or None where some site finds no room in any of `STARTS` starts.
    """
    n = len(places)
    if not limits_A.any():
        return stream.uniform(3 * n).reshape(-1, 3)
    shifts = lattice_shifts(lattice, float(limits_A.max()))
    limits_A2 = limits_A * limits_A
    own_A2 = np.diagonal(limits_A2)
    if len(shifts) > 1 and (lengths(product(shifts[1:], lattice)) ** 2).min() < own_A2.max():
        return None
    images = [sites.images[place] for place in places.tolist()]
    linear = np.concatenate([one for one, _ in images])
    shift = np.concatenate([other for _, other in images])
    counts = np.array([len(one) for one, _ in images])
    free = sites.free[places] > 0
    order = np.lexsort((-counts * own_A2 * np.sqrt(own_A2), free))
    for _ in range(STARTS if free.any() else 1):
        u = stream.uniform(3 * n * PLACE_TRIES).reshape(n, PLACE_TRIES, 3)
        chosen, last = _places(linear, shift, counts, free, order, u, limits_A2, lattice, shifts)
        if last < 0:
            return np.asarray(u[np.arange(n), chosen])
        if not free[last]:
            return None
    return None


def overlapping(frac: NDArray[np.float64], firsts: NDArray[np.int64], lattice: NDArray[np.float64]) -> bool:
    """Whether two atoms are within `MERGE_DISTANCE_A`, where readers take them for one.

    Args:
        frac: (n, 3) atoms of the primitive cell.
        firsts: one atom of each orbit: by symmetry, the others need no look.
        lattice: (3, 3) of that cell, A.
    """
    difference = frac[firsts, None, :] - frac
    difference -= np.round(difference)
    squared = np.square(product(difference.reshape(-1, 3), lattice)).sum(axis=1).reshape(len(firsts), -1)
    squared[np.arange(len(firsts)), firsts] = np.inf
    return bool(squared.min() < MERGE_DISTANCE_A**2)


def lattice_shifts(lattice: NDArray[np.float64], distance_A: float) -> NDArray[np.float64]:
    """Whole shifts (k, 3), the zero first, that can bring a difference within +-1/2 to less than this distance."""
    return _shifts(*np.floor(distance_A * lengths(inverse(lattice).T) + 0.5).astype(int).tolist())


@lru_cache(maxsize=256)
def _shifts(*reach: int) -> NDArray[np.float64]:
    grid = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), axis=-1).reshape(-1, 3)
    return grid[np.argsort(np.abs(grid).sum(axis=1), kind="stable")].astype(float)


@compiled
def _places(linear, shift, counts, free, order, u, limits2, lattice, shifts):  # type: ignore[no-untyped-def]
    """Which draw of each site keeps its distance from its own images and from the sites before it.

    Args:
        linear: (atoms, 3, 3) and
        shift: (atoms, 3), images of all sites in the primitive cell, those of a site together.
        counts: (n,) images of each site.
        free: (n,) whether a second draw is another one.
        order: (n,) in which sites are set.
        u: (n, tries, 3) parameters.
        limits2: (n, n) squares of the least distances, A^2.
        lattice: (3, 3), A.
        shifts: (s, 3) of `lattice_shifts`.

    Returns:
        (n,) numbers of the draws, and -1; or in its place the site that finds no room.
    """
    n = len(counts)
    firsts = np.zeros(n, np.int64)
    for i in range(1, n):
        firsts[i] = firsts[i - 1] + counts[i - 1]
    chosen = np.zeros(n, np.int64)
    placed, owner = np.empty((len(linear), 3)), np.empty(len(linear), np.int64)
    filled = 0
    for i in order:
        fits = False
        for t in range(u.shape[1] if free[i] else 1):
            for j in range(counts[i]):
                owner[filled + j] = i
                move(u[i, t], linear[firsts[i] + j], shift[firsts[i] + j], placed[filled + j])
            fits = True
            # By symmetry the first image stands for all.
            for j in range(filled + counts[i] - 1, -1, -1):
                if j == filled:
                    continue
                least = limits2[i, owner[j]]
                x, y, z = rest(placed[j], placed[filled])
                for s in range(len(shifts)):
                    if length2(x + shifts[s, 0], y + shifts[s, 1], z + shifts[s, 2], lattice) < least:
                        fits = False
                        break
                if not fits:
                    break
            if fits:
                chosen[i] = t
                break
        if not fits:
            return chosen, i
        filled += counts[i]
    return chosen, -1
