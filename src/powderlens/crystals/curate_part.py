"""One block of a curation: crystals in, a part on disk with the rows of all that have a symmetry."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from powderlens.core.errors import PowderlensError
from powderlens.core.files import atomic_write
from powderlens.crystal.curation import RULES, Candidate
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.reasons import ENDLESS, unreadable, without_symmetry
from powderlens.crystal.structure import Reject, Structure
from powderlens.crystals.table import SCHEMA, crystal_row

BLOCK = 250
"""Crystals of a part; the parts, and with them the bytes of the table, depend on it."""

_REJECTS = b"rejects"


@dataclass(frozen=True)
class CrystalBlock:
    """Crystals of one source that lie next to each other.

    Attributes:
        number: of the block.
        source: its place among the sources.
        items: the crystals.
        rules: that they are put to.
        path: where the part goes.
    """

    number: int
    source: int
    items: list[Structure | Reject]
    rules: tuple[str, ...]
    path: Path


def part_schema() -> pa.Schema:
    """Columns of a part: those of the table, the source's place, and "rule: detail" for each rule that is failed."""
    return SCHEMA.append(pa.field("part_source", pa.int16())).append(pa.field("failed", pa.list_(pa.string())))


def make_part(
    block: CrystalBlock, *, stuck: Sequence[int] = (), starting: Callable[[int], None] = lambda index: None
) -> None:
    """Work on a block and write its part.

    Args:
        block: what is to be done.
        stuck: places in the block of crystals that have brought an earlier attempt to its end.
        starting: called with the place of each crystal before it is worked on.
    """
    rows: list[dict[str, Any]] = []
    rejects: list[tuple[int, str, str, str]] = []
    for index, item in enumerate(block.items):
        if isinstance(item, Reject):
            rejects.append((block.source, item.source, *unreadable(item.reason)))
            continue
        if index in stuck:
            rejects.append((block.source, item.source, ENDLESS, ""))
            continue
        starting(index)
        try:
            rows.append({**_row(item, block.rules), "part_source": block.source})
        except (PowderlensError, ValueError, np.linalg.LinAlgError) as error:
            rejects.append((block.source, item.source, without_symmetry(item, error), ""))
    table = pa.Table.from_pylist(rows, schema=part_schema())
    table = table.replace_schema_metadata({_REJECTS: json.dumps(rejects)})
    with atomic_write(block.path) as aside:
        pq.write_table(table, aside, compression="zstd", compression_level=1)


def read_rejects(path: Path) -> list[tuple[int, str, str, str]]:
    """Place of the source, id, reason and detail of each crystal of a part that has no row."""
    return [tuple(entry) for entry in json.loads(pq.read_schema(path).metadata[_REJECTS])]


def _row(structure: Structure, rules: Sequence[str]) -> dict[str, Any]:
    symmetry = find_symmetry(structure)
    candidate = Candidate(symmetry)
    failed = []
    for name in rules:
        objection = RULES[name].objection
        assert objection is not None
        why = objection(candidate)
        if why is not None:
            failed.append(f"{name}: {why}")
    return {**crystal_row(symmetry), "failed": failed}
