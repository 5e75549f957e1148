"""Writing VASP's POSCAR, with element names (VASP 5) and fractional coordinates."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from powderlens.core.errors import StructureError
from powderlens.core.files import atomic_write
from powderlens.crystal.structure import Structure

WHOLE = 1e-6


def write_poscar(structure: Structure, path: str | Path) -> None:
    """Write every atom of the cell; operators, displacements and labels stay behind.

    Raises:
        StructureError: a site is shared or part-filled, which a POSCAR cannot say.
        InputError: the file cannot be written.
    """
    if np.abs(structure.occupancy - 1).max() > WHOLE:
        raise StructureError(f"{structure.source}: a POSCAR holds no shared or part-filled sites; write a CIF")
    elements = list(dict.fromkeys(structure.elements))
    symbols = np.array(structure.elements)
    title = " ".join(f"{structure.formula} {structure.name} {structure.source}".split())
    lines = [title, "1.0"]
    lines += [" ".join(f"{v:20.14f}" for v in row) for row in structure.lattice]
    lines += [" ".join(elements), " ".join(str(int((symbols == e).sum())) for e in elements), "Direct"]
    for element in elements:
        lines += [
            " ".join(f"{v:18.14f}" for v in place) + f" {element}" for place in structure.frac[symbols == element]
        ]
    with atomic_write(path) as aside:
        aside.write_text("\n".join(lines) + "\n", encoding="utf-8")
