"""`read_structure`: a file or another library's object in, a `Structure` out."""

from __future__ import annotations

import os
from pathlib import Path

from powderlens.core.errors import StructureError
from powderlens.crystal.convert import from_ase, from_gemmi, from_pymatgen
from powderlens.crystal.formats.cif import read_cif
from powderlens.crystal.formats.poscar import read_poscar
from powderlens.crystal.structure import Structure

_READABLE = "CIF (.cif), POSCAR or CONTCAR (also .vasp and POSCAR-*)"


def read_structure(source: object, block: str | None = None) -> Structure:
    """Read a crystal structure, whatever it comes as.

    Args:
        source: path of a CIF or of a POSCAR; a pymatgen `Structure`, an ASE `Atoms`, a gemmi `SmallStructure`, or a
            `Structure`, which is handed back.
        block: for a CIF, the name of the data block; without it the first with a cell and atoms.

    Returns:
        Every atom of the cell. A CIF's operators are kept; other sources have none, see `label.with_symmetry`.

    Raises:
        StructureError: the file is missing or unreadable, lacks cell, atoms or coordinates, has an unknown element
            or impossible symmetry; or the object is none of these. One line, with the remedy.
    """
    if isinstance(source, str | os.PathLike):
        return _read_file(Path(source), block)
    if block is not None:
        raise StructureError(f"block {block!r}: only a CIF has data blocks")
    if isinstance(source, Structure):
        return source
    # By name: pymatgen and ASE need not be installed.
    names = {f"{kind.__module__.split('.')[0]}.{kind.__name__}" for kind in type(source).__mro__}
    if names & {"pymatgen.IStructure", "pymatgen.Structure"}:
        return from_pymatgen(source)
    if "ase.Atoms" in names:
        return from_ase(source)
    if "gemmi.SmallStructure" in names:
        return from_gemmi(source)
    raise StructureError(
        f"{type(source).__module__}.{type(source).__name__}: not a structure; give a path, "
        "a pymatgen Structure, an ASE Atoms or a gemmi SmallStructure"
    )


def is_cif_name(name: str) -> bool:
    """Whether a file's name, in small letters, is that of a CIF."""
    return name.endswith((".cif", ".mcif"))


def is_poscar_name(name: str) -> bool:
    """Whether a file's name, in small letters, is that of a POSCAR."""
    return name.startswith(("poscar", "contcar")) or name.endswith((".vasp", ".poscar", ".contcar"))


def _read_file(path: Path, block: str | None) -> Structure:
    if not path.exists():
        raise StructureError(f"{path}: no such file; check the name")
    if path.is_dir():
        raise StructureError(f"{path}: is a directory; give one file")
    name = path.name.lower()
    if is_cif_name(name):
        return read_cif(path, block)
    if block is not None:
        raise StructureError(f"{path.name}: block {block!r}: only a CIF has data blocks")
    if is_poscar_name(name):
        return read_poscar(path)
    raise StructureError(f"{path.name}: what format is it? The name must be that of a {_READABLE}")
