"""Primitive and Niggli cells."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import moyopy
import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import cholesky, product
from powderlens.core.errors import StructureError
from powderlens.crystal.operators import primitive_basis
from powderlens.crystal.structure import Cell, Structure, cell_from_lattice
from powderlens.symmetry.settings import operators


def primitive_lattice(structure: Structure) -> NDArray[np.float64]:
    """A primitive lattice, from the pure translations among the operators.

    Args:
        structure: with its operators, see `label.with_symmetry`; the identity alone means that the cell is primitive.

    Returns:
        (3, 3), rows are the cell vectors, A.

    Raises:
        StructureError: the pure translations are no group.
    """
    return product(primitive_basis(structure.rotations, structure.translations), structure.lattice)


def niggli_cell(structure: Structure | NDArray[np.float64]) -> Cell:
    """Niggli-reduced cell of the primitive lattice.

    The reduction of a lattice that is nearly but not quite symmetric (by 1e-5, as relaxed cells are) can end at 60
    or at 120 degrees. With a `Structure` the operators first make the metric exactly symmetric, so that equal crystals
    get equal cells: give one that has its operators, see `label.with_symmetry`.

    Args:
        structure: a `Structure`, whose centring is taken out by its operators; or the (3, 3) rows of a lattice that
            is primitive already, A.

    Returns:
        a <= b <= c in angstrom and alpha, beta, gamma in degrees, the angles all acute or all not.

    Raises:
        StructureError: the lattice cannot be reduced.

    Source: International Tables for Crystallography A (2016), section 3.1.3; reduction by moyo.
    """
    if isinstance(structure, Structure):
        lattice = primitive_lattice(replace(structure, lattice=_symmetric_lattice(structure)))
    else:
        lattice = np.asarray(structure, dtype=float)
    try:
        reduced, _ = moyopy.niggli_reduce(lattice.tolist())
    except ValueError as error:
        raise StructureError(f"lattice cannot be reduced ({error})") from None
    return cell_from_lattice(np.array(reduced))


def niggli_of_group(lattice: NDArray[np.float64], space_group: int) -> Cell:
    """Niggli cell of the conventional cell of a space group in its standard setting.

    Args:
        lattice: (3, 3) rows are the cell vectors, A.
        space_group: International Tables number; its centring is taken out.

    Raises:
        StructureError: the lattice cannot be reduced.
    """
    return niggli_cell(product(_basis_of_group(space_group), lattice))


@cache
def _basis_of_group(space_group: int) -> NDArray[np.float64]:
    return primitive_basis(*operators(space_group))


def _symmetric_lattice(structure: Structure) -> NDArray[np.float64]:
    """Lattice whose metric is the mean over the rotations; any orientation."""
    metric = product(structure.lattice, structure.lattice.T)
    moved = product(product(structure.rotations.transpose(0, 2, 1), metric), structure.rotations)
    return cholesky(moved.mean(axis=0))
