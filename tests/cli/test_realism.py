"""`powderlens evaluate realism`."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from powderlens.crystal import sources
from powderlens.diffraction.phase import phase_of
from powderlens.diffraction.protocol import load_protocol
from powderlens.diffraction.render import render
from powderlens.reproduce.realism import realism

if TYPE_CHECKING:
    from powderlens.crystal.structure import Structure

SMALL = """
name = "small"
summary = "Few points"
citation = "made for tests"
scale = 1.0

[grid]
start_deg = 10.0
step_deg = 0.02
points = 3000
wavelength_A = 1.541838

[counting]
noise_sigma = 0.01
pedestal = 4.0
"""


@pytest.fixture
def place(tmp_path: Path, minerals: dict[str, Structure], monkeypatch: pytest.MonkeyPatch) -> Path:
    """`set.npz` with its table, `small.toml`, and `minerals.db`, which stands for seven structures."""
    (tmp_path / "small.toml").write_text(SMALL)
    (tmp_path / "minerals.db").write_bytes(b"structures")
    protocol = load_protocol(tmp_path / "small.toml")
    rows = ["space_group,mineral_inferred,a_A,b_A,c_A,alpha_deg,beta_deg,gamma_deg,cell_accepted"]
    scans = []
    for name, structure in minerals.items():
        phase = phase_of(structure, d_min_A=protocol.d_min_A)
        y = render([phase], protocol.draw(3, 1), protocol.grid, seed=3)[0]
        scans.append(np.floor(1000 * np.pad(np.repeat(y / y.max(), 2), (500, 2000))).astype(np.int16))
        rows.append(f"{structure.space_group},{name},{','.join(map(str, structure.cell))},1")
    np.savez(tmp_path / "set.npz", intensity=np.array([*scans, scans[0]]))
    (tmp_path / "set.csv").write_text("\n".join([*rows, "136,,,,,,,,0"]) + "\n")
    monkeypatch.setattr(sources, "open_source", lambda path: iter(minerals.values()))
    monkeypatch.setattr(realism, "TREES", 10)
    return tmp_path


def ask(run: Callable[..., Any], place: Path, *options: object) -> Any:
    crystals = ("--crystals", place / "minerals.db")
    return run("evaluate", "realism", place / "set.npz", *crystals, "--output", place / "r" / "record.json", *options)


def test_a_record(run: Callable[..., Any], place: Path) -> None:
    pytest.importorskip("sklearn")
    result = ask(run, place, "--protocol", place / "small.toml", "--protocol", "ideal", "--draws", 1, "--seed", 2)
    assert result.code == 0
    text = (place / "r" / "record.json").read_text()
    record = json.loads(text)
    said = json.loads(result.out)
    assert said["record"] == "record.json"
    assert said["patterns"] == 7
    assert set(said["protocols"]) == {"small", "ideal"}
    assert record["command"] == (
        "powderlens evaluate realism set.npz --crystals minerals.db --output record.json "
        "--protocol small.toml --protocol ideal --seed 2 --draws 1"
    )
    assert record["data"] == {
        name: hashlib.sha256((place / name).read_bytes()).hexdigest() for name in ("set.npz", "set.csv", "minerals.db")
    }
    assert record["patterns"] == {"matched": 7, "unmatched": {"no mineral known": 1}}
    assert (record["seed"], record["draws"], record["minerals"]) == (2, 1, 7)
    assert "scikit-learn" in record["versions"]
    for figures in record["protocols"].values():
        assert 0 <= figures["accuracy"] <= 1
        assert set(figures["statistics"]) == set(record["definitions"])
        assert figures["floor_subtracted"].keys() >= {"accuracy", "auc"}
    assert str(place) not in text, "a record names no place of this machine"
    assert "NaN" not in text


def test_what_cannot_be_used(run: Callable[..., Any], place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    result = ask(run, place, "--protocol", "nonesuch")
    assert (result.code, "no protocol 'nonesuch'" in result.complaint) == (2, True)
    (place / "set.csv").unlink()
    result = ask(run, place, "--protocol", "ideal")
    assert (result.code, "no such file" in result.complaint) == (2, True)
    assert not (place / "r").exists()


def test_without_the_extra(run: Callable[..., Any], place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sklearn" else there(name))
    result = ask(run, place)
    assert result.code == 2
    assert "needs sklearn: pip install 'powderlens[train]'" in result.complaint


def test_no_such_database(run: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    result = run(
        "evaluate", "realism", tmp_path / "set.npz", "--crystals", tmp_path / "no.db", "--output", tmp_path / "r.json"
    )
    assert (result.code, "no such database" in result.complaint) == (2, True)
