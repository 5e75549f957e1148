"""Rows of the sqlite databases in which crystals are packed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from powderlens.core.errors import StructureError


def rows_of(path: str | Path, query: str, kind: str) -> Iterator[sqlite3.Row]:
    """Rows of a query, in its order; the file is only read.

    Args:
        path: the database.
        query: in SQL.
        kind: "an ASE", for the message.

    Raises:
        StructureError: the file is missing, has no such tables, or is damaged.
    """
    if not Path(path).is_file():
        raise StructureError(f"{path}: no such file")
    with closing(sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        try:
            rows = connection.execute(query)
        except sqlite3.DatabaseError as error:
            raise StructureError(f"{path}: not {kind} database ({error})") from None
        try:
            yield from rows
        except sqlite3.DatabaseError as error:
            raise StructureError(f"{path}: a damaged or truncated database ({error}); fetch it again") from None
