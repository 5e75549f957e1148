"""Labels of measured patterns: space groups by number or symbol, cells, and the table that goes with a folder."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np

from powderlens.core.errors import InputError
from powderlens.crystal.reduce import niggli_cell
from powderlens.crystal.structure import lattice_from_cell
from powderlens.symmetry.groups import crystal_system
from powderlens.symmetry.settings import settings

CELL = ("a_A", "b_A", "c_A", "alpha_deg", "beta_deg", "gamma_deg")
COLUMNS = ("file", "space_group", "name", "formula", "wavelength", *CELL)
"""Columns of a table of labels; all but the first may be left out."""

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


def label_of(
    *,
    group: str | int | None = None,
    cell: Sequence[float] | None = None,
    name: str | None = None,
    formula: str | None = None,
) -> Labelled:
    """Labels from what a file or a table states.

    Args:
        group: symbol of a space group in any setting ("P2_1/n", "*F d 3 m", "Pn3"), or its number.
        cell: in the setting of the symbol. A number alone tells the centring where all settings of the group
            have the same (P, F or I); else no cell is reduced.
        name: of the phase.
        formula: of the phase.

    Raises:
        InputError: no such group, or a cell that is none.
    """
    number, centring = (None, None) if group in (None, "") else _group(group, cell)
    given = None if cell is None else tuple(float(value) for value in cell)
    if given is not None:
        lattice_from_cell(given)  # refuses what is no cell
    return Labelled(
        space_group=number,
        crystal_system=None if number is None else crystal_system(number),
        cell=given,
        niggli=None if given is None or centring is None else _reduced(given, centring),
        name=name,
        formula=formula,
    )


def stated_cell(text: str) -> tuple[float, ...] | None:
    """The cell in "a: 4.9134 b: 4.9134 c: 5.4042 alpha: 90 beta: 90 gamma: 120", None where it is not whole."""
    found = dict(re.findall(r"\b(a|b|c|alpha|beta|gamma)\s*:\s*(\d+\.?\d*)", text))
    names = ("a", "b", "c", "alpha", "beta", "gamma")
    return tuple(float(found[name]) for name in names) if found.keys() >= set(names) else None


@dataclass(frozen=True)
class Row:
    """A line of a table of labels."""

    file: str
    values: Mapping[str, str]

    @property
    def wavelength(self) -> str | None:
        """As the table states it."""
        return self.values.get("wavelength") or None

    @property
    def rest(self) -> dict[str, str]:
        """Columns that are not known."""
        return {key: value for key, value in self.values.items() if key not in COLUMNS}

    def label(self) -> Labelled:
        """The labels.

        Raises:
            InputError: no such group, or a cell that is none.
        """
        stated = [self.values.get(name, "") for name in CELL]
        try:
            cell = [float(value) for value in stated] if all(stated) else None
        except ValueError:
            raise InputError(f"cell {' '.join(stated)}: not six numbers") from None
        return label_of(
            group=self.values.get("space_group"),
            cell=cell,
            name=self.values.get("name") or None,
            formula=self.values.get("formula") or None,
        )


def read_label_table(path: Path) -> list[Row]:
    """Rows of a csv file with the column `file` and any of `COLUMNS`.

    Raises:
        InputError: no such file, no column `file`, or a file listed twice.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle, restkey="more", restval="")
            if "file" not in (reader.fieldnames or ()):
                raise InputError(
                    f"{path}: a table of labels has the column file, and may have {', '.join(COLUMNS[1:])}"
                )
            rows = [{key: str(value or "").strip() for key, value in row.items()} for row in reader]
    except FileNotFoundError:
        raise InputError(
            f"{path}: no table of labels; make a csv file with the columns file and space_group, or name it with "
            "--labels"
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}); save it as csv in UTF-8") from None
    return [Row(values["file"], values) for values in rows if values["file"]]


def _group(text: str | int, cell: Sequence[float] | None) -> tuple[int, str | None]:
    """Number of a group, and the centring of its cell where the symbol tells."""
    plain = str(text).replace("_", "").replace("*", "").strip()
    if plain.isdecimal():
        if not 1 <= int(plain) <= 230:
            raise InputError(f"space group {plain}: numbers run from 1 to 230")
        return int(plain), _only_centring(int(plain))
    found = gemmi.find_spacegroup_by_name(plain)
    if found is None:
        raise InputError(f"space group {str(text)!r}: no such symbol")
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
