"""Measured development patterns and the structures of their minerals."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.core.files import read_arrays
from powderlens.crystal.structure import Reject, Structure

CELL_NAMES = ("a_A", "b_A", "c_A", "alpha_deg", "beta_deg", "gamma_deg")
MAX_LENGTH_DIFFERENCE = 0.02
MAX_ANGLE_DIFFERENCE_DEG = 2.0


@dataclass(frozen=True)
class Label:
    """What a set's table says of one pattern.

    Attributes:
        row: number in the set, from 0.
        mineral: name, empty where none is known.
        space_group: International Tables number.
        cell: a, b, c in A and alpha, beta, gamma in degrees; None where none is accepted.
    """

    row: int
    mineral: str
    space_group: int
    cell: tuple[float, ...] | None


@dataclass(frozen=True, eq=False)
class Match:
    """A measured pattern and the structure of its mineral.

    Attributes:
        label: of the pattern.
        intensity: (n,) as the set holds it.
        structure: entry of the database with the same name and space group and the nearest cell.
        cell_difference: largest relative difference of a cell length.
    """

    label: Label
    intensity: NDArray[np.float64]
    structure: Structure
    cell_difference: float


def read_labels(table: Path) -> list[Label]:
    """Rows of a set's table: columns `mineral_inferred`, `space_group`, `a_A` ... `gamma_deg` and `cell_accepted`.

    Raises:
        InputError: no such file, a column is missing, or a value is not a number.
    """
    try:
        with open(table, newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
        return [
            Label(
                i,
                (row["mineral_inferred"] or "").strip(),
                int(row["space_group"]),
                tuple(float(row[name]) for name in CELL_NAMES) if row["cell_accepted"] == "1" else None,
            )
            for i, row in enumerate(rows)
        ]
    except FileNotFoundError:
        raise InputError(f"{table}: no such file; it holds the labels of the patterns") from None
    except KeyError as error:
        raise InputError(f"{table}: no column {error}") from None
    except (OSError, TypeError, ValueError, csv.Error) as error:
        raise InputError(f"{table}: not a table of labels ({error})") from None


def match_structures(
    npz: Path, structures: Iterable[Structure | Reject]
) -> tuple[list[Match], dict[str, int], dict[str, int]]:
    """Give each measured pattern whose mineral is known the structure of that mineral.

    A structure belongs to a pattern when its name and its space-group number are those of the table, its cell lengths
    agree within 2 % and its angles within 2 degrees, in the setting of the database. Of several the one with the
    smallest largest difference of a length is taken, then the first of the database. The pattern itself has no say.

    Args:
        npz: `NAME.npz` with `intensity`, a row for each pattern; the table is `NAME.csv` beside it.
        structures: of the database.

    Returns:
        Matches in the order of the set, counts of the patterns without one by reason, and counts of entries that
        cannot be read by reason.

    Raises:
        InputError: the two files do not belong together.
    """
    labels = read_labels(npz.with_suffix(".csv"))
    intensity = read_arrays(npz).get("intensity")
    if intensity is None or intensity.ndim != 2 or intensity.dtype.kind not in "iuf":
        raise InputError(f"{npz}: needs an array `intensity` of numbers, a row for each pattern")
    if len(labels) != len(intensity):
        raise InputError(f"{npz}: {len(intensity)} patterns but {len(labels)} rows in the table beside it")
    wanted = {label.mineral for label in labels if label.cell is not None} - {""}
    named: dict[str, list[Structure]] = {}
    unread: Counter[str] = Counter()
    for item in structures:
        if isinstance(item, Reject):
            unread[item.reason.split(":")[0]] += 1
        elif item.name in wanted:
            named.setdefault(item.name, []).append(item)
    matches: list[Match] = []
    left: Counter[str] = Counter()
    for label, y in zip(labels, intensity, strict=True):
        found = nearest_structure(label, named.get(label.mineral, []))
        if isinstance(found, str):
            left[found] += 1
        else:
            matches.append(Match(label, np.asarray(y, float), *found))
    return matches, dict(left.most_common()), dict(unread.most_common())


def nearest_structure(label: Label, structures: list[Structure]) -> tuple[Structure, float] | str:
    """The structure with the nearest cell and its largest relative difference of a length, or why there is none."""
    if not label.mineral:
        return "no mineral known"
    if label.cell is None:
        return "no cell accepted"
    if not structures:
        return "no structure of that name"
    same = [s for s in structures if s.space_group == label.space_group]
    if not same:
        return "only structures in other space groups"
    wanted = np.array(label.cell)
    best: tuple[Structure, float] | None = None
    for structure in same:
        cell = np.array(structure.cell)
        length = float(np.abs(cell[:3] / wanted[:3] - 1).max())
        angle = float(np.abs(cell[3:] - wanted[3:]).max())
        if length <= MAX_LENGTH_DIFFERENCE and angle <= MAX_ANGLE_DIFFERENCE_DEG and (best is None or length < best[1]):
            best = structure, length
    return best or "only structures with another cell"
