"""What a file or a table states of a sample, as it is written; `corpus.measured_labels` makes labels of it."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from powderlens.core.cell import CELL_LETTERS, CELL_NAMES
from powderlens.core.errors import InputError

COLUMNS = ("file", "space_group", "name", "formula", "wavelength", *CELL_NAMES)
"""Columns of a table of labels; all but the first may be left out."""


@dataclass(frozen=True, kw_only=True)
class Stated:
    """Words about a sample; None where nothing is said.

    Attributes:
        group: symbol of a space group in any setting, or its number.
        cell: a, b, c in A and alpha, beta, gamma in degrees, in the setting of the symbol.
        name, formula: of the phase.
    """

    group: str | None = None
    cell: tuple[float, ...] | None = None
    name: str | None = None
    formula: str | None = None


def cell_of_words(words: Sequence[str]) -> tuple[float, ...] | None:
    """Six numbers; None where one of them is missing, an empty word or nan.

    Raises:
        InputError: a word is no number.
    """
    if not all(words):
        return None
    try:
        cell = tuple(float(word) for word in words)
    except ValueError:
        raise InputError(f"cell {' '.join(words)}: not six numbers") from None
    return cell if len(cell) == 6 and np.isfinite(cell).all() else None


def cell_in_text(text: str) -> tuple[float, ...] | None:
    """The cell in "a: 4.9134 b: 4.9134 c: 5.4042 alpha: 90 beta: 90 gamma: 120", None where it is not whole."""
    found = dict(re.findall(rf"\b({'|'.join(CELL_LETTERS)})\s*:\s*(\d+\.?\d*)", text))
    return tuple(float(found[name]) for name in CELL_LETTERS) if found.keys() >= set(CELL_LETTERS) else None


@dataclass(frozen=True)
class Row:
    """A line of a table of labels.

    Attributes:
        file: the pattern's, below the folder.
        values: by column.
    """

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

    def stated(self) -> Stated:
        """What the line says of the sample.

        Raises:
            InputError: a cell that is not six numbers.
        """
        return Stated(
            group=self.values.get("space_group") or None,
            cell=cell_of_words([self.values.get(name, "") for name in CELL_NAMES]),
            name=self.values.get("name") or None,
            formula=self.values.get("formula") or None,
        )


def read_label_table(path: Path) -> list[Row]:
    """Rows of a csv file with the column `file` and any of `COLUMNS`.

    Raises:
        InputError: no such file, no column `file`, or one that cannot be read.
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
