"""Wyckoff positions of the 230 space groups in the standard setting."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import turned
from powderlens.symmetry.groups import system_index
from powderlens.symmetry.settings import operators as operators
from powderlens.symmetry.tables import read_table

_TERM = re.compile(r"([+-]?)(\d*)([xyz])|([+-]?)(\d+)(?:/(\d+))?")
_GRAIN = 24  # shifts are multiples of 1/24 of a cell vector


@dataclass(frozen=True, eq=False)
class WyckoffPosition:
    """One Wyckoff position.

    Attributes:
        letter: "a" and on; "A" is the 27th of group 47.
        multiplicity: number of equivalent sites in the conventional cell.
        site_symmetry: oriented symbol, as "m.2m".
        coordinates: the first site as text, as "x,2x,z"; the letters in it are the free coordinates.
        linear: (multiplicity, 3, 3) and
        shift: (multiplicity, 3) in [0, 1): the sites of parameters (x, y, z) are at `linear @ xyz + shift`, fractions
            of the conventional cell. Columns of parameters that are not free are zero.
        which_free: which of x, y, z are free.
    """

    letter: str
    multiplicity: int
    site_symmetry: str
    coordinates: str
    linear: NDArray[np.float64]
    shift: NDArray[np.float64]
    which_free: tuple[bool, bool, bool]

    @property
    def free(self) -> int:
        """Number of free coordinates, 0 (a fixed point) to 3 (the general position)."""
        return sum(self.which_free)

    def sites(self, xyz: NDArray[np.float64]) -> NDArray[np.float64]:
        """The (multiplicity, 3) equivalent sites of parameters (3,), in [0, 1)."""
        return (turned(self.linear, xyz) + self.shift) % 1.0


@lru_cache(maxsize=256)
def wyckoff_positions(number: int) -> tuple[WyckoffPosition, ...]:
    """The Wyckoff positions of a group in order of their letters; the last one is the general position.

    Derived from the operators, letters and choice of the first site as in International Tables A, see
    scripts/make_symmetry_tables.py.

    Args:
        number: International Tables number, 1 to 230.

    Raises:
        InputError: not a space-group number.
    """
    system_index(number)
    return tuple(
        _position(number, letter, site_symmetry, coordinates)
        for letter, site_symmetry, coordinates in _table()[number - 1]
    )


def parse_coordinates(text: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(3, 3) linear part and (3,) shift of a text such as "x,2x,z+1/4".

    Raises:
        ValueError: another kind of text.
    """
    linear, shift = np.zeros((3, 3), dtype=np.int64), np.zeros(3)
    parts = text.replace(" ", "").split(",")
    if len(parts) != 3:
        raise ValueError(f"{text!r}: three coordinates are wanted")
    for row, part in enumerate(parts):
        end = 0
        for term in _TERM.finditer(part):
            if term.start() != end:
                break
            end = term.end()
            if term[3]:
                linear[row, "xyz".index(term[3])] += int(term[1] + (term[2] or "1"))
            else:
                shift[row] += int(term[4] + term[5]) / int(term[6] or 1)
        if end != len(part) or not part:
            raise ValueError(f"{text!r}: {part!r} is no coordinate")
    return linear, shift


def _position(number: int, letter: str, site_symmetry: str, coordinates: str) -> WyckoffPosition:
    first_linear, first_shift = parse_coordinates(coordinates)
    rotations, translations = operators(number)
    linear = rotations @ first_linear
    grains = np.round((rotations @ first_shift + translations) * _GRAIN).astype(np.int64) % _GRAIN
    rows = np.concatenate([linear.reshape(-1, 9), grains], axis=1)
    kept = np.sort(np.unique(rows, axis=0, return_index=True)[1])
    orbit_linear, orbit_shift = linear[kept].astype(np.float64), grains[kept] / _GRAIN
    orbit_linear.setflags(write=False)
    orbit_shift.setflags(write=False)
    free = np.asarray(first_linear.any(axis=0))
    return WyckoffPosition(
        letter=letter,
        multiplicity=len(kept),
        site_symmetry=site_symmetry,
        coordinates=coordinates,
        linear=orbit_linear,
        shift=orbit_shift,
        which_free=(bool(free[0]), bool(free[1]), bool(free[2])),
    )


@lru_cache(maxsize=1)
def _table() -> list[list[list[str]]]:
    """For each group the letter, site symmetry and first site of every position."""
    return read_table("wyckoff", "positions")
