"""`powderlens corpus reflections` and `powderlens library build`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from powderlens.corpus.store.reflection_table import ReflectionTable
from powderlens.library.store import PhaseLibrary

SALT = {"id": "mp-22862", "cell": [5.64] * 3 + [90] * 3, "el": ["Na"] * 4 + ["Cl"] * 4}
FACES = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
SALT["x"] = FACES + [[0.5 + a, b, c] for a, b, c in FACES]
IRON = {"id": "mp-13", "cell": [2.87] * 3 + [90] * 3, "el": ["Fe", "Fe"], "x": [[0, 0, 0], [0.5, 0.5, 0.5]]}
TINY = {"id": "mp-1", "cell": [0.6] * 3 + [90] * 3, "el": ["Fe"], "x": [[0, 0, 0]]}
COMMANDS = [("corpus", "reflections", "t.parquet"), ("library", "build", "t.phases")]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Four lines: halite, one that is not JSON, iron, a cell too small for a reflection."""
    path = tmp_path / "mp.jsonl"
    path.write_text("\n".join([json.dumps(SALT), "{ not json", json.dumps(IRON), json.dumps(TINY)]) + "\n")
    return path


def test_a_table_of_reflections(run: Callable[..., Any], database: Path, tmp_path: Path) -> None:
    output = tmp_path / "t.parquet"
    result = run("corpus", "reflections", database, "--output", output, "--workers", 1)
    assert result.code == 0
    manifest = json.loads(result.out)
    assert manifest == json.loads((tmp_path / "t.json").read_text())
    assert (manifest["crystals_in"], manifest["crystals_kept"]) == (4, 2)
    assert sum(manifest["rejects"].values()) == 2
    assert manifest["sha256"] == hashlib.sha256(output.read_bytes()).hexdigest()
    assert manifest["origin"].startswith("mp.jsonl"), "the name of the file, not the place of this machine"
    assert str(tmp_path) not in result.out
    table = ReflectionTable.load(output)
    assert table.ids == ["mp:22862", "mp:13"]
    assert table.space_group.tolist() == [225, 229]


def test_reflections_of_a_folder_and_of_a_table_of_crystals(
    run: Callable[..., Any], database: Path, tmp_path: Path
) -> None:
    """Further out than by default; a folder goes by a hash of all its crystals, a table of synthetic ones as it is."""
    folder = tmp_path / "salts"
    folder.mkdir()
    poscar = "NaCl\n1.0\n5.64 0 0\n0 5.64 0\n0 0 5.64\nNa Cl\n4 4\nDirect\n"
    (folder / "POSCAR-salt").write_text(poscar + "\n".join(" ".join(map(str, place)) for place in SALT["x"]) + "\n")
    made = {}
    for d_min in (1.07, 0.8):
        result = run(
            "corpus", "reflections", folder, "--output", tmp_path / "f.parquet", "--workers", 1, "--d-min", d_min
        )
        assert result.code == 0
        made[d_min] = json.loads(result.out)
        table = ReflectionTable.load(tmp_path / "f.parquet")
        assert table.ids == ["salts:POSCAR-salt"]
        assert 5.64 / (table.hkl**2).sum(axis=1).max() ** 0.5 == pytest.approx(d_min, rel=0.06)
    assert made[0.8]["d_min_A"] == 0.8
    assert made[0.8]["origin"] == made[1.07]["origin"]
    (folder / "POSCAR-salt").write_text(poscar + "\n".join(" ".join(map(str, p)) for p in SALT["x"]) + "\n\n")
    again = json.loads(run("corpus", "reflections", folder, "--output", tmp_path / "f.parquet", "--workers", 1).out)
    assert again["origin"] != made[1.07]["origin"]
    run("crystals", "generate", "--count", 3, "--seed", 1, "--output", tmp_path / "c.parquet", "--workers", 1)
    result = run("corpus", "reflections", tmp_path / "c.parquet", "--output", tmp_path / "r.parquet", "--workers", 1)
    assert json.loads(result.out)["crystals_kept"] == 3
    assert ReflectionTable.load(tmp_path / "r.parquet").ids == ["synthetic:1-0", "synthetic:1-1", "synthetic:1-2"]


def test_a_library(run: Callable[..., Any], database: Path, tmp_path: Path) -> None:
    result = run("library", "build", database, "--output", tmp_path / "t.phases")
    assert result.code == 0
    said = json.loads(result.out)
    assert said["phases"] == 2
    assert sum(said["rejects"].values()) == 2
    assert said["entries"] == 4
    library = PhaseLibrary.open(tmp_path / "t.phases")
    assert said["sha256"] == library.sha256
    assert [library.formula(i) for i in range(2)] == ["NaCl", "Fe"]
    assert [library.identity(i) for i in range(2)] == ["mp:22862", "mp:13"]
    assert not library.measured.any()
    assert str(tmp_path) not in (tmp_path / "t.phases").read_bytes().decode("latin-1")


def test_what_a_library_holds(run: Callable[..., Any], database: Path, tmp_path: Path) -> None:
    output = tmp_path / "t.phases"
    assert run("library", "build", database, "--output", output, "--workers", 1).code == 0
    said = json.loads(run("library", "info", output, "--json").out)
    assert (said["phases"], said["measured"], said["entries"]) == (2, 0, 4)
    assert said["crystal_systems"] == {"cubic": 2}
    assert said["sources"] == {"mp": 2}
    assert said["origins"]["mp"]["licence"].startswith("CC-BY-4.0")
    assert "quantised" in said["origins"]["mp"]["changed"]
    table = run("library", "info", output)
    assert table.code == 0
    assert "2 phases of 4 entries" in table.out
    assert "Fm-3m" in table.out
    content = bytearray(output.read_bytes())
    content[-1] ^= 1
    output.write_bytes(content)
    damaged = run("library", "info", output)
    assert damaged.code == 2
    assert "damaged, array text" in damaged.complaint


def test_a_library_of_a_curated_table(run: Callable[..., Any], database: Path, tmp_path: Path) -> None:
    table, output = tmp_path / "t.parquet", tmp_path / "t.phases"
    assert run("crystals", "curate", database, "--protocol", "simxrd", "--output", table, "--workers", 1).code == 0
    said = json.loads(run("library", "build", table, "--output", output, "--workers", 1).out)
    assert [source["name"] for source in said["made_of"]] == ["t.parquet"]
    library = PhaseLibrary.open(output)
    assert sorted(library.identity(i) for i in range(len(library))) == ["mp:13", "mp:22862"]


def test_a_library_grows(run: Callable[..., Any], database: Path, tmp_path: Path) -> None:
    first, second, whole = (tmp_path / name for name in ("a.phases", "b.phases", "c.phases"))
    assert run("library", "build", database, "--output", first, "--limit", 1).code == 0
    more = tmp_path / "more.jsonl"
    more.write_text(database.read_text())
    said = json.loads(run("library", "add", first, more, "--output", second).out)
    assert said["rejects"]["identity: listed before"] == 1
    assert run("library", "build", database, "--output", whole).code == 0
    grown, built = PhaseLibrary.open(second), PhaseLibrary.open(whole)
    assert grown.sha256 == built.sha256
    assert [source["name"] for source in grown.header["made_of"]] == ["mp.jsonl", "more.jsonl"]


@pytest.mark.parametrize(("group", "command", "output"), COMMANDS)
def test_only_the_first(
    run: Callable[..., Any], database: Path, tmp_path: Path, group: str, command: str, output: str
) -> None:
    result = run(group, command, database, "--output", tmp_path / output, "--limit", 1)
    assert result.code == 0
    said = json.loads(result.out)
    assert said.get("crystals_kept", said.get("phases")) == 1


@pytest.mark.parametrize(("group", "command", "output"), COMMANDS)
def test_a_database_that_cannot_be_used(
    run: Callable[..., Any], tmp_path: Path, group: str, command: str, output: str
) -> None:
    where = tmp_path / output
    for name, content, message in (
        ("none.db", None, "no such database"),
        ("words.db", b"these are words, and more of them than sqlite needs for a header " * 10, "not a database"),
        ("empty.db", b"", "not a database of a known kind"),
        ("crystals.csv", b"a,b\n", "not a database of a known kind"),
        ("cut.jsonl.gz", b"\x1f\x8b\x08", "not a whole gzip file"),
        ("bad.jsonl", b"{ not json\n", "no crystal of 1 can be used|no phase of 1 is kept"),
        ("empty.jsonl", b"", "no crystal of 0 can be used|no phase of 0 is kept"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        result = run(group, command, tmp_path / name, "--output", where)
        assert result.code == 2
        assert result.out == ""
        assert re.search(message, result.err.splitlines()[-1]), name
        assert not where.exists()


@pytest.mark.parametrize(("group", "command", "output"), COMMANDS)
def test_options_that_cannot_be_used(
    run: Callable[..., Any], database: Path, tmp_path: Path, group: str, command: str, output: str
) -> None:
    assert "Missing option '--output'" in run(group, command, database).complaint
    assert "no directory" in run(group, command, database, "--output", tmp_path / "none" / output).complaint
    assert (
        "Invalid value for '--limit'"
        in run(group, command, database, "--output", tmp_path / output, "--limit", 0).complaint
    )
    assert run(group, command, database, "--output", tmp_path / output, "--limits", 1).code == 2


def test_a_table_has_its_own_extension(run: Callable[..., Any], database: Path, tmp_path: Path) -> None:
    result = run("corpus", "reflections", database, "--output", tmp_path / "t.json")
    assert result.code == 2
    assert "ends in .parquet" in result.complaint
