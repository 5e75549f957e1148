"""`powderlens analyse`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_listing_needs_nothing_heavy(run: Run, run_apart: Run) -> None:
    listed = json.loads(run("analyse", "--list", "--json").out)
    assert {"graph-distance", "grad-cam", "top-k"} <= {kind["name"] for kind in listed}
    code = (
        "import sys; from powderlens.cli.main import main; assert main(['analyse', '--list']) == 0; "
        "sys.exit(bool({'torch', 'matplotlib', 'pyarrow', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    assert "grad-cam" in done.stdout


def test_an_analysis_prints_its_table_and_writes_files(
    run: Run, make_record: Callable[..., Path], tmp_path: Path
) -> None:
    record = make_record(tmp_path)
    result = run("analyse", "graph-distance", record, "--output", tmp_path / "out")
    assert result.code == 0
    assert "percent_within" in result.out
    assert "within one edge" in result.out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"graph-distance.{end}" for end in ("png", "csv", "txt")
    }
    said = json.loads(run("analyse", "graph-distance", tmp_path, "--output", tmp_path / "out", "--json").out)
    assert said["analysis"] == "graph-distance"
    assert said["rows"][0]["edges"] == 0
    assert said["files"] == ["graph-distance.png", "graph-distance.csv", "graph-distance.txt"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no analysis is named"),
        (["graph-distanse", "{record}"], "no analysis 'graph-distanse'; near it: graph-distance"),
        (["graph-distance"], "graph-distance needs records of `powderlens evaluate`"),
        (["graph-distance", "nothing.json"], "nothing.json: No such file"),
        (["graph-distance", "{record}", "--corpus", "c"], "takes no --corpus"),
        (["graph-distance", "{record}", "--format", "gif"], "Invalid value for '--format'"),
        (["parameter-interval", "{record}", "--corpus", "nothing"], "nothing: no such corpus"),
        (["grad-cam", "{record}", "--corpus", "c", "--run", "r"], "grad-cam needs --pattern"),
        (["ensemble-size", "{record}"], "no two records differ in nothing but the seed"),
        (["parity", "{record}"], "none of 1 records answers lattice"),
    ],
)
def test_what_cannot_be_analysed(
    run: Run,
    make_record: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    message: str,
) -> None:
    record = make_record(tmp_path)
    monkeypatch.chdir(tmp_path)
    result = run("analyse", *[word.format(record=record) for word in words])
    assert result.code == 2
    assert message in result.complaint


def test_predictions_that_are_not_the_record_s(run: Run, make_record: Callable[..., Path], tmp_path: Path) -> None:
    record = make_record(tmp_path)
    other = make_record(tmp_path, "mlp", seed=7)
    record.with_suffix(".parquet").write_bytes(other.with_suffix(".parquet").read_bytes())
    result = run("analyse", "graph-distance", record, "--output", tmp_path)
    assert result.code == 2
    assert "not the predictions that" in result.complaint
