"""Writing Crystallographic Information Files through gemmi."""

from __future__ import annotations

from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray

from powderlens.core.files import atomic_write
from powderlens.crystal.displacement import u_from_beta
from powderlens.crystal.expand import asymmetric_rows
from powderlens.crystal.operators import space_group_number, triplet
from powderlens.crystal.structure import Structure

_CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
_IJ = ("11", "22", "33", "12", "13", "23")


def write_cif(structure: Structure, path: str | Path) -> None:
    """Write a CIF: cell, operators, sites with occupancies and displacements.

    One site of each orbit is written where the structure's operators are those of a lattice (translations in 1/24) and
    reproduce its atoms; otherwise every atom, in P 1.

    Args:
        structure: what to write.
        path: the file, replaced if it exists.

    Raises:
        InputError: the file cannot be written.
    """
    with atomic_write(path) as aside:
        cif_document(structure).write_file(str(aside))


def cif_document(structure: Structure) -> gemmi.cif.Document:
    """The CIF that `write_cif` writes, as gemmi's document."""
    rows = asymmetric_rows(structure)
    operators = ["x,y,z"]
    number: int | None = 1
    if rows is None:
        rows = np.arange(len(structure.elements))
    else:
        operators = [triplet(r, t) for r, t in zip(structure.rotations, structure.translations, strict=True)]
        number = space_group_number(structure.rotations, structure.translations)
    document = gemmi.cif.Document()
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in structure.name)
    block = document.add_new_block(name or "structure")
    for tag, value in zip(_CELL, structure.cell, strict=True):
        block.set_pair(f"_cell_{tag}", f"{value:.8g}")
    block.set_pair("_cell_volume", f"{structure.volume_A3:.6g}")
    block.set_pair("_chemical_formula_sum", gemmi.cif.quote(structure.formula))
    if structure.name:
        block.set_pair("_chemical_name_common", gemmi.cif.quote(structure.name))
    if number is not None:
        block.set_pair("_space_group_IT_number", str(number))
    loop = block.init_loop("_space_group_symop_", ["operation_xyz"])
    for text in operators:
        loop.add_row([gemmi.cif.quote(text)])
    labels = _write_sites(block, structure, rows)
    _write_tensors(block, structure, rows, labels)
    return document


def _write_sites(block: gemmi.cif.Block, structure: Structure, rows: NDArray[np.intp]) -> list[str]:
    labels: list[str] = []
    counts: dict[str, int] = {}
    fields = ["label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy", "U_iso_or_equiv"]
    loop = block.init_loop("_atom_site_", fields)
    for row in rows:
        element = structure.elements[row]
        counts[element] = counts.get(element, 0) + 1
        labels.append(f"{element}{counts[element]}")
        u = structure.u_iso_A2[row]
        loop.add_row(
            [
                labels[-1],
                element,
                *(f"{v:.10f}" for v in structure.frac[row]),
                f"{structure.occupancy[row]:.6g}",
                f"{u:.6g}" if np.isfinite(u) else "?",
            ]
        )
    return labels


def _write_tensors(block: gemmi.cif.Block, structure: Structure, rows: NDArray[np.intp], labels: list[str]) -> None:
    if structure.beta is None:
        return
    u = u_from_beta(structure.beta[rows], structure.lattice)
    known = np.flatnonzero(np.isfinite(u).all(axis=(1, 2)))
    if len(known) == 0:
        return
    loop = block.init_loop("_atom_site_aniso_", ["label", *(f"U_{ij}" for ij in _IJ)])
    for k in known:
        loop.add_row([labels[k], *(f"{u[k, int(ij[0]) - 1, int(ij[1]) - 1]:.8g}" for ij in _IJ)])
