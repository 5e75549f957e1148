"""Opening a crystal database by what its file looks like."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from powderlens.crystal.structure import Reject, Structure

KINDS = (
    "AMCSD or ASE sqlite (.db), Materials Project or OPTIMADE lines (.jsonl, .jsonl.gz), OPTIMADE responses or "
    "Materials Project documents (.json), a folder or an archive of CIF and POSCAR"
)


def open_database(path: Path) -> Iterator[Structure | Reject]:
    """Structures of a database, and what in it cannot be read; see `crystal.sources.open_source`.

    Raises:
        InputError: no such file, or none of the kinds that are known.
    """
    from powderlens.crystal.sources import open_source

    return open_source(path)
