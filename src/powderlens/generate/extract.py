"""Statistics of many crystals, as synthetic ones are drawn from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from powderlens.core.errors import InputError
from powderlens.generate.density import LatticeShapes, Volumes, shape_of
from powderlens.generate.occupation import Occupation, positions_by_letter
from powderlens.generate.statistics import MIN_CRYSTALS, CrystalStatistics, ElementCounts, Occupancies, pools_of
from powderlens.symmetry.groups import SYSTEMS, crystal_system

Key = TypeVar("Key", int, str)

MAX_SITES = 100
"""Most sites in the asymmetric unit, in the statistics and in what is drawn. Source: ML4pXRDs, section 2.1."""

MAX_VOLUME_A3 = 7000.0
"""Largest conventional cell. Source: ML4pXRDs, section 2.1."""

LATTICE_POINTS = 4000
VOLUME_POINTS = 1000
"""Most examples that are kept of a density estimate."""


class _Gathered:
    """Counts of one group or pool while crystals come in."""

    def __init__(self) -> None:
        self.number_of_elements: Counter[int] = Counter()
        self.repetitions: defaultdict[str, defaultdict[int, Counter[int]]] = defaultdict(lambda: defaultdict(Counter))
        self.places: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.volumes: list[tuple[float, float, int]] = []

    def add(self, one: Occupation, places: Sequence[str], atomic_A3: float) -> None:
        repetitions = Counter(one.elements)
        n = len(repetitions)
        self.number_of_elements[n] += 1
        for element, sites in repetitions.items():
            self.repetitions[element][n][sites] += 1
        for element, place in zip(one.elements, places, strict=True):
            self.places[element][place] += 1
        self.volumes.append((atomic_A3, one.volume_A3, n))

    def __len__(self) -> int:
        return len(self.volumes)

    def finish(self) -> Occupancies:
        volumes = np.array(self.volumes)
        elements = {}
        for element in sorted(self.repetitions):
            tables = {n: _ordered(table) for n, table in sorted(self.repetitions[element].items())}
            crystals = {n: sum(table.values()) for n, table in tables.items()}
            elements[element] = ElementCounts(crystals, tables, _ordered(self.places[element]))
        return Occupancies(
            crystals=len(self),
            number_of_elements=_ordered(self.number_of_elements),
            elements=elements,
            volumes=Volumes.of(volumes[:, 0], volumes[:, 1], volumes[:, 2].astype(np.int64), VOLUME_POINTS),
        )


def _ordered(counts: Counter[Key]) -> dict[Key, int]:
    return {key: counts[key] for key in sorted(counts)}


def extract_statistics(
    crystals: Iterable[Occupation],
    *,
    origin: Iterable[Mapping[str, object]] = (),
    leave_out_types: Collection[str] = (),
) -> CrystalStatistics:
    """Count what synthetic crystals are drawn from.

    Crystals with more than `MAX_SITES` sites or a cell beyond `MAX_VOLUME_A3` are left out and counted, as are those of
    the structure types that are to be left out.

    Args:
        crystals: any number.
        origin: what the statistics say of their source: name, licence, citation.
        leave_out_types: structure types that the statistics must not know, as for testing on them.

    Raises:
        InputError: no crystal is left, or a structure type to be left out does not occur.
    """
    of_group: defaultdict[int, _Gathered] = defaultdict(_Gathered)
    of_pool: defaultdict[str, _Gathered] = defaultdict(_Gathered)
    shapes: defaultdict[str, list[list[float]]] = defaultdict(list)
    left_out: Counter[str] = Counter()
    unwanted, met = set(leave_out_types), set()
    for one in crystals:
        if one.structure_type in unwanted:
            met.add(one.structure_type)
            left_out["structure type left out"] += 1
        elif len(one.letters) > MAX_SITES:
            left_out[f"more than {MAX_SITES} sites"] += 1
        elif one.volume_A3 > MAX_VOLUME_A3:
            left_out[f"cell larger than {MAX_VOLUME_A3:g} A^3"] += 1
        else:
            atomic_A3 = one.atomic_A3
            table = positions_by_letter(one.space_group)
            of_group[one.space_group].add(one, one.letters, atomic_A3)
            free = [str(table[letter].free) for letter in one.letters]
            for pool in pools_of(one.space_group):
                of_pool[pool].add(one, free, atomic_A3)
            system = crystal_system(one.space_group)
            shapes[system].append(shape_of(system, one.cell))
    if missing := unwanted - met:
        raise InputError(f"structure type {min(missing)!r} to be left out: no crystal has it; see the table's column")
    if not of_group:
        raise InputError("no crystal is left for the statistics; give a larger table")
    return CrystalStatistics(
        groups={g: of_group[g].finish() for g in sorted(of_group) if len(of_group[g]) >= MIN_CRYSTALS},
        pools={p: of_pool[p].finish() for p in sorted(of_pool) if len(of_pool[p]) >= MIN_CRYSTALS},
        lattices={s: LatticeShapes.of(s, np.array(shapes[s]), LATTICE_POINTS) for s in SYSTEMS if len(shapes[s]) > 1},
        counts={g: len(of_group[g]) for g in sorted(of_group)},
        origin=tuple(origin),
        left_out=dict(left_out.most_common()),
        leave_out_types=tuple(sorted(unwanted)),
    )
