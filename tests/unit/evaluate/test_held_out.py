"""Figures on crystals that training never saw, with networks whose answers are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.corpus.splits import split_indices
from powderlens.corpus.store.reflection_table import ReflectionTable
from powderlens.diffraction.protocol import load_protocol
from powderlens.evaluate.held_out import evaluate_held_out
from powderlens.models.card import Weights
from powderlens.models.registry import card
from powderlens.models.runtime import Model
from powderlens.models.task import crystal_system, lattice, space_group
from powderlens.pattern.grid import Grid
from powderlens.symmetry.groups import system_index

GRID = Grid(start_deg=5.0, step_deg=0.1, points=850, wavelength_A=1.5418711)


class Says:
    """Stands in for an ONNX Runtime session."""

    def __init__(self, group: int) -> None:
        self.group = group

    def run(self, names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        assert names == ["crystal_system", "space_group", "lattice"]
        assert set(np.unique(inputs.get("mask", 1.0))) <= {0.0, 1.0}
        b = len(inputs["x"])
        system, group = np.zeros((b, 7), np.float32), np.zeros((b, 230), np.float32)
        system[:, system_index(self.group)] = group[:, self.group - 1] = 12.0
        return [system, group, np.tile(np.array([5, 5, 5, 90, 90, 90], np.float32), (b, 1))]


def says(group: int, *, mask: bool = True) -> Model:
    """The network that does."""
    weights = Weights(
        name="says",
        size="full",
        as_published=False,
        options={},
        mask=mask,
        floor=True,
        grid=GRID,
        tasks=(crystal_system(), space_group(), lattice()),
        parameters=0,
        step=0,
        chosen_by="nothing",
        averaged_share=0.0,
        training={},
    )
    return Model(replace(card("prism"), weights=weights), Says(group))


@pytest.fixture(scope="module")
def judged(small_table: ReflectionTable) -> Callable[..., dict[str, Any]]:
    def judge(group: int, **more: Any) -> dict[str, Any]:
        return evaluate_held_out(says(group), small_table, shares={"amcsd": 1.0}, patterns=60, **more)

    return judge


def test_only_crystals_of_the_part_are_drawn(
    judged: Callable[..., dict[str, Any]], small_table: ReflectionTable
) -> None:
    parts = split_indices(small_table.elements, small_table.space_group.tolist())
    absent = next(n for n in range(1, 231) if n not in small_table.space_group[parts["test"]])
    found = judged(absent)
    assert found["part"] == "test"
    assert found["crystals_in_part"] == len(parts["test"]) == 13
    assert found["all"]["patterns"] == 60
    assert found["all"]["space_group"] == 0
    assert judged(62, part="validation")["crystals_in_part"] == len(parts["validation"]) == 6


def test_a_network_that_always_says_62(judged: Callable[..., dict[str, Any]]) -> None:
    """Four of six validation crystals are barite, group 62."""
    found = judged(62, part="validation")["all"]
    assert 0.2 < found["space_group"] < 0.8
    assert found["crystal_system"] == found["space_group"]
    assert found["space_group_top5"] >= found["space_group"]
    assert found["space_group_calibration_error"] == pytest.approx(
        1 / (1 + 229 * np.exp(-12)) - found["space_group"], abs=2e-3
    )


def test_the_seed_repeats_the_figures(judged: Callable[..., dict[str, Any]]) -> None:
    assert judged(62, seed=3) == judged(62, seed=3)


def test_by_database(judged: Callable[..., dict[str, Any]]) -> None:
    found = judged(62)
    assert set(found["by_database"]) == {"amcsd"}
    assert found["by_database"]["amcsd"] == found["all"]


def test_a_part_without_crystals(small_table: ReflectionTable) -> None:
    few = replace(small_table, elements=["O Ti"] * 600, space_group=np.full(600, 136, np.int16))
    with pytest.raises(InputError, match="no crystal in the part 'test'"):
        evaluate_held_out(says(1), few, shares={"amcsd": 1.0}, patterns=4)


def test_a_model_without_mask_is_asked_about_whole_patterns_and_the_others_are_counted(
    small_table: ReflectionTable, tmp_path: Path
) -> None:
    """A third of the scans of `lab` begin later or end earlier; where all do, there is nothing to ask."""
    found = evaluate_held_out(says(62, mask=False), small_table, shares={"amcsd": 1.0}, patterns=60)
    assert 10 <= found["left_out"] <= 30  # type: ignore[operator]
    assert found["all"]["patterns"] == 60 - found["left_out"]  # type: ignore[index, operator]
    short = tmp_path / "short.toml"
    short.write_text(load_protocol("ideal").text.replace("[profile]", "[counting]\nlast_deg = 60.0\n\n[profile]", 1))
    with pytest.raises(InputError, match=r"says reads no mask, and protocol .*short\.toml draws no pattern of its"):
        evaluate_held_out(says(62, mask=False), small_table, shares={"amcsd": 1.0}, patterns=60, protocol=str(short))
