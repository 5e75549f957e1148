"""Extinction classes: the sets of space groups that the positions of powder lines cannot tell apart."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache

from powderlens.symmetry.conditions import ReflectionCondition, reflection_conditions
from powderlens.symmetry.groups import system_index
from powderlens.symmetry.tables import read_table

LAUE_CLASSES = ("-1", "2/m", "mmm", "4/m", "4/mmm", "-3", "-3m", "6/m", "6/mmm", "m-3", "m-3m")
"""The eleven Laue classes in the order of their space-group numbers."""

LAST_OF_LAUE_CLASS = (2, 15, 74, 88, 142, 148, 167, 176, 194, 206, 230)
"""Highest space-group number of each Laue class; the tests compare with gemmi."""


@dataclass(frozen=True)
class ExtinctionClass:
    """Groups of one Laue class with the same absent reflections, up to another choice of axes, cell or origin.

    Attributes:
        id: the smallest number among its groups; it does not change.
        symbol: extinction symbol after International Tables A (2006), Table 3.1.4.1, in the standard setting of
            that group, as "P n a -" for 33 and 62.
        laue_class: one of `LAUE_CLASSES`.
        groups: International Tables numbers, ascending.
    """

    id: int
    symbol: str
    laue_class: str
    groups: tuple[int, ...]

    @property
    def conditions(self) -> tuple[ReflectionCondition, ...]:
        """Reflection conditions in the standard setting of the group that gives the class its `id`."""
        return reflection_conditions(self.id)

    @property
    def diffraction_symbol(self) -> str:
        """Laue class and extinction symbol, as "mmm P n a -"; no two classes share one."""
        return f"{self.laue_class} {self.symbol}"


def laue_class(number: int) -> str:
    """Name of the Laue class of an International Tables number.

    Raises:
        InputError: not a space-group number.
    """
    system_index(number)
    return LAUE_CLASSES[bisect_left(LAST_OF_LAUE_CLASS, number)]


@lru_cache(maxsize=1)
def extinction_classes() -> tuple[ExtinctionClass, ...]:
    """All 120 classes in the order of their ids; docs/EXTINCTION.md lists them."""
    return tuple(
        ExtinctionClass(id=members[0], symbol=symbol, laue_class=laue_class(members[0]), groups=tuple(members))
        for symbol, members in read_table("extinction", "classes")
    )


def extinction_class(number: int) -> ExtinctionClass:
    """The class of a space group.

    Args:
        number: International Tables number, 1 to 230.

    Raises:
        InputError: not a space-group number.
    """
    system_index(number)
    return _class_of_group()[number]


@lru_cache(maxsize=1)
def _class_of_group() -> dict[int, ExtinctionClass]:
    return {number: found for found in extinction_classes() for number in found.groups}
