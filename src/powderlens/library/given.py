"""Phases that a user gives as files: a library that is never written to disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from powderlens.core.errors import InputError, PowderlensError
from powderlens.crystal.read import read_structure
from powderlens.crystal.structure import Structure
from powderlens.library.make import key_lines_of
from powderlens.library.rows import columns_of, row_of, with_ragged
from powderlens.library.store import PhaseLibrary

PREFIX = "given"
"""Of the identities."""


def given_phases(paths: Sequence[str | Path], standard: Structure | None = None) -> PhaseLibrary:
    """A library of the crystals in some files, one each, in their order.

    Args:
        paths: CIF or POSCAR.
        standard: a crystal that comes after them.

    Raises:
        InputError: a file that cannot be read or used, two crystals of one name, or one without lines.
    """
    rows = []
    for path in map(Path, paths):
        structure = read_structure(path)
        name = structure.name or path.stem
        try:
            row = row_of(replace(structure, name=name, source=f"{PREFIX}:{path.name}"))
        except PowderlensError as error:
            raise InputError(f"{path}: {error}") from None
        rows.append(row._replace(name=row.name or name))
    origins = list(map(str, paths))
    if standard is not None:
        rows.append(row_of(standard)._replace(name=standard.name))
        origins.append(standard.source)
    names = [row.name for row in rows]
    for place, name in enumerate(names):
        if name in names[:place]:
            first = origins[names.index(name)]
            raise InputError(f"{origins[place]}: a phase called {name}, as in {first}; give each phase once")
    arrays, prefixes = columns_of(rows)
    bare = PhaseLibrary(Path(PREFIX), {"prefixes": prefixes, "sha256": ""}, arrays)
    keys = [key_lines_of(bare, i) for i in range(len(rows))]
    for file, (log_d, _) in zip(origins, keys, strict=True):
        if not len(log_d):
            raise InputError(f"{file}: no reflection that a pattern could show; is it a crystal?")
    lines: dict[str, Sequence[NDArray[Any]]] = {
        "key_log_d": [log_d for log_d, _ in keys],
        "key_amplitude": [amplitude for _, amplitude in keys],
    }
    return PhaseLibrary(bare.path, bare.header, with_ragged(arrays, "key", lines))
