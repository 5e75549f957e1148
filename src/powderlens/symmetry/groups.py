"""Space-group numbers, their crystal systems and symbols; plain tables, no gemmi at run time."""

from __future__ import annotations

from bisect import bisect_left

from powderlens.core.errors import InputError
from powderlens.symmetry.hm_symbols import SYMBOLS

SYSTEMS = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic")
"""Crystal systems in the order of their space-group numbers."""

LAST_OF_SYSTEM = (2, 15, 74, 142, 167, 194, 230)
"""Highest space-group number of each system. Source: International Tables for Crystallography A (2016),
Table 2.1.1.1. Trigonal counts every group with a threefold axis and no sixfold one, whatever its lattice."""


def system_index(number: int) -> int:
    """Index into `SYSTEMS`, 0 to 6, of an International Tables number.

    Raises:
        InputError: not a space-group number.
    """
    if not 1 <= number <= 230:
        raise InputError(f"space group {number}: numbers run from 1 to 230")
    return bisect_left(LAST_OF_SYSTEM, number)


def crystal_system(number: int) -> str:
    """Name of the crystal system of an International Tables number.

    Raises:
        InputError: not a space-group number.
    """
    return SYSTEMS[system_index(number)]


def symbol(number: int) -> str:
    """Short Hermann-Mauguin symbol without spaces, as "P21/c" for 14 or "R-3m" for 166.

    Raises:
        InputError: not a space-group number.
    """
    system_index(number)
    return SYMBOLS[number - 1]
