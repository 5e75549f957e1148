"""Tasks: what their outputs stand for, and which output a space group belongs to."""

from __future__ import annotations

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.models.task import TASKS, crystal_system, extinction_class, lattice, space_group


def test_the_makers_go_by_the_names_of_their_tasks() -> None:
    assert {name: make().name for name, make in TASKS.items()} == {name: name for name in TASKS}
    assert {name: make().outputs for name, make in TASKS.items()} == {
        "crystal_system": 7,
        "space_group": 230,
        "extinction_class": 120,
        "lattice": 6,
        "cell_mixture": 180,
    }


def test_systems_in_our_order() -> None:
    """Triclinic 0 to cubic 6: not the order of SimXRD."""
    groups = [1, 2, 3, 15, 16, 74, 75, 142, 143, 167, 168, 194, 195, 230]
    assert crystal_system().labels(groups).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]


def test_groups() -> None:
    assert space_group().labels([1, 230, 62]).tolist() == [0, 229, 61]
    assert space_group().classes == tuple(range(1, 231))


def test_a_list_of_groups_is_sorted_and_knows_what_it_lacks() -> None:
    task = space_group([225, 14, 62])
    assert task.classes == (14, 62, 225)
    assert task == space_group([14, 62, 225])
    labels = task.labels(np.array([[62, 1], [225, 230]]))
    assert labels.dtype == np.int64
    assert labels.tolist() == [[1, -1], [2, -1]]
    assert task.labels([]).shape == (0,)


def test_extinction_classes_join_groups_that_positions_cannot_tell_apart() -> None:
    task = extinction_class()
    pnma, pna21, other = task.labels([62, 33, 61])
    assert pnma == pna21 != other
    assert task.classes[pnma] == 33, "named by the smallest"
    assert task.labels(range(1, 231)).min() == 0
    assert task.labels(range(1, 231)).max() == task.outputs - 1


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([], "0 space groups: a classification needs at least two"),
        ([14], "1 space groups"),
        ([0, 5], "space group 0: numbers run from 1 to 230"),
        ([5, 231], "space group 231"),
        ([5, 7, 5], "space group 5: twice"),
    ],
)
def test_bad_lists(numbers: list[int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        space_group(numbers)


@pytest.mark.parametrize("bad", [[0], [231], [14, -1]])
def test_bad_groups(bad: list[int]) -> None:
    with pytest.raises(InputError, match="numbers run from 1 to 230"):
        crystal_system().labels(bad)


def test_the_lattice_has_no_classes() -> None:
    with pytest.raises(InputError, match="task lattice: has no classes"):
        lattice().labels([1])
