"""Columns of tables on disk: their types, read from TOML files, and their values to and from NumPy.

A TOML file holds a table for each kind of Parquet file: the names of the columns in their order, each with its type, as
"double", "list<int16>" or "double[6]" (six to a row).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from powderlens.core.files import atomic_write


def read_schemas(package: str) -> dict[str, pa.Schema]:
    """The schemas of a package's `columns.toml`, by name."""
    tables = tomllib.loads((files(package) / "columns.toml").read_text(encoding="utf-8"))
    return {name: pa.schema([(column, _type(kind)) for column, kind in said.items()]) for name, said in tables.items()}


def _type(text: str) -> pa.DataType:
    if text.startswith("list<"):
        return pa.list_(_type(text[5:-1]))
    plain, _, width = text.partition("[")
    return pa.list_(pa.type_for_alias(plain), int(width[:-1])) if width else pa.type_for_alias(plain)


@contextmanager
def parquet_writer(path: Path, schema: pa.Schema, **options: Any) -> Iterator[pq.ParquetWriter]:
    """Write a compressed table piece by piece, aside, and rename it when the block ends well.

    Args:
        path: of the file.
        schema: its columns.
        options: more for `pyarrow.parquet.ParquetWriter`.

    Raises:
        InputError: the disk refuses.
    """
    with atomic_write(path) as aside, pq.ParquetWriter(aside, schema, compression="zstd", **options) as writer:
        yield writer


def lists(values: ArrayLike | pa.Array, lengths: ArrayLike, kind: pa.DataType | None = None) -> pa.ListArray:
    """A column of lists from their values one after the other, the length of each, and the type of the values."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    inner = values if isinstance(values, pa.Array) else pa.array(values, kind)
    return pa.ListArray.from_arrays(pa.array(offsets), inner)


def equal_lists(block: NDArray[Any], kind: pa.DataType | None = None) -> pa.ListArray:
    """(n, points) values as a column of n lists."""
    return lists(np.ascontiguousarray(block).ravel(), np.full(len(block), block.shape[1]), kind)


def whole(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    joined = column.combine_chunks()
    return pa.concat_arrays(joined.chunks) if isinstance(joined, pa.ChunkedArray) else joined


def flat(column: pa.ChunkedArray | pa.ListArray) -> NDArray[Any]:
    """Values of a column of lists, one after the other."""
    joined = whole(column) if isinstance(column, pa.ChunkedArray) else column
    return np.asarray(joined.flatten().to_numpy(zero_copy_only=False))
