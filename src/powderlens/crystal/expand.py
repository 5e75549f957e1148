"""From the sites a file lists to every atom of the unit cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import product, turned
from powderlens.core.errors import StructureError
from powderlens.crystal.structure import MAX_ATOMS, Structure

MERGE_DISTANCE_A = 0.05
"""Images of one site closer than this are one atom, A: covers coordinates printed as .333 for 1/3."""

METRIC_TOLERANCE = 0.02
"""Largest relative change of the metric tensor under an operator before cell and symmetry are said to clash."""


class Sites(NamedTuple):
    """Atoms of a whole unit cell; the fields mean what they mean in `Structure`, `origin` is the listed site."""

    elements: tuple[str, ...]
    frac: NDArray[np.float64]
    occupancy: NDArray[np.float64]
    u_iso_A2: NDArray[np.float64]
    beta: NDArray[np.float64] | None
    origin: NDArray[np.intp]


def check_metric(lattice: NDArray[np.float64], rotations: NDArray[np.int64]) -> None:
    """Refuse a cell that the operators do not leave as it is.

    Raises:
        StructureError: an operator changes the metric by more than `METRIC_TOLERANCE`.
    """
    metric = lattice @ lattice.T
    moved = np.matmul(rotations.transpose(0, 2, 1), metric) @ rotations
    scale = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
    worst = float(np.abs((moved - metric) / scale).max())
    if worst > METRIC_TOLERANCE:
        raise StructureError("symmetry: the operators do not fit the cell")


def expand_sites(
    lattice: NDArray[np.float64],
    elements: Sequence[str],
    frac: NDArray[np.float64],
    occupancy: NDArray[np.float64],
    u_iso_A2: NDArray[np.float64],
    beta: NDArray[np.float64] | None,
    rotations: NDArray[np.int64],
    translations: NDArray[np.float64],
    merge_distance_A: float = MERGE_DISTANCE_A,
) -> Sites:
    """All atoms of the cell from the listed sites and every symmetry operator.

    A site whose images under some operators nearly coincide lies on a special position: it is moved onto it exactly
    (the mean of those images, likewise its tensor), and each position is listed once.

    Args:
        lattice: (3, 3), rows are the cell vectors, A.
        elements: n symbols.
        frac: (n, 3) fractional coordinates.
        occupancy: (n,).
        u_iso_A2: (n,), NaN where not known.
        beta: (n, 3, 3) dimensionless tensors, NaN where not known; or None.
        rotations: (m, 3, 3) integers, acting on fractional columns, centring included.
        translations: (m, 3).
        merge_distance_A: images closer than this are one atom.

    Returns:
        `Sites`, the images of one listed site next to each other, coordinates in [0, 1).

    Raises:
        StructureError: more than `MAX_ATOMS` atoms.
    """
    m = len(rotations)
    rows: list[NDArray[np.float64]] = []
    betas: list[NDArray[np.float64]] = []
    origin: list[NDArray[np.intp]] = []
    images = turned(rotations, frac[:, None, :]) + translations
    fixes = _coincide(images - frac[:, None, :], lattice, merge_distance_A)
    for i in range(len(elements)):
        stabiliser = np.flatnonzero(fixes[i])
        here, tensor = images[i], None if beta is None else beta[i]
        first = np.arange(m)
        if len(stabiliser) > 1:
            near = here[stabiliser]
            special = (near - np.round(near - frac[i])).mean(axis=0)
            here = turned(rotations, special) + translations
            first = _first_of_each(here, lattice, merge_distance_A, m // len(stabiliser))
            if tensor is not None:
                turns = rotations[stabiliser]
                tensor = _turned_tensor(turns, tensor).sum(axis=0) / len(stabiliser)
        rows.append(here[first])
        origin.append(np.full(len(first), i, dtype=np.intp))
        if tensor is not None:
            turns = rotations[first]
            betas.append(_turned_tensor(turns, tensor))
    source = np.concatenate(origin)
    if len(source) > MAX_ATOMS:
        raise StructureError(f"{len(source)} atoms in the cell, the limit is {MAX_ATOMS}")
    return Sites(
        elements=tuple(elements[i] for i in source),
        frac=_into_cell(np.concatenate(rows)),
        occupancy=occupancy[source],
        u_iso_A2=u_iso_A2[source],
        beta=None if beta is None else np.concatenate(betas),
        origin=source,
    )


def without_repeats(sites: Sites, lattice: NDArray[np.float64]) -> Sites:
    """Take out listed sites that symmetry had already made from another.

    Some files list every atom of the cell and all operators as well. A listed site goes when an earlier one of the same
    element lies within `MERGE_DISTANCE_A` and the two together would be more than one atom.

    Args:
        sites: from `expand_sites`.
        lattice: (3, 3), rows are the cell vectors, A.
    """
    symbols = np.array(sites.elements)
    left = np.ones(len(symbols), dtype=bool)
    firsts = np.unique(sites.origin, return_index=True)[1]
    for row in firsts[1:]:
        earlier = np.flatnonzero((symbols[:row] == symbols[row]) & left[:row])
        near = _coincide(sites.frac[earlier] - sites.frac[row], lattice, MERGE_DISTANCE_A)
        if (sites.occupancy[earlier[near]] + sites.occupancy[row] > 1.01).any():
            left &= sites.origin != sites.origin[row]
    if left.all():
        return sites
    return Sites(
        elements=tuple(symbols[left].tolist()),
        frac=sites.frac[left],
        occupancy=sites.occupancy[left],
        u_iso_A2=sites.u_iso_A2[left],
        beta=None if sites.beta is None else sites.beta[left],
        origin=sites.origin[left],
    )


def asymmetric_rows(structure: Structure) -> NDArray[np.intp] | None:
    """Rows of a structure that its operators make all the others from: one of each orbit.

    Returns:
        Row indices, or None where the operators do not reproduce the atoms, or are not those of a lattice in its
        usual setting (translations in 1/24), as with operators found about an arbitrary origin.
    """
    steps = structure.translations * 24
    if np.abs(steps - np.round(steps)).max() > 1e-3:
        return None
    same_kind = np.array(structure.elements)
    left = np.ones(len(same_kind), dtype=bool)
    chosen = []
    for row in range(len(same_kind)):
        if not left[row]:
            continue
        chosen.append(row)
        kin = np.flatnonzero(
            (same_kind == same_kind[row]) & (np.abs(structure.occupancy - structure.occupancy[row]) < 1e-4)
        )
        images = turned(structure.rotations, structure.frac[row]) + structure.translations
        met = _coincide(images[:, None, :] - structure.frac[kin], structure.lattice, MERGE_DISTANCE_A)
        if not met.any(axis=1).all():
            return None
        left[kin[met.any(axis=0)]] = False
    return np.array(chosen, dtype=np.intp)


def _turned_tensor(turns: NDArray[np.int64], tensor: NDArray[np.float64]) -> NDArray[np.float64]:
    """(m, 3, 3) images W beta W^T of a tensor under (m, 3, 3) rotations."""
    return product(product(turns, tensor), turns.transpose(0, 2, 1))


def _coincide(difference: NDArray[np.float64], lattice: NDArray[np.float64], distance_A: float) -> NDArray[np.bool_]:
    """Whether fractional differences (..., 3) are lattice vectors to within distance_A."""
    rest = difference - np.round(difference)
    close: NDArray[np.bool_] = (product(rest, lattice) ** 2).sum(axis=-1) < distance_A**2
    return close


def _first_of_each(
    points: NDArray[np.float64], lattice: NDArray[np.float64], distance_A: float, expected: int
) -> NDArray[np.intp]:
    """Indices of the points (m, 3) that repeat none before them, modulo the lattice."""
    # A snapped point's images agree to rounding; the offset keeps them off the edges of the bins.
    bins = np.floor((points + 1.23456e-4) % 1.0 * 5000).astype(np.int64) @ np.array([10**8, 10**4, 1])
    first = np.sort(np.unique(bins, return_index=True)[1])
    if len(first) == expected:
        return first
    same = _coincide(points[:, None, :] - points[None, :, :], lattice, distance_A)
    kept: NDArray[np.intp] = np.flatnonzero(np.argmax(same, axis=1) == np.arange(len(points)))
    return kept


def _into_cell(frac: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coordinates in [0, 1), what is within 1e-9 of 1 becoming 0."""
    inside = frac % 1.0
    inside[inside > 1 - 1e-9] = 0.0
    return inside
