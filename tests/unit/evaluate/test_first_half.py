"""Looks at the first half of the measured patterns: minerals stand together, and looks are counted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.corpus.store.reflection_table import ReflectionTable
from powderlens.evaluate.first_half import figures, first_half, in_first_half, look, matched
from powderlens.evaluate.measured import MeasuredSet
from powderlens.pattern.grid import Grid
from powderlens.pattern.pattern import Pattern

GRID = Grid(start_deg=5.0, step_deg=0.5, points=170, wavelength_A=1.5418)


def a_set(table: ReflectionTable) -> MeasuredSet:
    """Twelve patterns of six minerals of a table, and four of nobody knows what."""
    named = [at for at, name in enumerate(table.names) if name]
    rows = np.array(named)[np.unique([table.names[at] for at in named], return_index=True)[1][:6]].repeat(2)
    names = [table.names[row] for row in rows] + [""] * 4
    angle = np.arange(5.0, 90.0, 0.1)
    patterns = [
        Pattern(angle, 1 + np.exp(-0.5 * ((angle - 20 - at) / 0.3) ** 2), wavelength_A=1.5418)
        for at in range(len(names))
    ]
    group = np.array([*table.space_group[rows], 14, 14, 62, 62], np.int64)
    cell = np.full((16, 6), np.nan)
    cell[:12] = [5.0, 6.0, 7.0, 90.0, 90.0, 90.0]
    return MeasuredSet(patterns, group, cell, names)


@pytest.fixture(scope="module")
def table(small_table_path: Path) -> ReflectionTable:
    return ReflectionTable.load(small_table_path)


def test_a_mineral_stands_together() -> None:
    assert in_first_half("Quartz", 3) == in_first_half(" quartz", 400)
    names = [f"mineral {at}" for at in range(400)]
    assert 150 < sum(in_first_half(name, 0) for name in names) < 250
    assert len({in_first_half("", place) for place in range(20)}) == 2
    assert [in_first_half(name, 0) for name in ("Quartz", "Albite", "Halite", "Rutile")] == [True, False, False, True]


def test_who_has_a_match(table: ReflectionTable) -> None:
    measured = a_set(table)
    assert matched(measured, table).tolist() == [True] * 12 + [False] * 4
    other = replace(measured, space_group=np.where(measured.space_group == 1, 2, 1))
    assert not matched(other, table)[:12].all()
    cells = measured.cell.copy()
    cells[0] = np.nan
    assert not matched(replace(measured, cell=cells), table)[0]


def test_its_figures(table: ReflectionTable, tmp_path: Path) -> None:
    """A network that always says what is right for the first pattern, and a second opinion."""
    measured = replace(a_set(table), space_group=np.array([2, 19] * 8))
    half = first_half(measured)
    found = np.isfinite(half.cell).all(axis=1)
    assert 0 < len(half.patterns) < 16
    first, second = int(half.space_group[0]), 227
    asked = []

    def ask(x: np.ndarray, mask: object) -> dict[str, np.ndarray]:
        asked.append(len(x))
        logits = np.zeros((len(x), 230))
        logits[:, first - 1], logits[:, second - 1] = 9.0, 8.0
        return {"space_group": logits, "lattice": np.tile([5.1, 6.12, 7.14, 90.0, 90.0, 90.0], (len(x), 1))}

    told = figures(half, found, ask, GRID, floor=True, mask=False)
    assert asked == [len(half.patterns)]
    assert told["all"]["space_group"] == pytest.approx((half.space_group == first).mean(), abs=1e-4)
    assert told["matched"]["patterns"] + told["rest"]["patterns"] == told["all"]["patterns"] == len(half.patterns)
    assert told["matched"]["length_error_median"] == pytest.approx(0.02, abs=1e-4)
    assert "cells" not in told["rest"]

    npz, record = tmp_path / "set.npz", tmp_path / "looks.json"
    npz.write_bytes(b"only its sha256 is read")
    how = {"floor": True, "mask": False, "about": {"network": "a test"}, "record": record, "command": "test"}
    for number in (1, 2):
        made = look(a_set(table), npz, table, ask, GRID, **how)  # type: ignore[arg-type]
        assert made["look"] == number
    told = json.loads(record.read_text())
    assert [one["look"] for one in told["looks"]] == [1, 2]
    assert told["patterns"] == len(half.patterns)
    record.write_text("[]")
    with pytest.raises(InputError, match="not a record of looks"):
        look(a_set(table), npz, table, ask, GRID, **how)  # type: ignore[arg-type]


def test_other_networks_are_refused(table: ReflectionTable) -> None:
    half = first_half(a_set(table))
    found = np.zeros(len(half.patterns), bool)
    with pytest.raises(InputError, match="all 230"):
        figures(half, found, lambda x, mask: {"space_group": np.zeros((len(x), 7))}, GRID, floor=True, mask=False)
