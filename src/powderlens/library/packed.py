"""A crystal in few bytes: the asymmetric unit of its standard cell, quantised, and back to all its atoms."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from powderlens.core.errors import StructureError
from powderlens.crystal.displacement import U_LIMIT_A2
from powderlens.crystal.elements import ELEMENTS, NUMBER
from powderlens.crystal.label import Symmetry
from powderlens.crystal.orbits import asymmetric_unit, expand
from powderlens.crystal.structure import Structure, lattice_from_cell
from powderlens.symmetry.settings import operators

FRAC_STEPS = 65520
"""Of a cell vector; 2^4 3^2 5 7 13, so that halves, thirds, quarters, sixths, eighths and twelfths are exact."""

OCCUPANCY_STEPS = 240
U_STEPS = 255
"""Steps of the square root of a displacement, up to `displacement.U_LIMIT_A2`: 0.0005 A^2 apart at 0.008 A^2."""

DEUTERIUM = 201
"""Code of deuterium; every other element has its atomic number."""

SYMBOLS = dict(enumerate(ELEMENTS, start=1)) | {DEUTERIUM: "D"}
_CODES = {symbol: code for code, symbol in SYMBOLS.items()}


class PackedCell(NamedTuple):
    """Cell and sites of one crystal.

    Attributes:
        cell: (6,) float32: a, b, c in A, alpha, beta, gamma in degrees, of the standard conventional cell.
        space_group: International Tables number.
        element: (s,) uint8 codes, see `SYMBOLS`.
        frac: (s, 3) uint16 in 1 / `FRAC_STEPS`.
        multiplicity: (s,) uint8 atoms in the cell.
        occupancy: (s,) uint8 in 1 / `OCCUPANCY_STEPS`.
        u_iso: (s,) uint8 in steps of its root, see `U_STEPS`; 0 where it is not known.
    """

    cell: NDArray[np.float32]
    space_group: int
    element: NDArray[np.uint8]
    frac: NDArray[np.uint16]
    multiplicity: NDArray[np.uint8]
    occupancy: NDArray[np.uint8]
    u_iso: NDArray[np.uint8]


def pack(symmetry: Symmetry) -> PackedCell:
    """Quantise a crystal; anisotropic displacements become their equivalents.

    Raises:
        StructureError: the standard cell is not made by its operators, or the quantised one is another crystal.
    """
    standard = symmetry.standard
    unit = asymmetric_unit(standard)
    occupancy = np.round(standard.occupancy[unit.rows] * OCCUPANCY_STEPS)
    u_iso = np.sqrt(np.nan_to_num(standard.u_iso_A2[unit.rows], nan=0.0) / U_LIMIT_A2) * U_STEPS
    # A known displacement, however small, stays one.
    steps = np.where(u_iso > 0, np.clip(np.round(u_iso), 1, U_STEPS), 0)
    code = [_CODES[standard.elements[row]] for row in unit.rows.tolist()]
    packed = PackedCell(
        cell=np.array(standard.cell, np.float32),
        space_group=symmetry.number,
        element=np.array(code, np.uint8),
        frac=(np.round(standard.frac[unit.rows] * FRAC_STEPS).astype(np.int64) % FRAC_STEPS).astype(np.uint16),
        multiplicity=unit.multiplicity.astype(np.uint8),
        occupancy=np.clip(occupancy, 1, 255).astype(np.uint8),
        u_iso=steps.astype(np.uint8),
    )
    unpack(packed)
    return packed


def unpack(packed: PackedCell, **more: Any) -> Structure:
    """Every atom of the standard cell, with the operators of the standard setting.

    Args:
        packed: one crystal.
        more: other fields of the structure, as its name.

    Raises:
        StructureError: a site does not make the atoms that are stated.
    """
    rotations, translations, turns = _operators(packed.space_group)
    lattice = lattice_from_cell(packed.cell.astype(np.float64).tolist())
    multiplicity = packed.multiplicity.astype(np.int64)
    place = settled(lattice, packed.frac / FRAC_STEPS, multiplicity, turns, translations)
    frac, _ = expand(lattice, place, multiplicity, turns, translations)
    u_iso = np.where(packed.u_iso > 0, (packed.u_iso / U_STEPS) ** 2 * U_LIMIT_A2, np.nan)
    row = np.repeat(np.arange(len(multiplicity)), multiplicity)
    symbols = [SYMBOLS[code] for code in packed.element.tolist()]
    return Structure(
        lattice=lattice,
        elements=tuple(symbols[site] for site in row.tolist()),
        frac=frac,
        occupancy=(packed.occupancy / OCCUPANCY_STEPS)[row],
        u_iso_A2=u_iso[row],
        rotations=rotations,
        translations=translations,
        space_group=packed.space_group,
        **more,
    )


def settled(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    multiplicity: NDArray[np.int64],
    turns: NDArray[np.float64],
    translations: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Sites moved onto their special positions, off which rounding has put them: the mean of the images that meet.

    Args:
        lattice: (3, 3), rows are the cell vectors, A.
        frac: (s, 3).
        multiplicity: (s,) atoms in the cell that each makes: of m operators, m over this many keep it.
        turns: (m, 3, 3) rotations, as floats.
        translations: (m, 3).
    """
    return np.asarray(_settle(frac, multiplicity, turns, translations, lattice))


@njit(cache=True, nogil=True, error_model="numpy")
def _settle(frac, multiplicity, turns, translations, lattice):  # type: ignore[no-untyped-def]
    out = frac.copy()
    m = len(turns)
    rest, square = np.empty((m, 3)), np.empty(m)
    for site in range(len(frac)):
        keep = m // multiplicity[site]
        if keep < 2:
            continue
        for g in range(m):
            for i in range(3):
                image = translations[g, i] - frac[site, i]
                for j in range(3):
                    image += turns[g, i, j] * frac[site, j]
                rest[g, i] = image - np.rint(image)
            square[g] = 0.0
            for k in range(3):
                step = rest[g, 0] * lattice[0, k] + rest[g, 1] * lattice[1, k] + rest[g, 2] * lattice[2, k]
                square[g] += step * step
        near = np.sort(square)[keep - 1]
        count = 0
        for g in range(m):
            if square[g] <= near and count < keep:
                count += 1
                for i in range(3):
                    out[site, i] += rest[g, i] / keep
    return out


def atomic_numbers(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Atomic numbers of element codes; deuterium is hydrogen."""
    return np.where(codes == DEUTERIUM, np.uint8(NUMBER["D"]), codes)


@lru_cache(maxsize=256)
def _operators(number: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    if not 1 <= number <= 230:
        raise StructureError(f"space group {number}: numbers run from 1 to 230")
    rotations, translations = operators(number)
    turns = rotations.astype(np.float64)
    turns.setflags(write=False)
    return rotations, translations, turns
