"""One block of a library in the making: crystals in, a part on disk with the rows of all that have a symmetry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from powderlens.core.errors import PowderlensError
from powderlens.crystal.reasons import ENDLESS, unreadable, without_symmetry
from powderlens.crystal.structure import Reject, Structure
from powderlens.library.container import write_container
from powderlens.library.rows import GNOME, UNREFERENCED, Row, columns_of, is_gnome, row_of

BLOCK = 250
"""Crystals of a part."""


@dataclass(frozen=True)
class PhaseBlock:
    """Crystals of one source that lie next to each other.

    Attributes:
        number: of the block.
        source: place of the source among the sources.
        items: the crystals.
        path: where the part goes.
    """

    number: int
    source: int
    items: list[Structure | Reject]
    path: Path


def make_part(
    block: PhaseBlock, *, stuck: Sequence[int] = (), starting: Callable[[int], None] = lambda index: None
) -> None:
    """Work on a block and write its part: a library without key lines; `core.guarded.Maker` has the arguments."""
    rows: list[Row] = []
    rejects: list[tuple[str, str]] = []
    for index, item in enumerate(block.items):
        if is_gnome(item.source):
            rejects.append((item.source, GNOME))
        elif isinstance(item, Reject):
            known = item.reason == UNREFERENCED
            rejects.append((item.source, item.reason if known else unreadable(item.reason)[0]))
        elif index in stuck:
            rejects.append((item.source, ENDLESS))
        else:
            starting(index)
            try:
                rows.append(row_of(item))
            except (PowderlensError, ValueError, np.linalg.LinAlgError) as error:
                text = str(error)
                known = text.startswith("distances: ")
                rejects.append((item.source, text if known else without_symmetry(item, error)))
    arrays, prefixes = columns_of(rows)
    write_container(block.path, {"prefixes": prefixes, "part_of": block.source, "rejects": rejects}, arrays)
