"""Measured mineral structures from the American Mineralogist Crystal Structure Database, as larixite packs it.

Source: Downs and Hall-Wallace, American Mineralogist 88, 247 (2003); sqlite form of larixite 2026.1.0 (MIT). Numbers
there are base64 of little-endian int32 in units of 1/4,000,000; "0" in place of a column means that it is absent.
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from powderlens.core.cell import CELL_LETTERS
from powderlens.core.errors import StructureError
from powderlens.crystal.content import Content, contradictions
from powderlens.crystal.displacement import Displacements, believable
from powderlens.crystal.expand import check_metric, check_sites, expand_sites, without_repeats
from powderlens.crystal.formats.sqlite import rows_of
from powderlens.crystal.from_sites import attempt, symmetric_cell
from powderlens.crystal.operators import Operators, check_group, operators_from_triplets, space_group_number
from powderlens.crystal.site_labels import element_of_label
from powderlens.crystal.stated_conditions import reference, stated_pressure_GPa, stated_temperature_K
from powderlens.crystal.stated_symmetry import Stated, group_doubts
from powderlens.crystal.structure import Reject, Structure, lattice_from_cell

UNIT = 4e6
_ANISO = ("11", "22", "33", "12", "13", "23")
_QUERY = f"""
SELECT cif.id, minerals.name, spacegroups.hm_notation, spacegroups.symmetry_xyz, publications.year, cif.formula,
       crystal_density, present, pub_title, authors, journalname, volume, page_first, page_last,
       a, b, c, alpha, beta, gamma, atoms_sites, atoms_x, atoms_y, atoms_z, atoms_occupancy, atoms_u_iso,
       atoms_aniso_label, {", ".join("atoms_aniso_u" + ij for ij in _ANISO)}
FROM cif LEFT JOIN minerals ON minerals.id = cif.mineral_id
         LEFT JOIN spacegroups ON spacegroups.id = cif.spacegroup_id
         LEFT JOIN publications ON publications.id = cif.publication_id
         LEFT JOIN (SELECT cif_id, group_concat(element) AS present FROM cif_elements GROUP BY cif_id)
                   ON cif_id = cif.id
         LEFT JOIN (SELECT publication_id AS published, group_concat(name, ', ') AS authors
                    FROM (SELECT publication_id, name FROM publication_authors
                          JOIN authors ON authors.id = author_id ORDER BY publication_authors.rowid)
                    GROUP BY publication_id) ON published = publications.id
"""


def iter_amcsd(path: str | Path) -> Iterator[Structure | Reject]:
    """Every entry of the database, in order of its number.

    Structures are whole unit cells with the entry's own operators; `labels` hold `year`, `formula` (as the source
    writes it, with disagreements), `symbol` (the source's setting), `displacements_dropped` (sites whose tensor or U is
    no displacement), `reference`, and `temperature_K` and `pressure_GPa` where its notes state them. Formula, density
    and symbol are checked against the cell, see `Structure.doubts`.

    Args:
        path: the sqlite file.

    Yields:
        A `Structure` (source "amcsd:ID"), or a `Reject` with the reason.

    Raises:
        StructureError: the file is missing or has no such tables.
    """
    return _entries(path, f"{_QUERY} ORDER BY cif.id")


def read_amcsd_entry(path: str | Path, number: int) -> Structure | Reject | None:
    """The entry of one number, as `iter_amcsd` yields it; None where the file has none.

    Raises:
        StructureError: the file is missing or has no such tables.
    """
    return next(_entries(path, f"{_QUERY} WHERE cif.id = {int(number)}"), None)


def _entries(path: str | Path, query: str) -> Iterator[Structure | Reject]:
    for row in rows_of(path, query, "an AMCSD"):
        source = f"amcsd:{row['id']}"
        yield attempt(source, _structure, row, source)


def _structure(row: sqlite3.Row, source: str) -> Structure:
    present = set((row["present"] or "").split(","))
    try:
        cell = [float(row[k]) for k in CELL_LETTERS]
    except (TypeError, ValueError):
        raise StructureError("cell: not six numbers") from None
    lattice = lattice_from_cell(cell)
    labels: list[str] = json.loads(row["atoms_sites"] or "[]")
    n = len(labels)
    if n == 0:
        raise StructureError("atoms: none")
    elements = [_element(label, present) for label in labels]
    frac = np.stack([_column(row["atoms_" + axis], n, 0.0) for axis in "xyz"], axis=1)
    occupancy = _column(row["atoms_occupancy"], n, 1.0)
    occupancy = np.where(occupancy <= 0, 1.0, np.minimum(occupancy, 1.0))
    if row["symmetry_xyz"] is None:
        raise StructureError("symmetry: no operators")
    operators, number = _group(row["symmetry_xyz"])
    check_metric(lattice, operators[0])
    u_iso, beta, dropped = _displacements(row, labels, lattice)
    made = expand_sites(lattice, elements, frac, occupancy, u_iso, beta, *operators)
    sites = without_repeats(made, lattice)
    return symmetric_cell(
        lattice,
        sites,
        operators,
        space_group=number,
        name="" if row["name"] == "<missing>" else row["name"] or "",
        source=source,
        labels={
            "year": row["year"],
            "formula": row["formula"],
            "symbol": row["hm_notation"],
            "displacements_dropped": dropped,
            **_publication(row),
        },
        doubts=(
            *contradictions(_content(row, present), sites.elements, sites.occupancy, float(np.linalg.det(lattice))),
            *group_doubts(Stated(symbol=row["hm_notation"].split("%")[0]), operators),
            *check_sites(lattice, sites.elements, sites.frac, sites.occupancy),
        ),
    )


def _publication(row: sqlite3.Row) -> dict[str, object]:
    """Reference, temperature and pressure; the title's further lines are notes."""
    _, _, notes = (row["pub_title"] or "").partition("\n")
    found = {"temperature_K": stated_temperature_K(notes), "pressure_GPa": stated_pressure_GPa(notes)}
    cited = (row[name] for name in ("authors", "journalname", "volume", "year", "page_first", "page_last"))
    texts = ("" if text in (None, "<missing>") else str(text).strip() for text in cited)
    return {"reference": reference(*texts)} | {name: value for name, value in found.items() if value == value}


def _content(row: sqlite3.Row, present: set[str]) -> Content:
    """What the entry says it holds; nothing where its own formula takes the oxygen "Os" for osmium."""
    if {"Os", "S", "H"} <= present:
        return Content()
    try:
        density = float(row["crystal_density"])
    except (TypeError, ValueError):
        density = float("nan")
    return Content.of(row["formula"] or "", density_g_cm3=density)


def _element(label: str, present: set[str]) -> str:
    element = element_of_label(label, present)
    if element is None:
        raise StructureError(f"atoms: site label {label!r} names no element of the formula")
    return element


@lru_cache(maxsize=1024)
def _group(text: str) -> tuple[Operators, int | None]:
    operators = operators_from_triplets(json.loads(text))
    check_group(*operators)
    return operators, space_group_number(*operators)


def _decode(text: str) -> NDArray[np.float64]:
    return np.frombuffer(base64.b64decode(text), dtype="<i4") / UNIT


def _column(text: str | None, n: int, absent: float) -> NDArray[np.float64]:
    """(n,) numbers of a packed column, or `absent` throughout."""
    if text is None or text == "0":
        return np.full(n, absent)
    values = _decode(text)
    if len(values) != n:
        raise StructureError(f"atoms: {len(values)} numbers for {n} sites")
    return values


def _displacements(row: sqlite3.Row, labels: list[str], lattice: NDArray[np.float64]) -> Displacements:
    """Displacements of the sites; tensors belong to sites by label, repeated labels in their order."""
    u_iso = _column(row["atoms_u_iso"], len(labels), 0.0)
    if row["atoms_aniso_u11"] in (None, "0"):
        return believable(u_iso, None, lattice)
    rows_of: dict[str, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        rows_of[label].append(index)
    listed: list[str] = json.loads(row["atoms_aniso_label"])
    six = np.stack([_column(row["atoms_aniso_u" + ij], len(listed), 0.0) for ij in _ANISO])
    u = np.full((len(labels), 3, 3), np.nan)
    for k, label in enumerate(listed):
        if rows_of[label] and six[:3, k].any():
            u11, u22, u33, u12, u13, u23 = six[:, k]
            u[rows_of[label].pop(0)] = [[u11, u12, u13], [u12, u22, u23], [u13, u23, u33]]
    return believable(u_iso, u, lattice)
