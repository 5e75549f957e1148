"""Calibration: the weights follow what is right, and a trial is gathered with its truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from powderlens.evaluate.calibrate import REST, Gathered, Problem, calibration_of, choose, gather, group_shares
from powderlens.evaluate.trials.draw import draw_trials
from powderlens.evaluate.trials.pool import Pool
from powderlens.identification.hypotheses import LOWER, QUANTITIES, Known, weigh
from powderlens.identification.identify import Identifier, Search

FLAT = np.zeros(230)


def made(agreement: list[float], groups: list[int], right: int | None, truth: int, network: np.ndarray) -> Gathered:
    quantities = np.zeros((len(agreement), len(QUANTITIES)))
    quantities[:, 0] = agreement
    quantities[:, 1] = np.log(1 - np.array(agreement) ** 2)
    marks = np.zeros(len(agreement), bool)
    if right is not None:
        marks[right] = True
    return Gathered("known", Known(quantities, LOWER[np.array(groups) - 1], network), marks, int(LOWER[truth - 1]))


def some(believed: bool) -> list[Gathered]:
    """Good fits that are right, or wrong."""
    rng = np.random.default_rng(1)
    network = np.full(230, -np.log(230))
    return [
        made([0.98, 0.8], [group, 14], 0 if believed else None, group if believed else 62, network)
        for group in rng.integers(75, 230, 40).tolist()
    ]


def test_the_loss_is_that_of_beliefs_as_they_are_given() -> None:
    gathered = some(True)
    problem = Problem.of(gathered, FLAT)
    p_known, p_none, p_group = problem.beliefs(REST)
    calibration = calibration_of(REST, FLAT, np.full(230, 1 / 230), model="", library="", made="")
    for i, one in enumerate(gathered):
        found = weigh(one.known, calibration)
        assert p_known[i] == pytest.approx(found.known, abs=1e-4)
        assert p_none[i].sum() == pytest.approx(found.none.sum(), abs=1e-4)
        assert p_group[i] == pytest.approx(found.group, abs=1e-4)


def test_fits_are_believed_as_far_as_they_are_right() -> None:
    believed = choose(Problem.of(some(True), FLAT))
    doubted = choose(Problem.of(some(False), FLAT))
    known = Problem.of(some(True), FLAT)
    assert known.beliefs(believed)[0][:, 0].min() > 0.8
    assert known.beliefs(doubted)[0][:, 0].max() < 0.2


def test_trials_are_gathered_with_their_truth(small_library: Path) -> None:
    identifier = Identifier(
        "all", threads=1, search=Search(libraries=(str(small_library),), shipped=False, max_phases=1)
    )
    assert identifier.shelf is not None
    pool = Pool.of(identifier.shelf.libraries[0], shares={"measured": 1.0})
    known = list(gather(identifier, draw_trials(pool, "known", 4, 3)))
    assert len(known) == 4
    assert sum(one.right.any() for one in known) >= 3
    for one in known:
        assert one.known.quantities.shape == (len(one.right), len(QUANTITIES))
        assert (one.known.group[one.right] == one.group).all()
    removed = list(gather(identifier, draw_trials(pool, "removed", 3, 3)))
    assert not any(one.right.any() for one in removed)


def test_shares_of_groups_sum_to_one(small_library: Path) -> None:
    shelf = Identifier("library", search=Search(libraries=(str(small_library),), shipped=False)).shelf
    assert shelf is not None
    minerals, training = group_shares(shelf)
    assert minerals.sum() == pytest.approx(1)
    assert training.sum() == pytest.approx(1)
    assert minerals[224] > minerals[0], "halite, fluorite, periclase and galena"
