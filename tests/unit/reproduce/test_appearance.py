"""Each statistic, on patterns of which it is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from powderlens.diffraction.phase import phase_of
from powderlens.reproduce.realism.appearance import COPPER, STATISTICS, Expected, appearance, expected_lines

if TYPE_CHECKING:
    from powderlens.crystal.structure import Structure

X = 5 + 0.02 * np.arange(4250)
CENTRES = np.array([12.0, 20.0, 30.0, 40.0, 52.0, 63.0, 75.0, 84.0])
HEIGHTS = np.array([0.5, 1.0, 0.35, 0.6, 0.4, 0.8, 0.35, 0.5])
SIGMA, PEDESTAL = 0.004, 0.012


def gaussians(fwhm: float | NDArray[np.float64], centres: NDArray[np.float64] = CENTRES) -> NDArray[np.float64]:
    widths = np.broadcast_to(fwhm, len(centres))
    return np.sum(
        [h * np.exp(-4 * np.log(2) * ((X - c) / w) ** 2) for h, c, w in zip(HEIGHTS, centres, widths, strict=True)],
        axis=0,
    )


def expected(shift_deg: float = 0.0) -> Expected:
    at = CENTRES - shift_deg
    return Expected(at, HEIGHTS / HEIGHTS.max(), at, at)


@pytest.fixture
def noise() -> NDArray[np.float64]:
    return SIGMA * np.random.default_rng(1).standard_normal(len(X))


@pytest.fixture
def seen() -> Callable[..., dict[str, float]]:
    def describe(y: NDArray[np.float64], lines: Expected | None = None) -> dict[str, float]:
        y = np.abs(y)
        return appearance(X, y / y.max(), lines or expected(), COPPER.mean_A)

    return describe


def test_every_statistic_has_a_value_and_a_definition(seen: Callable, noise: NDArray[np.float64]) -> None:
    found = seen(gaussians(0.2) + PEDESTAL + noise)
    assert list(found) == list(STATISTICS)
    assert all(np.isfinite(value) for value in found.values())


def test_noise(seen: Callable, noise: NDArray[np.float64]) -> None:
    clean = gaussians(0.2) + PEDESTAL
    found = seen(clean + noise)
    assert found["noise"] == pytest.approx(np.log(SIGMA), abs=0.06)
    assert found["level_over_noise"] == pytest.approx(np.log(PEDESTAL / SIGMA), abs=0.1)
    assert found["level_30"] == pytest.approx(np.log(PEDESTAL - 0.52 * SIGMA), abs=0.05)
    assert abs(found["noise_by_angle"]) < 0.1
    assert abs(found["noise_skew"]) < 0.05
    # A straight line taken out of 15 points leaves white noise with about -1/15 at every lag and some more.
    assert found["noise_lag_1"] == pytest.approx(found["noise_lag_2"], abs=0.06)
    assert -0.2 < found["noise_lag_1"] < 0
    rising = seen(clean + noise * np.linspace(0.5, 2, len(X)))
    assert rising["noise_by_angle"] == pytest.approx(np.log(1.75 / 0.75), abs=0.1)
    smooth = seen(clean + np.convolve(noise, np.ones(2) / 2, "same"))
    assert smooth["noise_lag_1"] - found["noise_lag_1"] > 0.4
    assert smooth["noise_lag_2"] < found["noise_lag_2"]
    grown = seen(clean + noise * np.sqrt(1 + gaussians(0.2) / 0.02))
    assert grown["noise_growth"] > found["noise_growth"] + 0.5


def test_a_cut_baseline_shows_in_zeros(seen: Callable, noise: NDArray[np.float64]) -> None:
    low = gaussians(0.2) + SIGMA
    folded, cut = seen(np.abs(low + noise)), seen(np.maximum(low + noise, 0))
    # 16 % of the points are below 0, somewhat more in the quietest parts; folded, 5 % lie below a tenth of the level.
    assert cut["near_zero"] == pytest.approx(0.21, abs=0.04)
    assert folded["near_zero"] == pytest.approx(0.05, abs=0.02)
    assert cut["level_5"] == pytest.approx(np.log(1e-4), abs=0.01)


def test_widths(seen: Callable, noise: NDArray[np.float64]) -> None:
    found = seen(gaussians(0.2) + PEDESTAL + noise / 10)
    assert found["width"] == pytest.approx(np.log(0.2), abs=0.02)
    assert abs(found["width_by_angle"]) < 0.02
    assert found["width_spread"] < 0.02
    assert abs(found["asymmetry"]) < 0.02
    assert abs(found["doublet"]) < 0.03
    assert abs(found["tail_3"]) < 0.3
    growing = seen(gaussians(np.where(CENTRES < 47, 0.15, 0.3)) + PEDESTAL + noise / 10)
    assert growing["width_by_angle"] == pytest.approx(np.log(2), abs=0.03)
    second = 2 * np.degrees(np.arcsin(np.sin(np.radians(CENTRES / 2)) * COPPER.ka2_A / COPPER.ka1_A))
    double = seen(gaussians(0.08) + 0.5 * gaussians(0.08, second) + PEDESTAL + noise / 10)
    assert double["doublet"] == pytest.approx(0.5, abs=0.05)
    leaning = seen(gaussians(0.15) + 0.5 * gaussians(0.15, CENTRES - 0.1) + PEDESTAL + noise / 10)
    assert leaning["asymmetry"] > 0.1


def test_lorentzian_tails_follow_their_closed_form(seen: Callable) -> None:
    fwhm = 0.1
    y = np.sum([h / (1 + 4 * ((X - c) / fwhm) ** 2) for h, c in zip(HEIGHTS, CENTRES, strict=True)], axis=0)
    found = seen(y)
    for many in (3, 6):
        # Mean of the tail over one width, as a percentage of the height, square root; the floor takes a little away.
        ends = 2 * many + np.array([-1.0, 1.0])
        mean = (np.arctan(ends[1]) - np.arctan(ends[0])) / 2
        assert found[f"tail_{many}"] == pytest.approx(10 * np.sqrt(mean), abs=0.12)


def test_floor(seen: Callable, noise: NDArray[np.float64]) -> None:
    t = np.linspace(-1, 1, len(X))
    flat = seen(gaussians(0.2) + PEDESTAL + noise / 10)
    assert abs(flat["floor_slope"]) < 0.02
    assert abs(flat["floor_bend"]) < 0.02
    tilted = seen(gaussians(0.2) + PEDESTAL * (1 + 0.5 * t) + noise / 10)
    assert tilted["floor_slope"] == pytest.approx(0.8, abs=0.05)
    bent = seen(gaussians(0.2) + PEDESTAL * (1 + 0.5 * t**2) + noise / 10)
    # Mean of t^2 over the outer fifths 0.69, over the middle one 0.01.
    assert bent["floor_bend"] == pytest.approx(0.5 * 0.68 / 1.17, abs=0.03)
    assert min(tilted["floor_waves"], bent["floor_waves"]) > flat["floor_waves"] + 1


def test_intensities_and_places(seen: Callable, noise: NDArray[np.float64]) -> None:
    y = gaussians(0.2) + PEDESTAL + noise / 10
    found = seen(y)
    assert found["intensity_scatter"] < 0.05
    assert abs(found["tilt"]) < 0.05
    assert found["unexplained"] == 0
    assert abs(found["shift"]) < 0.002
    assert found["intensity_likeness"] > 5
    assert [found[f"peaks_{p}"] for p in (5, 20)] == pytest.approx([np.log(9)] * 2)
    assert seen(y, expected(0.05))["shift"] == pytest.approx(0.05, abs=0.003)
    stronger = np.exp(np.where(CENTRES > 47, 0.5, 0.0))
    assert seen(np.sum([s * g for s, g in zip(stronger, _each(0.2), strict=True)], axis=0) + PEDESTAL)[
        "tilt"
    ] == pytest.approx(0.5, abs=0.05)
    stray = seen(y + 0.3 * np.exp(-4 * np.log(2) * ((X - 35) / 0.2) ** 2))
    assert stray["unexplained"] == pytest.approx(np.sqrt(0.3 / (HEIGHTS.sum() + 0.3)), abs=0.02)
    signs = np.exp(0.4 * np.array([1, -1, 1, -1, 1, -1, 1, -1]))
    grainy = seen(np.sum([s * g for s, g in zip(signs, _each(0.2), strict=True)], axis=0) + PEDESTAL)
    assert grainy["intensity_scatter"] == pytest.approx(0.4, abs=0.03)


def _each(fwhm: float) -> list[NDArray[np.float64]]:
    return [h * np.exp(-4 * np.log(2) * ((X - c) / fwhm) ** 2) for h, c in zip(HEIGHTS, CENTRES, strict=True)]


def test_expected_lines(minerals: dict[str, Structure]) -> None:
    phase = phase_of(minerals["Halite"], d_min_A=1.0)
    found = expected_lines(phase, COPPER.mean_A, 5.0, 90.0)
    d = COPPER.mean_A / 2 / np.sin(np.radians(found.two_theta_deg / 2))
    n = (5.6402 / d) ** 2
    assert n == pytest.approx(np.round(n), abs=1e-6)
    assert found.two_theta_deg[found.area.argmax()] == pytest.approx(31.73, abs=0.02), "200 of halite"
    half = expected_lines(phase, COPPER.mean_A / 2, 5.0, 42.0)
    assert len(half.area) == len(found.area) + 1
    assert half.area[:-1] == pytest.approx(found.area, rel=1e-9), "areas are those under copper"
    assert len(expected_lines(phase, COPPER.mean_A, 5.0, 6.0).area) == 0
