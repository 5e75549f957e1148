"""`powderlens crystals statistics` and `crystals generate`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture
def table(run: Run, tmp_path: Path) -> Path:
    path = tmp_path / "table.parquet"
    assert (
        run(
            "crystals", "generate", "--count", 80, "--seed", 1, "--groups", "225", "--output", path, "--workers", 1
        ).code
        == 0
    )
    return path


def test_generate_statistics_generate(run: Run, table: Path, tmp_path: Path):
    made = run("crystals", "statistics", table, "--output", tmp_path / "statistics.json")
    assert made.code == 0
    assert json.loads(made.out) == {"crystals": 80, "left_out": {}, "space_groups": 1, "with_statistics": 1}
    again = run(
        "crystals", "generate", "--statistics", tmp_path / "statistics.json", "--count", 5, "--groups", "221,225",
        "--uniform", "--output", tmp_path / "again.parquet", "--workers", 1,
    )  # fmt: skip
    assert again.code == 0
    manifest = json.loads(again.out)
    assert manifest["crystals_kept"] == 5
    assert manifest["options"]["groups"] == [221, 225]
    assert "221 (point group m-3m)" in again.err


def test_info_of_a_generated_table(run: Run, table: Path):
    said = run("crystals", "info", table)
    assert said.code == 0
    assert "80 crystals of synthetic; 1 space groups" in said.out
    assert "Synthetic crystals: 80 in, 80 kept" in said.out
    assert "rule" not in said.out
    found = json.loads(run("crystals", "info", table, "--json").out)
    assert (found["origin"], found["crystals_kept"], found["space_groups"]) == ("synthetic crystals", 80, {"225": 80})


def test_randomise_and_leave_out_types(run: Run, table: Path, tmp_path: Path):
    made = run(
        "crystals", "generate", "--randomise", "both", "--crystals", table, "--count", 5, "--output",
        tmp_path / "anew.parquet", "--workers", 1,
    )  # fmt: skip
    assert made.code == 0
    assert json.loads(made.out)["crystals_in"] == 5
    (tmp_path / "types.txt").write_text("no such type\n")
    refused = run(
        "crystals", "statistics", table, "--output", tmp_path / "s.json", "--leave-out-types", tmp_path / "types.txt"
    )
    assert refused.code == 2
    assert "structure type 'no such type' to be left out" in refused.complaint


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--count", 3, "--groups", "225,300"], "--groups 225,300: 300 is not within 1 to 230"),
        (["--count", 3, "--groups", "Fm-3m"], "'Fm-3m' is no space group"),
        (["--count", 3, "--groups", "9-2"], "9-2 is not within 1 to 230"),
        (["--count", 3, "--elements", "Si,Qq"], "element 'Qq'"),
        (["--count", 3, "--randomise", "both"], "give both the table and what"),
        (["--count", 3, "--randomise", "all", "--crystals", "x.parquet"], "randomise 'all'"),
        (["--count", 3, "--randomise", "both", "--crystals", "absent.parquet"], "no such table of crystals"),
        (["--count", 3, "--max-sites", 0], "both must be positive"),
        ([], "give a count"),
    ],
)
def test_bad_input_is_refused(run: Run, tmp_path: Path, arguments: list[Any], reason: str):
    refused = run("crystals", "generate", "--output", tmp_path / "x.parquet", "--workers", 1, *arguments)
    assert refused.code == 2
    assert reason in refused.complaint
    assert list(tmp_path.iterdir()) == []


def test_statistics_have_a_name_of_json(run: Run, table: Path, tmp_path: Path):
    refused = run("crystals", "statistics", table, "--output", tmp_path / "statistics.pickle")
    assert refused.code == 2
    assert "ends in .json or .json.gz" in refused.complaint
