"""What a CIF states of its symmetry: operators, magnetic and superspace ones too, symbols, number, origin.

Sources of the names: core dictionary 2.4, symmetry dictionary 1.0, magnetic dictionary 1.0 and modulated-structures
dictionary 3.0, International Union of Crystallography, in the form of `cif_text.Names`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from powderlens.core.errors import StructureError
from powderlens.crystal.formats.cif_text import Names, number, triplets
from powderlens.crystal.operators import Operators, operators_from_triplets, triplet
from powderlens.crystal.stated_symmetry import Stated

AVERAGE = "modulated: the average structure is taken, without satellites"

_OPERATORS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
_MAGNETIC = "_space_group_symop_magn_operation_xyz"
_MAGNETIC_CENTRING = "_space_group_symop_magn_centering_xyz"
_SUPERSPACE = ("_space_group_symop_ssg_operation_algebraic", "_space_group_symop_magn_ssg_operation_algebraic")
_SUPERSPACE_CENTRING = "_space_group_symop_magn_ssg_centering_algebraic"
_HALL = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
_SYMBOL = (
    "_space_group_name_h-m_alt",
    "_symmetry_space_group_name_h-m",
    "_space_group_name_h-m_full",
    "_space_group_name_h-m",
    "_symmetry_space_group_name_h-m_full",
    "_space_group_name_h-m_ref",
)
_NUMBER = ("_space_group_it_number", "_symmetry_int_tables_number")
_CODE = ("_space_group_it_coordinate_system_code",)
_MENTIONS = ("_space_group_", "_symmetry_", "_parent_space_group_", "_magnetic_space_group_", "_cell_modulation_dim")
_NO_GROUP = re.compile(
    r"_id$|_details$|crystal_system|cell_setting|_bravais|_laue|_patterson|_point_group|_special_|_wyckoff"
)
_FIRST_THREE = re.compile(r"x([123])\b")


class FromCif(NamedTuple):
    """What the file states, and notes on what reading it left out."""

    stated: Stated
    notes: tuple[str, ...]


def stated_symmetry(names: Names) -> FromCif:
    """Everything that a block says of its symmetry.

    Magnetic operators are read without their time reversal: X-rays see the atoms. Of superspace operators the part
    that acts in space is taken, which is the symmetry of the average structure.

    Raises:
        StructureError: symmetry is stated, but by nothing that can be read; a modulated structure whose average
            cannot be had.
    """
    plain = Stated(
        listed=tuple(triplets(names.column(*_OPERATORS))),
        hall=names.pair(*_HALL),
        symbol=stated_symbol(names),
        number=stated_number(names),
        code=names.pair(*_CODE),
    )
    if superspace := triplets(names.column(*_SUPERSPACE)):
        _check_average(names)
        centring = triplets(names.column(_SUPERSPACE_CENTRING))
        listed = _listed(_products([_in_space(t) for t in superspace], [_in_space(t) for t in centring]))
        return FromCif(Stated(listed, from_symbols=False), (AVERAGE,))
    if number(names.pair("_cell_modulation_dimension")) >= 1:
        _check_average(names)
        return FromCif(_required(plain, names), (AVERAGE,))
    if len(plain.listed) < 2 and (magnetic := triplets(names.column(_MAGNETIC))):
        centring = triplets(names.column(_MAGNETIC_CENTRING))
        products = _products([_without_time(t) for t in magnetic], [_without_time(t) for t in centring])
        return FromCif(Stated(_listed(products), from_symbols=False), ())
    return FromCif(_required(plain, names), ())


def stated_number(names: Names) -> int | None:
    """International Tables number, where the file gives one; 0 is none."""
    found = number(names.pair(*_NUMBER))
    return int(found) or None if np.isfinite(found) else None


def stated_symbol(names: Names) -> str:
    """Hermann-Mauguin symbol as the file has it, or ""."""
    return names.pair(*_SYMBOL)


def _required(plain: Stated, names: Names) -> Stated:
    """What is stated, unless there is symmetry in the file of which nothing can be read.

    Raises:
        StructureError: so it is.
    """
    if plain.listed or plain.hall or plain.symbol or plain.number is not None:
        return plain
    mentioned = [name for name in names.stated(*_MENTIONS) if not _NO_GROUP.search(name)]
    if mentioned:
        raise StructureError(
            f"symmetry: stated by {mentioned[0]} alone, which is not read; list the operators in {_OPERATORS[0]}"
        )
    return plain


def _check_average(names: Names) -> None:
    """Refuse a modulated structure whose average over the modulation is not what its atoms are listed with.

    Raises:
        StructureError: a composite, or occupancies that are steps.
    """
    if names.stated("_cell_subsystem_matrix_") or len({*names.column("_atom_site_subsystem_code")}) > 1:
        raise StructureError("symmetry: a composite crystal of two lattices has no one average cell")
    if names.stated("_atom_site_occ_special_func_crenel"):
        raise StructureError("symmetry: occupancies are steps (crenel) along the modulation; the average is not stated")


def _without_time(text: str) -> str:
    """A magnetic operator such as "x+1/2,-y,z,-1" as it moves atoms."""
    parts = text.split(",")
    if len(parts) == 4 and parts[3].strip() in {"1", "+1", "-1", "m", "mx"}:
        return ",".join(parts[:3])
    return text


def _in_space(text: str) -> str:
    """A superspace operator such as "-x1,-x2,x3,-x4+1/2" as it moves atoms in three dimensions.

    Raises:
        StructureError: it mixes internal space into them.
    """
    parts = [part.strip().lower() for part in text.split(",")]
    space = ",".join(parts[:3])
    if len(parts) < 4 or re.search(r"x[4-9]|[tuv]", space):
        raise StructureError(f"symmetry: {text!r} is no superspace operator")
    return _FIRST_THREE.sub(lambda found: "xyz"[int(found[1]) - 1], space)


def _products(operators: list[str], centring: list[str]) -> Operators:
    """Each operator after each centring translation."""
    rotations, translations = operators_from_triplets(operators)
    turns, shifts = operators_from_triplets(centring or ["x,y,z"])
    return (
        np.einsum("aij,bjk->abik", turns, rotations).reshape(-1, 3, 3),
        (np.einsum("aij,bj->abi", turns, translations) + shifts[:, None, :]).reshape(-1, 3),
    )


def _listed(operators: Operators) -> tuple[str, ...]:
    return tuple(triplet(rotation, shift) for rotation, shift in zip(*operators, strict=True))
