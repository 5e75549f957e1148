"""Strain that keeps the crystal system, and texture."""

from collections.abc import Callable

import numpy as np
import pytest

from powderlens.crystal.structure import Structure
from powderlens.diffraction.reflections import laue_rotations
from powderlens.diffraction.specimen import march_dollase, strained_metric

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
