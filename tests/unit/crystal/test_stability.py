"""Space groups at loose tolerances."""

from dataclasses import replace

import numpy as np
import pytest
import spglib

from powderlens.crystal.label import find_symmetry
from powderlens.crystal.stability import _closed, _near_rotations, groups_at, symmetric_metric, symmetry_at
from powderlens.crystal.structure import Structure, cell_from_lattice, lattice_from_cell

STEPS = ((0.01, 0.1), (0.0215, 0.37), (0.0464, 1.36), (0.1, 5.0))
ENDLESS = (6.479715, 6.493065, 25.341025, 84.310817, 82.654614, 60.06799)
"""Cell of mp-1019597, on which moyo's own angle tolerance of 5 degrees never ends."""


def metric_of(cell: tuple[float, ...]) -> np.ndarray:
    lattice = lattice_from_cell(cell)
    return lattice @ lattice.T


@pytest.mark.parametrize("name", ["Rutile", "Quartz", "Halite", "Corundum", "Calcite", "Sphalerite"])
def test_minerals_keep_their_group(minerals: dict[str, Structure], name: str) -> None:
    symmetry = find_symmetry(minerals[name])
    assert groups_at(symmetry, STEPS) == [symmetry.number] * 4


def test_a_strained_cell_rises_once_both_tolerances_are_wide(minerals: dict[str, Structure]) -> None:
    lattice = lattice_from_cell((5.64, 5.64, 5.64, 90, 90, 91.0))
    symmetry = find_symmetry(replace(minerals["Halite"], lattice=lattice))
    assert symmetry.number == 71
    assert groups_at(symmetry, [(0.01, 0.1), (0.01, 1.5), (0.05, 0.1), (0.1, 1.2)]) == [71, 71, 71, 225]


def test_moved_atoms_count_as_well(minerals: dict[str, Structure]) -> None:
    halite = minerals["Halite"]
    moved = halite.frac.copy()
    moved[0, 2] += 0.03 / 5.64
    symmetry = find_symmetry(replace(halite, frac=moved))
    assert symmetry.number == 99
    assert groups_at(symmetry, [(0.01, 0.1), (0.1, 5.0)]) == [99, 225]


def test_the_symmetry_at_a_loose_tolerance_has_cell_and_atoms_on_it(minerals: dict[str, Structure]) -> None:
    halite = minerals["Halite"]
    moved = halite.frac.copy()
    moved[0, 2] += 0.03 / 5.64
    bent = replace(halite, frac=moved, lattice=lattice_from_cell((5.64, 5.64, 5.66, 90, 90, 90.5)))
    found = symmetry_at(find_symmetry(bent), 0.1, 5.0)
    assert found is not None
    assert found.number == 225
    a, b, c, *angles = found.standard.cell
    assert a == b == c == pytest.approx(5.6466, abs=1e-3)
    assert angles == [90, 90, 90]
    assert np.allclose(found.standard.frac * 2, np.round(found.standard.frac * 2))
    assert symmetry_at(find_symmetry(bent), 0.001, 0.01).number == find_symmetry(bent).number


@pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
@pytest.mark.parametrize(
    "cell",
    [(5.64, 5.64, 5.64, 90, 90, 90 + g) for g in (0.05, 0.5, 1.0, 2.0)]
    + [(5.64, 5.64, 5.64 + c, 90, 90, 90) for c in (0.005, 0.03, 0.08, 0.2)],
)
def test_as_spglib_judges(minerals: dict[str, Structure], cell: tuple[float, ...]) -> None:
    bent = replace(minerals["Halite"], lattice=lattice_from_cell(cell))
    symmetry = find_symmetry(bent)
    kinds = [1 if element == "Na" else 2 for element in bent.elements]
    for symprec, angle in ((0.01, 0.9), (0.01, 1.5), (0.05, 1.5), (0.1, 1.2), (0.1, 5.0)):
        expected = spglib.get_symmetry_dataset((bent.lattice, bent.frac, kinds), symprec=symprec, angle_tolerance=angle)
        assert groups_at(symmetry, [(symprec, angle)]) == [expected.number], (symprec, angle)


def test_a_cell_whose_near_rotations_make_no_group_is_dealt_with() -> None:
    metric = metric_of(ENDLESS)
    rotations, deviation = _near_rotations(metric, 0.1, np.radians(5.0))
    assert not _closed(rotations), "or this test shows nothing"
    assert len(rotations) == len(deviation) > 1
    assert symmetric_metric(metric, 0.1, 5.0) is None, "what is left is the twofold axis that the cell has anyway"


@pytest.mark.parametrize(
    ("cell", "rotations"),
    [
        ((3, 3, 3, 90, 90, 90), 24),
        ((3, 3, 3, 60, 60, 60), 24),
        ((3, 3, 3, 109.4712206, 109.4712206, 109.4712206), 24),
        ((3, 3, 5, 90, 90, 120), 12),
        ((3, 3, 5, 90, 90, 90), 8),
        ((3, 4, 5, 90, 90, 90), 4),
        ((3, 4, 5, 90, 100, 90), 2),
        ((3, 4, 5, 80, 85, 87), 1),
    ],
)
def test_rotations_of_exact_lattices(cell: tuple[float, ...], rotations: int) -> None:
    metric = metric_of(cell)
    found, deviation = _near_rotations(metric, 0.01, np.radians(0.1))
    assert len(found) == rotations
    assert _closed(found)
    assert deviation.max() < 1e-6
    assert symmetric_metric(metric, 0.01, 0.1) is None


def test_a_nearly_cubic_cell_becomes_cubic() -> None:
    mean = symmetric_metric(metric_of((3.0, 3.01, 2.99, 90.4, 90, 89.8)), 0.1, 1.0)
    assert mean is not None
    assert cell_from_lattice(np.linalg.cholesky(mean)) == pytest.approx((3, 3, 3, 90, 90, 90), abs=1e-3)
