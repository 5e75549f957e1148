"""Joining network and library: every number by hand."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from powderlens.identification.evidence import (
    GROUP_TO_SYSTEM,
    SYSTEM_OF_GROUP,
    Prediction,
    Weights,
    join,
    log_softmax,
    system_belief,
    weights_for,
    write_weights,
)
from powderlens.library.search import Matches
from powderlens.models.task import Task, crystal_system, extinction_class, lattice, space_group

PLAIN = Weights(temperature=1.0, system_pull=0.0, sharpness=20.0, unknown=-8.0, kinship=0.0, doubt=0.0)
FLAT = np.full(230, 1 / 230)
RUTILE, QUARTZ, HALITE = 135, 153, 224
"""Indices of groups 136, 154 and 225."""


def prediction(b: int = 2, seed: int = 0) -> Prediction:
    rng = np.random.default_rng(seed)
    return Prediction(
        system_logits=(2 * rng.standard_normal((b, 7))).astype(np.float32),
        group_logits=(3 * rng.standard_normal((b, 230))).astype(np.float32),
        niggli=np.ones((b, 6), np.float32),
    )


def matches(scores: list[list[float]], groups: list[list[int]], share: np.ndarray = FLAT) -> Matches:
    return Matches(
        np.zeros(np.shape(scores), np.int64), np.array(scores, np.float32), np.array(groups, np.int64), share
    )


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x)
    return powers / powers.sum(axis=1, keepdims=True)


def test_network_alone_is_a_softmax_at_a_temperature() -> None:
    said = prediction()
    for temperature in (0.5, 1.0, 2.5):
        group, phase = join(said, None, replace(PLAIN, temperature=temperature))
        assert group == pytest.approx(softmax(said.group_logits.astype(float) / temperature))
        assert phase.shape == (2, 0)


def test_a_network_that_knows_some_groups_never_names_another() -> None:
    logits = np.array([[1.0, 2.0, 0.5]], np.float32)
    said = Prediction.of([space_group([2, 14, 225])], {"space_group": logits})
    group, _ = join(said, None, PLAIN)
    assert group[0, [1, 13, 224]] == pytest.approx(softmax(logits)[0])
    assert group[0].sum() == pytest.approx(1.0)
    found = matches([[0.9, 0.8]], [[136, 225]])
    both, phase = join(said, found, replace(PLAIN, kinship=0.5))
    assert both[0, RUTILE] == phase[0, 0] == 0
    assert both[0, HALITE] > group[0, HALITE]
    assert system_belief(both, said, PLAIN)[0].sum() == pytest.approx(1.0)


@pytest.mark.parametrize("task", [crystal_system(), extinction_class()], ids=lambda task: task.name)
def test_what_cannot_be_told_apart_is_shared_evenly(task: Task) -> None:
    logits = np.random.default_rng(3).standard_normal((2, task.outputs)).astype(np.float32)
    group = join(Prediction.of([task], {task.name: logits}), None, replace(PLAIN, temperature=2.0))[0]
    wanted = softmax(logits.astype(float) / 2.0)
    of_group = task.labels(np.arange(1, 231))
    for at in range(task.outputs):
        mine = group[:, of_group == at]
        assert mine.sum(axis=1) == pytest.approx(wanted[:, at])
        assert np.ptp(mine, axis=1).max() < 1e-12


def test_a_network_without_symmetry_leaves_the_library() -> None:
    said = Prediction.of([lattice()], {"lattice": np.ones((1, 6), np.float32)})
    found = matches([[0.9, 0.8]], [[136, 225]])
    assert join(said, found, PLAIN)[0] == pytest.approx(join(None, found, PLAIN)[0])


def test_the_group_head_speaks_before_the_class_head() -> None:
    rng = np.random.default_rng(4)
    answers = {task.name: rng.standard_normal((2, task.outputs)) for task in (space_group(), extinction_class())}
    both = Prediction.of([space_group(), extinction_class()], answers)
    alone = Prediction.of([space_group()], answers)
    assert join(both, None, PLAIN)[0] == pytest.approx(join(alone, None, PLAIN)[0])
    again = Prediction.joined([both.take(np.array([0])), both.take(np.array([1]))])
    assert again.group_logits == pytest.approx(both.group_logits)
    assert again.niggli is None


def test_weights_are_for_the_network_that_ships() -> None:
    assert weights_for("prism-1") == (Weights.load(), True)
    other, calibrated = weights_for("another")
    assert not calibrated
    assert other == replace(Weights.load(), temperature=1.0, system_pull=0.0)


def test_without_pull_the_systems_follow_from_the_groups() -> None:
    said = prediction()
    group, _ = join(said, None, PLAIN)
    assert system_belief(group, said, PLAIN) == pytest.approx(group @ GROUP_TO_SYSTEM, rel=1e-9)
    assert system_belief(group, None, replace(PLAIN, system_pull=1.0)) == pytest.approx(group @ GROUP_TO_SYSTEM)


def test_systems_follow_from_the_groups_and_a_pull_to_the_system_head() -> None:
    said = prediction()
    group, _ = join(said, None, PLAIN)
    head = softmax(said.system_logits.astype(float))
    assert system_belief(group, said, PLAIN) == pytest.approx(group @ GROUP_TO_SYSTEM, rel=1e-6)
    assert system_belief(group, None, replace(PLAIN, system_pull=1.0)) == pytest.approx(group @ GROUP_TO_SYSTEM)
    assert system_belief(group, said, replace(PLAIN, system_pull=1.0)) == pytest.approx(head, rel=1e-5)
    between = softmax((np.log(group @ GROUP_TO_SYSTEM) + np.log(head)) / 2)
    assert system_belief(group, said, replace(PLAIN, system_pull=0.5)) == pytest.approx(between, rel=1e-5)


def test_library_alone_by_hand() -> None:
    """Two phases of one group and one of another against "none of the library", all groups alike before."""
    found = matches([[0.9, 0.8, 0.7]], [[136, 136, 154]])
    speak = np.exp(20 * (np.array([0.9, 0.8, 0.7]) - 1))
    unknown = np.exp(-8.0)
    total = speak.sum() + 230 * unknown
    group, phase = join(None, found, PLAIN)
    assert group[0, RUTILE] == pytest.approx((speak[0] + speak[1] + unknown) / total, rel=1e-5)
    assert group[0, QUARTZ] == pytest.approx((speak[2] + unknown) / total, rel=1e-5)
    assert group[0, HALITE] == pytest.approx(unknown / total, rel=1e-5)
    assert phase[0] == pytest.approx(speak / total, rel=1e-5)


def test_both_by_hand() -> None:
    logits = np.zeros((1, 230), np.float32)
    logits[0, HALITE] = np.log(20.0)
    said = Prediction(group_logits=logits)
    found = matches([[0.9, 0.85]], [[136, 225]])
    prior_halite, prior_other = 20 / 249, 1 / 249
    speak = np.exp(20 * (np.array([0.9, 0.85]) - 1))
    unknown = np.exp(-8.0)
    total = prior_other * speak[0] + prior_halite * speak[1] + unknown
    group, phase = join(said, found, PLAIN)
    assert group[0, RUTILE] == pytest.approx(prior_other * (speak[0] + unknown) / total, rel=1e-5)
    assert group[0, HALITE] == pytest.approx(prior_halite * (speak[1] + unknown) / total, rel=1e-5)
    assert phase[0] == pytest.approx([prior_other * speak[0] / total, prior_halite * speak[1] / total], rel=1e-5)
    assert phase[0, 1] > phase[0, 0], "the network overrules the nearer phase"


def test_a_library_that_knows_nothing_leaves_the_network() -> None:
    said = prediction()
    found = matches([[0.0, 0.0]] * 2, [[136, 154]] * 2)
    group, phase = join(said, found, replace(PLAIN, sharpness=80.0))
    assert group == pytest.approx(join(said, None, PLAIN)[0], rel=1e-6)
    assert phase.max() < 1e-6


def test_an_unknown_phase_is_thought_of_as_like_the_librarys() -> None:
    share = np.full(230, 0.5 / 229)
    share[HALITE] = 0.5
    found = matches([[0.0]], [[136]], share)
    for kinship in (0.0, 0.5, 1.0):
        expected = share**kinship / (share**kinship).sum()
        group, _ = join(None, found, replace(PLAIN, sharpness=200.0, kinship=kinship))
        assert group[0] == pytest.approx(expected, rel=1e-6)


def test_doubt_keeps_a_share_of_the_answer_from_the_phases() -> None:
    found = matches([[1.0]], [[136]])
    sure = replace(PLAIN, unknown=-40.0)
    assert join(None, found, sure)[0][0, RUTILE] == pytest.approx(1.0, abs=1e-12)
    group, phase = join(None, found, replace(sure, doubt=0.1))
    assert group[0, RUTILE] == pytest.approx(0.9 + 0.1 / 230)
    assert group[0, HALITE] == pytest.approx(0.1 / 230)
    assert phase[0, 0] == pytest.approx(0.9)


@pytest.mark.parametrize("weights", [PLAIN, Weights.load()], ids=["plain", "shipped"])
def test_probabilities_are_probabilities(weights: Weights) -> None:
    rng = np.random.default_rng(1)
    found = Matches(
        np.zeros((20, 24), np.int64),
        rng.random((20, 24)).astype(np.float32),
        rng.integers(1, 231, (20, 24)),
        rng.dirichlet(np.ones(230)),
    )
    said = prediction(20, seed=2)
    for sources in ((said, None), (None, found), (said, found)):
        group, phase = join(*sources, weights)
        assert group.shape == (20, 230)
        assert group.sum(axis=1) == pytest.approx(np.ones(20))
        assert group.min() >= 0
        assert (phase.sum(axis=1) <= 1).all()
        system = system_belief(group, sources[0], weights)
        assert system.shape == (20, 7)
        assert system.sum(axis=1) == pytest.approx(np.ones(20))
        assert system.min() >= 0
        # No phase is likelier than its group.
        if sources[1] is not None:
            of_group = np.take_along_axis(group, found.group - 1, 1)
            assert (phase <= of_group + 1e-12).all()


def test_each_pattern_is_joined_alone() -> None:
    said = prediction(3)
    found = matches([[0.9, 0.1], [0.2, 0.1], [0.7, 0.6]], [[1, 2], [3, 4], [5, 5]])
    group, phase = join(said, found, PLAIN)
    for i in range(3):
        at = np.array([i])
        alone = join(said.take(at), found.take(at), PLAIN)
        assert alone[0][0] == pytest.approx(group[i])
        assert alone[1][0] == pytest.approx(phase[i])


def test_systems_of_the_groups() -> None:
    first = [1, 3, 16, 75, 143, 168, 195]
    assert np.searchsorted(SYSTEM_OF_GROUP, range(7)).tolist() == [n - 1 for n in first]
    assert GROUP_TO_SYSTEM.shape == (230, 7)
    assert GROUP_TO_SYSTEM.sum(axis=1).tolist() == [1.0] * 230


def test_log_softmax_does_not_overflow() -> None:
    assert np.exp(log_softmax(np.array([[1e4, 1e4, -1e4]]))) == pytest.approx(np.array([[0.5, 0.5, 0.0]]))


def test_weights_written_and_shipped(tmp_path: Path) -> None:
    import json

    write_weights(tmp_path / "w.json", PLAIN, chosen_on="set.npz", model="m")
    stored = json.loads((tmp_path / "w.json").read_text())
    assert Weights(**stored["weights"]) == PLAIN
    assert stored["model"] == "m"
    assert stored["command"] == "powderlens evaluate measured set.npz --choose-weights w.json"
    shipped = asdict(Weights.load())
    assert shipped["temperature"] > 0
    assert shipped["sharpness"] > 0
    assert all(0 <= shipped[name] <= 1 for name in ("system_pull", "kinship", "doubt"))
