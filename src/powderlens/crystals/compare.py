"""What two collections of crystals have in common, and how much each repeats itself.

Three measures of likeness, from strict to loose: the same crystal (`crystal.duplicates`); fingerprints that cluster
within composition and space group, as AlphaDiffract likens databases; and the same composition and structure type.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import PowderlensError
from powderlens.crystal.duplicates import find_duplicates
from powderlens.crystal.fingerprint import fingerprint
from powderlens.crystal.structure import Structure
from powderlens.crystals.table import CrystalTable

FINGERPRINT_LIMIT = 0.05
"""Crystals are equivalent whose fingerprints differ by less; the farthest pair of a cluster counts. Of 107 pairs below
it 105 were equivalent by AlphaDiffract's measure too (CrystalNN fingerprints closer than 0.9), see docs/notes."""

MEASURES = {
    "exact": "the same crystal",
    "fingerprint": "alike by fingerprint, composition and space group the same",
    "type": "structure type and composition the same",
}


@dataclass(frozen=True)
class Part:
    """Crystals in one collection alone, or in both: how many kinds, and how many more that repeat one of them."""

    unique: int
    equivalent: int


@dataclass(frozen=True)
class Side:
    """One collection: its crystals, how many kinds they are, and how many of them the other has too."""

    crystals: int
    unique: int
    equivalent: int
    shared: int


@dataclass(frozen=True)
class Overlap:
    """What one measure says."""

    a: Side
    b: Side
    only_a: Part
    only_b: Part
    both: Part

    def as_dict(self) -> dict[str, dict[str, int]]:
        """Plain numbers, for JSON."""
        return asdict(self)


def compare(a: CrystalTable, b: CrystalTable) -> dict[str, Overlap]:
    """Overlap of two collections by each of `MEASURES`.

    Args:
        a: one.
        b: the other.

    Returns:
        Measure -> `Overlap`. A crystal that gives no fingerprint is alone of its kind by that measure.

    Source: the division into unique and equivalent, alone and common, follows AlphaDiffract, supplement 2.
    """

    def both(name: str) -> list[Any]:
        return [*a.column(name), *b.column(name)]

    def load(index: int) -> Structure:
        return a.structure(index) if index < len(a) else b.structure(index - len(a))

    kinds = {
        "exact": find_duplicates(both("bucket"), load),
        "fingerprint": _alike([*zip(both("formula"), both("space_group"), strict=True)], load),
        "type": numbered(zip(both("formula"), both("structure_type"), strict=True)),
    }
    return {measure: overlap(kinds[measure][: len(a)], kinds[measure][len(a) :]) for measure in MEASURES}


def overlap(a: NDArray[np.int64], b: NDArray[np.int64]) -> Overlap:
    """Counts from the kind of each crystal.

    Args:
        a: (n,) a number for each crystal, equal where they are of one kind.
        b: (m,) likewise, the same numbers.
    """
    in_a, in_b = set(a.tolist()), set(b.tolist())
    common = in_a & in_b
    shared_a, shared_b = (int(np.isin(kinds, list(common)).sum()) for kinds in (a, b))
    return Overlap(
        a=Side(len(a), len(in_a), len(a) - len(in_a), shared_a),
        b=Side(len(b), len(in_b), len(b) - len(in_b), shared_b),
        only_a=Part(len(in_a - common), len(a) - shared_a - len(in_a - common)),
        only_b=Part(len(in_b - common), len(b) - shared_b - len(in_b - common)),
        both=Part(len(common), shared_a + shared_b - len(common)),
    )


def numbered(keys: Iterable[Hashable]) -> NDArray[np.int64]:
    """The index of the first of its like for each key."""
    first: dict[Hashable, int] = {}
    return np.array([first.setdefault(key, index) for index, key in enumerate(keys)], dtype=np.int64)


def _alike(keys: Sequence[Hashable], load: Callable[[int], Structure]) -> NDArray[np.int64]:
    """Kinds by clusters of fingerprints (complete linkage) among crystals with one key."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import pdist

    kinds = np.arange(len(keys), dtype=np.int64)
    members: dict[Hashable, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        members[key].append(index)
    for rows in members.values():
        prints, usable = [], []
        for row in rows if len(rows) > 1 else []:
            try:
                prints.append(fingerprint(load(row)).ravel())
            except PowderlensError:
                continue
            usable.append(row)
        if len(usable) > 1:
            points = np.array(prints)
            apart = pdist(points) / np.sqrt(points.shape[1])
            labels = fcluster(linkage(apart, "complete"), FINGERPRINT_LIMIT, "distance")
            kinds[usable] = np.array(usable)[numbered(labels.tolist())]
    return kinds
