"""Materials Project lines and ASE databases, written here."""

import gzip
import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from powderlens.core.errors import StructureError
from powderlens.crystal.formats.ase_database import iter_ase_database
from powderlens.crystal.formats.materials_project import iter_materials_project
from powderlens.crystal.structure import Reject, Structure

GOOD = {"id": "mp-22862", "cell": [5.64, 5.64, 5.64, 90, 90, 90], "el": ["Na", "Cl"], "x": [[0, 0, 0], [0.5, 0.5, 0.5]]}


def lines(tmp_path: Path, *records: object, packed: bool = True) -> list[Structure | Reject]:
    text = "\n".join(r if isinstance(r, str) else json.dumps(r) for r in records) + "\n"
    path = tmp_path / ("mp.jsonl.gz" if packed else "mp.jsonl")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return list(iter_materials_project(path))


@pytest.mark.parametrize("packed", [True, False])
def test_a_line_becomes_a_structure(tmp_path: Path, packed: bool) -> None:
    (found,) = lines(tmp_path, GOOD, packed=packed)
    assert isinstance(found, Structure)
    assert (found.source, found.elements, found.space_group) == ("mp:22862", ("Na", "Cl"), None)
    assert found.cell == pytest.approx((5.64, 5.64, 5.64, 90, 90, 90))
    assert found.frac[1] == pytest.approx([0.5, 0.5, 0.5])


@pytest.mark.parametrize(
    ("record", "source", "reason"),
    [
        ({**GOOD, "cell": [0, 1, 1, 90, 90, 90]}, "mp:22862", "cell lengths"),
        ({**GOOD, "cell": [1, 1]}, "mp:22862", ""),
        ({**GOOD, "el": ["Na"]}, "mp:22862", "differ in number"),
        ({**GOOD, "el": [], "x": []}, "mp:22862", "no atoms"),
        ({"id": "mp-1", "cell": GOOD["cell"]}, "mp:1", "no field 'el'"),
        ("{ not json", "mp:line 1", ""),
    ],
)
def test_a_bad_line_is_rejected_and_the_next_still_read(tmp_path: Path, record, source: str, reason: str) -> None:
    bad, good = lines(tmp_path, record, GOOD)
    assert isinstance(good, Structure)
    assert isinstance(bad, Reject)
    assert bad.source == source
    assert bad.reason
    assert reason in bad.reason


def test_files_that_are_missing_or_not_whole(tmp_path: Path) -> None:
    with pytest.raises(StructureError, match="no such file"):
        next(iter_materials_project(tmp_path / "none.jsonl.gz"))
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(json.dumps(GOOD).encode() * 50)[:-12])
    with pytest.raises(StructureError, match="not a whole gzip file"):
        list(iter_materials_project(tmp_path / "cut.jsonl.gz"))
    (tmp_path / "text.jsonl.gz").write_text("{}")
    with pytest.raises(StructureError, match="not a whole gzip file"):
        list(iter_materials_project(tmp_path / "text.jsonl.gz"))


def test_a_database_written_by_ase_reads_as_ase_reads_it(tmp_path: Path) -> None:
    from ase import Atoms
    from ase.db import connect

    cell = [[3.0, 0.1, 0.0], [0.0, 4.0, 0.2], [0.3, 0.0, 5.0]]
    atoms = Atoms("CuO2", scaled_positions=[[0, 0, 0], [0.1, 0.2, 0.3], [0.9, 0.8, 0.7]], cell=cell, pbc=True)
    path = tmp_path / "oqmd-icsd.db"
    with connect(path, use_lock_file=False) as database:
        database.write(atoms, proto_name="AB2_1_a_2i_2", spacegroup=2, name="1-CuO2")
        database.write(Atoms("Cu", cell=cell, pbc=[True, True, False]))
        database.write(Atoms("X", cell=cell, pbc=True))
        database.write(Atoms("Cu", pbc=True))
    found, slab, ghost, flat = iter_ase_database(path)
    assert isinstance(found, Structure)
    assert (found.source, found.elements, found.name) == ("oqmd:1", ("Cu", "O", "O"), "1-CuO2")
    assert found.lattice == pytest.approx(np.array(cell))
    assert found.frac == pytest.approx(atoms.get_scaled_positions(wrap=False))
    assert found.space_group is None
    assert found.labels["spacegroup"] == 2
    assert found.labels["proto_name"] == "AB2_1_a_2i_2"
    assert [type(r) for r in (slab, ghost, flat)] == [Reject] * 3
    assert "not periodic" in slab.reason
    assert "atomic number 0" in ghost.reason
    assert "no volume" in flat.reason


def test_a_file_that_is_no_ase_database(tmp_path: Path) -> None:
    with pytest.raises(StructureError, match="no such file"):
        next(iter_ase_database(tmp_path / "none.db"))
    sqlite3.connect(tmp_path / "empty.db").close()
    with pytest.raises(StructureError, match="not an ASE database"):
        next(iter_ase_database(tmp_path / "empty.db"))
