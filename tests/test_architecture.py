"""The walks that docs/ARCHITECTURE.md lists are those of the code: every name is there, and no module comes twice."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
SECTION = TEXT[TEXT.index("## Three walks") : TEXT.index("## The nouns")]
WALKS = [re.findall(r"^\d+\. `([\w.]+)`", part, re.MULTILINE) for part in re.split(r"\n(?=A )", SECTION)[1:]]


def test_there_are_three() -> None:
    assert [len(walk) > 5 for walk in WALKS] == [True, True, True]


@pytest.mark.parametrize("walk", WALKS, ids=["answer", "pattern", "record"])
def test_every_step_is_there_and_no_module_comes_twice(walk: list[str]) -> None:
    modules = [step.rpartition(".")[0] for step in walk]
    assert len(set(modules)) == len(modules)
    for module, step in zip(modules, walk, strict=True):
        assert callable(getattr(import_module(f"powderlens.{module}"), step.rpartition(".")[2]))


def test_every_package_has_its_row() -> None:
    packages = {path.parent.name for path in (ROOT / "src" / "powderlens").glob("*/__init__.py")}
    rows = TEXT[TEXT.index("## Floors") : TEXT.index("## Three walks")]
    assert packages <= set(re.findall(r"`(\w+)/`", rows))
