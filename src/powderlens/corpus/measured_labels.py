"""Labels of measured patterns, made of what files and tables state: groups by number or symbol, cells reduced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import gemmi
import numpy as np

from powderlens.core.errors import InputError
from powderlens.crystal.reduce import niggli_cell
from powderlens.crystal.structure import lattice_from_cell
from powderlens.pattern.formats.stated import Stated
from powderlens.symmetry.groups import crystal_system
from powderlens.symmetry.settings import settings

_THIRD = 1 / 3
PRIMITIVE = {
    "P": np.eye(3),
    "A": np.array([[1, 0, 0], [0, 0.5, 0.5], [0, -0.5, 0.5]]),
    "B": np.array([[0.5, 0, 0.5], [0, 1, 0], [-0.5, 0, 0.5]]),
    "C": np.array([[0.5, 0.5, 0], [-0.5, 0.5, 0], [0, 0, 1]]),
    "I": np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]]),
    "F": np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]),
    "R": np.array([[2 * _THIRD, _THIRD, _THIRD], [-_THIRD, _THIRD, _THIRD], [-_THIRD, -2 * _THIRD, _THIRD]]),
}
"""Rows of a primitive basis by the letter of the centring; R obverse on hexagonal axes. Source: International Tables
for Crystallography A (2016), section 1.5.4."""


@dataclass(frozen=True)
class Labelled:
    """What is known of a sample.

    Attributes:
        space_group: International Tables number.
        crystal_system: of the group.
        cell, niggli: a, b, c in A and alpha, beta, gamma in degrees, as stated and reduced.
        name, formula: of the phase.
    """

    space_group: int | None = None
    crystal_system: str | None = None
    cell: tuple[float, ...] | None = None
    niggli: tuple[float, ...] | None = None
    name: str | None = None
    formula: str | None = None


def label_of(stated: Stated) -> Labelled:
    """Labels from what a file or a table states.

    Args:
        stated: its group a symbol in any setting ("P2_1/n", "*F d 3 m", "Pn3"), or a number; a number alone tells the
            centring where all settings of the group have the same (P, F or I), else no cell is reduced.

    Raises:
        InputError: no such group, or a cell that is none.
    """
    cell = stated.cell
    number, centring = (None, None) if stated.group is None else _group(stated.group, cell)
    if cell is not None:
        lattice_from_cell(cell)  # refuses what is no cell
    return Labelled(
        space_group=number,
        crystal_system=None if number is None else crystal_system(number),
        cell=cell,
        niggli=None if cell is None or centring is None else _reduced(cell, centring),
        name=stated.name,
        formula=stated.formula,
    )


def _group(text: str, cell: Sequence[float] | None) -> tuple[int, str | None]:
    """Number of a group, and the centring of its cell where the symbol tells."""
    plain = text.replace("_", "").replace("*", "").strip()
    if plain.isdecimal():
        if not 1 <= int(plain) <= 230:
            raise InputError(f"space group {plain}: numbers run from 1 to 230")
        return int(plain), _only_centring(int(plain))
    found = gemmi.find_spacegroup_by_name(plain)
    if found is None:
        raise InputError(f"space group {text!r}: no such symbol")
    centring = plain[0].upper()
    if centring == "R" and cell is not None and abs(cell[5] - 120) > 0.5:
        centring = "P"  # rhombohedral axes
    return found.number, centring if centring in PRIMITIVE else None


def _only_centring(number: int) -> str | None:
    """P, F or I where all settings of a group have that one: then its number tells the centring."""
    letters = {setting.hermann_mauguin[0] for setting in settings(number)}
    return letters.pop() if len(letters) == 1 and letters <= set("PFI") else None


def _reduced(cell: tuple[float, ...], centring: str) -> tuple[float, ...]:
    return niggli_cell(np.asarray(PRIMITIVE[centring] @ lattice_from_cell(cell)))
