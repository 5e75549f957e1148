"""Measured development patterns and the structures of their minerals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from powderlens.core.errors import InputError
from powderlens.corpus.measured_labels import Labelled, label_of
from powderlens.crystal.structure import Reject, Structure
from powderlens.pattern.formats.rruff_set import RruffSet, read_rruff_set
from powderlens.pattern.pattern import Pattern

MAX_LENGTH_DIFFERENCE = 0.02
MAX_ANGLE_DIFFERENCE_DEG = 2.0


@dataclass(frozen=True, eq=False)
class Match:
    """A measured pattern and the structure of its mineral.

    Attributes:
        row: of the pattern in its set, from 0.
        label: of the pattern, with name and space group.
        pattern: as the set holds it.
        structure: entry of the database with the same name and space group and the nearest cell.
        cell_difference: largest relative difference of a cell length.
    """

    row: int
    label: Labelled
    pattern: Pattern
    structure: Structure
    cell_difference: float


def read_labels(patterns: RruffSet) -> list[Labelled]:
    """What the table of a set says, row by row.

    Raises:
        InputError: no such space group, a cell that is none, or no mineral at all is named.
    """
    labels = []
    for i in range(len(patterns)):
        known = label_of(patterns.stated(i))
        if known.space_group is None:
            raise InputError(f"{patterns.name(i)}: the table states no space group")
        labels.append(known)
    if not any(label.name for label in labels):
        raise InputError(f"{patterns.path}: the table beside it names no mineral; it needs a column mineral_inferred")
    return labels


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
        InputError: see `read_rruff_set` and `read_labels`.
    """
    patterns = read_rruff_set(npz)
    labels = read_labels(patterns)
    wanted = {label.name for label in labels if label.name and label.cell is not None}
    named: dict[str, list[Structure]] = {}
    unread: Counter[str] = Counter()
    for item in structures:
        if isinstance(item, Reject):
            unread[item.reason.split(":")[0]] += 1
        elif item.name in wanted:
            named.setdefault(item.name, []).append(item)
    matches: list[Match] = []
    left: Counter[str] = Counter()
    for row, label in enumerate(labels):
        found = nearest_structure(label, named.get(label.name or "", []))
        if isinstance(found, str):
            left[found] += 1
        else:
            matches.append(Match(row, label, patterns.pattern(row), *found))
    return matches, dict(left.most_common()), dict(unread.most_common())


def nearest_structure(label: Labelled, structures: list[Structure]) -> tuple[Structure, float] | str:
    """The structure with the nearest cell and its largest relative difference of a length, or why there is none."""
    if not label.name:
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
