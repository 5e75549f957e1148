"""Rows of crystals, written and expanded again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from powderlens.core.errors import InputError
from powderlens.crystal.duplicates import same_structure
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.structure import Structure
from powderlens.crystals.table import SCHEMA, CrystalTable, crystal_row, write_crystals


def table_of(*structures: Structure) -> pa.Table:
    return pa.Table.from_pylist([crystal_row(find_symmetry(s)) for s in structures], schema=SCHEMA)


@pytest.fixture
def path(minerals: dict[str, Structure], tmp_path: Path) -> Path:
    write_crystals(table_of(*minerals.values()), tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


def test_columns_of_corundum(minerals: dict[str, Structure]) -> None:
    row = crystal_row(find_symmetry(minerals["Corundum"]))
    assert set(row) == set(SCHEMA.names)
    expected = {
        "id": "test:Corundum", "source": "test", "name": "Corundum", "formula": "Al2O3", "anonymous_formula": "A2B3",
        "elements": ["Al", "O"], "atoms": 30, "primitive_atoms": 10, "space_group": 167, "declared_space_group": 167,
        "crystal_system": "trigonal", "point_group": "-3m", "bravais": "hR", "wyckoff": "ce", "bucket": "Al2 O3",
        "structure_type": "A2B3 167 c e", "prototype": None, "site_element": ["Al", "O"], "site_u_iso_A2": None,
        "site_beta": None,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert row["cell"] == pytest.approx([4.7589, 4.7589, 12.9912, 90, 90, 120])
    assert row["niggli"] == pytest.approx([4.7589, 4.7589, 5.1284, 62.36, 62.36, 60], abs=0.01)
    assert row["volume_A3"] == pytest.approx(254.8, abs=0.1)
    assert row["site_multiplicity"].tolist() == [12, 18]


def test_a_crystal_comes_back(minerals: dict[str, Structure], path: Path) -> None:
    table = CrystalTable.load(path)
    assert len(table) == len(minerals)
    for i, (name, mineral) in enumerate(minerals.items()):
        back = table.structure(i)
        assert (back.source, back.name, back.space_group) == (f"test:{name}", name, mineral.space_group)
        assert same_structure(back, mineral)
        assert find_symmetry(back).number == mineral.space_group
        assert len(back.rotations) == len(back.translations)
        shift = back.rotations[-1] @ back.frac[0] + back.translations[-1]
        near = back.frac - shift
        assert np.abs(near - np.round(near)).max(axis=1).min() < 1e-9, "its operators make its atoms"


def test_occupancies_and_displacements_come_back(minerals: dict[str, Structure], tmp_path: Path) -> None:
    rutile = minerals["Rutile"]
    u = np.array([[0.0004, 0.0001, 0], [0.0001, 0.0004, 0], [0, 0, 0.0009]])
    turned = u * np.array([[1, -1, 1], [-1, 1, 1], [1, 1, 1]])
    beta = np.array([u if f[2] < 0.1 else turned for f in rutile.frac])
    occupancy = np.array([0.9 if e == "Ti" else 1.0 for e in rutile.elements])
    u_iso = np.array([0.004 if e == "Ti" else np.nan for e in rutile.elements])
    crystal = replace(rutile, beta=beta, occupancy=occupancy, u_iso_A2=u_iso)
    write_crystals(table_of(minerals["Halite"], crystal), tmp_path / "t.parquet")
    plain, back = CrystalTable.load(tmp_path / "t.parquet").structures()
    assert plain.beta is None
    assert np.isnan(plain.u_iso_A2).all()
    assert back.beta is not None
    assert sorted(back.occupancy) == sorted(occupancy)
    assert np.nansum(back.u_iso_A2) == pytest.approx(0.008)
    for place, tensor in zip(back.frac, back.beta, strict=True):
        there = np.argmin([np.abs((d := place - f) - np.round(d)).max() for f in rutile.frac])
        assert tensor == pytest.approx(beta[there])


def test_a_mixed_site_keeps_its_elements(minerals: dict[str, Structure]) -> None:
    halite = minerals["Halite"]
    sodium = [i for i, e in enumerate(halite.elements) if e == "Na"]
    mixed = replace(
        halite,
        elements=halite.elements + ("K",) * 4,
        frac=np.vstack([halite.frac, halite.frac[sodium]]),
        occupancy=np.array([0.75 if e == "Na" else 1.0 for e in halite.elements] + [0.25] * 4),
        u_iso_A2=np.full(12, np.nan),
    )
    table = table_of(mixed)
    assert table["atoms"].to_pylist() == [8]
    assert table["formula"].to_pylist() == ["Cl4KNa3"]
    assert sorted(zip(table["site_element"][0].as_py(), table["site_occupancy"][0].as_py(), strict=True)) == [
        ("Cl", 1.0), ("K", 0.25), ("Na", 0.75),
    ]  # fmt: skip
    back = CrystalTable.of(table).structure(0)
    assert sorted(back.elements) == ["Cl"] * 4 + ["K"] * 4 + ["Na"] * 4


def test_columns_by_name(path: Path) -> None:
    table = CrystalTable.load(path)
    assert table.column("cell").shape == (7, 6)
    assert table.column("declared_space_group").tolist() == table.space_group.tolist()
    assert table.column("elements")[0] == ["O", "Ti"]
    with pytest.raises(InputError, match="column 'colour'"):
        table.column("colour")
    with pytest.raises(IndexError):
        table.structure(7)
    assert [s.name for s in table.structures([2, 0])] == ["Halite", "Rutile"]


def test_the_same_rows_give_the_same_bytes(minerals: dict[str, Structure], tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_crystals(table_of(*minerals.values()), tmp_path / f"{name}.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_files_that_are_no_tables(minerals: dict[str, Structure], tmp_path: Path) -> None:
    (tmp_path / "words.parquet").write_text("words")
    pq.write_table(pa.table({"id": ["x"]}), tmp_path / "other.parquet")
    for name, message in (("none", "no such table"), ("words", "not a Parquet file"), ("other", "lacks the column")):
        with pytest.raises(InputError, match=message):
            CrystalTable.load(tmp_path / f"{name}.parquet")
    with pytest.raises(InputError, match=r"ends in \.parquet"):
        write_crystals(table_of(minerals["Halite"]), tmp_path / "t.csv")


def test_a_damaged_row_is_noticed(minerals: dict[str, Structure], tmp_path: Path) -> None:
    row = crystal_row(find_symmetry(minerals["Halite"]))
    row["site_multiplicity"] = [4, 3]
    write_crystals(pa.Table.from_pylist([row], schema=SCHEMA), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="damaged row"):
        CrystalTable.load(tmp_path / "t.parquet").structure(0)
