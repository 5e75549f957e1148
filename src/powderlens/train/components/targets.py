"""Which tasks a run has, and what the right answers to them are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from powderlens.corpus.store.corpus import Labels
from powderlens.corpus.stream.stream import Batch
from powderlens.models.task import TASKS, Task, space_group
from powderlens.train.components.losses import UNKNOWN
from powderlens.train.recipe_parts import TaskRecipe


def make_tasks(wanted: Mapping[str, TaskRecipe], present: Sequence[int]) -> list[Task]:
    """The tasks of a recipe.

    Args:
        wanted: by name.
        present: space groups of the training crystals, for `classes = "present"`.

    Raises:
        InputError: a list of classes that cannot be.
    """
    return [
        TASKS[name]()
        if one.classes == "all"
        else space_group(list(present) if one.classes == "present" else list(one.classes))
        for name, one in wanted.items()
    ]


def class_values(task: Task, labels: Labels | Batch) -> NDArray[np.int64]:
    """(n,) the class of each pattern as `task.classes` names them; what is not known is none of these.

    Args:
        task: with classes.
        labels: of n patterns.
    """
    if task.name == "crystal_system":
        return labels.crystal_system.astype(np.int64)
    return (labels.space_group if task.name == "space_group" else labels.extinction_class).astype(np.int64)


def class_index(task: Task, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) place of each value in `task.classes`, `UNKNOWN` where it is none of them."""
    classes = np.asarray(task.classes)
    at = np.minimum(np.searchsorted(classes, values), len(classes) - 1)
    return np.where(classes[at] == values, at, UNKNOWN)


def targets(tasks: Sequence[Task], labels: Labels | Batch) -> dict[str, Tensor]:
    """The right answers by task: (n,) int64 index of the class or `UNKNOWN`, or (n, 6) float32 Niggli cells."""
    return {
        task.name: torch.from_numpy(
            labels.niggli.astype(np.float32)
            if task.kind != "classes"
            else class_index(task, class_values(task, labels))
        )
        for task in tasks
    }


def known(task: Task, target: Tensor) -> Tensor:
    """(n,) whether the right answer is known."""
    return torch.isfinite(target).all(dim=1) if task.kind != "classes" else target != UNKNOWN


def class_counts(task: Task, target: Tensor) -> dict[int, int]:
    """Patterns by class, as `task.classes` names them; classes that do not occur are left out."""
    found = Counter(target[target != UNKNOWN].tolist())
    return {task.classes[at]: number for at, number in sorted(found.items())}
