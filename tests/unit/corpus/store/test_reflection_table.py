"""The table of reflections: what goes in comes out, what cannot go in is counted, and no half of it is ever seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from powderlens.core.constants import ANODES
from powderlens.core.errors import InputError
from powderlens.corpus.store.reflection_table import D_MIN_A, MAX_ATOMS, WEAKEST, ReflectionTable, build_table
from powderlens.crystal.reduce import niggli_cell
from powderlens.crystal.structure import Reject, Structure
from powderlens.diffraction.reflections import lorentz_polarisation, reflections

CELL = (30.0, 30.0, 30.0, 90, 90, 90)
CROWDED = Structure.from_cell(
    CELL, ["Fe"] * (MAX_ATOMS + 1), np.random.default_rng(0).random((MAX_ATOMS + 1, 3)), source="test:crowded"
)
TINY = Structure.from_cell((0.9, 0.9, 0.9, 90, 90, 90), ["Fe"], [[0, 0, 0]], name="Tiny", source="test:tiny")
UNKNOWN = Structure.from_cell((4.0, 4.0, 4.0, 90, 90, 90), ["Es"], [[0, 0, 0]], source="test:es")
BAD = [Reject("test:1", "cell: not six numbers"), CROWDED, TINY, UNKNOWN, Reject("test:2", "cell: not six numbers")]


def mixed(minerals: dict[str, Structure]) -> list[Structure | Reject]:
    """Good ones with the bad ones in between."""
    good = list(minerals.values())
    return [good[0], *BAD[:3], *good[1:4], *BAD[3:], *good[4:]]


@pytest.fixture(scope="module")
def path(minerals: dict[str, Structure], tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("table") / "minerals.parquet"
    build_table(mixed(minerals), where, origin="made for a test", workers=1)
    return where


@pytest.fixture(scope="module")
def table(path: Path) -> ReflectionTable:
    return ReflectionTable.load(path)


def test_labels_come_back(table: ReflectionTable, minerals: dict[str, Structure]) -> None:
    assert table.names == list(minerals)
    assert table.ids == [f"test:{name}" for name in minerals]
    assert table.formulas == ["O2Ti", "O2Si", "ClNa", "CaF2", "Al2O3", "CCaO3", "SZn"]
    assert table.elements == ["O Ti", "O Si", "Cl Na", "Ca F", "Al O", "C Ca O", "S Zn"]
    assert table.space_group.tolist() == [136, 154, 225, 225, 167, 167, 216]


def families(table: ReflectionTable, i: int) -> tuple[np.ndarray, ...]:
    phase = table.phase(i)
    return phase.lattice, phase.rotations, phase.hkl, phase.strength


def test_cells_come_back(table: ReflectionTable, minerals: dict[str, Structure]) -> None:
    for i, structure in enumerate(minerals.values()):
        assert table.lattice_A[i] == pytest.approx(structure.lattice, abs=1e-12)
        assert table.niggli[i] == pytest.approx(niggli_cell(structure), rel=1e-6)
    halite = 5.6402 / np.sqrt(2)
    assert table.niggli[2] == pytest.approx([halite] * 3 + [60.0] * 3, rel=1e-5)


def test_reflections_come_back(table: ReflectionTable, minerals: dict[str, Structure]) -> None:
    for i, structure in enumerate(minerals.values()):
        lattice, rotations, hkl, strength = families(table, i)
        straight = reflections(structure, d_min_A=D_MIN_A)
        intensity = straight.multiplicity * straight.f_squared
        intensity = intensity / (intensity * lorentz_polarisation(straight.two_theta_deg(ANODES["Cu"].mean_A))).max()
        of = {tuple(h): value for h, value in zip(straight.hkl.tolist(), intensity, strict=True)}
        assert strength == pytest.approx([of[tuple(h)] for h in hkl.tolist()], rel=1e-6)
        left_out = len(straight.hkl) - len(hkl)
        assert 0 <= left_out < len(straight.hkl) / 2
        d_A = 1 / np.linalg.norm(hkl @ np.linalg.inv(lattice).T, axis=1)
        assert d_A.min() >= D_MIN_A
        assert {tuple(r.ravel()) for r in rotations} == {tuple(r.ravel()) for r in structure.rotations}


def test_the_strongest_line_is_one_and_the_weakest_are_left_out(table: ReflectionTable) -> None:
    for i in range(len(table)):
        lattice, _, hkl, strength = families(table, i)
        d_A = 1 / np.linalg.norm(hkl @ np.linalg.inv(lattice).T, axis=1)
        angle = 2 * np.degrees(np.arcsin(ANODES["Cu"].mean_A / (2 * d_A)))
        intensity = strength * lorentz_polarisation(angle)
        assert intensity.max() == pytest.approx(1.0, rel=1e-6)
        assert intensity.min() >= 0.999 * WEAKEST


def test_rejects_are_counted_by_reason_and_stop_nothing(path: Path, table: ReflectionTable) -> None:
    manifest = json.loads(path.with_suffix(".json").read_text())
    assert manifest["crystals_in"] == 12
    assert manifest["crystals_kept"] == len(table) == 7
    reasons = manifest["rejects"]
    assert reasons["cell: not six numbers"] == 2
    assert reasons["too many atoms"] == 1
    assert sum(count for reason, count in reasons.items() if reason.startswith("no reflection")) == 1
    assert sum(count for reason, count in reasons.items() if reason.startswith("element 'Es'")) == 1
    assert sum(reasons.values()) == 5
    assert not any("test" in reason or "Tiny" in reason for reason in reasons), "a reason is not the crystal's name"


def test_the_manifest_describes_the_file(path: Path) -> None:
    manifest = json.loads(path.with_suffix(".json").read_text())
    assert manifest["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert manifest["origin"] == "made for a test"
    assert manifest["d_min_A"] == D_MIN_A


def test_the_number_of_processes_changes_nothing(path: Path, minerals: dict[str, Structure], tmp_path: Path) -> None:
    manifest = build_table(mixed(minerals), tmp_path / "two.parquet", origin="made for a test", workers=2)
    assert manifest == json.loads(path.with_suffix(".json").read_text())


def test_two_tables_are_read_as_one(path: Path, table: ReflectionTable, small_table_path: Path) -> None:
    both = ReflectionTable.load(small_table_path, path)
    assert len(both) == 600 + 7
    for i in range(7):
        assert both.ids[600 + i] == table.ids[i]
        for got, alone in zip(families(both, 600 + i), families(table, i), strict=True):
            assert np.array_equal(got, alone)


class Stopped(Exception):
    """What stops a build in the middle."""


def test_half_a_table_is_never_seen(
    minerals: dict[str, Structure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("powderlens.corpus.store.reflection_table.CHUNK", 2)
    path = tmp_path / "t.parquet"

    def broken() -> Iterator[Structure]:
        yield from minerals.values()
        assert len(list(tmp_path.iterdir())) == 1, "written aside"
        assert not path.exists()
        raise Stopped

    with pytest.raises(Stopped):
        build_table(broken(), path, origin="", workers=1)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_build_leaves_the_table_before_it(minerals: dict[str, Structure], tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    build_table(minerals.values(), path, origin="first", workers=1)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(InputError, match=r"no crystal of 5 can be used: cell: not six numbers \(2\)"):
        build_table(BAD, path, origin="second", workers=1)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_progress_is_told(minerals: dict[str, Structure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("powderlens.corpus.store.reflection_table.CHUNK", 2)
    seen: list[int] = []
    build_table([minerals["Halite"]] * 5, tmp_path / "t.parquet", origin="", workers=1, progress=seen.append)
    assert seen == [2, 4, 5]


def test_places_that_cannot_be_written_to(minerals: dict[str, Structure], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ends in \.parquet"):
        build_table(minerals.values(), tmp_path / "table.json", origin="", workers=1)
    with pytest.raises(InputError, match="no directory"):
        build_table(minerals.values(), tmp_path / "none" / "t.parquet", origin="", workers=1)


def test_files_that_are_no_table(path: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such reflection table"):
        ReflectionTable.load(tmp_path / "none.parquet")
    (tmp_path / "words.parquet").write_text("these are words")
    with pytest.raises(InputError, match="not a Parquet file"):
        ReflectionTable.load(tmp_path / "words.parquet")
    (tmp_path / "cut.parquet").write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="not a Parquet file"):
        ReflectionTable.load(tmp_path / "cut.parquet")
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="has other columns"):
        ReflectionTable.load(tmp_path / "other.parquet")
    pq.write_table(pq.read_table(path).slice(0, 0), tmp_path / "empty.parquet")
    with pytest.raises(InputError, match="is empty"):
        ReflectionTable.load(tmp_path / "empty.parquet")
