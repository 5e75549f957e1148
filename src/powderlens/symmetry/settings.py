"""The 530 settings in which the 230 space groups are described, and the operators of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import gemmi
import moyopy
import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.symmetry.groups import system_index
from powderlens.symmetry.tables import read_table

TWELFTHS = 12
"""Every translation of every setting is a multiple of 1/12 of a cell vector."""


@dataclass(frozen=True)
class Setting:
    """One choice of axes, cell and origin.

    Attributes:
        hall_number: 1 to 530, the order of Hall (International Tables B, 2010, Table A1.4.2.7) that spglib and moyo
            count in.
        number: International Tables number.
        hall_symbol: as "-P 2ybc".
        hermann_mauguin: as "P 1 21/c 1".
        choice: "" where there is only one; else unique axis and cell ("b1", "-c2"), order of axes ("cab"), origin ("1",
            "2") or axes of a rhombohedral group ("H", "R").
        to_standard: coordinates of the standard setting from those of this one, as "x-1/8,y-1/8,z-1/8".
    """

    hall_number: int
    number: int
    hall_symbol: str
    hermann_mauguin: str
    choice: str
    to_standard: str

    @property
    def is_standard(self) -> bool:
        """Whether this is the standard setting of its group, the one of `operators`."""
        return self.to_standard == "x,y,z"

    def transformation(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(3, 3) linear and (3,) shift: a site is at `linear @ xyz + shift` in the standard setting."""
        change = gemmi.Op(self.to_standard)
        return np.array(change.rot) / change.DEN, np.array(change.tran) / change.DEN

    def operators(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(m, 3, 3) rotations and (m, 3) translations of the conventional cell of this setting; see `operators`."""
        return _operators(self.number, moyopy.Setting.hall_number(self.hall_number))


def settings(number: int | None = None) -> tuple[Setting, ...]:
    """All 530 settings in order, or those of one group.

    Args:
        number: International Tables number, 1 to 230; None for all.

    Raises:
        InputError: not a space-group number.
    """
    if number is None:
        return _all_settings()
    system_index(number)
    return tuple(setting for setting in _all_settings() if setting.number == number)


def setting_of_hall_number(hall_number: int) -> Setting:
    """The setting of a Hall number, 1 to 530.

    Raises:
        InputError: not a Hall number.
    """
    if not 1 <= hall_number <= 530:
        raise InputError(f"Hall number {hall_number}: numbers run from 1 to 530")
    return _all_settings()[hall_number - 1]


@lru_cache(maxsize=256)
def operators(number: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Operators of a group's conventional cell in the standard setting, centring included.

    Unique axis b and cell choice 1, hexagonal axes, origin choice 2: the setting of `Symmetry.standard`.

    Args:
        number: International Tables number, 1 to 230.

    Returns:
        (m, 3, 3) rotations acting on columns of fractional coordinates and (m, 3) translations in [0, 1), the
        identity first. Read-only.

    Raises:
        InputError: not a space-group number.
    """
    system_index(number)
    return _operators(number, moyopy.Setting.standard())


def _operators(number: int, setting: moyopy.Setting) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    found = moyopy.operations_from_number(number, setting=setting, primitive=False)
    rotations = np.array(found.rotations, dtype=np.int64)
    translations = np.round(np.array(found.translations) * TWELFTHS) % TWELFTHS / TWELFTHS
    rotations.setflags(write=False)
    translations.setflags(write=False)
    return rotations, translations


@lru_cache(maxsize=1)
def _all_settings() -> tuple[Setting, ...]:
    return tuple(Setting(index, *row) for index, row in enumerate(read_table("settings", "settings"), start=1))
