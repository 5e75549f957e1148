"""Strain that keeps the crystal system, and texture."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import spglib

from powderlens.core.errors import InputError
from powderlens.crystal.elements import NUMBER
from powderlens.crystal.structure import Structure
from powderlens.diffraction.reflections import laue_rotations
from powderlens.diffraction.specimen import march_dollase, strain_tensor, strained_metric, strained_structure

pytestmark = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")  # spglib 2.8 of itself

IDENTITY = np.eye(3, dtype=np.int64)[None]


def some_strain(seed: int, size: float = 0.01) -> np.ndarray:
    strain = size * np.random.default_rng(seed).standard_normal((3, 3))
    return (strain + strain.T) / 2


def test_a_strained_metric_has_the_symmetry_of_the_crystal(random_structure: Structure) -> None:
    metric = strained_metric(random_structure.lattice, random_structure.rotations, some_strain(1))
    for w in random_structure.rotations:
        np.testing.assert_allclose(w.T @ metric @ w, metric, rtol=1e-10, atol=1e-10)
    assert np.abs(metric - random_structure.lattice @ random_structure.lattice.T).max() > 1e-3


def test_cubic_stays_cubic_and_triclinic_strains_freely(make: Callable[..., Structure]) -> None:
    cubic = make("P m -3 m", (4.0, 4.0, 4.0, 90.0, 90.0, 90.0), [("Cu", (0, 0, 0))])
    metric = strained_metric(cubic.lattice, cubic.rotations, some_strain(2))
    np.testing.assert_allclose(metric, metric[0, 0] * np.eye(3), atol=1e-10)
    free = strained_metric(cubic.lattice, IDENTITY, some_strain(2))
    assert np.ptp(np.diag(free)) > 0.01
    assert abs(free[0, 1]) > 0.001


def test_no_strain_and_an_equal_strain(random_structure: Structure) -> None:
    metric = random_structure.lattice @ random_structure.lattice.T
    same = strained_metric(random_structure.lattice, random_structure.rotations, np.zeros((3, 3)))
    larger = strained_metric(random_structure.lattice, random_structure.rotations, 0.01 * np.eye(3))
    np.testing.assert_allclose(same, metric, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(larger, 1.01**2 * metric, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("r", [0.3, 0.7, 1.0, 1.6])
def test_march_dollase_averages_to_one_over_the_sphere(r: float) -> None:
    n = 20_000
    z = 1 - 2 * (np.arange(n) + 0.5) / n
    turn = np.pi * (1 + np.sqrt(5)) * np.arange(n)
    directions = np.stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z], axis=1)
    hkl = np.round(10_000 * directions).astype(np.int64)
    factors = march_dollase(hkl, np.eye(3), IDENTITY, np.array([1.0, 2.0, 3.0]), r)
    assert factors.mean() == pytest.approx(1.0, abs=1e-3)
    assert (np.ptp(factors) < 1e-12) == (r == 1.0)


@pytest.mark.parametrize("r", [0.5, 2.0])
def test_march_dollase_along_and_across_the_axis(r: float) -> None:
    hkl = np.array([[0, 0, 2], [3, 0, 0]])
    factors = march_dollase(hkl, np.diag([0.04, 0.04, 0.01]), IDENTITY, np.array([0.0, 0.0, 1.0]), r)
    np.testing.assert_allclose(factors, [r**-3, r**1.5], rtol=1e-12)


def test_march_dollase_is_the_mean_over_the_family(random_structure: Structure) -> None:
    laue = laue_rotations(random_structure.rotations)
    metric = random_structure.reciprocal @ random_structure.reciprocal.T
    hkl, axis, r = np.array([[2, 1, 3], [1, 0, 2]]), np.array([1.0, 1.0, 2.0]), 0.6
    expected = []
    for index in hkl:
        members = (index @ laue) @ random_structure.reciprocal
        direction = axis @ random_structure.reciprocal
        cosine2 = (members @ direction) ** 2 / (members**2).sum(axis=1) / (direction**2).sum()
        expected.append(((r * r * cosine2 + (1 - cosine2) / r) ** -1.5).mean())
    np.testing.assert_allclose(march_dollase(hkl, metric, laue, axis, r), expected, rtol=1e-10)


@pytest.mark.parametrize("r", [0.2, 0.5, 0.8, 1.5, 3.0])
def test_texture_conserves_the_powder_average(random_structure: Structure, r: float) -> None:
    """Grains oriented evenly: the factor of a family, averaged over all directions of the axis in the cell, is 1.

    Directions: a spiral of 4,000 points on the sphere, the axis far out in reciprocal space so that its indices are
    whole. `march_dollase` itself averages over the family.
    """
    n = 4000
    z = 1 - 2 * (np.arange(n) + 0.5) / n
    turn = np.pi * (1 + np.sqrt(5)) * np.arange(n)
    directions = np.stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z], axis=1)
    metric = random_structure.reciprocal @ random_structure.reciprocal.T
    axes = directions @ np.linalg.inv(random_structure.reciprocal)
    hkl = np.array([[2, 1, 3]])
    factors = [march_dollase(hkl, metric, random_structure.rotations, axis, r)[0] for axis in axes]
    assert np.mean(factors) == pytest.approx(1, abs=1e-3)
    assert np.std(factors) > 0.01


def six(seed: int, size: float) -> np.ndarray:
    return size * np.random.default_rng(seed).standard_normal(6)


def system_of(number: int) -> int:
    """Crystal systems by space-group number; trigonal and hexagonal apart."""
    return int(np.searchsorted([2, 15, 74, 142, 167, 194], number))


def spglib_number(structure: Structure) -> int:
    cell = (structure.lattice, structure.frac, [NUMBER[e] for e in structure.elements])
    return int(spglib.get_symmetry_dataset(cell, symprec=1e-3).number)


def test_strain_tensor_in_the_order_of_the_conditions() -> None:
    tensor = strain_tensor([1, 2, 3, 4, 5, 6])
    assert tensor.tolist() == [[1, 6, 5], [6, 2, 4], [5, 4, 3]]


@pytest.mark.parametrize("size", [0.003, 0.03, 0.1])
def test_a_strained_crystal_keeps_its_group(random_structure: Structure, size: float) -> None:
    for seed in range(5):
        strained = strained_structure(random_structure, six(seed, size))
        assert strained.space_group == random_structure.space_group
        assert spglib_number(strained) == random_structure.space_group
        expected = strained_metric(random_structure.lattice, random_structure.rotations, strain_tensor(six(seed, size)))
        np.testing.assert_allclose(strained.lattice @ strained.lattice.T, expected, rtol=1e-10, atol=1e-10)
        assert np.abs(strained.lattice - random_structure.lattice).max() > 1e-4
        assert np.linalg.det(strained.lattice) > 0
        np.testing.assert_array_equal(strained.frac, random_structure.frac)


def test_a_strained_crystal_is_not_turned(random_structure: Structure) -> None:
    strained = strained_structure(random_structure, six(1, 0.02))
    stretch = np.linalg.inv(random_structure.lattice) @ strained.lattice
    np.testing.assert_allclose(stretch, stretch.T, atol=1e-12)


def test_symmetry_is_found_where_none_is_declared(minerals: dict[str, Structure]) -> None:
    bare = replace(minerals["Fluorite"], rotations=IDENTITY, translations=np.zeros((1, 3)), space_group=None)
    strained = strained_structure(bare, six(2, 0.02))
    assert strained.space_group == 225
    assert np.ptp(np.linalg.norm(strained.lattice, axis=1)) < 1e-9


def test_general_strain_breaks_the_symmetry_and_says_so(rock_salt: Structure) -> None:
    broken = strained_structure(rock_salt, six(3, 0.02), keep_system=False)
    assert broken.space_group == 2
    assert len(broken.rotations) == 8  # identity and inversion at four lattice points
    np.testing.assert_allclose(
        broken.lattice, rock_salt.lattice @ (np.eye(3) + strain_tensor(six(3, 0.02))), rtol=1e-12
    )
    longer = strained_structure(rock_salt, [0, 0, 0.05, 0, 0, 0], keep_system=False)
    assert longer.space_group == 139  # Fm-3m stretched along c
    assert spglib_number(longer) == 139
    same = strained_structure(rock_salt, [0.01, 0.01, 0.01, 0, 0, 0], keep_system=False)
    assert same.space_group == 225


def test_a_strain_that_turns_the_cell_inside_out_is_refused(rock_salt: Structure) -> None:
    with pytest.raises(InputError, match=r"strain = -1\.2 0 0 0 0 0: shrinks a direction by 120%; stay below 100 %"):
        strained_structure(rock_salt, [-1.2, 0, 0, 0, 0, 0])
