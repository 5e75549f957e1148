"""Systematic absences: which reflections a group extinguishes, and the rules as International Tables word them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.symmetry.groups import system_index
from powderlens.symmetry.settings import TWELFTHS, operators
from powderlens.symmetry.tables import read_table


@dataclass(frozen=True)
class ReflectionCondition:
    """Which reflections of a class are present; the others of the class are absent.

    Attributes:
        reflections: the class, as "hkl", "0kl", "00l"; four indices on hexagonal axes, as "h-h0l", "hh-2hl". Classes
            that are equivalent by the Laue symmetry are named once (in cubic groups "0kl" stands for "k0l" and "hk0",
            cyclically).
        rule: as "h+k=2n", "k,l=2n" (k=2n and l=2n) or "k+l=4n; k,l=2n" (both).
    """

    reflections: str
    rule: str

    def __str__(self) -> str:
        return f"{self.reflections}: {self.rule}"


@lru_cache(maxsize=256)
def reflection_conditions(number: int) -> tuple[ReflectionCondition, ...]:
    """Conditions of the general position in the standard setting, in the order and words of International Tables A.

    A class is listed wherever it has a condition, also where that follows from one listed before.

    Args:
        number: International Tables number, 1 to 230.

    Raises:
        InputError: not a space-group number.
    """
    system_index(number)
    return tuple(ReflectionCondition(reflections, rule) for reflections, rule in _table()[number - 1])


def is_absent(number: int, hkl: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the symmetry forbids reflections, whatever the atoms.

    A reflection is absent when an operator (R, t) with hR = h multiplies its structure factor by
    exp(2 pi i h.t) other than 1. Source: International Tables B (2010), 1.4.4.

    Args:
        number: International Tables number, 1 to 230; standard setting.
        hkl: (n, 3) integers, indices of the conventional cell.

    Returns:
        (n,) booleans.

    Raises:
        InputError: not a space-group number, or indices of another shape or kind.
    """
    indices = np.asarray(hkl)
    if indices.ndim != 2 or indices.shape[1] != 3 or not np.issubdtype(indices.dtype, np.integer):
        raise InputError(f"hkl of shape {indices.shape} and kind {indices.dtype}: integers of shape (n, 3) are wanted")
    indices = indices.astype(np.int64)
    absent = np.zeros(len(indices), dtype=bool)
    for rotation, shifts in _shifts_of_rotation(number):
        fixed = np.flatnonzero(~absent & (indices @ rotation == indices).all(axis=1))
        absent[fixed[((indices[fixed] @ shifts.T) % TWELFTHS != 0).any(axis=1)]] = True
    return absent


@lru_cache(maxsize=256)
def _shifts_of_rotation(number: int) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]:
    """Each rotation that leaves some reflections as they are, with its (k, 3) translations in twelfths."""
    rotations, translations = operators(number)
    found: dict[bytes, tuple[NDArray[np.int64], list[NDArray[np.int64]]]] = {}
    for rotation, shift in zip(rotations, np.round(translations * TWELFTHS).astype(np.int64), strict=True):
        if shift.any() and round(np.linalg.det(rotation - np.eye(3))) == 0:
            found.setdefault(rotation.tobytes(), (rotation, []))[1].append(shift)
    return tuple((rotation, np.array(shifts)) for rotation, shifts in found.values())


@lru_cache(maxsize=1)
def _table() -> list[list[list[str]]]:
    return read_table("conditions", "conditions")
