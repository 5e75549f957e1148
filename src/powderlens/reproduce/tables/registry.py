"""The tables by name; nothing is imported until one is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from powderlens.core.errors import InputError
from powderlens.reproduce.tables.table import Table


@dataclass(frozen=True)
class Known:
    """A table: what it is, and the module and function in this package that make it."""

    about: str
    module: str
    function: str


TABLES: dict[str, Known] = {
    "simxrd-table2": Known("SimXRD Table 2: 21 networks, crystals that were learnt", "simxrd", "table2"),
    "simxrd-table3": Known("SimXRD Table 3: three losses against long tails", "simxrd_losses", "table3"),
    "simxrd-out-of-library": Known("SimXRD Table 4: crystals that were not learnt", "simxrd", "out_of_library"),
    "simxrd-rruff": Known("SimXRD Table 5: measured patterns", "simxrd", "measured"),
    "simxrd-faults": Known("networks as published against as meant", "simxrd_faults", "faults"),
    "simxrd-conclusions": Known("what SimXRD concludes, in both forms", "simxrd_conclusions", "conclusions"),
    "ml4pxrds-table1": Known("ML4pXRDs Table 1: synthetic crystals, real crystals, and the gap", "ml4pxrds", "table1"),
    "alphadiffract-rruff": Known("AlphaDiffract Tables 1 to 3: measured patterns", "alphadiffract", "rruff"),
    "gemd": Known("AlphaDiffract Fig. 2: graph distances in the loss", "gemd", "gemd"),
    "training": Known("how each network was trained", "overview", "training"),
    "records": Known("all records, a row each", "overview", "records"),
}


def make_table(name: str, records: Sequence[Path]) -> Table:
    """A table from records.

    Args:
        name: one of `TABLES`.
        records: files and folders.

    Raises:
        InputError: no such table, or no such records.
    """
    if name not in TABLES:
        near = get_close_matches(name.lower(), TABLES, n=3, cutoff=0.4)
        meant = f"near it: {', '.join(near)}; " if near else ""
        raise InputError(f"no table {name!r}; {meant}`powderlens table --list` names all {len(TABLES)}")
    from powderlens.reproduce.tables.entries import open_entries

    known = TABLES[name]
    module = import_module(f"powderlens.reproduce.tables.{known.module}")
    table: Table = getattr(module, known.function)(open_entries(records))
    return table
