"""The AMCSD reader, on a database of three rows made here."""

import base64
import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from powderlens.core.errors import StructureError
from powderlens.crystal.formats.amcsd import iter_amcsd, read_amcsd_entry
from powderlens.crystal.structure import Reject, Structure

SCHEMA = """
CREATE TABLE spacegroups (id INTEGER PRIMARY KEY, hm_notation TEXT, symmetry_xyz TEXT, category TEXT);
CREATE TABLE minerals (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE publications (id INTEGER PRIMARY KEY, journalname TEXT, volume TEXT, year INTEGER, page_first TEXT,
  page_last TEXT);
CREATE TABLE authors (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE publication_authors (publication_id INTEGER, author_id INTEGER);
CREATE TABLE cif (id INTEGER PRIMARY KEY, mineral_id INTEGER, spacegroup_id INTEGER, publication_id INTEGER,
  formula TEXT, pub_title TEXT, crystal_density TEXT,
  a TEXT, b TEXT, c TEXT, alpha TEXT, beta TEXT, gamma TEXT, atoms_sites TEXT, atoms_x TEXT, atoms_y TEXT,
  atoms_z TEXT, atoms_occupancy TEXT, atoms_u_iso TEXT, atoms_aniso_label TEXT, atoms_aniso_u11 TEXT,
  atoms_aniso_u22 TEXT, atoms_aniso_u33 TEXT, atoms_aniso_u12 TEXT, atoms_aniso_u13 TEXT, atoms_aniso_u23 TEXT);
CREATE TABLE cif_elements (cif_id TEXT, element TEXT);
INSERT INTO minerals VALUES (1, 'Magnesite'), (2, '<missing>');
INSERT INTO publications VALUES (5, 'American Mineralogist', '60', 1975, '133', '145');
"""
MIRROR = ["x,y,z", "-x,-y,z", "-y,x,z", "y,-x,z"]


def packed(values: list[float]) -> str:
    return base64.b64encode(np.round(np.array(values) * 4e6).astype("<i4").tobytes()).decode()


ROW: dict[str, object] = {
    "mineral_id": 1,
    "spacegroup_id": 1,
    "publication_id": 5,
    "formula": "Mg O2 H2",
    "crystal_density": "3.85",
    "a": "4.0",
    "b": "4.0",
    "c": "6.0",
    "alpha": "90",
    "beta": "90",
    "gamma": "90",
    "atoms_sites": json.dumps(["MgM", "OH"]),
    "atoms_x": packed([0.0, 0.2]),
    "atoms_y": packed([0.0, 0.1]),
    "atoms_z": packed([0.0, 0.25]),
    "atoms_occupancy": "0",
    "atoms_u_iso": "0",
    "atoms_aniso_label": '"<missing>"',
    **{f"atoms_aniso_u{ij}": "0" for ij in ("11", "22", "33", "12", "13", "23")},
}


def read(tmp_path: Path, *rows: dict[str, object], operators: list[str] | None = None) -> list[Structure | Reject]:
    path = tmp_path / "amcsd.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(SCHEMA)
        connection.execute("INSERT INTO spacegroups VALUES (1, 'P 4', ?, '')", (json.dumps(operators or MIRROR),))
        for number, changes in enumerate(rows, start=10):
            row = {**ROW, **changes, "id": number}
            marks = ",".join("?" * len(row))
            connection.execute(f"INSERT INTO cif ({','.join(row)}) VALUES ({marks})", list(row.values()))
            connection.executemany(
                "INSERT INTO cif_elements VALUES (?, ?)", [(str(number), e) for e in ("Mg", "O", "H")]
            )
    connection.close()
    return list(iter_amcsd(path))


def test_an_entry_becomes_a_whole_cell(tmp_path: Path) -> None:
    (found,) = read(tmp_path, {})
    assert isinstance(found, Structure)
    assert found.elements == ("Mg", "O", "O", "O", "O")
    assert found.frac[1] == pytest.approx([0.2, 0.1, 0.25])
    assert (found.space_group, found.rotations.shape, found.source, found.name) == (
        75,
        (4, 3, 3),
        "amcsd:10",
        "Magnesite",
    )
    assert found.cell == pytest.approx((4, 4, 6, 90, 90, 90))
    assert found.occupancy.tolist() == [1] * 5
    assert np.isnan(found.u_iso_A2).all()
    assert found.beta is None
    assert found.labels["year"] == 1975
    assert found.labels["formula"] == "Mg O2 H2"


def test_occupancies_zero_means_one_and_more_than_one_is_cut(tmp_path: Path) -> None:
    (found,) = read(tmp_path, {"atoms_occupancy": packed([0.0, 0.37])})
    assert found.occupancy[:2] == pytest.approx([1.0, 0.37])
    (tmp_path / "amcsd.db").unlink()
    (found,) = read(tmp_path, {"atoms_occupancy": packed([1.05, 0.37])})
    assert found.occupancy[0] == 1.0


def test_displacements_are_decoded_and_the_rest_filled_from_the_tensors(tmp_path: Path) -> None:
    aniso = {
        "atoms_u_iso": packed([0.005, 0.0]),
        "atoms_aniso_label": json.dumps(["OH"]),
        "atoms_aniso_u11": packed([0.01]),
        "atoms_aniso_u22": packed([0.02]),
        "atoms_aniso_u33": packed([0.03]),
        **{f"atoms_aniso_u{ij}": packed([0.0]) for ij in ("12", "13", "23")},
    }
    (found,) = read(tmp_path, aniso)
    assert found.u_iso_A2 == pytest.approx([0.005, 0.02, 0.02, 0.02, 0.02])
    assert np.isnan(found.beta[0]).all()
    assert found.beta[1, 0, 0] == pytest.approx(2 * np.pi**2 * 0.01 / 16)
    assert found.beta[3, 0, 0] == pytest.approx(2 * np.pi**2 * 0.02 / 16)
    assert found.labels["displacements_dropped"] == 0


def test_a_u_that_is_none_is_dropped_and_counted(tmp_path: Path) -> None:
    (found,) = read(tmp_path, {"atoms_u_iso": packed([-0.01, 2.0])})
    assert np.isnan(found.u_iso_A2).all()
    assert found.labels["displacements_dropped"] == 2


def test_repeated_labels_take_their_tensors_in_order(tmp_path: Path) -> None:
    twice = {
        "atoms_sites": json.dumps(["O", "O"]),
        "atoms_aniso_label": json.dumps(["O", "O"]),
        **{f"atoms_aniso_u{ij}": packed([0.01, 0.02]) for ij in ("11", "22", "33")},
        **{f"atoms_aniso_u{ij}": packed([0.0, 0.0]) for ij in ("12", "13", "23")},
    }
    (found,) = read(tmp_path, twice)
    assert found.u_iso_A2[:2] == pytest.approx([0.01, 0.02])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"a": "3,25"}, "cell: not six numbers"),
        ({"a": None}, "cell: not six numbers"),
        ({"b": "4.5"}, "do not fit the cell"),
        ({"gamma": "190"}, "close no cell"),
        ({"atoms_sites": "[]"}, "atoms: none"),
        ({"atoms_sites": json.dumps(["MgM", "M1"])}, "site label 'M1'"),
        ({"atoms_x": packed([0.0])}, "1 numbers for 2 sites"),
        ({"spacegroup_id": 9}, "no operators"),
    ],
)
def test_what_cannot_be_read_is_rejected_with_its_reason(tmp_path: Path, changes: dict, reason: str) -> None:
    found, good = read(tmp_path, changes, {})
    assert isinstance(good, Structure)
    assert isinstance(found, Reject)
    assert found.source == "amcsd:10"
    assert reason in found.reason


def test_operators_that_are_no_group_are_rejected(tmp_path: Path) -> None:
    (found,) = read(tmp_path, {}, operators=["x,y,z", "-y,x,z"])
    assert isinstance(found, Reject)
    assert "no group" in found.reason


def test_a_missing_file_and_a_file_that_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StructureError, match="no such file"):
        next(iter_amcsd(tmp_path / "none.db"))
    (tmp_path / "text.db").write_text("not a database at all, just some words" * 10)
    with pytest.raises(StructureError, match="not an AMCSD database"):
        next(iter_amcsd(tmp_path / "text.db"))


def test_what_the_publication_says(tmp_path: Path) -> None:
    title = " Properties at T = 9 K\n Note: T = 423 C\n Sample: P = 20 kbar"
    (found,) = read(tmp_path, {"pub_title": title})
    with sqlite3.connect(tmp_path / "amcsd.db") as connection:
        connection.execute("INSERT INTO authors VALUES (1, 'Zed A'), (2, 'Abel B')")
        connection.execute("INSERT INTO publication_authors VALUES (5, 1), (5, 2)")
    connection.close()
    assert found.labels["temperature_K"] == pytest.approx(696.15), "of the notes, not of the title"
    assert found.labels["pressure_GPa"] == pytest.approx(2.0)
    assert found.labels["reference"] == "American Mineralogist 60 (1975) 133-145"
    (again,) = iter_amcsd(tmp_path / "amcsd.db")
    assert isinstance(again, Structure)
    assert again.labels["reference"] == "Zed A, Abel B; American Mineralogist 60 (1975) 133-145"


def test_one_entry_alone_is_the_same(tmp_path: Path) -> None:
    rows = read(tmp_path, {}, {"a": "4.1", "b": "4.1"}, {"a": "wide"})
    alone = [read_amcsd_entry(tmp_path / "amcsd.db", number) for number in (10, 11, 12, 13)]
    assert alone[3] is None
    assert isinstance(alone[1], Structure)
    assert alone[1].cell == pytest.approx((4.1, 4.1, 6, 90, 90, 90))
    assert alone[2] == rows[2]
    assert [one.source for one in alone if one is not None] == [row.source for row in rows]
