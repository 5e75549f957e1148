"""`Phase`: a crystal ready to be drawn under any conditions, and new structure factors for its atoms when they move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from powderlens.crystal.elements import atomic_mass_u
from powderlens.crystal.expand import MERGE_DISTANCE_A
from powderlens.crystal.label import with_whole_symmetry
from powderlens.crystal.structure import Structure
from powderlens.diffraction import kernel
from powderlens.diffraction.reflections import NoReflectionError, arguments, plain, reflections
from powderlens.diffraction.scattering import Table


@dataclass(frozen=True, eq=False)
class Atoms:
    """What new structure factors need.

    Attributes:
        frac: (n, 3) coordinates of all atoms of the cell.
        kind: (n,) row of each atom in the form-factor table.
        weight: (n,) occupancies.
        u_iso_A2: (n,) isotropic displacements, 0 where there is none.
        beta: (n, 3, 3) anisotropic ones, or (0, 3, 3).
        f_real: (kinds, m) f0 + f' of each family; f_imag: (kinds,) f''.
        friedel: average h and -h.
        multiplicity: (m,) of each family.
        inv_d2: (m,) 1/d^2 in the cell as given, 1/A^2.
        site: (n,) representative of each atom's orbit, counted from 0; moves: (n, 3, 3) Cartesian offset of the
            representative in A -> fractional displacement of the atom, see `thermal.site_offsets`.
    """

    frac: NDArray[np.float64]
    kind: NDArray[np.int64]
    weight: NDArray[np.float64]
    u_iso_A2: NDArray[np.float64]
    beta: NDArray[np.float64]
    f_real: NDArray[np.float64]
    f_imag: NDArray[np.float64]
    friedel: bool
    multiplicity: NDArray[np.int64]
    inv_d2: NDArray[np.float64]
    site: NDArray[np.int64]
    moves: NDArray[np.float64]

    @property
    def sites(self) -> int:
        """Number of orbits."""
        return int(self.site.max()) + 1


@dataclass(frozen=True, eq=False)
class Phase:
    """One crystal.

    Attributes:
        lattice: (3, 3) rows are cell vectors, A.
        rotations: (r, 3, 3) int64, distinct point-group rotations in this cell, x' = W x.
        hkl: (m, 3) int64, one of each family of reflections.
        strength: (m,) multiplicity times |F|^2.
        mean_mass_u: mean atomic mass.
        space_group: International Tables number, or None.
        name, source: what it is called and where it came from.
        atoms: needed for thermal offsets only.
        fixed_cell: the cell is certified, and no fit moves it.
    """

    lattice: NDArray[np.float64]
    rotations: NDArray[np.int64]
    hkl: NDArray[np.int64]
    strength: NDArray[np.float64]
    mean_mass_u: float = 20.0
    space_group: int | None = None
    name: str = ""
    source: str = ""
    atoms: Atoms | None = None
    fixed_cell: bool = False

    def __post_init__(self) -> None:
        for name, kind in (("lattice", float), ("rotations", np.int64), ("hkl", np.int64), ("strength", float)):
            object.__setattr__(self, name, plain(getattr(self, name), kind))


def phase_of(
    structure: Structure,
    *,
    d_min_A: float,
    dispersion_wavelength_A: float | None = None,
    table: Table = "it92",
    offsets: bool = False,
    labelled: bool = False,
) -> Phase:
    """Prepare a structure.

    Args:
        structure: its symmetry is found where it has none; a supercell that lacks operators of its crystal becomes its
            primitive cell.
        d_min_A: smallest spacing, A; a protocol knows how far its conditions reach.
        dispersion_wavelength_A: add f' and f'' for this wavelength.
        table: of form factors, see `scattering.form_factors`.
        offsets: keep what thermal offsets need: the atoms, and families that vanish in the structure at rest only.
        labelled: its operators are those of its whole space group, as in a table of crystals: none are looked for.

    Raises:
        InputError: no reflection in range, or what the structure's symmetry and elements raise.
    """
    whole = structure if labelled else with_whole_symmetry(structure)
    masses = np.array([atomic_mass_u(element) for element in whole.elements])
    atoms = None
    if offsets:
        hkl, atoms = _atoms_of(whole, d_min_A, dispersion_wavelength_A, table)
        strength = strength_of(atoms, hkl, atoms.frac)
    else:
        found = reflections(whole, d_min_A=d_min_A, dispersion_wavelength_A=dispersion_wavelength_A, form_factors=table)
        hkl, strength = found.hkl, found.multiplicity * found.f_squared
    return Phase(
        lattice=whole.lattice,
        rotations=kernel.distinct(plain(whole.rotations, np.int64), False),
        hkl=hkl,
        strength=strength,
        mean_mass_u=float((masses * whole.occupancy).sum() / whole.occupancy.sum()),
        space_group=whole.space_group,
        name=whole.name,
        source=whole.source,
        atoms=atoms,
    )


def strength_of(atoms: Atoms, hkl: NDArray[np.int64], frac: NDArray[np.float64]) -> NDArray[np.float64]:
    """(m,) multiplicity times |F|^2 with the atoms at other places."""
    a = atoms
    f_squared = kernel.structure_factors_squared(
        hkl, a.inv_d2 / 4, frac, a.kind, a.weight, a.u_iso_A2, a.beta, a.f_real, a.f_imag, a.friedel
    )
    return np.asarray(a.multiplicity * f_squared)


def _atoms_of(
    structure: Structure, d_min_A: float, dispersion_wavelength_A: float | None, table: Table
) -> tuple[NDArray[np.int64], Atoms]:
    """Families that the space group allows, also those that vanish while every atom is at rest, and the atoms."""
    lattice, rotations, _, frac, kind, occupancy, u_iso, beta, c, f_imag, friedel = arguments(
        structure, d_min_A, dispersion_wavelength_A, table
    )
    translations = plain(structure.translations, float)
    reciprocal = kernel.reciprocal_of(lattice)
    hkl, multiplicity, inv_d2 = kernel.families(reciprocal, d_min_A, rotations)
    keep = kernel.allowed(hkl, rotations, translations)
    hkl, multiplicity, inv_d2 = hkl[keep], multiplicity[keep], inv_d2[keep]
    if not len(hkl):
        raise NoReflectionError(f"{structure.name or 'structure'}: no reflection with d of at least {d_min_A:g} A")
    f_real = kernel.form_factors(c, inv_d2 / 4)
    site, moves = kernel.site_offsets(frac, lattice, reciprocal, rotations, translations, MERGE_DISTANCE_A)
    return hkl, Atoms(frac, kind, occupancy, u_iso, beta, f_real, f_imag, friedel, multiplicity, inv_d2, site, moves)
