"""`powderlens evaluate measured` and `held-out`, `powderlens calibrate`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from powderlens.evaluate.trials.pool import Pool
from powderlens.pattern.read import read_pattern

LABELS = """mineral_inferred,space_group,a_A,b_A,c_A,alpha_deg,beta_deg,gamma_deg,cell_accepted
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


def test_a_record_of_measured_patterns(
    run: Callable[..., Any], measured: Path, small_library: Path, tmp_path: Path
) -> None:
    record_file = tmp_path / "r" / "record.json"
    result = run("evaluate", "measured", measured, "--output", record_file, "--library", small_library)
    assert result.code == 0
    text = record_file.read_text()
    record = json.loads(text)
    assert json.loads(result.out)["record"] == "record.json"
    assert record["command"] == "powderlens evaluate measured set.npz --output record.json --library common.phases"
    assert (record["patterns"], record["unanswered"]) == (4, 0)
    assert record["data"] == {
        name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("set.npz", "set.csv")
    }
    assert {"network", "library", "all"} == set(record["evidence"])
    assert record["evidence"]["all"]["crystal_system"] == 1.0
    assert record["cells"] == {"patterns": 2, "answered": 2, "equivalent": 1.0}
    assert record["not_in_the_library"]["patterns"] == 2
    assert record["calibration"] == "uncalibrated", "the shipped weights are of another library"
    assert str(tmp_path) not in text, "a record names no place of this machine"
    assert "NaN" not in text


def test_weights_are_made_and_used(
    run: Callable[..., Any], measured: Path, small_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The 25 common minerals leave none out of training: all of them are drawn of here."""
    monkeypatch.setattr(
        "powderlens.evaluate.calibrate.drawn_of", lambda library: Pool.of(library, shares={"measured": 1.0})
    )
    made = tmp_path / "calibration.json"
    result = run(
        "calibrate", "--output", made, "--library", small_library, "--patterns", 20, "--workers", 1, "--seed", 2
    )
    assert result.code == 0
    assert sum(json.loads(result.out)["patterns"].values()) == 20
    stored = json.loads(made.read_text())
    assert stored["model"] == "prism-1"
    assert stored["made"].endswith("--patterns 20 --seed 2")
    record = tmp_path / "record.json"
    found = run("evaluate", "measured", measured, "--output", record, "--library", small_library, "--calibration", made)
    assert found.code == 0
    assert json.loads(record.read_text())["calibration"] == hashlib.sha256(made.read_bytes()).hexdigest()


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


def test_a_record_of_trials(
    run: Callable[..., Any], small_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "powderlens.evaluate.trials.run.drawn_of", lambda library: Pool.of(library, shares={"measured": 1.0})
    )
    record = tmp_path / "r" / "trials.json"
    asked = ("evaluate", "trials", "--output", record, "--library", small_library, "--count", 2, "--workers", 1)
    result = run(*asked, "--kinds", "noise,single", "--seed", 3)
    assert result.code == 0
    text = record.read_text()
    written = json.loads(text)
    assert written["command"] == (
        "powderlens evaluate trials --kinds noise,single --count 2 --seed 3 --library common.phases "
        "--output trials.json"
    )
    assert written["kinds"]["noise"]["flagged"] == 1.0
    assert written["kinds"]["noise"]["not_flagged"] == []
    assert written["kinds"]["single"]["patterns"] == 2
    assert written["kinds"]["single"]["phase_first"] == 1.0
    assert written["chosen_by"] == "trials of other seeds"
    assert json.loads(result.out)["kinds"] == written["kinds"]
    assert str(tmp_path) not in text
    assert [path.name for path in record.parent.iterdir()] == ["trials.json"], "parts go when the record is there"
    wrong = run(*asked, "--kinds", "fog")
    assert (wrong.code, "kinds 'fog': choose of known, removed" in wrong.complaint) == (2, True)
