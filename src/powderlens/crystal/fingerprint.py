"""A number list that likens crystals: how far the atoms of each element are from those of each other, in shells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary_compiled import compiled
from powderlens.crystal.duplicates import primitive_crystals
from powderlens.crystal.nearest import length2, rest
from powderlens.crystal.structure import Structure

NEIGHBOURS = 8
"""Nearest atoms of each element that are looked at."""

REACH = 2.0
"""How far they are looked for, in edges of the cube that holds one atom of that element: some 33 atoms lie within."""


def fingerprint(structure: Structure) -> NDArray[np.float64]:
    """Mean distances from the atoms of each element to their nearest atoms of each element, in units of the crystal.

    Independent of cell, setting, origin, hand and size, and continuous: atoms that move by a hundredth of an angstrom
    change it by a few thousandths. Shared sites belong to every element on them by its share.

    Args:
        structure: any cell; the smaller of its primitive cells is taken where the tolerance leaves two.

    Returns:
        (e, e, `NEIGHBOURS`) distances from element i to element j, elements in alphabetical order, over the edge of the
        cube that holds one atom on average. Two fingerprints can be compared where the elements are the same.

    Source: Widdowson et al., MATCH 87, 529 (2022), average minimum distances; here resolved by elements.
    """
    crystal = primitive_crystals(structure)[-1]
    elements = sorted({element for name in crystal.names for element in name.split()})
    weights = np.zeros((len(elements), len(crystal.kinds)))
    for site, kind in enumerate(crystal.kinds):
        for column, element in enumerate(crystal.names[kind].split()):
            weights[elements.index(element), site] = crystal.occupancy[site, column]
    edge = float(np.cbrt(crystal.volume_A3 / len(crystal.kinds)))
    out = np.empty((len(elements), len(elements), NEIGHBOURS))
    for j in range(len(elements)):
        there = np.flatnonzero(weights[j] > 0)
        cutoff = REACH * float(np.cbrt(crystal.volume_A3 / len(there)))
        shells = _nearest_distances(
            crystal.frac, np.ascontiguousarray(crystal.frac[there]), crystal.lattice, crystal.reach, cutoff, NEIGHBOURS
        )
        out[:, j] = weights @ shells / weights.sum(axis=1, keepdims=True) / edge
    return out


def difference(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Root-mean-square difference of two fingerprints of crystals with the same elements."""
    return float(np.sqrt(np.mean((a - b) ** 2)))


@compiled
def _nearest_distances(frac, targets, lattice, reach, cutoff, count):  # type: ignore[no-untyped-def]
    """(n, count) distances in A from each atom to its nearest targets, all images counted; `cutoff` where too few."""
    out = np.full((len(frac), count), cutoff)
    n0, n1, n2 = int(np.ceil(cutoff * reach[0])), int(np.ceil(cutoff * reach[1])), int(np.ceil(cutoff * reach[2]))
    for i in range(len(frac)):
        own = out[i]
        for j in range(len(targets)):
            x, y, z = rest(targets[j], frac[i])
            for h in range(-n0, n0 + 1):
                for k in range(-n1, n1 + 1):
                    for l in range(-n2, n2 + 1):
                        distance = np.sqrt(length2(x + h, y + k, z + l, lattice))
                        if distance < own[count - 1] and distance > 1e-3:
                            # Insertion into the sorted list.
                            place = count - 1
                            while place > 0 and own[place - 1] > distance:
                                own[place] = own[place - 1]
                                place -= 1
                            own[place] = distance
    return out
