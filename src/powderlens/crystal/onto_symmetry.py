"""Cell and atoms moved onto operators that they obey only nearly, so that a family of reflections has one spacing.

A search for symmetry allows a tolerance, 0.01 A as a rule: a cell of a = 4.000 and c = 4.005 A counts as cubic. The
families of reflections of the cubic group are wrong for the cell as it stands: 200 and 002 have not one spacing, and
atoms that are a little off give the members of a family different |F|^2. Either the crystal is moved onto the group,
or it keeps those operators that its metric obeys.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import inverse, lengths, product
from powderlens.core.elementary_compiled import compiled
from powderlens.core.errors import StructureError
from powderlens.crystal.elements import NUMBER
from powderlens.crystal.structure import Structure

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

OBEYED = 1e-5
"""Relative difference of lengths that still counts as the same, by which a line at 90 degrees moves 0.001 degrees:
cells are written with five or six digits."""
ROUNDING = 1e-9
"""Relative differences of lengths, and of places in A, that are no more than rounding: nothing is moved."""


def metric_deviation(lattice: Floats, rotations: Ints) -> Floats:
    """How much each rotation changes the metric of a cell: (n,) relative differences of lengths.

    Args:
        lattice: (3, 3), rows are the cell vectors, A.
        rotations: (n, 3, 3) rotation parts W, x' = W x.

    Returns:
        Half the largest difference between W^T G W and G, its elements divided by the lengths of their vectors.
    """
    metric, edges_A = product(lattice, lattice.T), lengths(lattice)
    moved = product(product(rotations.transpose(0, 2, 1), metric), rotations)
    return np.asarray(np.abs((moved - metric) / (edges_A[:, None] * edges_A)).max(axis=(1, 2)) / 2)


def obeyed_rotations(lattice: Floats, rotations: Ints, limit: float = OBEYED) -> NDArray[np.bool_]:
    """Which operators the metric of a cell obeys; these are a group.

    Args:
        lattice: (3, 3), rows are the cell vectors, A.
        rotations: (n, 3, 3) of a group.
        limit: relative difference of lengths that counts as none; made smaller until what is left is a group.

    Returns:
        (n,) mask; all operators of one rotation part are kept or left together.
    """
    deviation = metric_deviation(lattice, rotations)
    kept = np.asarray(deviation <= limit)
    while not kept.all() and not _closed(rotations[kept]):
        limit /= 4
        kept = np.asarray(deviation <= limit) | (np.abs(rotations) == np.eye(3, dtype=np.int64)).all(axis=(1, 2))
    return kept


def symmetric_lattice(lattice: Floats, rotations: Ints) -> Floats:
    """The cell with its metric averaged over a group: L' = L S with S symmetric, so that the cell is not turned.

    The mean is the nearest metric that the group leaves as it is (International Tables for Crystallography D, section
    1.1.4). Valid for cells that obey their group to a few per cent.

    Args:
        lattice: (3, 3), rows are the cell vectors, A.
        rotations: (n, 3, 3) of a group.
    """
    metric = product(lattice, lattice.T)
    mean = product(product(rotations.transpose(0, 2, 1), metric), rotations).sum(axis=0) / len(rotations)
    into = inverse(lattice)
    rest = product(product(into, mean - metric), into.T)
    # The square root of 1 + rest by its series, which no library of linear algebra decides.
    root, power, factor = np.eye(3), np.eye(3), 1.0
    for n in range(1, 20):
        power = product(power, rest)
        factor *= (1.5 - n) / n
        root += factor * power
    return np.asarray(product(lattice, root))


def onto_operators(structure: Structure, rotations: Ints, translations: Floats) -> Structure:
    """The crystal with these operators, its cell and atoms moved until they obey them.

    An atom goes to the mean of the images that meet it; displacements of equivalent atoms become their mean too. To
    first order in what was moved, the sum of |F|^2 over a family of reflections stays.

    Args:
        structure: nearly obeys the operators.
        rotations: (n, 3, 3) of a group that is closed exactly, in the structure's own cell.
        translations: (n, 3).

    Returns:
        The crystal in the same cell; the arrays of `structure` themselves where nothing but rounding is to be moved.

    Raises:
        StructureError: an operator does not bring the atoms onto each other.
    """
    out = replace(structure, rotations=rotations, translations=translations)
    if metric_deviation(structure.lattice, rotations).max() > ROUNDING:
        out = replace(out, lattice=symmetric_lattice(structure.lattice, rotations))
    kind = [NUMBER[e] * 10_000 + round(o * 1000) for e, o in zip(structure.elements, structure.occupancy, strict=True)]
    image, shift = _images(
        np.ascontiguousarray(structure.frac, np.float64), np.array(kind, np.int64),
        np.ascontiguousarray(rotations, np.float64), np.ascontiguousarray(translations, np.float64), structure.lattice,
    )  # fmt: skip
    if len(image) != len(rotations):
        who = structure.source or structure.name or "structure"
        raise StructureError(f"{who}: the operators do not bring its atoms onto each other")
    if lengths(product(shift, structure.lattice)).max() > ROUNDING:
        out = replace(out, frac=structure.frac + shift)
    if np.isfinite(structure.u_iso_A2).any() and np.ptp(structure.u_iso_A2[image], axis=0).max() > 0:
        out = replace(out, u_iso_A2=_mean(structure.u_iso_A2[None].repeat(len(image), axis=0), image))
    if structure.beta is not None:
        turned = product(product(rotations[:, None], structure.beta), rotations[:, None].transpose(0, 1, 3, 2))
        if np.abs(np.nan_to_num(turned - structure.beta[image])).max() > ROUNDING:
            out = replace(out, beta=_mean(turned, image))
    return out


def _mean(values: Floats, image: Ints) -> Floats:
    """Mean over the operators of what they bring to each atom; (n, atoms, ...) and where each goes."""
    total = np.zeros(values.shape[1:])
    for value, target in zip(values, image, strict=True):
        total[target] += value
    return np.asarray(total / len(image))


def _closed(rotations: Ints) -> bool:
    distinct = np.unique(rotations.reshape(-1, 9), axis=0).reshape(-1, 3, 3)
    products = product(distinct[:, None], distinct).reshape(-1, 9)
    return len(np.unique(products, axis=0)) == len(distinct)


@compiled
def _images(frac, kind, rotations, translations, lattice):  # type: ignore[no-untyped-def]
    """(m, n) row that each operator brings each row to, the nearest of its kind not yet taken, and the (n, 3) mean
    fractional shift onto the images; (0, n) rows where an image meets none within half an angstrom.
    """
    n, m = len(frac), len(rotations)
    target = np.empty((m, n), np.int64)
    shift = np.zeros((n, 3))
    taken = np.empty(n, np.bool_)
    image, step, best_step = np.empty(3), np.empty(3), np.empty(3)
    for g in range(m):
        taken[:] = False
        for i in range(n):
            for k in range(3):
                image[k] = translations[g, k]
                for j in range(3):
                    image[k] += rotations[g, k, j] * frac[i, j]
            best, least = -1, 0.25
            for j in range(n):
                if taken[j] or kind[j] != kind[i]:
                    continue
                for k in range(3):
                    step[k] = image[k] - frac[j, k]
                    step[k] -= np.rint(step[k])
                square = 0.0
                for k in range(3):
                    along = step[0] * lattice[0, k] + step[1] * lattice[1, k] + step[2] * lattice[2, k]
                    square += along * along
                if square < least:
                    best, least = j, square
                    for k in range(3):
                        best_step[k] = step[k]
            if best < 0:
                return target[:0], shift
            taken[best] = True
            target[g, i] = best
            for k in range(3):
                shift[best, k] += best_step[k]
    return target, shift / m
