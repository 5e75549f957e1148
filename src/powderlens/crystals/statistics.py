"""Tables of crystals as the generator reads them: occupations, and where they came from."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from importlib.resources import files
from pathlib import Path

from powderlens.core.errors import InputError
from powderlens.core.files import file_sha256
from powderlens.crystals.table import CrystalTable
from powderlens.generate.extract import extract_statistics
from powderlens.generate.occupation import Occupation
from powderlens.generate.statistics import CrystalStatistics

SOURCES: dict[str, dict[str, str]] = tomllib.loads((files(__package__) / "sources.toml").read_text(encoding="utf-8"))
"""Open databases by the first word of their crystals' ids."""


def table_statistics(
    paths: Sequence[Path], *, leave_out_types: Collection[str] = (), rows: Collection[int] | None = None
) -> CrystalStatistics:
    """Statistics of one or several tables of crystals.

    Args:
        paths: the tables.
        leave_out_types: structure types, as the column of that name has them, that the statistics must not know.
        rows: of a single table, only these.

    Raises:
        InputError: not a table of crystals, no crystal left, or a type that does not occur.
    """
    tables = [CrystalTable.load(path) for path in paths]
    origin = []
    for path, table in zip(paths, tables, strict=True):
        names = table.column("source")
        counted = Counter(names if rows is None else (names[row] for row in rows))
        sources = [{"id": name, "crystals": n, **SOURCES.get(name, {})} for name, n in sorted(counted.items())]
        origin.append({"table": path.name, "sha256": file_sha256(path), "sources": sources})
    crystals = (one for table in tables for one in occupations(table, rows))
    return extract_statistics(crystals, origin=origin, leave_out_types=leave_out_types)


def occupations(table: CrystalTable, rows: Collection[int] | None = None) -> Iterator[Occupation]:
    """What the generator needs of each crystal of a table; a shared site goes to the element that fills most of it."""
    columns = [
        table.column(name) for name in ("space_group", "cell", "volume_A3", "wyckoff", "site_element", "structure_type")
    ]
    for i in range(len(table)) if rows is None else rows:
        number, cell, volume_A3, letters, elements, kind = (column[i] for column in columns)
        kept = main_rows(table, i)
        yield Occupation(
            space_group=int(number),
            cell=tuple(cell.tolist()),
            volume_A3=float(volume_A3),
            letters=tuple(letters[row] for row in kept),
            elements=tuple("H" if elements[row] == "D" else elements[row] for row in kept),
            structure_type=kind,
        )


def main_rows(table: CrystalTable, i: int) -> list[int]:
    """Of each place in the asymmetric unit of crystal i, the row that fills most of it.

    Raises:
        InputError: lists of different length.
    """
    frac, filled = table.column("site_frac")[i], table.column("site_occupancy")[i]
    if not 3 * len(filled) == 3 * len(table.column("wyckoff")[i]) == len(frac):
        raise InputError(f"{table.ids[i]}: damaged row (sites and letters differ in number); make the table again")
    best: dict[tuple[float, ...], int] = {}
    for row in range(len(filled)):
        place = tuple(round(v % 1.0, 5) % 1.0 for v in frac[3 * row : 3 * row + 3])
        if place not in best or filled[row] > filled[best[place]]:
            best[place] = row
    return list(best.values())
