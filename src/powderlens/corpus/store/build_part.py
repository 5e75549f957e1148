"""One block of a corpus that is being built: crystals in, their reflections out, or the reason why there are none."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from powderlens.core.errors import PowderlensError
from powderlens.corpus.store.prepared import SCHEMA, Prepared, prepare_crystal
from powderlens.crystal.structure import Structure
from powderlens.crystals.table import CrystalTable
from powderlens.diffraction.protocol import Protocol
from powderlens.diffraction.reflections import NoReflectionError

BLOCK = 512
"""Crystals of a part."""
STRONG = 0.05
MARKS = 8

PART = SCHEMA.append(pa.field("marks", pa.list_(pa.float32()))).append(pa.field("refused", pa.string()))
"""Columns of a part: a row for each crystal of the block, with the 2theta of its marks; of one that cannot be drawn
only its id and why."""


@dataclass(frozen=True)
class CorpusPart:
    """What a worker needs: the number of the block, its rows of the table of crystals, the protocol."""

    number: int
    rows: bytes
    protocol: Protocol


def make_part(wanted: CorpusPart) -> tuple[int, bytes]:
    """The number of the block and its part, a Parquet file of the columns `PART`."""
    with pa.ipc.open_stream(wanted.rows) as reader:
        crystals = CrystalTable.of(reader.read_all())
    table = pa.Table.from_pylist([_row(crystals, i, wanted.protocol) for i in range(len(crystals))], schema=PART)
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", compression_level=1)
    return wanted.number, sink.getvalue()


def part_of(number: int, rows: pa.Table, protocol: Protocol) -> CorpusPart:
    """What a worker needs of a block of crystals."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return CorpusPart(number, sink.getvalue(), protocol)


def marks_deg(prepared: Prepared, protocol: Protocol) -> NDArray[np.float64]:
    """Up to `MARKS` strong lines (at least `STRONG` of the strongest), those nearest to the middle of the grid.

    Where two of them stay in the measured range, a pattern shows a line for certain.
    """
    grid = protocol.grid
    angle = prepared.two_theta_deg(grid.wavelength_A)
    strong = angle[prepared.share_of_strongest(angle) >= STRONG]
    middle = 0.5 * (grid.start_deg + grid.end_deg)
    return np.sort(strong[np.argsort(np.abs(strong - middle), kind="stable")[:MARKS]])


def _row(crystals: CrystalTable, i: int, protocol: Protocol) -> dict[str, Any]:
    structure: Structure | None = None
    try:
        structure = crystals.structure(i)
        prepared = prepare_crystal(structure, protocol)
        return {**prepared.row(), "marks": marks_deg(prepared, protocol), "refused": None}
    except NoReflectionError:
        reason = "no line on the grid of the protocol"
    except (PowderlensError, np.linalg.LinAlgError) as error:
        reason = _general(str(error), crystals.ids[i], structure)
    return {"id": crystals.ids[i], "refused": reason}


def _general(message: str, identity: str, structure: Structure | None) -> str:
    """A reason without what is this crystal's own, so that equal ones count together."""
    for own in (identity, structure.name if structure is not None else ""):
        message = message.removeprefix(f"{own}: ") if own else message
    return " ".join(message.split())
