"""Background: known ones are recovered, absent ones are left alone."""

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.pattern.background import _noise_offset, estimate_background, noise_sigma, subtract_background
from powderlens.pattern.pattern import Pattern

X = 5 + 0.01 * np.arange(8500)
BACKGROUNDS = {
    "flat": np.full_like(X, 100.0),
    "air": 50 + 2000 / X,
    "sloping": 400 - 3 * X,
    "falling": 60 + 300 * np.exp(-(X - 5) / 15),
}


def _peaks(seed: int, number: int, fwhm: float) -> np.ndarray:
    """Gaussian peaks of 20 to some 3000 counts."""
    rng = np.random.default_rng(seed)
    y = np.zeros_like(X)
    for centre, height in zip(rng.uniform(12, 87, number), 20 + 600 * rng.exponential(1, number), strict=True):
        y += height * np.exp(-4 * np.log(2) * ((X - centre) / fwhm) ** 2)
    return y


@pytest.mark.parametrize("kind", BACKGROUNDS)
@pytest.mark.parametrize("fwhm", [0.1, 0.25])
def test_known_background_with_counting_noise(kind: str, fwhm: float) -> None:
    """Median within 2 % of the background, nine points in ten within 4 %, all within 10 %; areas kept to 4 %."""
    base, peaks = BACKGROUNDS[kind], _peaks(3, 30, fwhm)
    y = np.random.default_rng(4).poisson(base + peaks).astype(float)
    error = (estimate_background(X, y) - base) / base
    assert abs(np.median(error)) < 0.02
    assert np.percentile(np.abs(error), 90) < 0.04
    assert np.abs(error).max() < 0.10
    pattern, removed = subtract_background(Pattern(X, y, 1.5418711))
    assert removed
    assert pattern.intensity.sum() / peaks.sum() == pytest.approx(1, abs=0.04)
    assert pattern.wavelength_A == 1.5418711
    assert "SNIP" in pattern.metadata["note on background"]


def test_noise_is_crossed_in_the_middle() -> None:
    y = np.random.default_rng(5).normal(50, 5, len(X))
    assert estimate_background(X, y).mean() == pytest.approx(50, abs=0.4)


def test_weak_and_broad_peaks_survive() -> None:
    """A peak of three times the noise, and broad ones (2 degrees is a crystallite of 4 nm), keep their area."""
    base = 100 + 500 / X
    for centre, fwhm, height, kept in ((40, 0.2, 30.0, 0.95), (40, 2.0, 300.0, 0.95), (40, 4.0, 300.0, 0.9)):
        peak = height * np.exp(-4 * np.log(2) * ((X - centre) / fwhm) ** 2)
        noise = np.random.default_rng(6).normal(0, 10, len(X))
        with_peak = base + peak + noise
        lost = estimate_background(X, with_peak) - estimate_background(X, base + noise)
        near = np.abs(X - centre) < 3 * fwhm
        assert 1 - lost[near].sum() / peak.sum() > kept


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e6])
def test_scales_with_the_input(factor: float) -> None:
    y = BACKGROUNDS["air"] + _peaks(1, 30, 0.2)
    assert estimate_background(X, factor * y) == pytest.approx(factor * estimate_background(X, y), rel=1e-6)


def test_uneven_and_coarse_steps() -> None:
    for x in (X[::20], np.sort(np.random.default_rng(2).uniform(5, 90, 3000)), np.r_[X[:3000], X[5000:]]):
        base = 50 + 2000 / x
        peak = 800 * np.exp(-0.5 * ((x - 25) / 0.15) ** 2)
        assert estimate_background(x, base + peak) == pytest.approx(base, rel=0.1)


@pytest.mark.parametrize("noise", [0.2, 2.0])
def test_subtracted_and_clipped_pattern_is_left_alone(noise: float) -> None:
    """As RRUFF's processed patterns: noise on a pedestal that touches zero."""
    y = np.abs(np.random.default_rng(7).normal(1.5 * noise, noise, len(X))) + _peaks(8, 40, 0.15) / 30
    before = Pattern(X, y)
    after, removed = subtract_background(before)
    assert not removed
    assert after is before


def test_calculated_pattern_is_left_alone() -> None:
    """Without noise, also where Lorentzian tails never reach zero."""
    tails = sum(100 / (1 + ((X - c) / 0.02) ** 2) for c in np.linspace(15, 85, 40))
    for y in (_peaks(9, 60, 0.15), tails):
        before = Pattern(X, y)
        assert subtract_background(before) == (before, False)


def test_background_of_twenty_counts_is_found() -> None:
    y = np.random.default_rng(10).poisson(20 + _peaks(11, 20, 0.15) / 5).astype(float)
    after, removed = subtract_background(Pattern(X, y))
    assert removed
    assert abs(np.median(after.intensity)) < 2


@pytest.mark.parametrize("sigma", [0.01, 3.0, 500.0])
def test_noise_sigma(sigma: float) -> None:
    rng = np.random.default_rng(12)
    y = sigma * (5 * BACKGROUNDS["air"] + 0.5 * _peaks(13, 40, 0.2)) + rng.normal(0, sigma, len(X))
    assert noise_sigma(rng.normal(0, sigma, len(X))) == pytest.approx(sigma, rel=0.05)
    assert noise_sigma(sigma * 5 * BACKGROUNDS["air"] + rng.normal(0, sigma, len(X))) == pytest.approx(sigma, rel=0.05)
    assert noise_sigma(y) == pytest.approx(sigma, rel=0.15)
    assert noise_sigma(np.arange(100.0)) == pytest.approx(0, abs=1e-12)
    assert noise_sigma(np.ones(2)) == 0


def test_short_patterns_and_bad_windows() -> None:
    x = np.linspace(20, 22, 60)
    y = 10 + np.exp(-0.5 * ((x - 21) / 0.1) ** 2)
    assert estimate_background(x, y) == pytest.approx(10, abs=0.3)
    assert estimate_background(x, np.full(60, 4.0)) == pytest.approx(4.0)
    with pytest.raises(InputError, match="must be positive"):
        estimate_background(x, y, window_deg=0)


def test_points_without_noise_say_that_nothing_runs_too_low() -> None:
    """Where more than half of the points are exact, the curve is not raised; where fewer are, by the others' median."""
    sigma = np.repeat([0.0, 2.0], [6, 5])
    assert not _noise_offset(sigma, sigma).any()
    assert _noise_offset(sigma[2:], sigma[2:]).tolist() == sigma[2:].tolist()
