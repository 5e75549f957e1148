"""Asymmetric units and what they are built up to again."""

from dataclasses import replace

import numpy as np
import pytest

from powderlens.core.errors import StructureError
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.orbits import asymmetric_unit, expand
from powderlens.crystal.structure import Structure

UNITS = {
    "Rutile": [("Ti", 2), ("O", 4)],
    "Quartz": [("Si", 3), ("O", 6)],
    "Halite": [("Na", 4), ("Cl", 4)],
    "Corundum": [("Al", 12), ("O", 18)],
    "Calcite": [("Ca", 6), ("C", 6), ("O", 18)],
}


def rebuilt(structure: Structure) -> np.ndarray:
    unit = asymmetric_unit(structure)
    places, _ = expand(
        structure.lattice, structure.frac[unit.rows], unit.multiplicity, structure.rotations.astype(float),
        structure.translations,
    )  # fmt: skip
    return places


def as_set(structure: Structure, places: np.ndarray, elements: list[str]) -> set[tuple[object, ...]]:
    return {(e, *(np.round(p * 1e5).astype(int) % 10**5).tolist()) for e, p in zip(elements, places, strict=True)}


@pytest.mark.parametrize("name", UNITS)
def test_units_of_minerals(minerals: dict[str, Structure], name: str) -> None:
    standard = find_symmetry(minerals[name]).standard
    unit = asymmetric_unit(standard)
    assert [(standard.elements[row], m) for row, m in zip(unit.rows, unit.multiplicity, strict=True)] == UNITS[name]
    elements = [standard.elements[row] for row in np.repeat(unit.rows, unit.multiplicity)]
    places = rebuilt(standard)
    assert ((places >= 0) & (places < 1)).all()
    assert as_set(standard, places, elements) == as_set(standard, standard.frac, list(standard.elements))


def test_a_site_with_two_rows_of_one_element(minerals: dict[str, Structure]) -> None:
    """O and OH share a site to a half each; both become O."""
    rutile = minerals["Rutile"]
    oxygen = [i for i, e in enumerate(rutile.elements) if e == "O"]
    rows = [*range(6), *oxygen]
    half = np.where(np.array([rutile.elements[i] for i in rows]) == "O", 0.5, 1.0)
    double = replace(
        rutile, elements=tuple(rutile.elements[i] for i in rows), frac=rutile.frac[rows], occupancy=half,
        u_iso_A2=np.full(len(rows), np.nan), beta=None,
    )  # fmt: skip
    standard = find_symmetry(double).standard
    unit = asymmetric_unit(standard)
    assert sorted(unit.multiplicity.tolist()) == [2, 4, 4]
    assert len(rebuilt(standard)) == 10


def test_operators_that_do_not_make_the_atoms(minerals: dict[str, Structure]) -> None:
    standard = find_symmetry(minerals["Halite"]).standard
    frac = standard.frac.copy()
    frac[3, 0] += 0.01
    with pytest.raises(StructureError, match="do not obey the operators"):
        asymmetric_unit(replace(standard, frac=frac))


def test_a_wrong_multiplicity_is_noticed(minerals: dict[str, Structure]) -> None:
    standard = find_symmetry(minerals["Halite"]).standard
    for wrong in (3, 5):
        with pytest.raises(StructureError, match="multiplicity"):
            expand(
                standard.lattice, standard.frac[:1], np.array([wrong]), standard.rotations.astype(float),
                standard.translations,
            )  # fmt: skip


def test_tensors_obey_their_site(minerals: dict[str, Structure]) -> None:
    """A tensor with a component that the site's mirror planes forbid loses it."""
    standard = find_symmetry(minerals["Rutile"]).standard
    beta = np.tile(np.array([[0.01, 0.002, 0.003], [0.002, 0.02, 0.004], [0.003, 0.004, 0.03]]), (6, 1, 1))
    unit = asymmetric_unit(replace(standard, beta=beta))
    assert unit.beta is not None
    assert unit.beta[:, 0, 2] == pytest.approx([0, 0])
    assert unit.beta[:, 0, 0] == pytest.approx(unit.beta[:, 1, 1])
    assert unit.beta[:, 2, 2] == pytest.approx([0.03, 0.03])
