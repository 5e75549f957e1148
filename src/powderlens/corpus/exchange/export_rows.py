"""Rows of an exported corpus: what is said of each pattern, beside its intensities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from powderlens.corpus.exchange.pattern_table import CONDITIONS
from powderlens.corpus.store.stored import STORED_LABELS, StoredCorpus
from powderlens.diffraction.conditions import FIELDS, TERMS

if TYPE_CHECKING:
    from powderlens.corpus.store.corpus import Corpus

DRAWN_LABELS = pa.schema(
    [
        ("id", pa.string()),
        ("number", pa.int64()),
        ("crystal", pa.string()),
        ("condition", pa.int16()),
        ("name", pa.string()),
        ("formula", pa.string()),
        ("space_group", pa.int16()),
        ("crystal_system", pa.string()),
        ("extinction_class", pa.int16()),
        ("cell", pa.list_(pa.float64(), 6)),
        ("niggli", pa.list_(pa.float64(), 6)),
        ("conditions", CONDITIONS),
    ]
)


def pattern_id(crystal: str, condition: int) -> str:
    """The name of a pattern: its crystal's id and the number of the condition."""
    return f"{crystal}#{condition}"


def label_schema(corpus: Corpus | StoredCorpus) -> pa.Schema:
    """Columns of `labels`."""
    return STORED_LABELS if isinstance(corpus, StoredCorpus) else DRAWN_LABELS


def labels(corpus: Corpus | StoredCorpus, numbers: NDArray[np.int64]) -> pa.Table:
    """Everything but axis and intensities of the given patterns.

    Args:
        corpus: drawn or stored.
        numbers: (n,) of its patterns.

    Returns:
        n rows with the columns of `label_schema`.
    """
    if isinstance(corpus, StoredCorpus):
        return corpus.rows(numbers, STORED_LABELS.names)
    crystals, rows = corpus.crystals, corpus.crystal_of(numbers)
    condition = numbers - rows * corpus.per_crystal
    ids = crystals.ids
    at = rows.tolist()

    def text(name: str) -> pa.Array:
        column = crystals.column(name)
        return pa.array([column[row] for row in at], pa.string())

    def six(name: str) -> pa.Array:
        return pa.FixedSizeListArray.from_arrays(pa.array(crystals.column(name)[rows].ravel()), 6)

    columns = [
        pa.array([pattern_id(ids[row], c) for row, c in zip(at, condition.tolist(), strict=True)]),
        pa.array(numbers),
        text("id"),
        pa.array(condition.astype(np.int16)),
        text("name"),
        text("formula"),
        pa.array(crystals.space_group[rows].astype(np.int16)),
        text("crystal_system"),
        pa.array(np.asarray(crystals.column("extinction_class"))[rows].astype(np.int16)),
        six("cell"),
        six("niggli"),
        conditions_array(corpus.conditions(numbers)),
    ]
    return pa.Table.from_arrays(columns, schema=DRAWN_LABELS)


def axis_of(corpus: Corpus | StoredCorpus) -> tuple[str, NDArray[np.float64] | None]:
    """Name of the axis column with its unit, and the (points,) axis that all patterns share, if they do."""
    if isinstance(corpus, StoredCorpus):
        return corpus.axis_name, None
    grid, protocol = corpus.grid, corpus.protocol
    if protocol.axis == "d":
        return "d_A", grid.wavelength_A / (2 * np.sin(np.radians(grid.two_theta_deg / 2)))
    return "two_theta_deg", grid.two_theta_deg


def conditions_array(records: NDArray[np.void]) -> pa.StructArray:
    """(n,) records of conditions as a column; what `from_record(record).values()` says of each."""
    return pa.StructArray.from_arrays([_field(records, name) for name in FIELDS], fields=list(CONDITIONS))


def _field(records: NDArray[np.void], name: str) -> pa.Array:
    limits, raw, kind = FIELDS[name][1], records[name], CONDITIONS.field(name).type
    if limits.words:
        return pa.array(np.array(limits.words, dtype=object)[raw], kind)
    if limits.rows:
        kept = raw[:, :, 1] > 0
        flat = raw[kept]
        inner = _lists(flat.ravel(), np.full(len(flat), limits.items), kind.value_type)
        return _lists(inner, kept.sum(axis=1), kind)
    if limits.items == TERMS:
        kept = np.arange(raw.shape[1]) < records["terms"][:, None]
        return _lists(raw[kept], records["terms"], kind)
    if limits.items:
        return _lists(raw.ravel(), np.full(len(raw), raw.shape[1]), kind)
    return pa.array(raw.astype(kind.to_pandas_dtype()), kind)


def _lists(values: Any, lengths: NDArray[np.int64], kind: pa.DataType) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    inner = values if isinstance(values, pa.Array) else pa.array(values, kind.value_type)
    return pa.ListArray.from_arrays(pa.array(offsets), inner)


def equal_lists(block: NDArray[Any]) -> pa.ListArray:
    """(n, points) values as a column of n lists."""
    n, points = block.shape
    offsets = np.arange(n + 1, dtype=np.int32) * points
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.ascontiguousarray(block).ravel()))


def lists_of(arrays: Sequence[NDArray[Any]], kind: pa.DataType) -> pa.ListArray:
    """Arrays of any lengths as a column of lists."""
    lengths = np.array([len(array) for array in arrays], dtype=np.int64)
    flat = np.concatenate([np.empty(0), *arrays]) if len(arrays) else np.empty(0)
    return _lists(flat, lengths, pa.list_(kind))
