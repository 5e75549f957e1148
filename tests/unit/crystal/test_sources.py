"""Folders, archives, files and Python objects, opened by what they look like."""

import gzip
import io
import json
import sqlite3
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ase import Atoms
from ase.db import connect
from pymatgen.core import Lattice
from pymatgen.core import Structure as PymatgenStructure

from powderlens.core.errors import InputError
from powderlens.crystal.sources import files_of, iter_objects, name_of, open_source
from powderlens.crystal.structure import Reject, Structure

CIF = """data_salt
_cell_length_a 5.64
_cell_length_b 5.64
_cell_length_c 5.64
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt '{group}'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Na1 {first} 0 0 0
Cl1 Cl 0.5 0.5 0.5
"""
SALT = CIF.format(group="F m -3 m", first="Na")
POSCAR = "CsCl\n1.0\n4.1 0 0\n0 4.1 0\n0 0 4.1\nCs Cl\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n"
FILES = {
    "a.cif": SALT,
    "deep/b.cif": SALT + SALT.replace("data_salt", "data_other"),
    "deep/POSCAR-1": POSCAR,
    "deep/c.vasp": POSCAR,
    "no-group.cif": CIF.format(group="Q 7", first="Na"),
    "no-element.cif": CIF.format(group="P 1", first="Xx"),
    "words.cif": "these are words",
    "short.vasp": "CsCl\n1.0\n4.1 0 0\n",
    "README.txt": "not a crystal",
    ".hidden.cif": SALT,
    "__MACOSX/a.cif": SALT,
}
GOOD = ["a.cif", "deep/POSCAR-1", "deep/b.cif#salt", "deep/b.cif#other", "deep/c.vasp"]
BAD = {
    "no-group.cif": "space group 'Q 7' is not known",
    "no-element.cif": "unknown element 'Xx'",
    "words.cif": "not a readable CIF",
    "short.vasp": "not a POSCAR",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "cifs"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "packed.cif.gz").write_bytes(gzip.compress(SALT.encode()))
    (root / "cut.cif.gz").write_bytes(gzip.compress(SALT.encode())[:-9])
    return root


def archive(folder: Path, kind: str) -> Path:
    path = folder.parent / f"cifs{kind}"
    files = [p for p in folder.rglob("*") if p.is_file()]
    if kind == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for file in files:
                packed.write(file, file.relative_to(folder))
    else:
        with tarfile.open(path, f"w:{kind.rpartition('.')[2].replace('tgz', 'gz').replace('tar', '')}") as packed:
            for file in sorted(files):
                packed.add(file, f"./{file.relative_to(folder)}")
    return path


def sorted_out(found: Iterator[Structure | Reject]) -> tuple[list[str], dict[str, str]]:
    items = list(found)
    good = [item.source for item in items if isinstance(item, Structure)]
    return good, {item.source: item.reason for item in items if isinstance(item, Reject)}


@pytest.mark.parametrize("kind", ["folder", ".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz"])
def test_a_folder_and_its_archives_give_the_same_crystals(folder: Path, kind: str) -> None:
    path = folder if kind == "folder" else archive(folder, kind)
    good, bad = sorted_out(open_source(path))
    assert sorted(good) == sorted(["cifs:packed.cif.gz", *(f"cifs:{name}" for name in GOOD)])
    assert set(bad) == {"cifs:cut.cif.gz", *(f"cifs:{name}" for name in BAD)}
    for name, reason in BAD.items():
        assert reason in bad[f"cifs:{name}"]
    assert sorted_out(open_source(path)) == (good, bad), "the same order each time"


def test_the_whole_cell_is_read(folder: Path) -> None:
    by_name = {item.source: item for item in open_source(folder)}
    salt = by_name["cifs:a.cif"]
    assert isinstance(salt, Structure)
    assert (len(salt.elements), salt.space_group) == (8, 225)


def test_one_file(folder: Path) -> None:
    assert sorted_out(open_source(folder / "a.cif"))[0] == ["a:a.cif"]
    assert sorted_out(open_source(folder / "deep" / "POSCAR-1"))[0] == ["POSCAR-1:POSCAR-1"]


def test_files_are_listed_in_order(folder: Path) -> None:
    names = files_of(folder)
    assert names == sorted(names)
    assert "README.txt" not in names
    assert not any(name.startswith((".", "__")) for name in names)


@pytest.mark.parametrize(
    ("name", "short"),
    [("x.tar.gz", "x"), ("x.cif", "x"), ("x.jsonl.gz", "x"), ("x", "x"), (".cif", ".cif"), ("v1.2", "v1.2")],
)
def test_names(name: str, short: str) -> None:
    assert name_of(Path(name)) == short


@pytest.mark.parametrize("kind", [".zip", ".tar.gz"])
def test_an_archive_that_is_cut_is_refused(folder: Path, kind: str) -> None:
    path = archive(folder, kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="not a whole"):
        list(open_source(path))


def test_a_giant_in_an_archive_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("x.cif", io.BytesIO(b"\0" * (2**26 + 1)).getvalue())
    with pytest.raises(InputError, match="67108865 bytes"):
        list(open_source(path))


def test_an_empty_folder_a_missing_one_and_an_unknown_kind(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n")
    for path, message in (
        (tmp_path, "no CIF or POSCAR"),
        (tmp_path / "none", "no such database"),
        (tmp_path / "x.csv", "not a database of a known kind"),
    ):
        with pytest.raises(InputError, match=message):
            list(open_source(path))


ENTRY = {
    "type": "structures",
    "id": "9",
    "attributes": {
        "lattice_vectors": [[4, 0, 0], [0, 4, 0], [0, 0, 4]],
        "cartesian_site_positions": [[0, 0, 0]],
        "species": [{"name": "Po", "chemical_symbols": ["Po"], "concentration": [1.0]}],
        "species_at_sites": ["Po"],
    },
}
FLAT = {"id": "mp-7", "cell": [4, 4, 4, 90, 90, 90], "el": ["Po"], "x": [[0, 0, 0]]}
DOCUMENT = {"material_id": "mp-8", "structure": PymatgenStructure(Lattice.cubic(4), ["Po"], [[0, 0, 0]]).as_dict()}


@pytest.mark.parametrize(
    ("name", "content", "source"),
    [
        ("page.json", json.dumps({"data": [ENTRY], "meta": {"provider": {"prefix": "cod"}}}), "cod:9"),
        ("page.json", json.dumps({"data": ENTRY}), "page:9"),
        ("docs.json", json.dumps([DOCUMENT]), "mp:8"),
        ("docs.json", json.dumps({"data": [DOCUMENT]}), "mp:8"),
        ("docs.json", json.dumps(DOCUMENT), "mp:8"),
        ("flat.jsonl", json.dumps(FLAT), "mp:7"),
        ("docs.jsonl", json.dumps(DOCUMENT), "mp:8"),
        ("lines.jsonl", json.dumps({"x-optimade": {}}) + "\n" + json.dumps(ENTRY), "lines:9"),
        ("lines.jsonl", json.dumps(ENTRY), "lines:9"),
    ],
)
def test_json_by_what_is_in_it(tmp_path: Path, name: str, content: str, source: str) -> None:
    (tmp_path / name).write_text(content)
    assert sorted_out(open_source(tmp_path / name)) == ([source], {})
    with gzip.open(tmp_path / (name + ".gz"), "wt") as packed:
        packed.write(content)
    assert sorted_out(open_source(tmp_path / (name + ".gz"))) == ([source], {})


@pytest.mark.parametrize(("content", "message"), [("{", "not JSON"), ('{"a": 1}', "neither an OPTIMADE")])
def test_json_of_another_kind(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(InputError, match=message):
        list(open_source(tmp_path / "x.json"))


def test_a_database_whose_end_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "ase.db"
    with connect(path, use_lock_file=False) as database:
        for _ in range(200):
            database.write(Atoms("Cu40", positions=[[i, 0, 0] for i in range(40)], cell=[41, 4, 4], pbc=True))
    assert len(sorted_out(open_source(path))[0]) == 200
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    with pytest.raises(InputError, match=r"damaged or truncated|not a database|not an ASE database"):
        list(open_source(path))


def test_heavy_hydrogen_of_an_ase_database(tmp_path: Path) -> None:
    path = tmp_path / "ice.db"
    water = Atoms("OHH", positions=[[0, 0, 0], [1, 0, 0], [0, 1, 0]], cell=[3, 3, 3], pbc=True)
    water.set_masses([None, 2.014, 1.008])
    with connect(path, use_lock_file=False) as database:
        database.write(water)
    (found,) = open_source(path)
    assert isinstance(found, Structure)
    assert found.elements == ("O", "D", "H")


def test_a_damaged_amcsd(tmp_path: Path) -> None:
    path = tmp_path / "amcsd.db"
    with sqlite3.connect(path) as database:
        database.execute("create table minerals (id integer)")
    with pytest.raises(InputError, match="not an AMCSD database"):
        list(open_source(path))


def test_python_objects(folder: Path) -> None:
    objects = [
        PymatgenStructure(Lattice.cubic(4), ["Po"], [[0, 0, 0]]),
        Atoms("Cu", cell=[3, 3, 3], pbc=True),
        DOCUMENT,
        folder / "a.cif",
        "no such file.cif",
        Structure.from_cell([3, 3, 3, 90, 90, 90], ["Cu"], [[0, 0, 0]]),
        Structure.from_cell([3, 3, 3, 90, 90, 90], ["Cu"], [[0, 0, 0]], source="mine:x"),
        Reject("mine:y", "why not"),
        3.5,
    ]
    items = list(iter_objects(objects))
    assert [type(item) for item in items] == [Structure] * 4 + [Reject] + [Structure] * 2 + [Reject] * 2
    assert [item.source for item in items] == [
        "python:1", "python:2", "mp:8", "python:4", "python:5", "python:6", "mine:x", "mine:y", "python:9",
    ]  # fmt: skip
