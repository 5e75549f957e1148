"""What a network is asked for: a list of classes, or the unit cell. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from powderlens.core.errors import InputError
from powderlens.symmetry.groups import SYSTEMS, system_index

GROUPS = 230


@dataclass(frozen=True)
class Task:
    """One head of a network.

    Attributes:
        name: key of the network's answer; `crystal_system`, `space_group`, `extinction_class`, `lattice` or
            `cell_mixture`.
        kind: "classes" (logits), "lattice" (the Niggli cell a, b, c in A and alpha, beta, gamma in degrees) or
            "mixture" (the numbers of a density of Niggli cells, see `powderlens.models.mixture`).
        outputs: numbers that the head gives per pattern.
        classes: what output 0, 1, ... stands for, ascending: crystal-system index 0 to 6, space-group number, or id
            of the extinction class. Empty for cells.
    """

    name: str
    kind: Literal["classes", "lattice", "mixture"]
    outputs: int
    classes: tuple[int, ...] = ()

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Task:
        """Of what JSON holds of one (`dataclasses.asdict`).

        Raises:
            ValueError: other classes than outputs.
        """
        task = cls(content["name"], content["kind"], content["outputs"], tuple(content["classes"]))
        if task.kind == "classes" and len(task.classes) != task.outputs:
            raise ValueError(f"{len(task.classes)} classes of {task.name} for {task.outputs} outputs")
        return task

    def labels(self, space_groups: ArrayLike) -> NDArray[np.int64]:
        """Index of the right output for patterns of known space group.

        Args:
            space_groups: International Tables numbers, any shape.

        Returns:
            Same shape; -1 where the group is none of the task's classes.

        Raises:
            InputError: a number outside 1 to 230, or a task that has no classes.
        """
        if self.kind != "classes":
            raise InputError(f"task {self.name}: has no classes; its target is the cell itself")
        numbers = np.asarray(space_groups, dtype=np.int64)
        if numbers.size and (numbers.min() < 1 or numbers.max() > GROUPS):
            raise InputError(f"space groups {numbers.min()} to {numbers.max()}: numbers run from 1 to {GROUPS}")
        place = {value: i for i, value in enumerate(self.classes)}
        meaning = _MEANING[self.name]
        table = np.array([-1] + [place.get(meaning(number), -1) for number in range(1, GROUPS + 1)], dtype=np.int64)
        return np.asarray(table[numbers])


def crystal_system() -> Task:
    """Seven classes, triclinic 0 to cubic 6, see `powderlens.symmetry.groups.SYSTEMS`."""
    return Task("crystal_system", "classes", len(SYSTEMS), tuple(range(len(SYSTEMS))))


def space_group(numbers: Sequence[int] | None = None) -> Task:
    """All 230 space groups, or those of a list.

    Args:
        numbers: International Tables numbers in any order, none twice; the task holds them in ascending order.

    Raises:
        InputError: fewer than two, a number outside 1 to 230, or one twice.
    """
    wanted = sorted(range(1, GROUPS + 1) if numbers is None else numbers)
    if len(wanted) < 2:
        raise InputError(f"{len(wanted)} space groups: a classification needs at least two")
    if wanted[0] < 1 or wanted[-1] > GROUPS:
        wrong = wanted[0] if wanted[0] < 1 else wanted[-1]
        raise InputError(f"space group {wrong}: numbers run from 1 to {GROUPS}")
    twice = [one for one, other in pairwise(wanted) if one == other]
    if twice:
        raise InputError(f"space group {twice[0]}: twice in the list of classes; give each once")
    return Task("space_group", "classes", len(wanted), tuple(wanted))


def extinction_class() -> Task:
    """The 120 classes that positions of lines can tell apart; a class is named by its smallest space group."""
    from powderlens.symmetry.extinction import extinction_classes  # with all settings: 30 ms that identify does without

    ids = tuple(one.id for one in extinction_classes())
    return Task("extinction_class", "classes", len(ids), ids)


def lattice() -> Task:
    """The Niggli cell: three lengths in A, three angles in degrees."""
    return Task("lattice", "lattice", 6)


MIXTURE_COMPONENTS, MIXTURE_NUMBERS = 12, 15
"""Components of a density of cells, and numbers of each."""


def cell_mixture() -> Task:
    """A density of Niggli cells, of which the lattice is the likeliest; for networks that are made for it."""
    return Task("cell_mixture", "mixture", MIXTURE_COMPONENTS * MIXTURE_NUMBERS)


TASKS: dict[str, Callable[[], Task]] = {
    "crystal_system": crystal_system,
    "space_group": space_group,
    "extinction_class": extinction_class,
    "lattice": lattice,
    "cell_mixture": cell_mixture,
}
"""Makers by name, as recipes name them."""


def _class_id(number: int) -> int:
    from powderlens.symmetry.extinction import extinction_class as class_of_group

    return class_of_group(number).id


_MEANING: dict[str, Callable[[int], int]] = {
    "crystal_system": system_index,
    "space_group": int,
    "extinction_class": _class_id,
}
