"""Orbits: a crystal's sites taken down to one of each kind, and built up again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import product, turned
from powderlens.core.elementary_compiled import compiled
from powderlens.core.errors import StructureError
from powderlens.crystal.elements import NUMBER
from powderlens.crystal.nearest import length2, move, rest
from powderlens.crystal.structure import Structure

SAME_PLACE_A = 2e-3
"""Images closer than this are one atom, A: standardised coordinates agree to rounding, and an atom that stands this
close to a symmetry element had been moved onto it."""


class AsymmetricUnit(NamedTuple):
    """The sites that the operators make all others from.

    Attributes:
        rows: (s,) their rows in the structure.
        multiplicity: (s,) atoms in the cell that each one makes.
        beta: (s, 3, 3) their tensors, averaged over the operators that keep the site; NaN where not known; or None.
    """

    rows: NDArray[np.int64]
    multiplicity: NDArray[np.int64]
    beta: NDArray[np.float64] | None


def asymmetric_unit(structure: Structure) -> AsymmetricUnit:
    """One row of each orbit of a structure whose atoms obey its operators exactly, as `Symmetry.standard`.

    Raises:
        StructureError: the operators do not make the structure's atoms from them.
    """
    pairs = zip(structure.elements, structure.occupancy.tolist(), strict=True)
    kind = np.array([NUMBER[element] * 10_000 + round(filled * 1000) for element, filled in pairs], dtype=np.int64)
    rotations, translations = structure.rotations.astype(np.float64), structure.translations
    head = _heads(structure.frac, kind, rotations, translations, structure.lattice, SAME_PLACE_A)
    if (head < 0).any():
        raise StructureError("symmetry: the atoms do not obey the operators")
    rows, multiplicity = np.unique(head, return_counts=True)
    elements = np.array(structure.elements)
    if (elements != elements[head]).any():
        raise StructureError("symmetry: H and D on equivalent sites")
    places, _ = expand(structure.lattice, structure.frac[rows], multiplicity, rotations, translations)
    if len(places) != len(head):
        raise StructureError("symmetry: the operators do not make the atoms of the cell")
    beta = None
    if structure.beta is not None:
        beta = _site_tensors(structure, rows)
    return AsymmetricUnit(rows, multiplicity, beta)


def expand(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    multiplicity: NDArray[np.int64],
    rotations: NDArray[np.float64],
    translations: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Every atom of the cell from the sites of an asymmetric unit.

    Args:
        lattice: (3, 3), rows are the cell vectors, A.
        frac: (s, 3) fractional coordinates.
        multiplicity: (s,) atoms in the cell that each makes.
        rotations: (m, 3, 3) of the operators, as floats.
        translations: (m, 3).

    Returns:
        (n, 3) coordinates in [0, 1), the images of one site together, and the (n,) operator that made each.

    Raises:
        StructureError: a site makes another number of atoms.
    """
    total = int(multiplicity.sum())
    places, operator, made = _images(frac, multiplicity, rotations, translations, lattice, SAME_PLACE_A, total)
    if made != total:
        raise StructureError("symmetry: a site has not the multiplicity that is stated")
    return places, operator


def _site_tensors(structure: Structure, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of each site's tensor over the operators that keep the site."""
    assert structure.beta is not None
    tensors = []
    for row in rows:
        here = structure.frac[row]
        rest = turned(structure.rotations, here) + structure.translations - here
        rest -= np.round(rest)
        keeps = structure.rotations[(product(rest, structure.lattice) ** 2).sum(axis=1) < SAME_PLACE_A**2]
        tensors.append(product(product(keeps, structure.beta[row]), keeps.transpose(0, 2, 1)).mean(axis=0))
    return np.array(tensors).reshape(-1, 3, 3)


@compiled
def _same_place(a, b, lattice, limit_A):  # type: ignore[no-untyped-def]
    """Whether two places are one, modulo the lattice."""
    x, y, z = rest(a, b)
    return length2(x, y, z, lattice) < limit_A * limit_A


@compiled
def _heads(frac, kind, rotations, translations, lattice, limit_A):  # type: ignore[no-untyped-def]
    """(n,) first row of each one's orbit; -1 where the image of a row meets no row of its kind.

    A site may hold two rows of one kind (O and OH, each to a half): each of them begins an orbit.
    """
    n, m = len(frac), len(rotations)
    head = np.full(n, -1, np.int64)
    image = np.empty(3)
    for i in range(n):
        if head[i] >= 0:
            continue
        for g in range(m):
            move(frac[i], rotations[g], translations[g], image)
            met = -1
            for j in range(i, n):
                may_be = (head[j] == i or (head[j] < 0 and met < 0)) and kind[j] == kind[i]
                if may_be and _same_place(image, frac[j], lattice, limit_A):
                    met = j
                    if head[j] == i:
                        break
            if met < 0:
                head[i] = -1
                return head
            head[met] = i
    return head


@compiled
def _images(frac, multiplicity, rotations, translations, lattice, limit_A, total):  # type: ignore[no-untyped-def]
    """Distinct images of every site, their operators, and how many were made (-1: a site made another number)."""
    places = np.empty((total, 3))
    operator = np.empty(total, np.int64)
    image = np.empty(3)
    made = 0
    for i in range(len(frac)):
        start = made
        for g in range(len(rotations)):
            move(frac[i], rotations[g], translations[g], image)
            for k in range(3):
                image[k] -= np.floor(image[k])
                if image[k] > 1 - 1e-9:
                    image[k] = 0.0
            new = True
            for j in range(start, made):
                if _same_place(image, places[j], lattice, limit_A):
                    new = False
                    break
            if new:
                if made - start == multiplicity[i]:
                    return places, operator, -1
                for k in range(3):
                    places[made, k] = image[k]
                operator[made] = g
                made += 1
        if made - start != multiplicity[i]:
            return places, operator, -1
    return places, operator, made
