"""SimXRD's records: rows of an ASE database whose key-value pairs hold a pattern as text. Read and written without ASE.

Source of the layout: ase.db.sqlite of ASE 3.2x, version 9 of its tables; SimXRD's released databases (Cao et al., ICLR
2025) for the pairs `tager`, `chem_form`, `simulation_param`, `latt_dis` and `intensity`.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError

SYSTEM_CODES = ("cubic", "hexagonal", "tetragonal", "orthorhombic", "trigonal", "monoclinic", "triclinic")
"""Crystal systems of the codes 1 to 7."""
AXIS, INTENSITY = "latt_dis", "intensity"
PAIRS = ("tager", "chem_form", "simulation_param", AXIS, INTENSITY)
NO_DATA = (8).to_bytes(8, "little") + b"{}"
"""An empty `data` column."""
PERIODIC = 7

_SQL = [" ".join(part.split()) for part in (files(__package__) / "ase.sql").read_text(encoding="utf-8").split(";")]
"""Statements that make the tables and indices, each on one line: SQLite keeps their text in the file."""
TABLES, INDICES = ([line for line in _SQL if line.startswith(f"CREATE {kind}")] for kind in ("TABLE", "INDEX"))
_NAMES = [column.split()[0] for column in TABLES[0].partition("(")[2].split(", ")]
COLUMNS = tuple(name for name in _NAMES if name not in ("id", "key_value_pairs"))
"""Columns of `systems` beside `id` and `key_value_pairs`, in the order of the table but for the latter."""


@dataclass(frozen=True, eq=False)
class Record:
    """A row.

    Attributes:
        entry: its number in the database.
        columns: what is not null of `COLUMNS`.
        pairs: key-value pairs, text or numbers.
    """

    entry: int
    columns: dict[str, Any]
    pairs: dict[str, Any]


def read_records(path: Path) -> Iterator[Record]:
    """Rows of an ASE sqlite database, in the order of their numbers.

    Raises:
        InputError: the file is missing, damaged, or no such database.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; give SimXRD's database (.db)")
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    query = f"SELECT id, key_value_pairs, {', '.join(COLUMNS)} FROM systems ORDER BY id"
    try:
        for entry, pairs, *values in connection.execute(query):
            columns = {name: value for name, value in zip(COLUMNS, values, strict=True) if value is not None}
            yield Record(entry, columns, json.loads(pairs) if pairs else {})
    except (sqlite3.DatabaseError, ValueError) as error:
        raise InputError(f"{path}: not an ASE database of version 9, or a damaged one ({error})") from None
    finally:
        connection.close()


def write_records(records: Iterable[Record], path: Path) -> int:
    """Write a database that `ase.db` reads; the same records give the same bytes.

    Args:
        records: their numbers are given anew, from 1.
        path: where to; must not be there.

    Returns:
        How many were written.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for statement in ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "BEGIN", *TABLES):
            connection.execute(statement)
        connection.execute("INSERT INTO information VALUES ('version', '9')")
        entry = 0
        for entry, record in enumerate(records, start=1):
            _insert(connection, entry, record)
        for statement in INDICES:
            connection.execute(statement)
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()
    return entry


def number_list(values: NDArray[np.floating[Any]]) -> str:
    """Numbers as SimXRD writes them, "[1.5, 2.0]", with as many digits as tell their type apart."""
    if values.dtype == np.float64:
        return str(values.tolist())
    form = "%.9g" if values.dtype == np.float32 else "%.5g"
    return "[" + ", ".join([form] * len(values)) % tuple(values.tolist()) + "]"


def _insert(connection: sqlite3.Connection, entry: int, record: Record) -> None:
    names = list(record.columns)
    places = ", ".join("?" * (len(names) + 2))
    connection.execute(
        f"INSERT INTO systems (id, key_value_pairs{''.join(', ' + name for name in names)}) VALUES ({places})",
        (entry, json.dumps(record.pairs), *record.columns.values()),
    )
    numbers = np.frombuffer(record.columns.get("numbers", b""), dtype="<i4")
    connection.executemany(
        "INSERT INTO species VALUES (?, ?, ?)", [(z, n, entry) for z, n in sorted(Counter(numbers.tolist()).items())]
    )
    connection.executemany("INSERT INTO keys VALUES (?, ?)", [(key, entry) for key in record.pairs])
    for table, kinds in (("text_key_values", str), ("number_key_values", (int, float))):
        rows = [(key, value, entry) for key, value in record.pairs.items() if isinstance(value, kinds)]
        connection.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", rows)
