"""Counting against scipy's Poisson and normal distributions, and the three equations of AlphaDiffract as printed."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtri

from powderlens.core import random
from powderlens.core.random import Purpose
from powderlens.diffraction.conditions import Conditions, to_record
from powderlens.diffraction.noise import EXACT_MEAN, counted, normal_inverse, poisson_inverse

SEED, INDEX = 11, 4


def record(**values: object) -> np.void:
    return to_record(Conditions.of(**values))[0]


def peaks(points: int = 4000) -> np.ndarray:
    """Three lines on 0, the strongest 1."""
    x = np.linspace(0, 100, points)
    y = np.exp(-(((x - 30) / 2) ** 2)) + 0.4 * np.exp(-(((x - 55) / 3) ** 2)) + 0.1 * np.exp(-(((x - 80) / 4) ** 2))
    return y / y.max()


def test_normal_inverse() -> None:
    u = np.concatenate([[2.0**-33, 1 - 2.0**-33, 0.5, 0.075, 0.925], np.linspace(1e-6, 1 - 1e-6, 10_001)])
    np.testing.assert_allclose(normal_inverse(u), ndtri(u), rtol=3e-7, atol=1e-15)


@pytest.mark.parametrize("mean", [0.0, 1e-6, 0.3, 1.0, 7.5, 60.0, 199.99, EXACT_MEAN])
def test_small_counts_are_exact(mean: float) -> None:
    u = random.uniform(1, 0, Purpose.COUNTS, 20_000)
    counts = poisson_inverse(np.full(20_000, mean), u)
    np.testing.assert_array_equal(counts, stats.poisson.ppf(u, mean) if mean > 0 else np.zeros(20_000))


def test_small_counts_at_the_ends_of_the_numbers() -> None:
    u = np.array([2.0**-33, 1 - 2.0**-33])
    for mean in (0.01, 5.0, 200.0):
        np.testing.assert_array_equal(poisson_inverse(np.full(2, mean), u), stats.poisson.ppf(u, mean))


@pytest.mark.parametrize(("mean", "numbers"), [(200.5, 100_000), (1e3, 50_000), (3e4, 20_000), (1e6, 20_000)])
def test_large_counts_miss_by_one_at_most_and_seldom(mean: float, numbers: int) -> None:
    u = np.concatenate([random.uniform(2, 0, Purpose.COUNTS, numbers), [2.0**-33, 1 - 2.0**-33]])
    counts, true = poisson_inverse(np.full(len(u), mean), u), stats.poisson.ppf(u, mean)
    assert np.abs(counts - true).max() <= 1
    assert (counts != true).mean() < 1e-4


@pytest.mark.parametrize("mean", [0.5, 30.0, 500.0, 1e5])
def test_moments(mean: float) -> None:
    counts = poisson_inverse(np.full(100_000, mean), random.uniform(3, 1, Purpose.COUNTS, 100_000))
    assert counts.mean() == pytest.approx(mean, abs=4 * np.sqrt(mean / 1e5))
    assert counts.var() == pytest.approx(mean, rel=0.03)


def test_both_methods_in_one_array() -> None:
    mean, u = np.array([[3.0, 1000.0], [0.0, 199.0]]), np.array([[0.6, 0.5], [0.99, 0.5]])
    assert poisson_inverse(mean, u).tolist() == [[3.0, 1000.0], [0.0, 199.0]]


def test_nothing_asked_nothing_done() -> None:
    y = peaks() - 0.05
    np.testing.assert_array_equal(counted(y, record(), SEED, INDEX), y)


def test_poisson_scatter_grows_with_the_root_of_the_counts() -> None:
    y = np.full(50_000, 0.25)
    y[0] = 2.0  # the strongest point has all the counts
    noisy = counted(y, record(counts_at_max=800.0), SEED, INDEX)[1:]
    assert noisy.mean() == pytest.approx(0.25, rel=2e-3)
    assert noisy.std() == pytest.approx(0.25 / np.sqrt(100), rel=0.02)
    steps = noisy * 400
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)


def test_poisson_counts_are_the_addressed_ones() -> None:
    y = peaks()
    u = random.uniform(SEED, INDEX, Purpose.COUNTS, len(y))
    made = counted(y, record(counts_at_max=50.0), SEED, INDEX)
    np.testing.assert_allclose(made * 50, stats.poisson.ppf(u, 50 * y), atol=1e-12)


def test_gaussian_noise_is_the_addressed_one() -> None:
    y = peaks()
    z = random.normal(SEED, INDEX, Purpose.NOISE, len(y))
    np.testing.assert_allclose(counted(y, record(noise_sigma=0.02), SEED, INDEX), y + 0.02 * z, atol=1e-15)
    grown = y + 0.02 * np.sqrt(1 + y / 0.3) * z
    np.testing.assert_allclose(
        counted(y, record(noise_sigma=0.02, background_share=0.3), SEED, INDEX), grown, atol=1e-15
    )


def test_multiplicative_noise_and_pedestal() -> None:
    y = peaks()
    f = 1 + 0.1 * random.normal(SEED, INDEX, Purpose.MULTIPLICATIVE, len(y))
    z = 0.02 * random.normal(SEED, INDEX, Purpose.NOISE, len(y))
    made = counted(y, record(multiplicative_sigma=0.1), SEED, INDEX)
    np.testing.assert_allclose(made, y * f, atol=1e-15)
    made = counted(y, record(multiplicative_sigma=0.1, noise_sigma=0.02, pedestal=3.0), SEED, INDEX)
    np.testing.assert_allclose(made, (y + z) * f + 0.06, atol=1e-15)


def test_two_raw_points_are_cut_before_their_mean() -> None:
    n = 20_000
    y, z = np.zeros(n), random.normal(SEED, INDEX, Purpose.NOISE, 2 * n)
    made = counted(y, record(noise_sigma=0.1, raw_points=2, below_zero="cut"), SEED, INDEX)
    np.testing.assert_allclose(made, 0.1 * (np.maximum(z[:n], 0) + np.maximum(z[n:], 0)) / 2, atol=1e-15)
    assert (made == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert counted(y, record(noise_sigma=0.1, raw_points=2), SEED, INDEX).std() == pytest.approx(
        0.1 / np.sqrt(2), rel=0.02
    )


def test_what_was_not_measured_is_zero() -> None:
    y = peaks() + 0.2
    measured = np.arange(len(y)) >= 500
    made = counted(y, record(counts_at_max=30.0, noise_sigma=0.1, pedestal=1.0), SEED, INDEX, measured)
    assert (made[:500] == 0).all()
    assert (made[500:] != 0).mean() > 0.9
    np.testing.assert_array_equal(counted(y, record(), SEED, INDEX, np.zeros(len(y), bool)), np.zeros(len(y)))


def test_alphadiffract_equations_as_printed() -> None:
    clean, most, sigma = 0.7 * peaks() + 0.4, 40.0, 0.03  # a floor, so that the lowest point counts
    u = random.uniform(SEED, INDEX, Purpose.COUNTS, len(clean))
    z = random.normal(SEED, INDEX, Purpose.NOISE, len(clean))
    poisson = clean.max() / most * stats.poisson.ppf(u, most * clean / clean.max())  # equation 1
    gauss = (poisson - poisson.min()) / (poisson.max() - poisson.min()) + sigma * z  # equation 2
    noisy = (gauss - gauss.min()) / (gauss.max() - gauss.min()) * (poisson.max() - poisson.min()) + poisson.min()  # 3
    made = counted(clean, record(counts_at_max=most, rescale=True, noise_sigma=sigma), SEED, INDEX)
    np.testing.assert_allclose(made, noisy, atol=1e-12)


def test_a_pattern_without_counts_is_left() -> None:
    flat = counted(np.zeros(100), record(counts_at_max=10.0, rescale=True), SEED, INDEX)
    np.testing.assert_array_equal(flat, np.zeros(100))


def test_other_patterns_have_other_noise() -> None:
    c = record(noise_sigma=0.1)
    one, two = (counted(np.zeros(2000), c, SEED, index) for index in (0, 1))
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.1
    np.testing.assert_array_equal(one, counted(np.zeros(2000), c, SEED, 0))
