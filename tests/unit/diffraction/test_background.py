"""Smooth curves, humps and air in closed form; the Gaussian process by its covariance."""

import numpy as np
import pytest

from powderlens.core import random
from powderlens.core.random import Purpose
from powderlens.diffraction.background import (
    air,
    chebyshev,
    gaussian_process_chebyshev,
    humps,
    lifted,
    polynomial_to_chebyshev,
    under,
)
from powderlens.diffraction.conditions import Conditions, to_record

GRID = np.linspace(5, 90, 8501)


def test_chebyshev_is_a_sum_of_cosines() -> None:
    """T_k(cos a) = cos(k a)."""
    coefficients = np.random.default_rng(1).standard_normal(48)
    angle = np.arccos(np.linspace(-1, 1, 501))
    expected = np.cos(angle[:, None] * np.arange(48)) @ coefficients
    np.testing.assert_allclose(chebyshev(coefficients, 501), expected, atol=1e-11)
    np.testing.assert_array_equal(chebyshev([], 4), np.zeros(4))
    np.testing.assert_array_equal(chebyshev([2.5], 4), np.full(4, 2.5))


def test_a_polynomial_of_sixth_order_stays_itself() -> None:
    powers = np.array([0.3, -0.2, 0.5, 1.0, -0.7, 0.1, 0.4])
    x = np.linspace(-1, 1, 200)
    expected = sum(c * x**k for k, c in enumerate(powers))
    np.testing.assert_allclose(chebyshev(polynomial_to_chebyshev(powers), 200), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("length_deg", "amplitude", "error"),
    [
        (40.0, 3.0, 1e-13),
        (20.0, 0.5, 1e-13),
        (8.5, 1.0, 1e-13),
        (7.0, 1.0, 3e-11),
        (85 / 13, 1.0, 3e-10),
        (5, 2.0, 1e-6),
    ],
)
def test_covariance_of_the_gaussian_process(length_deg: float, amplitude: float, error: float) -> None:
    """The series is linear in its normals, so its covariance is exact: that of the columns of the map."""
    series = gaussian_process_chebyshev(length_deg, 85.0, np.eye(48), amplitude)
    curves = np.stack([chebyshev(one, 171) for one in series])
    x = np.linspace(5, 90, 171)
    kernel = amplitude**2 * np.exp(-0.5 * ((x[:, None] - x) / length_deg) ** 2)
    np.testing.assert_allclose(curves.T @ curves, kernel, rtol=0, atol=error * amplitude**2)


def test_drawn_processes_have_that_covariance() -> None:
    z = random.normal(5, np.arange(4000), Purpose.BACKGROUND, 48)
    series = gaussian_process_chebyshev(np.full(4000, 10.0), 85.0, z, np.full(4000, 2.0))
    one = gaussian_process_chebyshev(10.0, 85.0, z[17], 2.0)
    assert series[17].tobytes() == one.tobytes(), "alone or among others"
    curves = np.stack([chebyshev(s, 18) for s in series])
    x = np.linspace(5, 90, 18)
    sampled = curves.T @ curves / 4000
    np.testing.assert_allclose(sampled, 4 * np.exp(-0.5 * ((x[:, None] - x) / 10) ** 2), atol=0.35)
    np.testing.assert_allclose(curves.mean(axis=0), 0, atol=0.15)


def test_fewer_terms_serve_longer_lengths() -> None:
    series = gaussian_process_chebyshev(40.0, 85.0, np.eye(16))
    curves = np.stack([chebyshev(one, 50) for one in series])
    x = np.linspace(0, 85, 50)
    np.testing.assert_allclose(curves.T @ curves, np.exp(-0.5 * ((x[:, None] - x) / 40) ** 2), atol=1e-5)


def test_lifted_starts_at_zero_and_has_the_sum() -> None:
    series = gaussian_process_chebyshev(12.0, 85.0, random.normal(5, 1, Purpose.BACKGROUND, 48))
    heights = chebyshev(lifted(series, 8501, 75.0), 8501)
    assert heights.min() == pytest.approx(0, abs=1e-12)
    assert heights.sum() == pytest.approx(75.0, rel=1e-9)
    plain = chebyshev(series, 8501)
    np.testing.assert_allclose(heights, (plain - plain.min()) / (plain - plain.min()).sum() * 75.0, atol=1e-9)
    np.testing.assert_array_equal(lifted(np.array([3.0, 0.0]), 100, 75.0), np.zeros(2))


def test_humps_and_air_by_hand() -> None:
    at = np.array([22.0, 27.0, 32.0])
    np.testing.assert_allclose(humps(at, [(22.0, 10.0, 0.4), (50.0, 0.0, 9.0)]), [0.4, 0.2, 0.025], rtol=1e-12)
    area = humps(GRID, [(40.0, 8.0, 0.5)]).sum() * 0.01
    assert area == pytest.approx(0.5 * 8.0 * np.sqrt(np.pi / (4 * np.log(2))), rel=1e-6)
    np.testing.assert_allclose(air(np.array([0.0, 6.0, 12.0]), 0.3, 6.0), 0.3 * np.exp([0.0, -1.0, -2.0]), rtol=1e-12)


def test_under_is_the_sum_of_what_the_record_holds() -> None:
    given = Conditions.of(chebyshev=(0.1, 0.02, -0.03), humps=((22.0, 9.0, 0.3),), air_scatter=0.2, air_decay_deg=7.0)
    expected = chebyshev([0.1, 0.02, -0.03], 8501) + humps(GRID, [(22.0, 9.0, 0.3)]) + air(GRID, 0.2, 7.0)
    np.testing.assert_allclose(under(to_record(given)[0], GRID), expected, rtol=1e-12)
    np.testing.assert_array_equal(under(to_record(Conditions())[0], GRID), np.zeros(8501))
