"""Absorption factors against paths through the specimen, integrated numerically."""

import numpy as np
import pytest
from scipy.special import iv, modstruve

from powderlens.crystal.common import common_minerals
from powderlens.diffraction.absorption import cylinder, flat_plate, linear_absorption_per_cm


def through_a_disc(two_theta_deg: float, mu_r: float, rings: int = 64, turns: int = 256) -> float:
    """Mean of exp(-mu (way in + way out)) over the disc: Gauss-Legendre in r^2, equal steps in angle."""
    x, w = np.polynomial.legendre.leggauss(rings)
    r = np.sqrt((x + 1) / 2)[:, None]
    angle = 2 * np.pi * (np.arange(turns) + 0.5) / turns
    here = np.stack([r * np.cos(angle), r * np.sin(angle)], axis=-1)

    def way(direction: np.ndarray) -> np.ndarray:
        """From each point to the edge of the disc along a direction."""
        along = here @ direction
        return -along + np.sqrt(along**2 + 1 - (here**2).sum(axis=-1))

    leaving = np.array([np.cos(np.radians(two_theta_deg)), np.sin(np.radians(two_theta_deg))])
    path = way(np.array([-1.0, 0.0])) + way(leaving)
    return float((w[:, None] / 2 * np.exp(-mu_r * path)).sum() / turns)


@pytest.mark.parametrize(
    ("mu_r", "within"), [(0.1, 5e-4), (0.5, 5e-3), (1.0, 7e-3), (1.5, 0.01), (2.0, 0.01), (2.5, 0.01), (3.0, 0.014)]
)
def test_a_cylinder_against_the_paths(mu_r: float, within: float) -> None:
    angles = np.arange(1.0, 180.0, 6.0)
    true = np.array([through_a_disc(angle, mu_r) for angle in angles])
    np.testing.assert_allclose(cylinder(angles, mu_r), true, rtol=within)


def test_the_integration_is_converged() -> None:
    assert through_a_disc(77.0, 2.5) == pytest.approx(through_a_disc(77.0, 2.5, 128, 700), rel=1e-6)


def test_a_cylinder_that_does_not_absorb_and_the_mean_path() -> None:
    angles = np.linspace(1, 179, 20)
    np.testing.assert_array_equal(cylinder(angles, 0.0), np.ones(20))
    slope = (1 - cylinder(angles, 1e-6)) / 1e-6
    np.testing.assert_allclose(slope, 16 / (3 * np.pi), rtol=1e-4)


@pytest.mark.parametrize("mu_r", [0.5, 1.0, 2.5])
def test_a_cylinder_straight_on_in_closed_form(mu_r: float) -> None:
    """The mean of exp(-mu chord) at 2theta = 0 is 2 (I0 - L0 - (I1 - L1) / z), z = 2 mu_r (Bessel and Struve)."""
    z = 2 * mu_r
    exact = 2 * (iv(0, z) - modstruve(0, z) - (iv(1, z) - modstruve(1, z)) / z)
    assert through_a_disc(0.0, mu_r) == pytest.approx(exact, rel=1e-5)
    assert cylinder(np.array([0.0]), mu_r)[0] == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize("mu_t", [0.05, 0.5, 3.0])
def test_a_plate_against_the_sum_over_its_layers(mu_t: float) -> None:
    angles = np.array([5.0, 30.0, 90.0, 150.0])
    x, w = np.polynomial.legendre.leggauss(200)
    depth, share = mu_t * (x + 1) / 2, mu_t * w / 2
    sine = np.sin(np.radians(angles) / 2)
    # A layer of this depth, seen under theta, times the area of the beam's footprint, over the same of a thick plate.
    layers = (share * np.exp(-2 * depth / sine[:, None])).sum(axis=1) / sine
    np.testing.assert_allclose(flat_plate(angles, mu_t), layers / 0.5, rtol=1e-9)


def test_a_thick_plate_loses_nothing_and_a_thin_one_follows_the_path() -> None:
    angles = np.array([10.0, 60.0, 120.0])
    np.testing.assert_array_equal(flat_plate(angles, 0.0), np.ones(3))
    np.testing.assert_allclose(flat_plate(angles, 50.0), 1.0, atol=1e-12)
    np.testing.assert_allclose(flat_plate(angles, 1e-9), 2e-9 / np.sin(np.radians(angles) / 2), rtol=1e-7)


@pytest.mark.parametrize(("name", "expected"), [("Quartz", 94.6), ("Hematite", 1129.0), ("Halite", 162.0)])
def test_crystals_absorb_as_tabulated(name: str, expected: float) -> None:
    """By the mass coefficients of International Tables C (2004), Table 4.2.4.3, for copper: O 11.2, Na 29.7, Si 63.7,
    Cl 104.2, Fe 302 cm2/g.
    """
    crystal = next(one for one in common_minerals() if one.name == name)
    assert linear_absorption_per_cm(crystal, 1.5418) == pytest.approx(expected, rel=0.05)
