"""What the crystals of one group are drawn from, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.generate.radii import atomic_volume_A3
from powderlens.generate.sites import GroupSites, group_sites
from powderlens.generate.statistics import CrystalStatistics
from powderlens.generate.stream import Stream
from powderlens.symmetry.groups import symbol

OTHER_CRYSTALS = 2.0
"""The whole group's weight in choosing elements, in crystals, beside those with the same number of elements."""

OTHER_REPETITIONS = 3.0
"""The same, in choosing on how many sites an element sits."""


class GroupWeights:
    """Draws elements, their sites and volumes of one group.

    Args:
        statistics: of a database.
        number: International Tables number.
        elements: only these; None takes all.

    Raises:
        InputError: no statistics for the group, or none of the elements occurs there.

    Attributes:
        number: International Tables number.
        owner: whose statistics they are: "own", or the name of a pool.
        sites: Wyckoff positions of the group.
        volumes: density estimate of the volume.
        lattice: that of the cell's shape.
        atomic_A3: volume of an atom of each of its elements.
        multiplicity: of each Wyckoff position.
        most_elements: the largest number of elements that can be drawn.
    """

    def __init__(self, statistics: CrystalStatistics, number: int, elements: frozenset[str] | None) -> None:
        source, self.owner = statistics.of_group(number)
        self.number = number
        self.sites: GroupSites = group_sites(number)
        self.volumes, self.lattice = source.volumes, statistics.lattice(number)
        self.elements = [e for e in source.elements if elements is None or e in elements]
        if not self.elements:
            raise InputError(
                f"space group {number} ({symbol(number)}): none of {', '.join(sorted(elements or ()))} occurs in its "
                "statistics; choose more elements or other groups"
            )
        self._of_element = [source.elements[e] for e in self.elements]
        self.atomic_A3 = [atomic_volume_A3(e) for e in self.elements]
        self.multiplicity: list[int] = self.sites.multiplicity.tolist()
        self.most_elements = len(self.elements)
        kept = {n: count for n, count in source.number_of_elements.items() if n <= self.most_elements}
        self._numbers = list(kept) or [self.most_elements]
        self._number_ends = list(accumulate(kept.values())) or [1]
        self._whole_group = np.array([sum(one.crystals.values()) for one in self._of_element], dtype=float)
        self._place_ends = [list(accumulate(self._expand(one.places))) for one in self._of_element]
        self._all_places = list(np.sum([self._expand(one.places) for one in source.elements.values()], axis=0))
        self._fixed = (self.sites.free == 0).tolist()
        self._inclusions: dict[int, NDArray[np.float64]] = {}
        self._sites_of: dict[tuple[int, int], tuple[list[int], list[float]]] = {}

    def _expand(self, places: Mapping[str, int]) -> list[float]:
        """A weight for each Wyckoff position; a pool's are shared out among positions with as many free coordinates."""
        if self.owner == "own":
            return [float(places.get(position.letter, 0)) for position in self.sites.positions]
        free = self.sites.free.tolist()
        return [places.get(str(f), 0) / free.count(f) for f in free]

    def draw_number(self, stream: Stream) -> int:
        """A number of elements."""
        return self._numbers[stream.choose(self._number_ends)]

    def draw_elements(self, stream: Stream, count: int) -> list[int]:
        """Indices of so many different elements, each included as often as in the crystals of that many elements.

        Systematic sampling over the elements in random order, which keeps the chance of every element exactly; drawing
        one after the other without putting back would thin out the frequent ones, oxygen above all. Source: Madow,
        Ann. Math. Stat. 20, 333 (1949).
        """
        if count not in self._inclusions:
            self._inclusions[count] = self._inclusion(count)
        order = stream.uniform(self.most_elements).argsort(kind="stable")
        ends = self._inclusions[count][order].cumsum()
        ticks = (stream.number() + np.arange(count)) * (ends[-1] / count)
        picked: list[int] = order[np.minimum(ends.searchsorted(ticks, side="right"), len(order) - 1)].tolist()
        return picked

    def _inclusion(self, count: int) -> NDArray[np.float64]:
        """(elements,) chances that sum to `count`, none above 1."""
        here = np.array([one.crystals.get(count, 0) for one in self._of_element], dtype=float)
        chance = here + OTHER_CRYSTALS * count * self._whole_group / self._whole_group.sum()
        chance *= count / chance.sum()
        for _ in range(len(chance)):
            sure = chance >= 1
            if not (chance > 1 + 1e-12).any():
                break
            chance[sure] = 1.0
            chance[~sure] *= (count - sure.sum()) / chance[~sure].sum()
        return np.minimum(chance, 1.0)

    def draw_repetitions(self, stream: Stream, element: int, count: int) -> int:
        """On how many sites this element sits in a crystal of `count` elements."""
        key = element, count
        if key not in self._sites_of:
            self._sites_of[key] = self._repetition_table(*key)
        values, ends = self._sites_of[key]
        return values[stream.choose(ends)]

    def _repetition_table(self, element: int, count: int) -> tuple[list[int], list[float]]:
        one = self._of_element[element]
        total = sum(one.crystals.values())
        weights: dict[int, float] = {}
        for n, table in one.repetitions.items():
            for sites, crystals in table.items():
                share = OTHER_REPETITIONS * crystals / total + (crystals if n == count else 0)
                weights[sites] = weights.get(sites, 0.0) + share
        return list(weights), list(accumulate(weights.values()))

    def draw_places(self, stream: Stream, elements: list[int]) -> list[int] | None:
        """A Wyckoff position for each site, given its element; a fixed point is used once.

        An element whose own positions are all taken goes where the others of its group go.

        Returns:
            None where no position is left.
        """
        taken: set[int] = set()
        chosen = []
        for element in elements:
            place = self._draw_place(stream, element, taken)
            if place is None:
                return None
            if self._fixed[place]:
                taken.add(place)
            chosen.append(place)
        return chosen

    def _draw_place(self, stream: Stream, element: int, taken: set[int]) -> int | None:
        ends = self._place_ends[element]
        if ends[-1] > 0 and (place := stream.choose(ends)) not in taken:
            return place
        own = [0.0, *ends]
        for weights in ([b - a for a, b in pairwise(own)], self._all_places):
            left = list(accumulate(0.0 if i in taken else weight for i, weight in enumerate(weights)))
            if left[-1] > 0:
                return stream.choose(left)
        return None
