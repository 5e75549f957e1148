"""What two collections share."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from powderlens.crystal.label import find_symmetry
from powderlens.crystal.structure import Structure
from powderlens.crystals.compare import MEASURES, Part, Side, compare, overlap
from powderlens.crystals.table import SCHEMA, CrystalTable, crystal_row


def collection(crystals: Sequence[Structure]) -> CrystalTable:
    rows = [crystal_row(find_symmetry(crystal)) for crystal in crystals]
    return CrystalTable.of(pa.Table.from_pylist(rows, schema=SCHEMA))


def resized(crystal: Structure, factor: float) -> Structure:
    return replace(crystal, lattice=crystal.lattice * factor)


def test_counts_add_up() -> None:
    found = overlap(np.array([0, 0, 2, 3]), np.array([0, 5, 5, 3, 3, 8]))
    assert found.a == Side(crystals=4, unique=3, equivalent=1, shared=3)
    assert found.b == Side(crystals=6, unique=4, equivalent=2, shared=3)
    assert (found.only_a, found.only_b, found.both) == (Part(1, 0), Part(2, 1), Part(2, 4))
    parts = (found.only_a, found.only_b, found.both)
    assert sum(part.unique + part.equivalent for part in parts) == 10


def test_measures_from_strict_to_loose(minerals: dict[str, Structure]) -> None:
    rutile, quartz, halite = minerals["Rutile"], minerals["Quartz"], minerals["Halite"]
    flat = replace(rutile, lattice=rutile.lattice * [1, 1, 1.4])
    a = collection([rutile, halite, resized(halite, 1.001)])
    b = collection([resized(rutile, 1.1), resized(halite, 0.999), flat, quartz])
    found = compare(a, b)
    assert list(found) == list(MEASURES)
    # A rutile 10 % larger is another crystal, but built alike; one stretched along c only shares its type.
    assert found["exact"].both == Part(1, 2)
    assert found["fingerprint"].both == Part(2, 3)
    assert found["type"].both == Part(2, 4)
    assert found["exact"].only_b == Part(3, 0)
    assert found["type"].only_b == Part(1, 0)
    assert found["exact"].a.equivalent == 1


def test_no_pair_of_a_cluster_is_beyond_the_limit(
    minerals: dict[str, Structure], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four like crystals in a row, each near the next: the ends are no kin."""
    monkeypatch.setattr("powderlens.crystals.compare.fingerprint", lambda crystal: np.sort(crystal.cell[:3])[1:2])
    row = [replace(minerals["Halite"], lattice=np.diag([5.3 + x, 5, 6])) for x in (0, 0.03, 0.07, 0.1)]
    assert compare(collection(row), collection([]))["fingerprint"].a == Side(4, 2, 2, 0)


def test_a_collection_is_all_shared_with_itself(minerals: dict[str, Structure]) -> None:
    whole = collection(list(minerals.values()))
    for entry in compare(whole, whole).values():
        assert entry.both == Part(len(minerals), len(minerals))
        assert entry.only_a == entry.only_b == Part(0, 0)


def test_one_empty_side(minerals: dict[str, Structure]) -> None:
    found = compare(collection(list(minerals.values())), collection([]))
    assert found["exact"].only_a == Part(len(minerals), 0)
    assert found["type"].b == Side(0, 0, 0, 0)
