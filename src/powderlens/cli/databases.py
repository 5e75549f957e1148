"""Opening a crystal database by what its file looks like."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from powderlens.core.errors import InputError

if TYPE_CHECKING:
    from powderlens.crystal.structure import Reject, Structure

KINDS = "AMCSD sqlite (.db), ASE database (.db), Materials Project lines (.jsonl or .jsonl.gz)"


def open_database(path: Path) -> Iterator[Structure | Reject]:
    """Structures of a database file, and what in it cannot be read.

    Raises:
        InputError: no such file, or none of the kinds that are known.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such database; known are {KINDS}")
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        from powderlens.crystal.materials_project import iter_materials_project

        return iter_materials_project(path)
    if path.suffix == ".db":
        import sqlite3
        from contextlib import closing

        from powderlens.crystal.amcsd import iter_amcsd
        from powderlens.crystal.ase_database import iter_ase_database

        try:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
                tables = {name for (name,) in connection.execute("select name from sqlite_master where type='table'")}
        except sqlite3.DatabaseError as error:
            raise InputError(f"{path}: not a database ({error})") from None
        if "minerals" in tables:
            return iter_amcsd(path)
        if "systems" in tables:
            return iter_ase_database(path)
    raise InputError(f"{path}: not a database of a known kind; known are {KINDS}")
