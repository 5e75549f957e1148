"""A judge of answers: right ones, wrong ones, and those that say nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from powderlens.core.cell import CELL_NAMES
from powderlens.crystal.common import common_minerals
from powderlens.evaluate.trials.draw import draw_trials
from powderlens.evaluate.trials.pool import Pool
from powderlens.evaluate.trials.score import Judge, StructureTypes, summary
from powderlens.evaluate.trials.trial import Trial, TruePhase
from powderlens.library.store import PhaseLibrary
from powderlens.symmetry.groups import crystal_system

Six = tuple[float, ...]


def named(cell: Six) -> dict[str, Any]:
    return {"reduced": dict(zip(CELL_NAMES, cell, strict=True))}


def said_of(true: TruePhase, **changes: Any) -> dict[str, Any]:
    """A phase of an answer that is right."""
    return {"row": true.row, "name": true.name, "fraction": true.weight_fraction, "cell": named(true.reduced)} | changes


def perfect(trial: Trial) -> dict[str, Any]:
    """An answer that knows the truth."""
    if not trial.phases:
        return {"abstains": "noise", "space_group": [], "crystal_system": [], "cell": None, "phases": []}
    first = trial.phases[0]
    return {
        "crystal_system": [{"name": crystal_system(first.space_group), "probability": 1.0}],
        "space_group": [{"number": first.space_group, "probability": 0.95}, {"number": 1, "probability": 0.05}],
        "cell": {**named(first.reduced), "source": first.name},
        "phases": [said_of(true) for true in trial.phases],
        "abstains": None,
    }


@pytest.fixture(scope="module")
def judge(known: PhaseLibrary) -> Judge:
    return Judge(known)


@pytest.fixture(scope="module")
def quartz(pool: Pool, row_of: dict[str, int]) -> Trial:
    return next(draw_trials(Pool.of(pool.library, [row_of["Quartz"]], {"measured": 1.0}), "single", 1, 1))


def test_the_truth_is_right(judge: Judge, pool: Pool) -> None:
    for kind in ("single", "mixture"):
        for trial in draw_trials(pool, kind, 4, 3):
            verdict = judge.score(perfect(trial), trial)
            assert verdict.system
            assert verdict.group
            assert verdict.in_five
            assert verdict.cell
            assert verdict.sure
            assert all(phase.right and phase.exact and phase.fraction_error == 0 for phase in verdict.phases)
            assert (verdict.answered, verdict.false) == (len(trial.phases), 0)
            assert not verdict.flagged


def test_a_mirror_image_is_the_same_group(judge: Judge, quartz: Trial) -> None:
    answer = perfect(quartz) | {
        "space_group": [{"number": 154, "probability": 0.5}, {"number": 152, "probability": 0.2}]
    }
    verdict = judge.score(answer, quartz)
    assert verdict.group
    assert verdict.probability == pytest.approx(0.7)
    assert verdict.of_truth == pytest.approx(0.7)
    assert not verdict.sure


def test_another_group(judge: Judge, quartz: Trial) -> None:
    answer = perfect(quartz) | {
        "space_group": [{"number": 1, "probability": 0.92}, {"number": 152, "probability": 0.05}]
    }
    verdict = judge.score(answer, quartz)
    assert not verdict.group
    assert verdict.in_five
    assert verdict.sure
    assert verdict.of_truth == pytest.approx(0.05)
    unlisted = judge.score(answer | {"space_group": [{"number": 1, "probability": 0.92}]}, quartz)
    assert unlisted.of_truth == pytest.approx(0.08)
    assert not unlisted.in_five


@pytest.mark.parametrize(("stretch", "right"), [(1.004, True), (1.006, False)])
def test_a_phase_is_right_with_its_cell(judge: Judge, quartz: Trial, stretch: float, right: bool) -> None:
    reduced = tuple(length * stretch for length in quartz.phases[0].reduced[:3]) + quartz.phases[0].reduced[3:]
    answer = perfect(quartz) | {"cell": named(reduced), "phases": [said_of(quartz.phases[0], cell=named(reduced))]}
    verdict = judge.score(answer, quartz)
    assert verdict.cell is right
    assert verdict.phases[0].right is right
    assert verdict.false == (not right)


def test_without_a_cell_the_entry_and_its_strain_tell(judge: Judge, pool: Pool, quartz: Trial) -> None:
    true = quartz.phases[0]
    strain = true.reduced[0] / pool.reduced(true.row)[0] - 1
    answer = perfect(quartz) | {"cell": None}
    bare = {"row": true.row, "name": true.name, "fraction": 0.9}
    assert judge.score(answer | {"phases": [bare | {"strain": strain}]}, quartz).phases[0].right
    assert not judge.score(answer | {"phases": [bare | {"strain": strain + 0.02}]}, quartz).phases[0].right


def test_an_isotype_with_the_same_cell_is_right_but_not_exact(judge: Judge, pool: Pool, row_of: dict[str, int]) -> None:
    """Halite in the cell of galena: the same structure type. Fluorite in it: another one."""
    galena = next(draw_trials(Pool.of(pool.library, [row_of["Galena"]], {"measured": 1.0}), "single", 1, 1))
    true = galena.phases[0]
    halite = judge.score({"phases": [said_of(true, row=row_of["Halite"], name="Halite")]}, galena)
    assert halite.phases[0].right
    assert not halite.phases[0].exact
    assert halite.false == 0
    fluorite = judge.score({"phases": [said_of(true, row=row_of["Fluorite"], name="Fluorite")]}, galena)
    assert not fluorite.phases[0].right
    assert fluorite.false == 1


def test_phases_outside_the_best_answer_do_not_count(judge: Judge, quartz: Trial, row_of: dict[str, int]) -> None:
    other = {"row": row_of["Rutile"], "name": "Rutile", "fraction": None}
    answer = perfect(quartz)
    assert judge.score(answer | {"phases": [*answer["phases"], other]}, quartz).answered == 1
    invented = judge.score(answer | {"phases": [*answer["phases"], other | {"fraction": 0.1}]}, quartz)
    assert (invented.answered, invented.false) == (2, 1)
    assert summary([invented])["single"]["more_phases"] == 1


def test_the_trace_that_a_protocol_adds_is_not_false(judge: Judge, pool: Pool, row_of: dict[str, int]) -> None:
    traces = [trial for trial in draw_trials(pool, "known", 30, 2) if trial.impurity in row_of]
    assert traces
    trial = traces[0]
    second = {"row": row_of[trial.impurity], "name": trial.impurity, "fraction": 0.02, "strain": 0.0}
    verdict = judge.score(perfect(trial) | {"phases": [said_of(trial.phases[0]), second]}, trial)
    assert (verdict.answered, verdict.false) == (2, 0)


def test_noise_must_be_flagged(judge: Judge, pool: Pool) -> None:
    (trial,) = draw_trials(pool, "noise", 1, 1)
    assert judge.score(perfect(trial), trial).flagged
    sure = {"abstains": "noise", "space_group": [{"number": 225, "probability": 0.99}]}
    assert not judge.score(sure, trial).flagged, "who is sure of a group has not noticed"
    assert not judge.score({}, trial).flagged


def test_the_summary_counts(judge: Judge, pool: Pool, quartz: Trial) -> None:
    wrong = judge.score({"space_group": [{"number": 1, "probability": 0.95}], "phases": []}, quartz)
    right = judge.score(perfect(quartz), quartz)
    figures = summary([right, wrong, wrong, wrong])["single"]
    assert figures["patterns"] == 4
    assert figures["group"] == figures["named"] == figures["exact"] == figures["cell"] == 0.25
    assert figures["sure"] == 1
    assert figures["sure_right"] == 0.25
    assert figures["sure_and_wrong"] == 0.75
    assert figures["fraction_within"] == 1
    assert figures["false_phases"] == 0
    assert "named" not in summary([judge.score({}, next(draw_trials(pool, "noise", 1, 1)))])["noise"]


def test_the_phase_that_is_listed_first(judge: Judge, quartz: Trial, row_of: dict[str, int]) -> None:
    true = quartz.phases[0]
    right = judge.score(perfect(quartz) | {"phases": [said_of(true, probability=0.8)]}, quartz)
    assert (right.first, right.named_first, right.first_probability) == (True, True, 0.8)
    by_name = judge.score(perfect(quartz) | {"phases": [said_of(true, row=row_of["Rutile"])]}, quartz)
    assert (by_name.first, by_name.named_first) == (False, True)
    other = judge.score(
        perfect(quartz) | {"phases": [said_of(true, row=row_of["Rutile"], name="Rutile"), said_of(true)]}, quartz
    )
    assert (other.first, other.named_first, other.first_probability) == (False, False, 0.0)
    assert not judge.score({"phases": []}, quartz).first


def test_hydrogen_does_not_make_another_structure_type() -> None:
    gypsum = next(mineral for mineral in common_minerals() if mineral.name == "Gypsum")
    heavy = np.array([element != "H" for element in gypsum.elements])
    bare = replace(
        gypsum,
        elements=tuple(element for element in gypsum.elements if element != "H"),
        frac=gypsum.frac[heavy],
        occupancy=gypsum.occupancy[heavy],
        u_iso_A2=gypsum.u_iso_A2[heavy],
        beta=None,
    )
    assert 0 < heavy.sum() < len(heavy)
    rows = {0: gypsum, 1: bare, 2: next(mineral for mineral in common_minerals() if mineral.name == "Quartz")}
    types = StructureTypes(rows.__getitem__)
    true = TruePhase(
        row=-1, name="", formula="", space_group=15, cell=(1.0,) * 6, reduced=(1.0,) * 6, weight_fraction=1.0,
        intensity_share=1.0, origin="", structure=gypsum,
    )  # fmt: skip
    assert [types.same(row, true) for row in rows] == [True, True, False]
