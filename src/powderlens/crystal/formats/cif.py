"""Crystallographic Information Files, read through gemmi.

Source of the data names: core CIF dictionary 2.4 and its DDLm successor, International Union of Crystallography.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import StructureError
from powderlens.crystal.displacement import believable
from powderlens.crystal.elements import NUMBER, element_from_text
from powderlens.crystal.expand import check_metric, expand_sites, without_repeats
from powderlens.crystal.operators import check_group, operators_from_triplets, space_group_number
from powderlens.crystal.structure import Structure, lattice_from_cell

_CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
_OPERATORS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz", "_space_group_symop.operation_xyz")
_HALL = ("_space_group_name_Hall", "_symmetry_space_group_name_Hall", "_space_group.name_Hall")
_HM = ("_space_group_name_H-M_alt", "_symmetry_space_group_name_H-M", "_space_group.name_H-M_alt")
_NUMBER = ("_space_group_IT_number", "_symmetry_Int_Tables_number", "_space_group.IT_number")
_NAME = ("_chemical_name_mineral", "_chemical_name_common", "_chemical_name_systematic", "_chemical_formula_sum")
_IJ = ("11", "22", "33", "12", "13", "23")


def read_cif(path: str | Path, block: str | None = None) -> Structure:
    """A structure with every atom of its cell, from a CIF.

    Args:
        path: the file.
        block: name of the data block; without it the first block with a cell and atoms.

    Returns:
        The structure with the file's operators. Where it lists none, those of its Hall symbol, Hermann-Mauguin symbol
        or number, in this order; without any of these the identity and `space_group` None. `labels` hold what the
        file states: `formula`, `symbol`, `stated_number`, and `displacements_dropped`.

    Raises:
        StructureError: see `powderlens.crystal.read.read_structure`.
    """
    path = Path(path)
    try:
        document = gemmi.cif.read(str(path))
    except (RuntimeError, ValueError, OSError) as error:
        raise StructureError(f"{path.name}: not a readable CIF ({' '.join(str(error).split())})") from None
    try:
        chosen = _choose(document, block)
        return _structure(chosen, f"cif:{path.name}")
    except StructureError as error:
        raise StructureError(f"{path.name}: {error}") from None


def cif_blocks(text: str) -> list[tuple[str, Callable[[], Structure]]]:
    """The structures in a CIF's text: name of each block with a cell and atoms, and what reads it.

    Where no block has both, the first that has one of them is listed, so that reading it says what is missing.

    Raises:
        StructureError: not a readable CIF, or nothing of a structure in it. What is listed raises its own.
    """
    try:
        document = gemmi.cif.read_string(text)
    except (RuntimeError, ValueError) as error:
        raise StructureError(f"not a readable CIF ({' '.join(str(error).split())})") from None
    blocks = [block for block in document if _has_structure(block)] or [_choose(document, None)]

    def reader(block: gemmi.cif.Block) -> Callable[[], Structure]:
        return lambda: _structure(block, f"cif:{block.name}")

    return [(block.name, reader(block)) for block in blocks]


def _has_structure(block: gemmi.cif.Block) -> bool:
    return bool(_loop(block, "_atom_site_fract_x") and _pair(block, tuple("_cell_" + tag for tag in _CELL[:1])))


def _choose(document: gemmi.cif.Document, name: str | None) -> gemmi.cif.Block:
    names = [block.name for block in document]
    if name is not None:
        for block in document:
            if block.name.lower() == name.lower():
                return block
        raise StructureError(f"no data block {name!r}; it has {', '.join(names) or 'none'}")
    for block in document:
        if _has_structure(block):
            return block
    if len(document) == 0:
        raise StructureError("no data block; is it a CIF?")
    # Let the reader of the first block with atoms, or a cell, say what is missing.
    for tag in ("_atom_site_fract_x", "_atom_site_label", "_cell_length_a"):
        for block in document:
            if _loop(block, tag) or _pair(block, (tag,)):
                return block
    return document[0]


@dataclass(frozen=True)
class _Listed:
    """The sites as the file lists them."""

    labels: list[str]
    elements: list[str]
    frac: NDArray[np.float64]
    occupancy: NDArray[np.float64]
    u_iso_A2: NDArray[np.float64]


def _structure(block: gemmi.cif.Block, source: str) -> Structure:
    lattice = lattice_from_cell(_cell(block))
    listed = _sites(block)
    declared = _operators(block)
    rotations, translations = declared or (np.eye(3, dtype=np.int64)[None], np.zeros((1, 3)))
    check_group(rotations, translations)
    check_metric(lattice, rotations)
    u_iso, beta, dropped = believable(listed.u_iso_A2, _tensors(block, listed.labels), lattice)
    sites = without_repeats(
        expand_sites(lattice, listed.elements, listed.frac, listed.occupancy, u_iso, beta, rotations, translations),
        lattice,
    )
    stated = _number(_pair(block, _NUMBER))
    return Structure(
        lattice=lattice,
        elements=sites.elements,
        frac=sites.frac,
        occupancy=sites.occupancy,
        u_iso_A2=sites.u_iso_A2,
        beta=sites.beta,
        rotations=rotations,
        translations=translations,
        space_group=space_group_number(rotations, translations) if declared else None,
        name=_pair(block, _NAME) or block.name,
        source=source,
        labels={
            "formula": _pair(block, ("_chemical_formula_sum",)),
            "symbol": _pair(block, _HM),
            "stated_number": None if np.isnan(stated) else int(stated),
            "displacements_dropped": dropped,
        },
    )


def _cell(block: gemmi.cif.Block) -> list[float]:
    cell = [_number(_pair(block, (f"_cell_{tag}", f"_cell.{tag}"))) for tag in _CELL]
    if np.isnan(cell).all():
        raise StructureError("no unit cell; give _cell_length_a to _cell_angle_gamma")
    for tag, value in zip(_CELL, cell, strict=True):
        if np.isnan(value):
            raise StructureError(f"_cell_{tag}: no number there; give all six of the cell")
    return cell


def _sites(block: gemmi.cif.Block) -> _Listed:
    labels = _loop(block, "_atom_site_label")
    types = _loop(block, "_atom_site_type_symbol")
    axes = [_loop(block, f"_atom_site_fract_{axis}") for axis in "xyz"]
    n = max(len(labels), len(types))
    if n == 0 and not axes[0]:
        raise StructureError("no atoms; the file may hold only a powder pattern, or the structure without coordinates")
    if not all(axes):
        remedy = "convert Cartn to fract" if _loop(block, "_atom_site_Cartn_x") else "give _atom_site_fract_x, y and z"
        raise StructureError(f"the atoms have no coordinates; {remedy}")
    n = len(axes[0])
    labels = labels or types or [""] * n
    dummy = _loop(block, "_atom_site_calc_flag")
    occupancy_text = _loop(block, "_atom_site_occupancy")
    u_text = _loop(block, "_atom_site_U_iso_or_equiv")
    b_text = _loop(block, "_atom_site_B_iso_or_equiv")
    formula = _pair(block, ("_chemical_formula_sum",))
    present = _formula_elements(formula)
    keep, elements, frac, occupancy, u_iso = [], [], [], [], []
    for i in range(n):
        filled = _number(occupancy_text[i]) if occupancy_text else 1.0
        filled = 1.0 if np.isnan(filled) else filled
        if filled == 0 or (dummy and dummy[i].lower() == "dum"):
            continue
        if not 0 < filled <= 1.1:
            raise StructureError(f"atom {labels[i]}: occupancy {filled:g}; it must lie between 0 and 1")
        xyz = [_number(axis[i]) for axis in axes]
        if np.isnan(xyz).any():
            raise StructureError(f"atom {labels[i]} has no coordinates; give them, or take its line out")
        text = types[i] if types and types[i] not in {"?", "."} else labels[i]
        element = element_from_text(text, present)
        if element is None:
            raise StructureError(f"atom {labels[i]}: unknown element {text!r}; give it in _atom_site_type_symbol")
        u = _number(u_text[i]) if u_text else np.nan
        if np.isnan(u) and b_text:
            u = _number(b_text[i]) / (8 * np.pi**2)
        keep.append(labels[i])
        elements.append(element)
        frac.append(xyz)
        occupancy.append(min(filled, 1.0))
        u_iso.append(u)
    if not keep:
        raise StructureError("no atoms: every one is a dummy or has occupancy 0")
    return _Listed(keep, elements, np.array(frac), np.array(occupancy), np.array(u_iso))


def _tensors(block: gemmi.cif.Block, labels: list[str]) -> NDArray[np.float64] | None:
    """(n, 3, 3) U_ij of the listed sites, A^2, NaN where not given."""
    names = _loop(block, "_atom_site_aniso_label")
    scale, columns = 1.0, [_loop(block, f"_atom_site_aniso_U_{ij}") for ij in _IJ]
    if not all(columns):
        scale, columns = 1 / (8 * np.pi**2), [_loop(block, f"_atom_site_aniso_B_{ij}") for ij in _IJ]
    if not names or not all(columns):
        return None
    u = np.full((len(labels), 3, 3), np.nan)
    six_of = {name: [_number(column[k]) * scale for column in columns] for k, name in enumerate(names)}
    for i, label in enumerate(labels):
        if label in six_of:
            u11, u22, u33, u12, u13, u23 = six_of[label]
            u[i] = [[u11, u12, u13], [u12, u22, u23], [u13, u23, u33]]
    return u


def _operators(block: gemmi.cif.Block) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Operators as declared, by list, symbol or number; None where nothing is."""
    for tag in _OPERATORS:
        listed = _loop(block, tag) or [text for text in [_pair(block, (tag,))] if text]
        if listed:
            return operators_from_triplets(listed)
    hall, name, number = _pair(block, _HALL), _pair(block, _HM), _number(_pair(block, _NUMBER))
    operations = None
    if hall:
        try:
            operations = gemmi.symops_from_hall(hall)
        except (RuntimeError, ValueError):
            operations = None
    if operations is None and name:
        alpha, gamma = (_number(_pair(block, (f"_cell_angle_{angle}",))) for angle in ("alpha", "gamma"))
        group = gemmi.find_spacegroup_by_name(name, alpha, gamma)
        if group is None:
            raise StructureError(f"space group {name!r} is not known; list the operators in {_OPERATORS[0]}")
        operations = group.operations()
    if operations is None and not np.isnan(number):
        if not 1 <= number <= 230:
            raise StructureError(f"space group {number:g}: numbers run from 1 to 230")
        operations = gemmi.SpaceGroup(int(number)).operations()
    if operations is None:
        return None
    return operators_from_triplets(operation.triplet() for operation in operations)


def _formula_elements(formula: str) -> frozenset[str]:
    """Elements of a formula such as "C2 H6 O", D among them."""
    return frozenset(word for word in re.findall(r"[A-Z][a-z]?", formula) if word in NUMBER)


def _pair(block: gemmi.cif.Block, tags: tuple[str, ...]) -> str:
    """First value given under one of the tags, unquoted; empty when none is."""
    for tag in tags:
        value = block.find_value(tag)
        if value and not gemmi.cif.is_null(value):
            return " ".join(str(gemmi.cif.as_string(value)).split())
    return ""


def _loop(block: gemmi.cif.Block, tag: str) -> list[str]:
    """Column of a loop under a tag, or under its form with a dot, unquoted."""
    for name in (tag, tag.replace("_atom_site_aniso_", "_atom_site_aniso.").replace("_atom_site_", "_atom_site.")):
        column = block.find_loop(name)
        if column:
            return [gemmi.cif.as_string(value) for value in column]
        value = block.find_value(name)
        if value:
            return [gemmi.cif.as_string(value)]
    return []


def _number(text: str) -> float:
    return float(gemmi.cif.as_number(text)) if text else float("nan")
