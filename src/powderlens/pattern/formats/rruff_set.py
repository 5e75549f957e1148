"""A set of RRUFF patterns as two files: intensities (.npz) and, beside them, a table of labels (.csv)."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core.cell import CELL_NAMES
from powderlens.core.errors import InputError
from powderlens.core.files import read_arrays
from powderlens.pattern.formats.stated import Stated, cell_of_words
from powderlens.pattern.pattern import Pattern

FIRST_DEG, STEP_DEG, WAVELENGTH_A = 5.0, 0.01, 1.541838
"""The axis of all patterns, and the mean of copper's doublet that RRUFF's files state. Source: Salgado et al., npj
Comput. Mater. 9, 214 (2023), whose repository holds them."""

COLUMNS = ("space_group", *CELL_NAMES, "cell_accepted")
"""Columns that the table needs; `row` and `mineral_inferred` are read where they are there."""


@dataclass(frozen=True, eq=False)
class RruffSet:
    """Patterns on one axis, and what the table says of each.

    Attributes:
        path: of the intensities.
        intensity: (n, points) as they are stored.
        rows: n lines of the table.
    """

    path: Path
    intensity: NDArray[Any] = field(repr=False)
    rows: Sequence[Mapping[str, str]] = field(repr=False)

    def __len__(self) -> int:
        return len(self.intensity)

    @property
    def two_theta_deg(self) -> NDArray[np.float64]:
        """(points,) angles, degrees."""
        return np.asarray(FIRST_DEG + STEP_DEG * np.arange(self.intensity.shape[1]), dtype=np.float64)

    def name(self, i: int) -> str:
        """SET:ROW, the row as the table numbers it, or from 0."""
        return f"{self.path.stem}:{self.rows[i].get('row') or i}"

    def pattern(self, i: int) -> Pattern:
        """One pattern.

        Raises:
            PatternError: it is none, for example constant.
        """
        return Pattern(
            two_theta_deg=self.two_theta_deg,
            intensity=self.intensity[i].astype(np.float64),
            wavelength_A=WAVELENGTH_A,
            source=self.name(i),
        )

    def stated(self, i: int) -> Stated:
        """What the table says; no cell where it is not accepted, or a number of it is missing (nan).

        Raises:
            InputError: an accepted cell that is not six numbers.
        """
        row = {key: value.strip() for key, value in self.rows[i].items() if isinstance(value, str)}
        cell = cell_of_words([row.get(name, "") for name in CELL_NAMES]) if row.get("cell_accepted") == "1" else None
        return Stated(group=row.get("space_group") or None, cell=cell, name=row.get("mineral_inferred") or None)


def read_rruff_set(path: Path) -> RruffSet:
    """Read a set.

    Args:
        path: the .npz with (n, points) `intensity`; the .csv of the same name has n rows with `COLUMNS`.

    Raises:
        InputError: a file is missing or damaged, or the two do not go together.
    """
    arrays, table = read_arrays(path), path.with_suffix(".csv")
    intensity = arrays.get("intensity")
    if intensity is None or intensity.ndim != 2 or intensity.dtype.kind not in "iuf":
        raise InputError(f"{path}: needs an array `intensity` of numbers, a row for each pattern")
    try:
        with open(table, newline="", encoding="utf-8") as handle:
            reader = csv.DictReader(handle)
            rows, head = list(reader), reader.fieldnames or ()
    except FileNotFoundError:
        raise InputError(f"{table}: no such file; it holds the labels of {path.name}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table}: not a table of labels ({error})") from None
    missing = [name for name in COLUMNS if name not in head]
    if missing:
        raise InputError(f"{table}: no column {missing[0]}; it needs {', '.join(COLUMNS)}")
    short = next((i for i, row in enumerate(rows) if None in row.values()), None)
    if short is not None:
        raise InputError(f"{table}: row {short + 1} has fewer columns than the header")
    if len(rows) != len(intensity):
        raise InputError(f"{path}: {len(intensity)} patterns but {len(rows)} rows in the table beside it")
    return RruffSet(path, intensity, rows)
