"""Polarisation, slits and line shifts, by hand and by geometry."""

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.diffraction.instrument import line_shift_deg, polarisation_ratio, slit_factor
from powderlens.diffraction.reflections import lorentz_polarisation

ANGLES = np.linspace(5, 150, 30)


def test_polarisation_by_hand() -> None:
    """Graphite 0 0 2 and copper, 26.6 degrees: cos^2 = 0.79951; a synchrotron with 95 % across the plane: 1 / 19."""
    assert polarisation_ratio(0.0) == 1.0
    assert polarisation_ratio(26.6) == pytest.approx(0.79951, abs=1e-5)
    assert polarisation_ratio(0.0, 0.95) == pytest.approx(1 / 19, rel=1e-12)
    assert polarisation_ratio(0.0, 1.0) == 0.0
    # At 2theta = 90 only the component across the plane is left.
    lorentz = 1 / (np.sin(np.pi / 4) ** 2 * np.cos(np.pi / 4))
    assert lorentz_polarisation(np.array([90.0]), 0.25)[0] == pytest.approx(lorentz, rel=1e-12)
    # Fully polarised across the plane: no polarisation factor at any angle.
    theta = np.radians(ANGLES) / 2
    np.testing.assert_allclose(lorentz_polarisation(ANGLES, 0.0), 1 / (np.sin(theta) ** 2 * np.cos(theta)), rtol=1e-12)


@pytest.mark.parametrize("ratio", [0.0, 0.3, 1.0])
def test_polarisation_is_the_mean_over_the_two_fields(ratio: float) -> None:
    """The field in the plane is weakened by cos(2theta); the beam holds `ratio` of it for each part across."""
    across, along = 1.0, np.cos(np.radians(ANGLES)) ** 2
    expected = across + ratio * along
    lorentz = lorentz_polarisation(ANGLES, 0.0)
    np.testing.assert_allclose(lorentz_polarisation(ANGLES, ratio) / lorentz, expected, rtol=1e-12)


def test_shifts_by_hand() -> None:
    """0.1 mm on a radius of 200 mm is 0.001 rad cos(theta); 0.04 mm of penetration 0.0001 rad sin(2theta)."""
    angles = np.array([60.0, 90.0])
    np.testing.assert_allclose(line_shift_deg(angles, 0.03, 0.0, 200.0, 0.0), [0.03, 0.03])
    np.testing.assert_allclose(
        line_shift_deg(angles, 0.0, 0.1, 200.0, 0.0), -np.degrees(0.001 * np.cos(np.radians([30, 45]))), rtol=1e-12
    )
    np.testing.assert_allclose(
        line_shift_deg(angles, 0.0, 0.0, 200.0, 0.04), -np.degrees(1e-4 * np.sin(np.radians(angles))), rtol=1e-12
    )
    both = line_shift_deg(angles, 0.03, 0.1, 200.0, 0.04)
    np.testing.assert_allclose(both, 0.03 + line_shift_deg(angles, 0.0, 0.1, 200.0, 0.04), rtol=1e-12)


@pytest.mark.parametrize("two_theta_deg", [20.0, 60.0, 110.0])
def test_displacement_against_the_rays(two_theta_deg: float) -> None:
    """Where the ray of angle 2theta from a point below the axis crosses the circle of the detector, in the plane."""
    radius, low, theta = 200.0, 0.1, np.radians(two_theta_deg / 2)
    # The specimen's surface is y = 0; the tube stands at angle theta above it on the left, the detector on the right.
    tube = radius * np.array([-np.cos(theta), np.sin(theta)])
    # The central ray falls on the sunk surface beyond the axis.
    along = np.array([np.cos(theta), -np.sin(theta)])
    point = tube + along * (tube[1] + low) / np.sin(theta)
    leaving = np.array([np.cos(theta), np.sin(theta)])
    b = point @ leaving
    reach = -b + np.sqrt(b * b - point @ point + radius**2)
    at = point + reach * leaving
    seen = np.degrees(np.arctan2(at[1], at[0]) + theta)
    expected = line_shift_deg(np.array([two_theta_deg]), 0.0, low, radius, 0.0)[0]
    assert seen - two_theta_deg == pytest.approx(expected, rel=2e-3)
    assert expected < 0


@pytest.mark.parametrize("two_theta_deg", [20.0, 60.0, 110.0])
def test_transparency_is_the_mean_displacement_over_the_depth(two_theta_deg: float) -> None:
    """Each depth shifts like a surface that lies so low and counts by its path, exp(-2 depth / (t sin theta))."""
    depth_of_e, angle = 0.05, np.array([two_theta_deg])
    depth = np.linspace(0, 20 * depth_of_e, 20_001)
    weight = np.exp(-2 * depth / (depth_of_e * np.sin(np.radians(two_theta_deg / 2))))
    weight[0] /= 2
    shifts = np.array([line_shift_deg(angle, 0.0, low, 200.0, 0.0)[0] for low in depth])
    expected = np.average(shifts, weights=weight)
    assert line_shift_deg(angle, 0.0, 0.0, 200.0, depth_of_e)[0] == pytest.approx(expected, rel=1e-4)


def test_slits() -> None:
    np.testing.assert_array_equal(slit_factor(ANGLES, "fixed"), np.ones(30))
    np.testing.assert_allclose(slit_factor(np.array([60.0, 180.0]), "automatic"), [0.5, 1.0])
    with pytest.raises(InputError, match="slits = 'wide': choose one of fixed, automatic"):
        slit_factor(ANGLES, "wide")
