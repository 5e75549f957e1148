"""`powderlens corpus build`, `info` and `verify`, as a user calls them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from powderlens.crystal.label import find_symmetry
from powderlens.crystal.structure import Structure
from powderlens.crystals.table import SCHEMA, crystal_row, write_crystals

Run = Callable[..., Any]


@pytest.fixture
def crystals(minerals: dict[str, Structure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = [crystal_row(find_symmetry(mineral)) for mineral in minerals.values()]
    write_crystals(pa.Table.from_pylist(rows, schema=SCHEMA), tmp_path / "crystals.parquet")
    monkeypatch.chdir(tmp_path)
    return Path("crystals.parquet")


def test_build_info_verify(run: Run, crystals: Path) -> None:
    command = ["corpus", "build", "--crystals", crystals, "--protocol", "simxrd", "--per-crystal", 5, "--workers", 1]
    built = run(*command, "--split", "out-of-library", "--seed", 3, "--output", "small/")
    assert built.code == 0
    told = json.loads(built.out)
    assert (told["crystals"], told["patterns"], told["rejects"], told["seed"]) == (7, 35, {}, 3)
    assert told["command"] == (
        "powderlens corpus build --crystals crystals.parquet --protocol simxrd --per-crystal 5 --split out-of-library "
        "--seed 3 --output small"
    )
    assert built.err.splitlines()[-1] == "powderlens: conditions of 35 patterns"
    assert json.loads(run("corpus", "info", "small", "--json").out) == told
    assert told["bytes"] == sum(path.stat().st_size for path in Path("small").rglob("*") if path.is_file())

    info = run("corpus", "info", "small").out
    for words in (
        "small: 35 patterns = 7 crystals x 5, drawn;",
        "Protocol simxrd, seed 3",
        "3501 points, 10 to 80 degrees 2theta at 1.54184 A",
        "Split out-of-library: No crystal is in two parts",
    ):
        assert words in info
    verified = run("corpus", "verify", "small", "--draw", 10)
    assert (verified.code, verified.err) == (0, "")
    assert "every byte is as it was written" in verified.out
    assert "10 patterns drawn twice are the same, bit by bit" in verified.out
    assert "Patterns kept when it was built are drawn again, bit by bit" in verified.out

    assert run(*command, "--output", "small").complaint == (
        "small: there is something else of that name; choose another name, or remove it first"
    )


def test_a_flipped_bit(run: Run, crystals: Path) -> None:
    run("corpus", "build", "--crystals", crystals, "--protocol", "ideal", "--output", "small", "--workers", 1)
    path = Path("small/reflections.parquet")
    content = bytearray(path.read_bytes())
    content[300] ^= 4
    path.write_bytes(content)
    Path("small/mine.txt").touch()
    found = run("corpus", "verify", "small")
    assert found.code == 2
    lines = found.out.splitlines()
    assert lines[0].startswith("reflections.parquet, MiB 0: was changed (rows 0 to 6, ")
    assert lines[1:] == ["mine.txt: is no part of the corpus"]
    assert found.err.startswith("powderlens: small: reflections.parquet, MiB 0: was changed (rows 0 to 6, ")
    assert found.err.endswith("; 1 in all: copy these files again\n")
    report = json.loads(run("corpus", "verify", "small", "--json").out)
    assert (report["whole"], report["damage"][0]["file"], report["damage"][0]["mib"]) == (
        False, "reflections.parquet", 0,
    )  # fmt: skip
    path.unlink()
    assert run("corpus", "info", "small").complaint == (
        "small/reflections.parquet: this file of the corpus is missing; copy it again, or build the corpus again"
    )


@pytest.mark.parametrize("command", ["info", "verify"])
def test_no_corpus(run: Run, command: str, tmp_path: Path) -> None:
    assert run("corpus", command, tmp_path / "nix").complaint == (
        f"{tmp_path / 'nix'}: no such corpus; make one with `powderlens corpus build`"
    )
