"""What a network says of the space groups: every number by hand."""

from __future__ import annotations

import numpy as np
import pytest

from powderlens.identification.evidence import (
    GROUP_TO_SYSTEM,
    SYSTEM_OF_GROUP,
    SYSTEM_PULL,
    Prediction,
    group_belief,
    log_softmax,
    network_opinion,
)
from powderlens.models.task import Task, crystal_system, extinction_class, lattice, space_group


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x)
    return powers / powers.sum(axis=-1, keepdims=True)


def belief(prediction: Prediction) -> np.ndarray:
    found = group_belief(prediction)
    assert found is not None
    return np.exp(found)


def test_a_head_of_groups_speaks_as_a_softmax() -> None:
    logits = np.random.default_rng(0).standard_normal((2, 230)).astype(np.float32)
    assert belief(Prediction(group_logits=logits)) == pytest.approx(softmax(logits.astype(float)))


def test_a_network_that_knows_some_groups_never_names_another() -> None:
    logits = np.array([[1.0, 2.0, 0.5]], np.float32)
    group = belief(Prediction.of([space_group([2, 14, 225])], {"space_group": logits}))
    assert group[0, [1, 13, 224]] == pytest.approx(softmax(logits)[0])
    assert group[0].sum() == pytest.approx(1.0)


@pytest.mark.parametrize("task", [crystal_system(), extinction_class()], ids=lambda task: task.name)
def test_what_cannot_be_told_apart_is_shared_evenly(task: Task) -> None:
    logits = np.random.default_rng(3).standard_normal((2, task.outputs)).astype(np.float32)
    group = belief(Prediction.of([task], {task.name: logits}))
    wanted = softmax(logits.astype(float))
    of_group = task.labels(np.arange(1, 231))
    for at in range(task.outputs):
        mine = group[:, of_group == at]
        assert mine.sum(axis=1) == pytest.approx(wanted[:, at])
        assert np.ptp(mine, axis=1).max() < 1e-12


def test_a_network_without_symmetry_says_nothing() -> None:
    said = Prediction.of([lattice()], {"lattice": np.ones((1, 6), np.float32)})
    assert group_belief(said) is None
    assert network_opinion(said) is None


def test_the_group_head_speaks_before_the_class_head() -> None:
    rng = np.random.default_rng(4)
    answers = {task.name: rng.standard_normal((2, task.outputs)) for task in (space_group(), extinction_class())}
    both = Prediction.of([space_group(), extinction_class()], answers)
    alone = Prediction.of([space_group()], answers)
    assert belief(both) == pytest.approx(belief(alone))
    again = Prediction.joined([both.take(np.array([0])), both.take(np.array([1]))])
    assert again.group_logits == pytest.approx(both.group_logits)
    assert again.niggli is None


def test_the_head_of_systems_pulls_the_groups_and_leaves_their_order_inside_a_system() -> None:
    rng = np.random.default_rng(5)
    group, system = rng.standard_normal((1, 230)), 3 * rng.standard_normal((1, 7))
    said = network_opinion(Prediction(group_logits=group, system_logits=system))
    alone = network_opinion(Prediction(group_logits=group))
    assert said is not None
    assert alone is not None
    own, head = np.exp(alone) @ GROUP_TO_SYSTEM, softmax(system[0])
    pulled = own ** (1 - SYSTEM_PULL) * head**SYSTEM_PULL
    assert np.exp(said) @ GROUP_TO_SYSTEM == pytest.approx(pulled / pulled.sum(), rel=1e-6)
    for s in range(7):
        moved = (said - alone)[s == SYSTEM_OF_GROUP]
        assert np.ptp(moved) < 1e-9


def test_systems_of_the_groups() -> None:
    first = [1, 3, 16, 75, 143, 168, 195]
    assert np.searchsorted(SYSTEM_OF_GROUP, range(7)).tolist() == [n - 1 for n in first]
    assert GROUP_TO_SYSTEM.shape == (230, 7)
    assert GROUP_TO_SYSTEM.sum(axis=1).tolist() == [1.0] * 230


def test_log_softmax_does_not_overflow() -> None:
    assert np.exp(log_softmax(np.array([[1e4, 1e4, -1e4]]))) == pytest.approx(np.array([[0.5, 0.5, 0.0]]))
