"""To and from the structures of pymatgen, ASE and gemmi, the first two imported only when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gemmi
import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import inverse, product
from powderlens.core.errors import MissingExtraError, StructureError
from powderlens.crystal.displacement import believable, u_from_beta
from powderlens.crystal.elements import ELEMENTS, NUMBER, element_from_text
from powderlens.crystal.expand import MERGE_DISTANCE_A, check_metric, check_sites, expand_sites, without_repeats
from powderlens.crystal.from_sites import symmetric_cell, whole_cell
from powderlens.crystal.operators import operators_from_triplets, space_group_number
from powderlens.crystal.structure import Structure, check_lattice, lattice_from_cell

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core.structure import Structure as PymatgenStructure

_DEUTERIUM_MASS = 2.014


def shared_sites(structure: Structure) -> list[list[int]]:
    """Rows of a structure gathered by place: those within 0.05 A of each other share a site."""
    groups: list[list[int]] = []
    heads = np.empty((0, 3))
    for row, place in enumerate(structure.frac):
        rest = heads - place
        rest -= np.round(rest)
        near = np.flatnonzero(((rest @ structure.lattice) ** 2).sum(axis=1) < MERGE_DISTANCE_A**2)
        if len(near):
            groups[near[0]].append(row)
        else:
            groups.append([row])
            heads = np.vstack([heads, place])
    return groups


def to_pymatgen(structure: Structure) -> PymatgenStructure:
    """A pymatgen `Structure`; rows that share a site become one disordered site. Displacements stay behind.

    Raises:
        MissingExtraError: pymatgen is not installed.
        StructureError: a site holds more than one atom (occupancies sum to over 1).
    """
    try:
        from pymatgen.core.lattice import Lattice
        from pymatgen.core.structure import Structure as PymatgenStructure
    except ImportError:
        raise MissingExtraError("pymatgen is not installed: pip install pymatgen") from None
    species, places = [], []
    for rows in shared_sites(structure):
        mix = _mixture(structure, rows)
        species.append({element: filled / max(1.0, sum(mix.values())) for element, filled in mix.items()})
        places.append(structure.frac[rows[0]])
    return PymatgenStructure(Lattice(structure.lattice), species, places)


def from_pymatgen(source: Any) -> Structure:
    """From a pymatgen `Structure`; charges are left out, disordered sites become one row for each element.

    Raises:
        StructureError: no atoms, or a species that is no element.
    """
    elements, frac, occupancy = [], [], []
    for site in source:
        for species, filled in site.species.items():
            kind = getattr(species, "element", species)
            # pymatgen's deuterium calls itself H everywhere but in its name.
            element = element_from_text(str(getattr(kind, "name", kind)))
            if element is None:
                raise StructureError(f"pymatgen: {species} is no element; replace it")
            elements.append(element)
            frac.append(site.frac_coords)
            occupancy.append(float(filled))
    if not elements:
        raise StructureError("pymatgen: no atoms")
    lattice = np.array(source.lattice.matrix, dtype=float)
    return whole_cell(lattice, elements, frac, occupancy, name=str(source.reduced_formula), source="pymatgen")


def to_ase(structure: Structure) -> Atoms:
    """An ASE `Atoms`; mixed or part-filled sites follow ASE's own convention, `info["occupancy"]` by site kind.

    Raises:
        MissingExtraError: ASE is not installed.
        StructureError: a site holds more than one atom.
    """
    try:
        from ase import Atoms
    except ImportError:
        raise MissingExtraError("ase is not installed: pip install ase") from None
    groups = shared_sites(structure)
    mixtures = [_mixture(structure, rows) for rows in groups]
    main = [max(mix, key=lambda element: mix[element]) for mix in mixtures]
    atoms = Atoms(
        numbers=[NUMBER[element] for element in main],
        scaled_positions=structure.frac[[rows[0] for rows in groups]],
        cell=structure.lattice,
        pbc=True,
    )
    if "D" in main:
        atoms.set_masses([_DEUTERIUM_MASS if element == "D" else None for element in main])
    if any(len(mix) > 1 or sum(mix.values()) < 1 - 1e-6 for mix in mixtures):
        kinds: dict[tuple[tuple[str, float], ...], int] = {}
        of_site = [kinds.setdefault(tuple(sorted(mix.items())), len(kinds)) for mix in mixtures]
        atoms.new_array("spacegroup_kinds", np.array(of_site))
        atoms.info["occupancy"] = {str(number): dict(kind) for kind, number in kinds.items()}
    return atoms


def from_ase(source: Any) -> Structure:
    """From an ASE `Atoms`, with `info["occupancy"]` where it is there; hydrogen of mass 2 is deuterium.

    Raises:
        StructureError: no cell, not periodic in three directions, no atoms, or an unknown atomic number.
    """
    lattice = np.array(source.cell, dtype=float)
    if not lattice.any(axis=1).all() or not all(source.pbc):
        raise StructureError("ase: no unit cell periodic in three directions; set cell and pbc")
    check_lattice(lattice, either_hand=True)
    kinds, occupancies = source.arrays.get("spacegroup_kinds"), source.info.get("occupancy")
    masses = source.get_masses()
    places = product(np.array(source.positions), inverse(lattice))
    elements, frac, occupancy = [], [], []
    for i, z in enumerate(source.numbers):
        if not 1 <= z <= len(ELEMENTS):
            raise StructureError(f"ase: atomic number {z}; 1 to {len(ELEMENTS)} are elements here")
        symbol = "D" if z == 1 and masses[i] > 1.5 else ELEMENTS[z - 1]
        mix = {symbol: 1.0}
        if kinds is not None and occupancies:
            mix = occupancies.get(str(kinds[i]), occupancies.get(int(kinds[i]), mix))
        for element, filled in mix.items():
            elements.append(element)
            frac.append(places[i])
            occupancy.append(float(filled))
    name = str(source.symbols) if elements else ""
    return whole_cell(lattice, elements, frac, occupancy, name=name, source="ase")


def to_gemmi(structure: Structure) -> gemmi.SmallStructure:
    """A gemmi `SmallStructure` with every atom listed, in P 1; occupancies and displacements kept."""
    small = gemmi.SmallStructure()
    small.name = structure.name
    small.cell = gemmi.UnitCell(*structure.cell)
    small.spacegroup_hm = "P 1"
    u = None if structure.beta is None else u_from_beta(structure.beta, structure.lattice)
    for i, element in enumerate(structure.elements):
        site = gemmi.SmallStructure.Site()
        site.label, site.type_symbol = f"{element}{i + 1}", element
        site.element = gemmi.Element(element)
        site.fract = gemmi.Fractional(*structure.frac[i])
        site.occ = float(structure.occupancy[i])
        if np.isfinite(structure.u_iso_A2[i]):
            site.u_iso = float(structure.u_iso_A2[i])
        if u is not None and np.isfinite(u[i]).all():
            m = u[i]
            site.aniso = gemmi.SMat33d(m[0, 0], m[1, 1], m[2, 2], m[0, 1], m[0, 2], m[1, 2])
        small.add_site(site)
    return small


def from_gemmi(source: Any) -> Structure:
    """From a gemmi `SmallStructure`, expanded by its own operators, else by its space group.

    Raises:
        StructureError: no atoms, an unknown element, or symmetry that the cell does not have.
    """
    cell = source.cell
    lattice = lattice_from_cell((cell.a, cell.b, cell.c, cell.alpha, cell.beta, cell.gamma))
    if len(source.sites) == 0:
        raise StructureError("gemmi: no atoms")
    if source.spacegroup is None:
        source.determine_and_set_spacegroup("s.h2")
    texts = list(source.symops) or [operation.triplet() for operation in _gemmi_group(source).operations()]
    operators = operators_from_triplets(texts)
    check_metric(lattice, operators[0])
    elements = []
    for site in source.sites:
        name = site.element.name if site.element.atomic_number > 0 else None
        element = name or element_from_text(site.type_symbol) or element_from_text(site.label)
        if element not in NUMBER:
            raise StructureError(f"gemmi: atom {site.label}: unknown element {site.type_symbol!r}")
        elements.append(element)
    u_iso = np.array([site.u_iso for site in source.sites], dtype=float)
    tensors = np.array([site.aniso.as_mat33().tolist() for site in source.sites])
    tensors[~tensors.any(axis=(1, 2))] = np.nan
    u_iso, beta, _ = believable(u_iso, None if np.isnan(tensors).all() else tensors, lattice)
    frac = np.array([site.fract.tolist() for site in source.sites])
    occupancy = np.array([site.occ for site in source.sites], dtype=float)
    sites = without_repeats(expand_sites(lattice, elements, frac, occupancy, u_iso, beta, *operators), lattice)
    check_sites(lattice, sites.elements, sites.frac, sites.occupancy)
    group = space_group_number(*operators)
    return symmetric_cell(lattice, sites, operators, space_group=group, name=source.name, source="gemmi")


def _gemmi_group(source: Any) -> gemmi.SpaceGroup:
    if source.spacegroup is not None:
        return source.spacegroup
    if source.spacegroup_hm:
        raise StructureError(f"gemmi: space group {source.spacegroup_hm!r} is not known; set symops")
    return gemmi.SpaceGroup("P 1")


def _mixture(structure: Structure, rows: list[int]) -> dict[str, float]:
    """Occupancy of each element on one site."""
    mix: dict[str, float] = {}
    for row in rows:
        mix[structure.elements[row]] = mix.get(structure.elements[row], 0.0) + float(structure.occupancy[row])
    if sum(mix.values()) > 1.05:
        place: NDArray[np.float64] = structure.frac[rows[0]]
        raise StructureError(
            f"{structure.source or structure.name}: the site at {place.round(4).tolist()} holds "
            f"{sum(mix.values()):.3g} atoms; lower the occupancies"
        )
    return mix
