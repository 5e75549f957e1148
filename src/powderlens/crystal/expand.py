"""From the sites a file lists to every atom of the unit cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import gemmi
import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import lengths, product, turned
from powderlens.core.errors import StructureError
from powderlens.crystal.operators import Operators
from powderlens.crystal.structure import FULLEST, MAX_ATOMS, Doubt, Structure

MERGE_DISTANCE_A = 0.05
"""Images of one site closer than this are one atom, A: covers coordinates printed as .333 for 1/3."""

FULL = 1.05
"""Two atoms that fill their places more than this together cannot both be within `IMPOSSIBLE_A` of each other."""

IMPOSSIBLE_A = 0.5
"""No two atoms are closer, A: the shortest bond known, H-H, has 0.74 A."""

CROWDED = 1.5
"""Beyond this many atoms a shared site is no rounding of occupancies but two atoms in one place."""

BOND_SHARE = 0.65
"""No bond is shorter than this share of the sum of the covalent radii: in N2 it is 0.77, in CO 0.79."""

STEPS = 20
RESTING_A = 1e-9
"""A site rests on a special position when the images that meet there are this close, A."""

METRIC_TOLERANCE = 0.02
"""Largest relative change of the metric tensor under an operator before cell and symmetry are said to clash."""


_DIRECTION = np.array([1, 2, 3])
_BIN_PLACES = np.array([10**8, 10**4, 1])


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
) -> Sites:
    """All atoms of the cell from the listed sites and every symmetry operator.

    A site whose images under some operators nearly coincide lies on a special position: it is moved onto it exactly
    (the mean of those images, likewise its tensor), and each position is listed once. "Nearly" is `MERGE_DISTANCE_A`,
    and `IMPOSSIBLE_A` where two images would be more than one atom: so near, they are one atom that is printed to
    too few digits, or that hops between places and was listed as if it filled them all.

    Args:
        lattice: (3, 3), rows are the cell vectors, A.
        elements: n symbols.
        frac: (n, 3) fractional coordinates.
        occupancy: (n,).
        u_iso_A2: (n,), NaN where not known.
        beta: (n, 3, 3) dimensionless tensors, NaN where not known; or None.
        rotations: (m, 3, 3) integers, acting on fractional columns, centring included.
        translations: (m, 3).

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
    near = _coincide(images - frac[:, None, :], lattice, IMPOSSIBLE_A)
    for i in range(len(elements)):
        here, tensor = images[i], None if beta is None else beta[i]
        first = np.arange(m)
        if near[i].sum() > 1:
            special, stabiliser = _special(frac[i], occupancy[i], lattice, (rotations, translations))
            if len(stabiliser) > 1:
                here = turned(rotations, special) + translations
                first = _first_of_each(here, lattice, MERGE_DISTANCE_A, m // len(stabiliser))
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


def _special(
    place: NDArray[np.float64], occupancy: float, lattice: NDArray[np.float64], operators: Operators
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The special position that a site means, and which operators keep it there."""
    if 2 * occupancy > FULL and (found := _settled(place, lattice, operators)) is not None:
        return found
    images = _images(place, operators)
    stabiliser = np.flatnonzero(_coincide(images - place, lattice, MERGE_DISTANCE_A))
    return _mean_image(place, images[stabiliser]), stabiliser


def _settled(
    place: NDArray[np.float64], lattice: NDArray[np.float64], operators: Operators
) -> tuple[NDArray[np.float64], NDArray[np.intp]] | None:
    """Where a site comes to rest that is moved to the mean of its near images again and again; None if nowhere.

    Near an axis the nearest images are not yet all of those about it: each step brings more of them within reach.
    """
    for _ in range(STEPS):
        images = _images(place, operators)
        place = _mean_image(place, images[_coincide(images - place, lattice, IMPOSSIBLE_A)])
        apart = _distances(_images(place, operators) - place, lattice)
        stabiliser = np.flatnonzero(apart < IMPOSSIBLE_A)
        if (apart[stabiliser] < RESTING_A).all():
            return place, stabiliser
    return None


def _images(place: NDArray[np.float64], operators: Operators) -> NDArray[np.float64]:
    return turned(operators[0], place) + operators[1]


def _mean_image(place: NDArray[np.float64], images: NDArray[np.float64]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = (images - np.round(images - place)).mean(axis=0)
    return mean


def without_repeats(sites: Sites, lattice: NDArray[np.float64]) -> Sites:
    """Take out listed sites that symmetry had already made from another.

    Some files list every atom of the cell and all operators as well. A listed site goes when an earlier one of the same
    element lies within `IMPOSSIBLE_A` and the two together would be more than one atom.

    Args:
        sites: from `expand_sites`.
        lattice: (3, 3), rows are the cell vectors, A.
    """
    symbols = np.array(sites.elements)
    left = np.ones(len(symbols), dtype=bool)
    firsts = np.unique(sites.origin, return_index=True)[1]
    for row in firsts[1:]:
        earlier = np.flatnonzero((symbols[:row] == symbols[row]) & left[:row])
        near = _coincide(sites.frac[earlier] - sites.frac[row], lattice, IMPOSSIBLE_A)
        if (sites.occupancy[earlier[near]] + sites.occupancy[row] > FULL).any():
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


def overfull(
    lattice: NDArray[np.float64], elements: Sequence[str], frac: NDArray[np.float64], occupancy: NDArray[np.float64]
) -> tuple[str, float]:
    """The fullest of the places that more than one atom of a cell has: what is there, and how many atoms that is.

    Args:
        lattice: (3, 3), rows are the cell vectors, A.
        elements: n symbols.
        frac: (n, 3); those within `MERGE_DISTANCE_A` of each other are one place.
        occupancy: (n,).

    Returns:
        Text such as "'Na and Cl' at 0, 0, 0", and the sum of the occupancies; "" and 0 where no place is shared.
    """
    # Sorted by a coordinate that lattice vectors leave as it is, neighbours in space are neighbours in the list.
    key = frac @ _DIRECTION % 1.0
    width = MERGE_DISTANCE_A * float(np.linalg.norm(np.linalg.inv(lattice) @ _DIRECTION))
    order = np.argsort(key)
    filled, partners = occupancy.copy(), np.zeros(len(frac), dtype=bool)
    for step in range(1, len(frac) // 2 + 1):
        others = np.roll(order, -step)
        close = np.flatnonzero((key[others] - key[order]) % 1.0 < width)
        if not len(close):
            break
        one, two = order[close], others[close]
        met = _coincide(frac[one] - frac[two], lattice, MERGE_DISTANCE_A)
        if not met.any():
            continue
        # Half round a list of even length each pair comes twice.
        pairs = np.unique(np.sort(np.stack([one[met], two[met]], axis=1), axis=1), axis=0)
        np.add.at(filled, pairs[:, 0], occupancy[pairs[:, 1]])
        np.add.at(filled, pairs[:, 1], occupancy[pairs[:, 0]])
        partners[pairs] = True
    if not partners.any():
        return "", 0.0
    fullest = int(np.argmax(np.where(partners, filled, 0.0)))
    here = np.flatnonzero(_coincide(frac - frac[fullest], lattice, MERGE_DISTANCE_A)).tolist()
    x, y, z = (round(float(v), 4) + 0.0 for v in frac[here[0]])
    return f"'{' and '.join(elements[i] for i in here)}' at {x:g}, {y:g}, {z:g}", float(filled[fullest])


def check_sites(
    lattice: NDArray[np.float64], elements: Sequence[str], frac: NDArray[np.float64], occupancy: NDArray[np.float64]
) -> list[Doubt]:
    """Refuse two atoms on one site; a doubt where a shared site is only somewhat overfull.

    Args:
        lattice: (3, 3), rows are the cell vectors, A.
        elements: symbol of each atom of the cell.
        frac: (n, 3).
        occupancy: (n,).

    Returns:
        The doubt, or none.

    Raises:
        StructureError: a place holds more than `CROWDED` atoms.
    """
    text, filled = overfull(lattice, elements, frac, occupancy)
    if filled > CROWDED:
        raise StructureError(f"{filled:.3g} atoms on one site, {text}; give their occupancies, or take one out")
    return [Doubt("site", f"{filled:.3g} atoms on one site, {text}")] if filled > FULLEST else []


def crowded(sites: Sites, lattice: NDArray[np.float64]) -> bool:
    """Whether two atoms, together more than one, are nearer than `BOND_SHARE` of the sum of their covalent radii.

    Hydrogen is left out. Radii: Cordero et al., Dalton Trans. 2832 (2008), as gemmi has them.
    """
    heavy = np.array([element not in {"H", "D"} for element in sites.elements])
    radius = np.array([gemmi.Element(element).covalent_r for element in sites.elements])
    for row in np.unique(sites.origin, return_index=True)[1]:
        others = heavy & (sites.occupancy + sites.occupancy[row] > FULL)
        others[row] = False
        apart = _distances(sites.frac[others] - sites.frac[row], lattice)
        if heavy[row] and (apart < BOND_SHARE * (radius[others] + radius[row])).any():
            return True
    return False


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
    close: NDArray[np.bool_] = _distances(difference, lattice) < distance_A
    return close


def _distances(difference: NDArray[np.float64], lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lengths (...) in A of fractional differences (..., 3), each to the nearest lattice vector."""
    rest = difference - np.round(difference)
    return lengths(product(rest, lattice))


def _first_of_each(
    points: NDArray[np.float64], lattice: NDArray[np.float64], distance_A: float, expected: int
) -> NDArray[np.intp]:
    """Indices of the points (m, 3) that repeat none before them, modulo the lattice."""
    # A snapped point's images agree to rounding; the offset keeps them off the edges of the bins.
    first = np.sort(np.unique(_bins(points), return_index=True)[1])
    if len(first) == expected:
        return first
    same = _coincide(points[:, None, :] - points[None, :, :], lattice, distance_A)
    kept: NDArray[np.intp] = np.flatnonzero(np.argmax(same, axis=1) == np.arange(len(points)))
    return kept


def _bins(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """A number for each point (n, 3), the same where they agree to printing, modulo the lattice."""
    numbers: NDArray[np.int64] = np.floor((points + 1.23456e-4) % 1.0 * 5000).astype(np.int64) @ _BIN_PLACES
    return numbers


def _into_cell(frac: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coordinates in [0, 1), what is within 1e-9 of 1 becoming 0."""
    inside = frac % 1.0
    inside[inside > 1 - 1e-9] = 0.0
    return inside
