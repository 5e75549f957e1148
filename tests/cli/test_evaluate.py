"""`powderlens evaluate measured` and `held-out`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from powderlens.identification.evidence import Weights
from powderlens.pattern.read import read_pattern

LABELS = """name,space_group,a_A,b_A,c_A,alpha_deg,beta_deg,gamma_deg,cell_accepted
Rutile,136,4.5955,4.5955,2.9598,90,90,90,1
Quartz,154,4.9134,4.9134,5.4042,90,90,120,1
Rutile,136,4.5955,4.5955,2.9598,90,90,90,0
Quartz,154,4.9134,4.9134,5.4042,90,90,120,0
"""


@pytest.fixture
def measured(tmp_path: Path, root: Path) -> Path:
    """Four labelled patterns: rutile and quartz, twice."""
    pair = [read_pattern(root / "examples" / f"{n}.txt", wavelength=1.54).intensity for n in ("rutile", "quartz")]
    np.savez(tmp_path / "set.npz", intensity=np.array(pair * 2))
    (tmp_path / "set.csv").write_text(LABELS)
    return tmp_path / "set.npz"


def test_a_record_of_measured_patterns(run: Callable[..., Any], measured: Path, tmp_path: Path) -> None:
    result = run("evaluate", "measured", measured, "--output", tmp_path / "r" / "record.json")
    assert result.code == 0
    text = (tmp_path / "r" / "record.json").read_text()
    record = json.loads(text)
    assert json.loads(result.out)["record"] == "record.json"
    assert record["command"] == "powderlens evaluate measured set.npz --output record.json"
    assert (record["patterns"], record["unanswered"]) == (4, 0)
    assert record["data"] == {
        name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("set.npz", "set.csv")
    }
    assert {"network", "library", "all"} == set(record["shipped_weights"]) == set(record["weights_cross_validated"])
    assert record["shipped_weights"]["all"]["crystal_system"] == 1.0
    assert record["niggli_cell_of_the_network"]["patterns"] == 2
    assert str(tmp_path) not in text, "a record names no place of this machine"
    assert "NaN" not in text


def test_weights_are_chosen_and_written(run: Callable[..., Any], measured: Path, tmp_path: Path) -> None:
    weights, record = tmp_path / "weights.json", tmp_path / "record.json"
    assert run("evaluate", "measured", measured, "--output", record, "--choose-weights", weights).code == 0
    stored = json.loads(weights.read_text())
    chosen = Weights(**stored["weights"])
    assert chosen != Weights.load()
    assert stored["chosen_on"].startswith("set.npz")
    written = json.loads(record.read_text())
    assert written["command"].endswith("--choose-weights weights.json")
    assert written["weights"] == pytest.approx(stored["weights"], abs=1e-4)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "set.csv: no such file; it holds the labels of set.npz"),
        (LABELS.replace("space_group", "number"), "no column space_group; it needs space_group, a_A"),
        (LABELS.replace("136", "300"), "row 1: space group 300: numbers run from 1 to 230"),
        (LABELS.replace("136", "x"), "row 1: space group 'x': no such symbol"),
        (LABELS + "Halite,225,5,5,5,90,90,90,1\n", "4 patterns but 5 rows"),
    ],
)
def test_labels_that_cannot_be_used(
    run: Callable[..., Any], measured: Path, tmp_path: Path, labels: str | None, message: str
) -> None:
    table = measured.with_suffix(".csv")
    table.unlink()
    if labels is not None:
        table.write_text(labels)
    result = run("evaluate", "measured", measured, "--output", tmp_path / "record.json")
    assert result.code == 2
    assert message in result.complaint
    assert not (tmp_path / "record.json").exists()


def test_patterns_that_cannot_be_used(run: Callable[..., Any], measured: Path, tmp_path: Path) -> None:
    missing = run("evaluate", "measured", tmp_path / "none.npz", "--output", tmp_path / "r.json")
    assert (missing.code, "no such file" in missing.complaint) == (2, True)
    measured.write_bytes(b"words")
    words = run("evaluate", "measured", measured, "--output", tmp_path / "r.json")
    assert (words.code, "not a NumPy archive" in words.complaint) == (2, True)


def test_a_record_of_held_out_crystals(run: Callable[..., Any], small_table_path: Path, tmp_path: Path) -> None:
    record = tmp_path / "held-out.json"
    result = run("evaluate", "held-out", "--data", small_table_path, "--output", record, "--patterns", 8)
    assert result.code == 0
    written = json.loads(record.read_text())
    assert written["all"]["patterns"] == 8
    assert written["crystals_in_part"] == 13
    assert written["data"] == {"crystals-small.parquet": hashlib.sha256(small_table_path.read_bytes()).hexdigest()}
    assert "--data crystals-small.parquet" in written["command"]
    nothing = run("evaluate", "held-out", "--data", tmp_path / "none.parquet", "--output", record)
    assert (nothing.code, "no such reflection table" in nothing.complaint) == (2, True)
