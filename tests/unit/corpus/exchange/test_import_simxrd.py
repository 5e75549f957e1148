"""SimXRD's database: imported whole, exported, and read back by ASE with every field equal."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.core.files import file_sha256
from powderlens.corpus.exchange.export import export_corpus
from powderlens.corpus.exchange.import_simxrd import import_simxrd
from powderlens.corpus.exchange.simxrd_records import COLUMNS, NO_DATA, Record, number_list, read_records, write_records
from powderlens.corpus.store.drawn import DrawnCorpus
from powderlens.corpus.store.stored import StoredCorpus
from powderlens.corpus.stream.from_corpus import CorpusStream
from powderlens.pattern.grid import Grid

ANGLES = np.arange(10, 80.01, 0.5)
AXIS = 1.54184 / 2 / np.sin(np.radians(ANGLES / 2))
TAGERS = [
    "[225, 1, 'F']",
    "[194, 2, 'P']",
    "[136, 3, 'P']",
    "[62, 4, 'P']",
    "[167, 5, 'R']",
    "[14, 6, 'P']",
    "[1, 7, 'P']",
]
SYSTEMS = ["cubic", "hexagonal", "tetragonal", "orthorhombic", "trigonal", "monoclinic", "triclinic"]


def curve(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(len(AXIS)) * 100


def record(at: int, **pairs: Any) -> Record:
    """Two atoms without a cell, as SimXRD leaves them."""
    columns = {
        "unique_id": f"{at:032x}",
        "ctime": 24.61356487005744,
        "mtime": 24.61356487005744,
        "username": "somebody",
        "numbers": np.array([12, 8], "<i4").tobytes(),
        "positions": np.arange(6, dtype="<f8").tobytes(),
        "cell": bytes(72),
        "pbc": 0,
        "data": NO_DATA,
        "natoms": 2,
        "mass": 40.304,
        "charge": 0.0,
    }
    usual = {
        "tager": TAGERS[at % 7],
        "chem_form": "MgO",
        "simulation_param": "[11.5, [0.07, 0.32], 0.1, -0.3]",
        "latt_dis": str(AXIS.tolist()),
        "intensity": str(curve(at).tolist()),
    }
    merged = {key: value for key, value in {**usual, **pairs}.items() if value is not None}
    return Record(at + 1, columns, merged)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Seven patterns, one of each system; the fourth says more, the fifth writes its numbers in another way."""
    records = [record(at) for at in range(7)]
    records[3].pairs.update(energy_above_hull=0.25, note="x")
    records[4].pairs["intensity"] = "[" + ",".join(f"{value:.3e}" for value in curve(4)) + "]"
    write_records(records, tmp_path / "small.db")
    return tmp_path / "small.db"


def ase_rows(path: Path) -> list[Any]:
    connect = pytest.importorskip("ase.db").connect
    with connect(path, use_lock_file=False) as opened:
        return list(opened.select())


def everything(row: Any) -> dict[str, Any]:
    """What ASE says of a row, comparable."""
    atoms = row.toatoms()
    return {
        "id": row.id,
        "unique_id": row.unique_id,
        "ctime": row.ctime,
        "mtime": row.mtime,
        "user": row.user,
        "pairs": row.key_value_pairs,
        "data": dict(row.data),
        "numbers": row.numbers.tolist(),
        "positions": row.positions.tolist(),
        "cell": row.cell.tolist(),
        "pbc": row.pbc.tolist(),
        "formula": row.formula,
        "mass": row.mass,
        "charge": row.charge,
        "symbols": str(atoms.symbols),
    }


def there_and_back(database: Path, folder: Path) -> Path:
    manifest = import_simxrd(database, folder / "corpus")
    assert (manifest["kind"], manifest["left_out"]) == ("stored", 0)
    export_corpus(folder / "corpus", folder / "export", form="ase", part="all", part_rows=3)
    return folder / "export" / "patterns.db"


def test_every_field_comes_back(database: Path, tmp_path: Path) -> None:
    back = there_and_back(database, tmp_path)
    before, after = ase_rows(database), ase_rows(back)
    assert [everything(row) for row in after] == [everything(row) for row in before]
    assert len(after) == 7
    assert list(read_records(back))[4].pairs["intensity"] == list(read_records(database))[4].pairs["intensity"]


def test_ase_finds_what_it_looks_for(database: Path, tmp_path: Path) -> None:
    """Its indices of keys and species are there as well."""
    connect = pytest.importorskip("ase.db").connect
    with connect(there_and_back(database, tmp_path), use_lock_file=False) as opened:
        assert [row.id for row in opened.select("energy_above_hull>0.2")] == [4]
        assert [row.id for row in opened.select(tager="[14, 6, 'P']")] == [6]
        assert opened.count("Mg") == 7
        assert opened.count("Fe") == 0


@pytest.mark.data
def test_the_published_database_whole(data: Path, tmp_path: Path) -> None:
    """SimXRD's ten demo records, field by field, in ASE's eyes and in every table of the file."""
    original = data / "patterns" / "simxrd" / "demo.db"
    database = Path(shutil.copy(original, tmp_path / "demo.db"))
    database.chmod(0o644)
    back = there_and_back(database, tmp_path)
    before, after = ase_rows(database), ase_rows(back)
    assert len(before) == 10
    assert [everything(row) for row in after] == [everything(row) for row in before]
    for table in ("systems", "species", "keys", "text_key_values", "number_key_values"):
        names = f"id, key_value_pairs, {', '.join(COLUMNS)}" if table == "systems" else "*"
        contents = []
        for path in (database, back):
            connection = sqlite3.connect(path)
            contents.append(sorted(map(repr, connection.execute(f"SELECT {names} FROM {table}"))))
            connection.close()
        assert contents[0] == contents[1]
    corpus = StoredCorpus.open(tmp_path / "corpus")
    assert file_sha256(original) == corpus.manifest["source"]["sha256"]
    drawn = corpus.draw(corpus.numbers(), np.float64)
    assert drawn.shape == (10, 3501)
    np.testing.assert_array_equal(drawn, [json.loads(row.intensity) for row in before])
    assert np.median(drawn.max(axis=1)) == 100, "of one record the strongest point is 19"
    axis, _ = corpus.curve(0)
    assert (np.diff(axis) < 0).all()


def test_labels_and_axis(database: Path, tmp_path: Path) -> None:
    import_simxrd(database, tmp_path / "corpus")
    corpus = StoredCorpus.open(tmp_path / "corpus")
    rows = corpus.rows(corpus.numbers()).to_pylist()
    assert [row["crystal_system"] for row in rows] == SYSTEMS
    assert [row["space_group"] for row in rows] == [225, 194, 136, 62, 167, 14, 1]
    assert (rows[0]["id"], rows[0]["formula"], rows[0]["cell"]) == ("small:1", "MgO", None)
    np.testing.assert_array_equal(corpus.draw(np.array([6, 0]), np.float64), [curve(6), curve(0)])
    pattern = corpus.pattern(2)
    np.testing.assert_allclose(pattern.two_theta_deg, ANGLES, rtol=1e-12)
    np.testing.assert_array_equal(pattern.intensity, curve(2))


def test_stored_patterns_train(database: Path, tmp_path: Path) -> None:
    """They are simulated: nobody needs to insist."""
    import_simxrd(database, tmp_path / "corpus")
    grid = Grid(start_deg=12.0, step_deg=0.5, points=100, wavelength_A=1.54184)
    corpus = StoredCorpus.open(tmp_path / "corpus", grid)
    batch = CorpusStream(corpus, "all", size=7, seed=0, shuffle=False).batch(0)
    np.testing.assert_array_equal(batch.patterns, corpus.draw(np.arange(7)))
    assert np.corrcoef(batch.patterns[1], curve(1)[4:104])[0, 1] > 0.9
    assert batch.space_group.tolist() == [225, 194, 136, 62, 167, 14, 1]
    with pytest.raises(InputError, match="its patterns are stored, not drawn"):
        DrawnCorpus.open(tmp_path / "corpus")


@pytest.mark.parametrize("form", ["parquet", "npy"])
def test_exported_in_other_formats(database: Path, tmp_path: Path, form: str) -> None:
    import pyarrow.parquet as pq

    import_simxrd(database, tmp_path / "corpus")
    export_corpus(tmp_path / "corpus", tmp_path / "x", form=form, part="all", part_rows=3)
    wanted = np.array([curve(at) for at in range(7)], np.float32)
    wanted[4] = np.array([float(f"{value:.3e}") for value in curve(4)], np.float32)
    if form == "parquet":
        table = pq.read_table(tmp_path / "x" / "patterns")
        np.testing.assert_array_equal(np.array(table["intensity"].to_pylist(), np.float32), wanted)
        assert table["d_A"][6].as_py() == AXIS.tolist()
    else:
        np.testing.assert_array_equal(np.load(tmp_path / "x" / "intensity.npy"), wanted)
        np.testing.assert_array_equal(np.load(tmp_path / "x" / "axis_d_A.npy"), AXIS)


BAD: dict[str, dict[str, Any]] = {
    "no text in tager": {"tager": None},
    "no text in intensity": {"intensity": 3.5},
    "tager is not [space group, crystal system, centring]": {"tager": "[231, 1, 'P']"},
    "latt_dis and intensity differ in length": {"intensity": "[1.0, 2.0]"},
    "intensity is not a list of numbers": {"intensity": "nothing"},
    "latt_dis does not fall": {"latt_dis": str(AXIS[::-1].tolist())},
    "a value that is not a number": {"intensity": str([*curve(1)[:-1].tolist(), float("nan")]).replace("nan", "NaN")},
}


def test_bad_records_are_counted_and_the_rest_goes_on(tmp_path: Path) -> None:
    bad = [record(at, **pairs) for at, pairs in enumerate(BAD.values())]
    code = record(8, tager="[14, 9, 'P']")
    write_records([*bad, record(7), code], tmp_path / "mixed.db")
    manifest = import_simxrd(tmp_path / "mixed.db", tmp_path / "corpus")
    assert manifest["patterns"] == 1
    assert manifest["rejects"] == {**dict.fromkeys(BAD, 1), "tager is not [space group, crystal system, centring]": 2}
    assert manifest["left_out"] == len(BAD) + 1
    assert StoredCorpus.open(tmp_path / "corpus").rows(np.array([0]))["id"].to_pylist() == ["mixed:8"]


def test_databases_that_cannot_be_read(database: Path, tmp_path: Path) -> None:
    output = tmp_path / "corpus"
    with pytest.raises(InputError, match=r"none\.db: no such file; give SimXRD's database"):
        import_simxrd(tmp_path / "none.db", output)
    for content in (b"", b"not a database at all" * 100):
        database.write_bytes(content)
        with pytest.raises(InputError, match=r"small\.db: not an ASE database of version 9, or a damaged one"):
            import_simxrd(database, output)
    write_records([], tmp_path / "empty.db")
    with pytest.raises(InputError, match="not one usable pattern: there are none"):
        import_simxrd(tmp_path / "empty.db", output)
    assert not output.exists()


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_database(database: Path, tmp_path: Path, share: float) -> None:
    """Nothing is imported of what is not whole."""
    content = database.read_bytes()
    database.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"small\.db: .*damaged one"):
        import_simxrd(database, tmp_path / "corpus")
    assert not (tmp_path / "corpus").exists()


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.db", "b.db"):
        write_records([record(at) for at in range(3)], tmp_path / name)
    assert file_sha256(tmp_path / "a.db") == file_sha256(tmp_path / "b.db")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_numbers_as_text(dtype: Callable[..., Any]) -> None:
    values = np.concatenate([curve(3) / 100, [0.0, 1e-3, 100.0]]).astype(dtype)
    back = np.array(json.loads(number_list(values)), dtype)
    np.testing.assert_array_equal(back, values)
