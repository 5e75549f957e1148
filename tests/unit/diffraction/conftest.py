"""Structures to calculate with: textbook ones and random ones of every crystal system."""

from collections.abc import Callable

import gemmi
import numpy as np
import pytest

from powderlens.crystal.expand import expand_sites
from powderlens.crystal.operators import operators_from_triplets
from powderlens.crystal.structure import Structure, lattice_from_cell

# One group of each system with glides, screws or centring, and cells that fit them.
SYSTEMS = {
    "triclinic": ("P -1", (5.1, 6.3, 7.2, 82.0, 101.0, 95.0)),
    "monoclinic": ("P 1 21/c 1", (6.2, 5.3, 7.9, 90.0, 104.0, 90.0)),
    "orthorhombic": ("C m c m", (4.1, 9.7, 6.6, 90.0, 90.0, 90.0)),
    "tetragonal": ("P 41 21 2", (5.2, 5.2, 8.3, 90.0, 90.0, 90.0)),
    "trigonal": ("R 3 c", (5.3, 5.3, 12.9, 90.0, 90.0, 120.0)),
    "hexagonal": ("P 61", (5.7, 5.7, 9.1, 90.0, 90.0, 120.0)),
    "cubic": ("I a -3", (8.4, 8.4, 8.4, 90.0, 90.0, 90.0)),
}


def build(
    group: str,
    cell: tuple[float, ...],
    atoms: list[tuple[str, tuple[float, float, float]]],
    *,
    occupancy: list[float] | None = None,
    u_iso_A2: list[float] | None = None,
) -> Structure:
    """Every atom of the cell from an asymmetric unit and a Hermann-Mauguin symbol."""
    operations = gemmi.find_spacegroup_by_name(group).operations()
    rotations, translations = operators_from_triplets(operation.triplet() for operation in operations)
    lattice = lattice_from_cell(cell)
    n = len(atoms)
    sites = expand_sites(
        lattice,
        [element for element, _ in atoms],
        np.array([place for _, place in atoms]),
        np.ones(n) if occupancy is None else np.array(occupancy),
        np.full(n, np.nan) if u_iso_A2 is None else np.array(u_iso_A2),
        None,
        rotations,
        translations,
    )
    return Structure(
        lattice=lattice,
        elements=sites.elements,
        frac=sites.frac,
        occupancy=sites.occupancy,
        u_iso_A2=sites.u_iso_A2,
        rotations=rotations,
        translations=translations,
        space_group=gemmi.find_spacegroup_by_name(group).number,
        name=group,
    )


@pytest.fixture(scope="session")
def make() -> Callable[..., Structure]:
    return build


@pytest.fixture(scope="session")
def rock_salt() -> Structure:
    return build("F m -3 m", (5.64,) * 3 + (90.0,) * 3, [("Na", (0, 0, 0)), ("Cl", (0.5, 0.5, 0.5))])


@pytest.fixture(scope="session")
def zinc_blende() -> Structure:
    return build("F -4 3 m", (5.41,) * 3 + (90.0,) * 3, [("Zn", (0, 0, 0)), ("S", (0.25, 0.25, 0.25))])


@pytest.fixture(params=SYSTEMS, scope="session")
def random_structure(request: pytest.FixtureRequest) -> Structure:
    """Four atoms in general position, partly filled and moving, in a group of each system."""
    rng = np.random.default_rng(list(SYSTEMS).index(request.param))
    group, cell = SYSTEMS[request.param]
    places = [tuple(rng.uniform(0.02, 0.98, 3)) for _ in range(4)]
    return build(
        group,
        cell,
        list(zip(["Pb", "Fe", "O", "H"], places, strict=True)),
        occupancy=[1.0, 0.7, 1.0, 0.5],
        u_iso_A2=[0.004, 0.01, np.nan, 0.03],
    )
