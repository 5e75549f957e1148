"""The audit: planted leaks are found whatever their setting, and what a split promises is what is checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from powderlens.core.errors import InputError
from powderlens.corpus.audit import MEASURES, Audit, Shared, audit, audit_corpus
from powderlens.corpus.splits import make_split, split_names
from powderlens.corpus.store.build import build_corpus
from powderlens.corpus.store.corpus import Corpus
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.structure import Structure
from powderlens.crystals.table import SCHEMA, CrystalTable, crystal_row, write_crystals


def in_another_setting(crystal: Structure, name: str, rng: np.random.Generator) -> Structure:
    """Other axes of the same lattice, another origin, atoms in another order, nothing known of its symmetry."""
    axes, lower = np.eye(3), np.eye(3)
    axes[np.triu_indices(3, 1)] = rng.integers(-2, 3, 3)
    lower[np.tril_indices(3, -1)] = rng.integers(-2, 3, 3)
    axes = axes @ lower
    order = rng.permutation(len(crystal.elements))
    return Structure(
        lattice=axes @ crystal.lattice,
        elements=tuple(crystal.elements[row] for row in order),
        frac=(crystal.frac[order] @ np.linalg.inv(axes) + rng.random(3)) % 1.0,
        occupancy=crystal.occupancy[order],
        u_iso_A2=np.full(len(order), np.nan),
        source=name,
    )


@pytest.fixture(scope="module")
def table(mineral_table: Path) -> CrystalTable:
    return CrystalTable.load(mineral_table)


def parts_of(table: CrystalTable, name: str) -> dict[str, np.ndarray]:
    split = make_split(name, table, 3, 0)
    return {part: np.flatnonzero(chosen.any(axis=1)) for part, chosen in split.parts.items()}


def entry(found: Audit, measure: str, a: str = "train", b: str = "test") -> Shared:
    return next(one for one in found.shared if (one.measure, one.a, one.b) == (measure, a, b))


@pytest.mark.parametrize("name", [name for name in split_names() if name != "out-of-library-consecutive"])
def test_our_own_splits_are_what_they_say(table: CrystalTable, name: str) -> None:
    found = audit(table, parts_of(table, name), split=name)
    assert not found.broken
    if name != "in-library":
        assert entry(found, "rows").kinds == entry(found, "duplicates").kinds == 0


@pytest.mark.parametrize("name", ["out-of-library", "structure-type", "composition", "mine.csv"])
def test_a_hundred_planted_duplicates_are_found(table: CrystalTable, name: str) -> None:
    rng = np.random.default_rng(5)
    parts = parts_of(table, "out-of-library" if name == "mine.csv" else name)
    originals = rng.choice(parts["train"], 100)
    planted = [
        crystal_row(find_symmetry(in_another_setting(table.structure(row), f"planted:{i}", rng)))
        for i, row in enumerate(originals.tolist())
    ]
    arrow = pa.concat_tables([pq.read_table(table.path), pa.Table.from_pylist(planted, schema=SCHEMA)])
    parts["test"] = np.concatenate([parts["test"], len(table) + np.arange(100)])
    found = audit(CrystalTable.of(arrow), parts, split=name)
    assert found.broken
    leak = entry(found, "duplicates")
    assert (leak.crystals_b, leak.kinds, leak.broken) == (100, len(set(originals.tolist())), True)
    assert leak.crystals_a == leak.kinds
    assert all(b.startswith("planted:") and a in table.ids for a, b in leak.examples)
    assert entry(found, "rows").kinds == 0


def test_in_library_shares_crystals_and_says_so(table: CrystalTable) -> None:
    found = audit(table, parts_of(table, "in-library"), split="in-library")
    assert entry(found, "rows").crystals_b == len(table)
    assert not found.broken
    assert audit(table, parts_of(table, "in-library"), split="in-library", patterns_twice=1).broken


def test_a_type_on_two_sides_breaks_the_type_split_alone(minerals: dict[str, Structure]) -> None:
    halite = minerals["Halite"]
    other = replace(halite, lattice=halite.lattice * 1.1, source="test:larger")
    rows = [crystal_row(find_symmetry(crystal)) for crystal in (halite, other, minerals["Quartz"])]
    table = CrystalTable.of(pa.Table.from_pylist(rows, schema=SCHEMA))
    parts = {"train": np.array([0, 2]), "test": np.array([1])}
    by_type, by_crystal, by_composition = (
        audit(table, parts, split=name) for name in ("structure-type", "out-of-library", "composition")
    )
    assert entry(by_type, "types").broken
    assert entry(by_type, "types").examples == (("test:Halite", "test:larger"),)
    assert entry(by_composition, "compositions").broken
    assert not by_crystal.broken
    for measure in ("types", "compositions", "systems"):
        assert entry(by_crystal, measure).kinds == 1
    assert entry(by_crystal, "duplicates").kinds == 0


def test_a_corpus(built: Callable[[str], Path]) -> None:
    corpus = Corpus.open(built("simxrd"))
    found = audit_corpus(corpus)
    assert (found.split, found.statement) == ("in-library", corpus.manifest["split"]["statement"])
    assert found.crystals == dict.fromkeys(corpus.parts, 25)
    assert (found.patterns_twice, found.broken) == (0, False)
    assert set(MEASURES) == {one["measure"] for one in json.loads(json.dumps(found.as_dict()))["shared"]}


def test_a_leaking_list(table: CrystalTable, tmp_path: Path) -> None:
    """A crystal under a second id, listed on the other side."""
    rng = np.random.default_rng(1)
    copy = crystal_row(find_symmetry(in_another_setting(table.structure(3), "copy:3", rng)))
    arrow = pa.concat_tables([pq.read_table(table.path), pa.Table.from_pylist([copy], schema=SCHEMA)])
    write_crystals(arrow, tmp_path / "crystals.parquet")
    (tmp_path / "list.csv").write_text("id,part\n" + "".join(f"{name},train\n" for name in table.ids) + "copy:3,test\n")
    build_corpus(
        tmp_path / "crystals.parquet",
        tmp_path / "c",
        protocol="lab",
        per_crystal=1,
        split=str(tmp_path / "list.csv"),
        workers=1,
    )
    found = audit_corpus(Corpus.open(tmp_path / "c"))
    assert found.broken
    assert entry(found, "duplicates").examples == ((table.ids[3], "copy:3"),)


def test_rows_beyond_the_table(table: CrystalTable) -> None:
    with pytest.raises(InputError, match=f"crystal 99, the table has {len(table)}"):
        audit(table, {"train": np.array([0, 99])}, split="in-library")
