"""Which crystals of a collection are one and the same: buckets by composition, exact match inside a bucket.

Two crystals are the same when a choice of axes and origin lays every atom of one within `ATOM_LIMIT_A` of an atom of
the other, and no length of the cell changes by more than `STRETCH_LIMIT`. Left- and right-handed forms are the same, as
they are to a powder; so are hydrogen and deuterium. Temperature factors, names and stated symmetry do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import moyopy
import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import StructureError
from powderlens.crystal.convert import shared_sites
from powderlens.crystal.label import Symmetry
from powderlens.crystal.match_kernel import match, pure_translations
from powderlens.crystal.operators import primitive_basis
from powderlens.crystal.structure import Structure

STRETCH_LIMIT = 0.02
"""Largest relative change of any length: calculated cells are 1 to 2 % off the measured ones."""

ATOM_LIMIT_A = 0.1
"""Farthest that an atom may be from its counterpart: the displacement up to which a stable space group stays."""

OCCUPANCY_LIMIT = 0.05
"""Largest difference of an element's share of a site."""

TRANSLATION_LIMITS_A = (0.05, 0.1)
"""How well a translation must fit to make a cell smaller. Where the two give different cells, either may match: the
cell that noise makes of a superstructure does not decide."""

FULL = 0.995
"""Sites filled more than this count as full."""

IDENTITY = np.eye(3, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class PrimitiveCrystal:
    """A crystal in a reduced primitive cell, ready to be matched.

    Attributes:
        lattice: (3, 3), rows are the cell vectors, A; reduced by Minkowski's conditions.
        frac: (n, 3).
        kinds: (n,) index into `names` of each site.
        names: element sets of the sites in alphabetical order, such as ("Fe Mg", "O").
        occupancy: (n, m) shares of a site's elements, in alphabetical order, filled up with zeros.
    """

    lattice: NDArray[np.float64]
    frac: NDArray[np.float64]
    kinds: NDArray[np.int64]
    names: tuple[str, ...]
    occupancy: NDArray[np.float64]

    @cached_property
    def first(self) -> int:
        """A site of the rarest kind."""
        counts = np.bincount(self.kinds)
        counts[counts == 0] = len(self.kinds) + 1
        return int(np.argmax(self.kinds == np.argmin(counts)))

    @cached_property
    def volume_A3(self) -> float:
        """Volume of the primitive cell."""
        return float(abs(np.linalg.det(self.lattice)))

    @cached_property
    def inverse(self) -> NDArray[np.float64]:
        """Inverse of `lattice`."""
        return np.ascontiguousarray(np.linalg.inv(self.lattice))

    @cached_property
    def reach(self) -> NDArray[np.float64]:
        """(3,) lengths of the reciprocal vectors, 1/A."""
        return np.ascontiguousarray(np.linalg.norm(self.inverse, axis=0))

    @cached_property
    def signature(self) -> tuple[object, ...]:
        """What equal crystals have in common to the last digit: kinds of sites and how many of each."""
        return (self.names, self.occupancy.shape[1], *np.bincount(self.kinds, minlength=len(self.names)).tolist())


@dataclass(frozen=True)
class Overlay:
    """How well one crystal lies on another: largest stretch, rms and largest distance of atoms in A."""

    stretch: float
    rms_A: float
    farthest_A: float


def bucket_of(symmetry: Symmetry) -> str:
    """What two crystals must share before they are compared: the composition.

    It depends on nothing that is measured with an error: neither on the cell nor on the group found, which atoms moved
    by 0.01 A lose. Where sites are shared or part-filled the elements alone are given, with a "~" behind them, since
    occupancies are such numbers.

    Returns:
        The reduced formula ("Al2 O3"), or the elements ("Fe Mg O Si ~").
    """
    return composition_bucket(symmetry.structure)


def composition_bucket(structure: Structure) -> str:
    """As `bucket_of`, for a structure whose symmetry has not been looked for."""
    counts: dict[str, int] = {}
    for element in structure.elements:
        name = "H" if element == "D" else element
        counts[name] = counts.get(name, 0) + 1
    if structure.occupancy.min() < FULL:
        return " ".join([*sorted(counts), "~"])
    common = np.gcd.reduce(list(counts.values()))
    return " ".join(f"{name}{'' if n == common else n // common}" for name, n in sorted(counts.items()))


def primitive_crystals(structure: Structure) -> list[PrimitiveCrystal]:
    """Reduced primitive cells of a crystal: one, or two where it depends on the tolerance which translations it has.

    Raises:
        StructureError: the lattice cannot be reduced.
    """
    kinds, names, occupancy, rows = _site_kinds(structure)
    frac, lattice = _reduced(structure.lattice, structure.frac[rows])
    whole = PrimitiveCrystal(lattice, frac, kinds, names, occupancy)
    found: list[PrimitiveCrystal] = []
    if np.gcd.reduce(np.bincount(kinds)) > 1:
        for limit_A in TRANSLATION_LIMITS_A:
            smaller = _smaller(whole, limit_A)
            if not found or (smaller is not None and len(smaller.kinds) != len(found[-1].kinds)):
                found.append(smaller or whole)
    return found or [whole]


def fit_of(a: PrimitiveCrystal, b: PrimitiveCrystal, *, stretch: float = STRETCH_LIMIT) -> Overlay | None:
    """How b lies on a, or None where it does not within the limits of this module."""
    if a.signature != b.signature or abs(np.log(a.volume_A3 / b.volume_A3)) > 3.1 * stretch:
        return None
    same, change, rms_A, farthest_A = match(
        a.lattice, a.inverse, a.frac, a.kinds, a.occupancy, b.lattice, b.reach, b.frac, b.kinds, b.occupancy,
        a.first, stretch, ATOM_LIMIT_A, OCCUPANCY_LIMIT,
    )  # fmt: skip
    return Overlay(change, rms_A, farthest_A) if same else None


def same_structure(a: Structure, b: Structure) -> bool:
    """Whether two structures, in whatever cells, describe one crystal; see the module for what that means.

    Raises:
        StructureError: a lattice cannot be reduced.
    """
    return composition_bucket(a) == composition_bucket(b) and _any_fit(primitive_crystals(a), primitive_crystals(b))


def find_duplicates(buckets: Sequence[str], load: Callable[[int], Structure]) -> NDArray[np.int64]:
    """For each crystal the first one that it equals.

    Each is compared with those before it that equal none themselves, so that likeness is not passed along a chain.

    Args:
        buckets: of each crystal, from `bucket_of`.
        load: gives a crystal by its index; those that are alone in their bucket are never asked for.

    Returns:
        (n,) index of the first crystal of each one's kind; its own where there is none before it.
    """
    first = np.arange(len(buckets), dtype=np.int64)
    members: dict[str, list[int]] = {}
    for index, bucket in enumerate(buckets):
        members.setdefault(bucket, []).append(index)
    for rows in members.values():
        if len(rows) > 1:
            for index, earlier in _first_of_each(rows, load):
                first[index] = earlier
    return first


def _first_of_each(rows: list[int], load: Callable[[int], Structure]) -> Iterator[tuple[int, int]]:
    """(crystal, first that equals it) within one bucket; what cannot be reduced equals nothing."""
    known: dict[tuple[object, ...], list[tuple[int, PrimitiveCrystal]]] = {}
    for index in rows:
        try:
            forms = primitive_crystals(load(index))
        except StructureError:
            continue
        alike = [(i, other, form) for form in forms for i, other in known.get(form.signature, ())]
        # In the order of the crystals, so that the first that fits is the earliest.
        for earlier, other, form in sorted(alike, key=lambda pair: pair[0]):
            if fit_of(other, form) is not None:
                yield index, earlier
                break
        else:
            for form in forms:
                known.setdefault(form.signature, []).append((index, form))


def _any_fit(a: list[PrimitiveCrystal], b: list[PrimitiveCrystal]) -> bool:
    return any(fit_of(one, other) is not None for one in a for other in b)


def _site_kinds(
    structure: Structure,
) -> tuple[NDArray[np.int64], tuple[str, ...], NDArray[np.float64], NDArray[np.intp]]:
    """Kind of each site, names of the kinds, shares of each site, and the first row of each site."""
    elements = ["H" if e == "D" else e for e in structure.elements]
    if structure.occupancy.min() >= FULL:
        kind_of = {name: kind for kind, name in enumerate(sorted(set(elements)))}
        kinds = np.array([kind_of[name] for name in elements])
        return kinds, tuple(kind_of), np.ones((len(kinds), 1)), np.arange(len(kinds))
    mixtures: list[dict[str, float]] = []
    sites = shared_sites(structure)
    for rows in sites:
        mixture: dict[str, float] = {}
        for row in rows:
            mixture[elements[row]] = mixture.get(elements[row], 0.0) + float(structure.occupancy[row])
        mixtures.append(mixture)
    texts = [" ".join(sorted(mixture)) for mixture in mixtures]
    names = tuple(sorted(set(texts)))
    occupancy = np.zeros((len(sites), max(map(len, mixtures))))
    for i, mixture in enumerate(mixtures):
        occupancy[i, : len(mixture)] = [share for _, share in sorted(mixture.items())]
    kinds = np.array([names.index(text) for text in texts])
    return kinds, names, occupancy, np.array([rows[0] for rows in sites])


def _reduced(
    lattice: NDArray[np.float64], frac: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates in the reduced cell of the same lattice, and that cell."""
    try:
        basis, change = moyopy.minkowski_reduce(lattice.tolist())
    except ValueError as error:
        raise StructureError(f"lattice cannot be reduced ({error})") from None
    moved = frac @ np.linalg.inv(np.array(change, dtype=float)).T
    return np.ascontiguousarray(moved % 1.0), np.array(basis)


def _smaller(whole: PrimitiveCrystal, limit_A: float) -> PrimitiveCrystal | None:
    """A crystal in a primitive cell, its coordinates means over the translations; None if its cell is one."""
    frac, kinds, occupancy = whole.frac, whole.kinds, whole.occupancy
    shifts, images = pure_translations(frac, kinds, occupancy, whole.lattice, limit_A, OCCUPANCY_LIMIT, whole.first)
    count = len(shifts)
    if count == 1 or len(frac) % count:
        return None
    steps = np.round(shifts * count) / count
    try:
        basis = primitive_basis(np.broadcast_to(IDENTITY, (count, 3, 3)), steps)
    except StructureError:
        return None
    kept = np.unique(images.min(axis=0))
    if len(kept) * count != len(frac):
        return None
    rest = frac[images[:, kept]] - steps[:, None, :] - frac[kept]
    places = frac[kept] + (rest - np.round(rest)).mean(axis=0)
    moved, edges = _reduced(basis @ whole.lattice, places @ np.linalg.inv(basis))
    return PrimitiveCrystal(edges, moved, kinds[kept], whole.names, occupancy[kept])
