"""Rows of an exported corpus: what is said of each pattern, beside its intensities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from powderlens.corpus.columns import SCHEMAS
from powderlens.corpus.exchange.pattern_table import CONDITIONS
from powderlens.corpus.store.drawn import DrawnCorpus
from powderlens.corpus.store.stored import STORED_LABELS, StoredCorpus
from powderlens.crystals.columns import equal_lists, lists
from powderlens.diffraction.conditions import FIELDS, TERMS

if TYPE_CHECKING:
    from powderlens.corpus.store.corpus import Corpus

DRAWN_LABELS = SCHEMAS["drawn"].append(pa.field("conditions", CONDITIONS))


def pattern_id(crystal: str, condition: int) -> str:
    """The name of a pattern: its crystal's id and the number of the condition."""
    return f"{crystal}#{condition}"


def label_schema(corpus: Corpus) -> pa.Schema:
    """Columns of `labels`."""
    return STORED_LABELS if isinstance(corpus, StoredCorpus) else DRAWN_LABELS


def labels(corpus: Corpus, numbers: NDArray[np.int64]) -> pa.Table:
    """Everything but axis and intensities of the given patterns.

    Args:
        corpus: drawn or stored.
        numbers: (n,) of its patterns.

    Returns:
        n rows with the columns of `label_schema`.
    """
    if isinstance(corpus, StoredCorpus):
        return corpus.rows(numbers, STORED_LABELS.names)
    assert isinstance(corpus, DrawnCorpus)
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
        return lists(equal_lists(flat, kind.value_type.value_type), kept.sum(axis=1))
    if limits.items == TERMS:
        kept = np.arange(raw.shape[1]) < records["terms"][:, None]
        return lists(raw[kept], records["terms"], kind.value_type)
    if limits.items:
        return equal_lists(raw, kind.value_type)
    return pa.array(raw.astype(kind.to_pandas_dtype()), kind)


def lists_of(arrays: Sequence[NDArray[Any]], kind: pa.DataType) -> pa.ListArray:
    """Arrays of any lengths as a column of lists."""
    return lists(np.concatenate([np.empty(0), *arrays]), [len(array) for array in arrays], kind)
