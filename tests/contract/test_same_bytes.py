"""What is drawn is the same to the byte with the libraries of another processor: a part of benchmarks/same_bytes.py.

The whole, with compiled code for other processors and corpora too, is recorded in results/same-bytes.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from runpy import run_path
from typing import Any

import numpy as np
import pytest

from powderlens.diffraction.protocol import protocol_names

PARTS = ["conditions", "patterns", "crystals"]


@pytest.fixture(scope="module")
def bench(root: Path) -> dict[str, Callable[..., Any]]:
    return run_path(str(root / "benchmarks" / "same_bytes.py"))


def test_other_libraries_draw_the_same_bytes(bench: dict[str, Any], tmp_path: Path) -> None:
    """Linear algebra of another core, NumPy and the C library without vector code, functions off in their last bits."""
    other = {key: value for key, value in bench["ENVIRONMENTS"]["an old processor"].items() if key != "NUMBA_CPU_NAME"}
    assert len(other) == 3
    other |= bench["ENVIRONMENTS"]["NumPy and Python wrong in the last bits"]
    for name, environment in {"here": {}, "there": other}.items():
        assert bench["run"](environment, PARTS, tmp_path / f"{name}.npz", tmp_path) == 0
    found = bench["compared"](tmp_path / "here.npz", tmp_path / "there.npz")
    assert found["unequal"] == [], found["verdict"]
    assert found["arrays"] == 3 * len(protocol_names()) + 3 * 40


def test_a_difference_is_seen_and_measured(bench: dict[str, Any], tmp_path: Path) -> None:
    one = {"a": np.array([1.0, 4.0]), "b": np.array("file"), "c": np.array([1, 2])}
    np.savez(tmp_path / "1.npz", **one)
    np.savez(tmp_path / "2.npz", **{**one, "a": np.array([1.0, 4.0 + 2**-40])})
    np.savez(tmp_path / "3.npz", **{**one, "b": np.array("other")})
    apart = bench["compared"](tmp_path / "1.npz", tmp_path / "2.npz")
    assert (apart["unequal"], apart["where"], apart["largest"]) == (["a"], "a", 2.0**-42)
    assert bench["compared"](tmp_path / "1.npz", tmp_path / "3.npz")["unequal"] == ["b"]
    assert bench["compared"](tmp_path / "1.npz", tmp_path / "1.npz")["verdict"] == "equal to the byte"


def test_what_is_wrong_is_wrong(bench: dict[str, Any]) -> None:
    function = bench["wrong"](np.exp)
    assert function(1.0) != np.exp(1.0)
    assert function(1.0) == pytest.approx(np.exp(1.0), rel=1e-14)
    assert bench["wrong"](np.dot)(np.array([2]), np.array([3])) == 6


def test_the_record_is_whole(root: Path, bench: dict[str, Any]) -> None:
    record = json.loads((root / "results" / "same-bytes.json").read_text())
    assert list(record["environments"]) == list(bench["ENVIRONMENTS"])
    cannot = {name for name, one in record["environments"].items() if "cannot run" in one["verdict"]}
    assert cannot <= {"OPENBLAS_CORETYPE=SkylakeX"}
    assert all(one["unequal"] == [] for name, one in record["environments"].items() if name not in cannot)
