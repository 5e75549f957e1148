"""A change of the code alone moves no number: what scripts/make_guard.py recorded still holds.

A commit that moves one on purpose records it anew and says why.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def make(root: Path) -> dict[str, Callable[..., Any]]:
    return run_path(str(root / "scripts" / "make_guard.py"))


@pytest.fixture(scope="module")
def guard(root: Path) -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads((root / "tests" / "golden" / "guard" / "guard.json").read_text())
    return recorded


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guard")


def test_prism_1_answers_as_it_did(make: dict[str, Callable[..., Any]], guard: dict[str, Any]) -> None:
    answers = make["prism_answers"]()
    assert list(answers) == list(guard["prism-1"])
    assert len(answers) == 16
    for name, answer in answers.items():
        for part, expected in guard["prism-1"][name].items():
            for key, value in expected.items():
                assert answer[part].get(key, 0) == pytest.approx(value, abs=1e-4), f"{name} {part} {key}"


def test_corpora_hold_the_same_bytes(make: dict[str, Callable[..., Any]], guard: dict[str, Any], folder: Path) -> None:
    assert make["corpus_hashes"](folder) == guard["corpora"]


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore:.*LeafSpec:FutureWarning")
def test_ten_training_steps_come_to_the_same_loss(
    make: dict[str, Callable[..., Any]], guard: dict[str, Any], folder: Path
) -> None:
    assert make["training_losses"](folder) == pytest.approx(guard["training"], rel=1e-4)
