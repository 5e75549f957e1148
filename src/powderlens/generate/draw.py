"""Synthetic crystals, drawn from the statistics of a database.

Source: ML4pXRDs, Schopmans, Reiser and Friederich, Digital Discovery 2, 1414 (2023), sections 2.1 and S1.
docs/GENERATOR.md lists the steps and where they depart from the published ones.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import log, product
from powderlens.core.errors import InputError, StructureError
from powderlens.crystal.elements import NUMBER
from powderlens.crystal.structure import Structure, lattice_from_cell
from powderlens.generate.distance import Distances, check_distances, draw_coordinates, overlapping, pair_distances_A
from powderlens.generate.extract import MAX_SITES, MAX_VOLUME_A3
from powderlens.generate.occupation import Occupation
from powderlens.generate.sites import group_sites, has_group
from powderlens.generate.statistics import CrystalStatistics
from powderlens.generate.stream import Stream
from powderlens.generate.weights import GroupWeights
from powderlens.symmetry.groups import symbol
from powderlens.symmetry.wyckoff import operators

MIN_VOLUME_PER_ATOM_A3 = 0.75
"""Smallest volume of the cell for each of its atoms. Source: ML4pXRDs' program."""

CANDIDATES = 12
"""Fillings that are drawn, of which the one whose atoms come closest to a wanted volume is built."""

TRIES = 20
"""Crystals that may fail before the number of elements is drawn again. Source: ML4pXRDs, section S1."""

ROUNDS = 500
"""How often the number of elements is drawn before a group is given up."""

MORE_FILLINGS = 2
"""Of the others, how many are built where atoms of the first are too close, before new ones are drawn."""

Filling = tuple[list[int], NDArray[np.intp], float]
"""Element and position of each site, as indices, and the summed volume of the atoms, A^3."""

PURPOSE = 1
"""The generator's own stream of random numbers."""


@dataclass(frozen=True, eq=False)
class SyntheticCrystal:
    """One drawn crystal, in the standard setting.

    Attributes:
        occupation: group, cell, and the element and Wyckoff letter of each site.
        places: (n,) index of each site's position among the group's.
        xyz: (n, 3) parameters of that position; those that are not free mean nothing.
        statistics: whose they were: "own", or the name of a pool.
        tries: crystals that were built until this one held.
    """

    occupation: Occupation
    places: NDArray[np.intp]
    xyz: NDArray[np.float64]
    statistics: str
    tries: int

    def structure(self, *, name: str = "", source: str = "") -> Structure:
        """All atoms of the conventional cell with the operators of the group; the images of a site stand together."""
        one, sites = self.occupation, group_sites(self.occupation.space_group)
        rows = [sites.positions[place].sites(at) for place, at in zip(self.places.tolist(), self.xyz, strict=True)]
        frac = np.concatenate(rows)
        rotations, translations = operators(one.space_group)
        return Structure(
            lattice=lattice_from_cell(one.cell),
            elements=tuple(e for e, row in zip(one.elements, rows, strict=True) for _ in row),
            frac=frac,
            occupancy=np.ones(len(frac)),
            u_iso_A2=np.full(len(frac), np.nan),
            rotations=rotations,
            translations=translations,
            space_group=one.space_group,
            name=name,
            source=source,
        )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a drawn crystal must keep; the published values, but for the distances of its atoms.

    Attributes:
        max_sites: most sites in the asymmetric unit.
        max_volume_A3: largest conventional cell.
        min_volume_per_atom_A3: smallest volume of the cell for each of its atoms; 0 asks nothing.
        min_distance_A: shortest distance of any two atoms; 0 asks nothing.
        distances: "covalent" keeps two atoms 0.7 of the sum of their covalent radii apart, two nonmetals 0.8, see
            `distance.COVALENT_SHARE`; "published" asks nothing, as ML4pXRDs.

    Raises:
        InputError: a limit that no crystal can keep.
    """

    max_sites: int = MAX_SITES
    max_volume_A3: float = MAX_VOLUME_A3
    min_volume_per_atom_A3: float = MIN_VOLUME_PER_ATOM_A3
    min_distance_A: float = 0.0
    distances: Distances = "covalent"

    def __post_init__(self) -> None:
        if self.max_sites < 1 or not self.max_volume_A3 > 0:
            raise InputError(f"at most {self.max_sites} sites in {self.max_volume_A3:g} A^3: both must be positive")
        if not 0 <= self.min_volume_per_atom_A3 < 100 or not 0 <= self.min_distance_A < 10:
            raise InputError(
                f"{self.min_volume_per_atom_A3:g} A^3 an atom, {self.min_distance_A:g} A apart: give a volume of 0 to "
                "100 A^3 and a distance of 0 to 10 A"
            )
        check_distances(self.distances)


class CrystalGenerator:
    """Draws crystals: crystal `index` of a seed is always the same, whoever draws it.

    Args:
        statistics: what is drawn from.
        seed: 0 to 2^63 - 1.
        groups: only these space groups; None takes all that have statistics of their own (and of the elements).
        elements: only these elements; None takes all.
        uniform: every group equally often, not as often as in the statistics.
        limits: what every crystal must keep.
        candidates: see `CANDIDATES`.

    Raises:
        InputError: no statistics for a group, or no such element there.

    Attributes:
        groups: the space groups that are drawn from.
        owners: whose statistics each of them has: "own", or the name of a pool.
    """

    def __init__(
        self,
        statistics: CrystalStatistics,
        *,
        seed: int,
        groups: Collection[int] | None = None,
        elements: Collection[str] | None = None,
        uniform: bool = False,
        limits: Limits | None = None,
        candidates: int = CANDIDATES,
    ) -> None:
        self._seed, self._candidates = seed, candidates
        self._limits = Limits() if limits is None else limits
        Stream(seed, 0, PURPOSE)
        only = None if elements is None else frozenset(elements)
        if only is not None and (unknown := only - NUMBER.keys() or only & {"D"}):
            raise InputError(f"element {min(unknown)!r}: give symbols such as Si,O")
        self._statistics, self._only = statistics, only
        if groups is None:
            having = [g for g, one in sorted(statistics.groups.items()) if only is None or only & one.elements.keys()]
            if not having:
                raise InputError(f"no space group has statistics of {', '.join(sorted(only or ()))}; choose others")
        else:
            having = sorted(set(groups))
        self._weights: dict[int, GroupWeights] = {}
        self.groups = tuple(having)
        self.owners = {number: self._of(number).owner if groups is not None else "own" for number in having}
        shares = [1 if uniform else statistics.counts.get(g, 0) for g in having]
        self._ends = list(accumulate(shares if any(shares) else [1] * len(having)))

    def _of(self, number: int) -> GroupWeights:
        if number not in self._weights:
            self._weights[number] = GroupWeights(self._statistics, number, self._only)
        return self._weights[number]

    def crystal(self, index: int) -> SyntheticCrystal:
        """Crystal `index`, 0 and on.

        Raises:
            InputError: a group in which hardly any crystal keeps the limits.
        """
        stream = Stream(self._seed, index, PURPOSE)
        weights = self._of(self.groups[stream.choose(self._ends)])
        apart = self._limits.distances == "covalent"
        tries = 0
        for _ in range(ROUNDS):
            count = weights.draw_number(stream)
            wanted_A3 = weights.volumes.draw_atomic(stream, count)
            rank = weights.volumes.draw_rank(stream) if apart else None
            fillings: list[Filling] = []
            for _ in range(TRIES):
                tries += 1
                if not fillings:
                    fillings = self._fill(weights, count, wanted_A3, stream)[-1 - apart * MORE_FILLINGS :]
                if not fillings:
                    continue
                if (made := self._attempt(weights, fillings.pop(), rank, stream)) is not None:
                    return SyntheticCrystal(*made, weights.owner, tries)
        raise InputError(
            f"space group {weights.number} ({symbol(weights.number)}): {tries} crystals failed, none kept the "
            "limits and its group; loosen the limits or leave the group out"
        )

    def _attempt(
        self, weights: GroupWeights, filling: Filling, rank: tuple[float, float] | None, stream: Stream
    ) -> tuple[Occupation, NDArray[np.intp], NDArray[np.float64]] | None:
        """The filling in a cell, or None where it breaks a limit or has another group.

        With a rank all tries are as dense, for what they are filled with. Where each draws a density of its own, and
        two of five fail because atoms are too close, those that are left are the loose ones.
        """
        elements, places, atomic_A3 = filling
        sites, limits = weights.sites, self._limits
        many = sites.multiplicity[places]
        volume_A3 = weights.volumes.draw(stream, atomic_A3, rank)
        if volume_A3 > limits.max_volume_A3 or volume_A3 < limits.min_volume_per_atom_A3 * many.sum():
            return None
        try:
            cell = weights.lattice.draw(stream, volume_A3)
        except StructureError:
            return None
        lattice = product(sites.basis, lattice_from_cell(cell))
        names = tuple(weights.elements[element] for element in elements)
        apart_A = pair_distances_A(names, limits.min_distance_A, limits.distances)
        xyz = draw_coordinates(sites, places, lattice, apart_A, stream)
        if xyz is None:
            return None
        frac = sites.primitive_frac(places, xyz)
        here = many // sites.centring
        if not apart_A.any() and overlapping(frac, np.cumsum(here) - here, lattice):
            return None
        kinds = np.repeat([NUMBER[name] for name in names], here).tolist()
        if not has_group(lattice, frac, kinds, weights.number):
            return None
        letters = tuple(sites.positions[place].letter for place in places.tolist())
        return Occupation(weights.number, cell, volume_A3, letters, names), places, xyz

    def _fill(self, weights: GroupWeights, count: int, wanted_A3: float, stream: Stream) -> list[Filling]:
        """Fillings, the one whose atoms come closest to a volume last."""
        found: list[tuple[float, Filling]] = []
        many, volume_A3 = weights.multiplicity, weights.atomic_A3
        for _ in range(self._candidates):
            elements: list[int] = []
            for element in weights.draw_elements(stream, count):
                elements += [element] * weights.draw_repetitions(stream, element, count)
            if len(elements) > self._limits.max_sites:
                continue
            places = weights.draw_places(stream, elements)
            if places is None:
                continue
            atomic_A3 = sum(many[place] * volume_A3[element] for place, element in zip(places, elements, strict=True))
            found.append((abs(log(float(atomic_A3 / wanted_A3))), (elements, np.array(places), atomic_A3)))
        found.sort(key=lambda one: one[0])
        return [filling for _, filling in reversed(found)]
