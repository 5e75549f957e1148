"""Crystals of a table as files of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from powderlens.core.errors import InputError, PowderlensError
from powderlens.core.files import make_folder
from powderlens.crystal.formats.cif_write import write_cif
from powderlens.crystal.formats.poscar_write import write_poscar
from powderlens.crystal.structure import Structure
from powderlens.crystals.table import CrystalTable

FORMATS: dict[str, tuple[str, Callable[[Structure, Path], None]]] = {
    "cif": (".cif", write_cif),
    "poscar": (".vasp", write_poscar),
}


def export_crystals(path: Path, folder: Path, *, form: str, limit: int | None = None) -> dict[str, Any]:
    """Write one file for each crystal, named by its id.

    Args:
        path: the table.
        folder: made if it is not there.
        form: "cif" or "poscar".
        limit: take only the first.

    Returns:
        How many were `written`, and `left_out` with the reasons.

    Raises:
        InputError: no such format, not a table, or a folder that cannot be written to.
    """
    if form not in FORMATS:
        raise InputError(f"format {form!r}: there are {', '.join(FORMATS)}")
    suffix, write = FORMATS[form]
    table = CrystalTable.load(path)
    chosen = range(len(table) if limit is None else min(limit, len(table)))
    names = [file_name(table.ids[i]) for i in chosen]
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise InputError(f"{path}: two crystals would both become {repeated[0]}{suffix}; export them apart")
    make_folder(folder)
    left_out: Counter[str] = Counter()
    for i, name in zip(chosen, names, strict=True):
        structure = table.structure(i)
        try:
            write(structure, folder / (name + suffix))
        except PowderlensError as error:
            if not folder.is_dir() or "cannot be written (" in str(error):
                raise
            left_out[str(error).removeprefix(f"{structure.source}: ").split(";")[0]] += 1
    return {"written": len(names) - left_out.total(), "left_out": dict(left_out.most_common())}


def file_name(identity: str) -> str:
    """An id as a file's name: letters, digits, dots and dashes."""
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_.#+") else "-" for c in identity)
    return safe.removesuffix(".cif").lstrip(".") or "crystal"
