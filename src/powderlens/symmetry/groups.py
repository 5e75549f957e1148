"""Space-group numbers, their crystal systems and symbols; plain tables, no gemmi at run time."""

from __future__ import annotations

from bisect import bisect_left
from functools import cache

from powderlens.core.errors import InputError
from powderlens.symmetry.tables import read_table

SYSTEMS = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic")
"""Crystal systems in the order of their space-group numbers."""

LAST_OF_SYSTEM = (2, 15, 74, 142, 167, 194, 230)
"""Highest space-group number of each system. Source: International Tables for Crystallography A (2016),
Table 2.1.1.1. Trigonal counts every group with a threefold axis and no sixfold one, whatever its lattice."""

FAMILIES = ("a", "m", "o", "t", "h", "h", "c")
"""Crystal family of each system, as the first letter of a Bravais lattice."""

POINT_GROUPS = (
    "1", "-1", "2", "m", "2/m", "222", "mm2", "mmm", "4", "-4", "4/m", "422", "4mm", "-42m", "4/mmm", "3", "-3", "32",
    "3m", "-3m", "6", "-6", "6/m", "622", "6mm", "-6m2", "6/mmm", "23", "m-3", "432", "-43m", "m-3m",
)  # fmt: skip
"""The 32 point groups in the order of the space groups that have them."""

LAST_OF_POINT_GROUP = (
    1, 2, 5, 9, 15, 24, 46, 74, 80, 82, 88, 98, 110, 122, 142, 146, 148, 155, 161, 167, 173, 174, 176, 182, 186, 190,
    194, 199, 206, 214, 220, 230,
)  # fmt: skip
"""Highest space-group number of each point group. Source: International Tables A (2016), Table 2.1.1.1."""

ENANTIOMORPHS = (
    (76, 78), (91, 95), (92, 96), (144, 145), (151, 153), (152, 154), (169, 170), (171, 172), (178, 179), (180, 181),
    (212, 213),
)  # fmt: skip
"""Pairs of groups that are each other's mirror image, which no powder can tell apart. Source: International Tables for
Crystallography A (2016), section 1.4.2."""

_EITHER_HAND = {right: left for left, right in ENANTIOMORPHS}


def either_hand(number: int) -> int:
    """The lower number of an enantiomorphic pair, or the group's own."""
    return _EITHER_HAND.get(number, number)


def system_index(number: int) -> int:
    """Index into `SYSTEMS`, 0 to 6, of an International Tables number.

    Raises:
        InputError: not a space-group number.
    """
    if not 1 <= number <= 230:
        raise InputError(f"space group {number}: numbers run from 1 to 230")
    return bisect_left(LAST_OF_SYSTEM, number)


SYSTEM_OF = (-1, *(system_index(number) for number in range(1, 231)))
"""Index into `SYSTEMS` by space-group number; -1 at 0, which stands for no group."""


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
    return _symbols()[number - 1]


@cache
def _symbols() -> list[str]:
    return " ".join(read_table("symbols", "symbols")).split()


def point_group(number: int) -> str:
    """Hermann-Mauguin symbol of the point group of a space group, as "m-3m" for 225.

    Raises:
        InputError: not a space-group number.
    """
    system_index(number)
    return POINT_GROUPS[bisect_left(LAST_OF_POINT_GROUP, number)]


def bravais_lattice(number: int) -> str:
    """Symbol of the Bravais lattice, one of 14, as "cF" for 225; one face centred is S, whichever it is.

    Raises:
        InputError: not a space-group number.

    Source: de Wolff et al., Acta Cryst. A41, 278 (1985).
    """
    family = FAMILIES[system_index(number)]
    centring = symbol(number)[0]
    return family + ("S" if centring in "ABC" else centring)
