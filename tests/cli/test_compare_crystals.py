"""`crystals compare` on two small tables."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import typer
from typer.testing import CliRunner

from powderlens.cli.crystals_compare import compare
from powderlens.core.errors import InputError
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.structure import Structure
from powderlens.crystals.table import SCHEMA, crystal_row, write_crystals

app = typer.Typer()
app.command()(compare)


@pytest.fixture
def tables(tmp_path: Path, minerals: dict[str, Structure]) -> list[str]:
    halite = minerals["Halite"]
    larger = replace(halite, lattice=halite.lattice * 1.001, source="test:larger halite")
    crystals = {
        "a": [minerals["Quartz"], halite, larger, minerals["Rutile"]],
        "b": [minerals["Calcite"], replace(halite, source="other:halite")],
    }
    for name, members in crystals.items():
        rows = [crystal_row(find_symmetry(crystal)) for crystal in members]
        write_crystals(pa.Table.from_pylist(rows, schema=SCHEMA), tmp_path / f"{name}.parquet")
    return [str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]


def test_json(tables: list[str]) -> None:
    answer = CliRunner().invoke(app, [*tables, "--json"])
    assert answer.exit_code == 0
    overlap = json.loads(answer.stdout)["overlap"]
    assert list(overlap) == ["exact", "fingerprint", "type"]
    for entry in overlap.values():
        assert entry["a"] == {"crystals": 4, "unique": 3, "equivalent": 1, "shared": 2}
        assert entry["b"] == {"crystals": 2, "unique": 2, "equivalent": 0, "shared": 1}
        assert entry["both"] == {"unique": 1, "equivalent": 2}


def test_text(tables: list[str]) -> None:
    answer = CliRunner().invoke(app, tables)
    assert answer.exit_code == 0
    lines = [line.split() for line in answer.stdout.splitlines()]
    assert ["in", "both", "1", "2", "50.0%"] in lines
    assert "A: 3 kinds; 1 equivalent inside; 2 have their like in B (50.0%)" in answer.stdout


def test_no_such_table(tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, [str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")])
    assert isinstance(answer.exception, InputError)
