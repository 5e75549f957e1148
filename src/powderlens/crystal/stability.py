"""Does a crystal keep its space group when atoms and cell are judged less strictly?

moyo's own angle tolerance is left alone: at 5 degrees the rotations that a cell nearly has may generate an infinite
group, and its search then never ends (mp-1019597 is such a cell). Here the rotations that the reduced cell has to
within both tolerances are found first, cut down to a finite group, the cell is made to have them exactly, and the
atoms are searched in that cell, with angles judged by moyo's default. An angle tolerance therefore widens that default
(some symprec over the length of an edge) and never narrows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import moyopy
import numpy as np
from numba import njit
from numpy.typing import NDArray

from powderlens.core.errors import StructureError
from powderlens.crystal.label import Symmetry, find_symmetry, group_and_basis
from powderlens.crystal.structure import Structure

EXACT = 1e-7
"""Relative change of a metric below which a cell counts as exactly symmetric already."""

MAX_ROTATIONS = 24
"""Proper rotations of the highest lattice symmetry."""


def groups_at(symmetry: Symmetry, tolerances: Sequence[tuple[float, float]]) -> list[int | None]:
    """Space-group numbers of one crystal at several tolerances.

    Args:
        symmetry: what `find_symmetry` found; its tolerance is not searched again.
        tolerances: pairs of symprec (A) and angle tolerance (degrees).

    Returns:
        A number for each pair; None where the search fails.
    """
    return [_group_at(symmetry, symprec_A, angle_deg) for symprec_A, angle_deg in tolerances]


def symmetry_at(symmetry: Symmetry, symprec_A: float, angle_deg: float) -> Symmetry | None:
    """What is found of the same crystal at another tolerance, its cell strained onto that symmetry.

    Args:
        symmetry: what `find_symmetry` found.
        symprec_A: how far atoms may be from where the symmetry wants them, A; the same for the lengths of the cell.
        angle_deg: how far the angles of the cell may be.

    Returns:
        None where the search fails.
    """
    try:
        _, strained = _strained(symmetry, symprec_A, angle_deg)
        return find_symmetry(symmetry.structure if strained is None else strained, symprec_A)
    except (StructureError, ValueError, np.linalg.LinAlgError):
        return None


def _group_at(symmetry: Symmetry, symprec_A: float, angle_deg: float) -> int | None:
    try:
        number, strained = _strained(symmetry, symprec_A, angle_deg)
        return number if strained is None else group_and_basis(strained, symprec_A)[0]
    except (StructureError, ValueError, np.linalg.LinAlgError):
        return None


def _strained(symmetry: Symmetry, symprec_A: float, angle_deg: float) -> tuple[int, Structure | None]:
    """The group of the atoms, and the structure in a cell that has all the symmetry that it nearly has; None where it
    has that already.
    """
    structure = symmetry.structure
    number, primitive = symmetry.number, symmetry.primitive_basis_A
    if symprec_A != symmetry.symprec_A:
        number, primitive = group_and_basis(structure, symprec_A)
    reduced, _ = moyopy.niggli_reduce(primitive.tolist())
    basis = np.array(reduced)
    symmetric = symmetric_metric(basis @ basis.T, symprec_A, angle_deg)
    if symmetric is None:
        return number, None
    # The structure's own cell, a whole number of reduced ones, is strained along with them.
    into = structure.lattice @ np.linalg.inv(basis)
    return number, replace(structure, lattice=np.round(into) @ np.linalg.cholesky(symmetric))


def symmetric_metric(metric: NDArray[np.float64], symprec_A: float, angle_deg: float) -> NDArray[np.float64] | None:
    """Metric of a reduced cell, made symmetric under the rotations that it nearly has.

    A rotation is nearly there when no length of the cell changes by more than `symprec_A` and no angle by more than
    `angle_deg`, as in spglib. Where these rotations are no group, those of the largest changes of angle are left out
    until the rest is one.

    Args:
        metric: (3, 3) of a Niggli-reduced basis, A^2.
        symprec_A: tolerance of the lengths.
        angle_deg: tolerance of the angles.

    Returns:
        The mean metric, or None where it differs from the one given by less than `EXACT`.
    """
    rotations, deviation = _near_rotations(np.ascontiguousarray(metric), symprec_A, np.radians(angle_deg))
    for limit in sorted(set(deviation.tolist()), reverse=True):
        chosen = rotations[deviation <= limit]
        if len(chosen) <= MAX_ROTATIONS and _closed(chosen):
            break
    mean: NDArray[np.float64] = (chosen.transpose(0, 2, 1) @ metric @ chosen).mean(axis=0)
    return None if np.abs(mean - metric).max() <= EXACT * np.abs(metric).max() else mean


@njit(cache=True, nogil=True, error_model="numpy")
def _closed(rotations):  # type: ignore[no-untyped-def]
    """Whether the products of all pairs are there."""
    n = len(rotations)
    present = np.zeros(3**9, np.bool_)
    for a in range(n):
        code = 0
        for i in range(9):
            code = 3 * code + rotations[a, i // 3, i % 3] + 1
        present[code] = True
    for a in range(n):
        for b in range(n):
            code = 0
            for i in range(9):
                entry = 0
                for k in range(3):
                    entry += rotations[a, i // 3, k] * rotations[b, k, i % 3]
                if abs(entry) > 1:
                    return False
                code = 3 * code + entry + 1
            if not present[code]:
                return False
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _near_rotations(metric, symprec_A, angle_rad):  # type: ignore[no-untyped-def]
    """Unimodular matrices of determinant 1, entries -1, 0, 1, that nearly keep a metric; each one's change of angle.

    Entries beyond these are not needed in a reduced basis: Grosse-Kunstleve, Sauter and Adams, Acta Cryst. A60, 1
    (2004).
    """
    length = np.sqrt(np.array([metric[0, 0], metric[1, 1], metric[2, 2]]))
    vectors = np.empty((26, 3), np.int64)
    norm = np.empty(26)
    n = 0
    for code in range(27):
        if code != 13:
            x, y, z = code // 9 - 1, code // 3 % 3 - 1, code % 3 - 1
            vectors[n, 0], vectors[n, 1], vectors[n, 2] = x, y, z
            square = 0.0
            for i in range(3):
                for j in range(3):
                    square += vectors[n, i] * metric[i, j] * vectors[n, j]
            norm[n] = np.sqrt(square)
            n += 1
    found = np.empty((3480, 3, 3), np.int64)
    deviation = np.empty(3480)
    count = 0
    chosen = np.empty(3, np.int64)
    for a in range(26):
        if abs(norm[a] - length[0]) > symprec_A:
            continue
        chosen[0] = a
        for b in range(26):
            if abs(norm[b] - length[1]) > symprec_A:
                continue
            chosen[1] = b
            for c in range(26):
                if abs(norm[c] - length[2]) > symprec_A:
                    continue
                chosen[2] = c
                u, v, w = vectors[a], vectors[b], vectors[c]
                determinant = (
                    u[0] * (v[1] * w[2] - v[2] * w[1])
                    - u[1] * (v[0] * w[2] - v[2] * w[0])
                    + u[2] * (v[0] * w[1] - v[1] * w[0])
                )
                if determinant != 1:
                    continue
                worst = 0.0
                for p in range(3):
                    q = (p + 1) % 3
                    dot = 0.0
                    for i in range(3):
                        for j in range(3):
                            dot += vectors[chosen[p], i] * metric[i, j] * vectors[chosen[q], j]
                    cosine = dot / (norm[chosen[p]] * norm[chosen[q]])
                    before = metric[p, q] / (length[p] * length[q])
                    change = abs(np.arccos(min(1.0, max(-1.0, cosine))) - np.arccos(min(1.0, max(-1.0, before))))
                    worst = max(worst, change)
                if worst <= angle_rad:
                    for i in range(3):
                        found[count, i, 0], found[count, i, 1], found[count, i, 2] = u[i], v[i], w[i]
                    deviation[count] = worst
                    count += 1
    return found[:count].copy(), deviation[:count].copy()
