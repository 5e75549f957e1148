"""Putting a pattern on a grid, against closed forms."""

import numpy as np
import pytest

from powderlens.core.errors import InputError, WavelengthError
from powderlens.pattern.grid import Grid, convert_two_theta, to_grid
from powderlens.pattern.pattern import Pattern

GRID = Grid(start_deg=5.0, step_deg=0.02, points=4251, wavelength_A=1.5418711)
STEPS_DEG = [0.003, 0.01, 0.02, 0.033, 0.05, 0.2]


def _pattern(x: np.ndarray, y: np.ndarray, wavelength_A: float | None = 1.5418711) -> Pattern:
    return Pattern(x, y, wavelength_A)


def test_grid_positions() -> None:
    assert GRID.two_theta_deg[[0, 1, -1]] == pytest.approx([5.0, 5.02, 90.0])
    assert GRID.end_deg == pytest.approx(90.0)
    assert GRID.d_min_A == pytest.approx(1.5418711 / np.sqrt(2), rel=1e-12)


@pytest.mark.parametrize("step", STEPS_DEG)
def test_constant_stays_constant(step: float) -> None:
    x = np.arange(10, 60, step)
    y = np.full_like(x, 7.0)
    y[0] += 1e-6  # a constant is refused as a pattern
    values, mask = to_grid(_pattern(x, y), GRID)
    assert values[mask] == pytest.approx(7.0, abs=2e-6)
    assert (values[~mask] == 0).all()


@pytest.mark.parametrize("step", STEPS_DEG)
def test_straight_line_stays_straight(step: float) -> None:
    x = np.arange(10, 60, step)
    values, mask = to_grid(_pattern(x, 3 * x - 5), GRID)
    inner = mask & (GRID.two_theta_deg > 10.1) & (GRID.two_theta_deg < 59.7)
    assert values[inner] == pytest.approx(3 * GRID.two_theta_deg[inner] - 5, abs=1e-8)


@pytest.mark.parametrize("step", STEPS_DEG)
@pytest.mark.parametrize("centre", [35.0, 35.003, 35.013])
def test_gaussian_keeps_area_and_centroid(step: float, centre: float) -> None:
    s = 0.15
    x = np.arange(20, 50, step)
    values, _ = to_grid(_pattern(x, np.exp(-0.5 * ((x - centre) / s) ** 2)), GRID)
    area = values.sum() * GRID.step_deg
    assert area == pytest.approx(s * np.sqrt(2 * np.pi), rel=1e-4)
    assert (values * GRID.two_theta_deg).sum() / values.sum() == pytest.approx(centre, abs=1e-4)


def test_fine_scan_is_averaged_not_sampled() -> None:
    rng = np.random.default_rng(1)
    x = np.arange(10, 60, 0.001)
    values, mask = to_grid(_pattern(x, rng.normal(100, 10, len(x))), GRID)
    inner = values[mask][5:-5]
    assert inner.std() == pytest.approx(10 / np.sqrt(20), rel=0.1)


def test_mask_covers_what_was_measured() -> None:
    x = np.linspace(20, 30, 1001)
    _, mask = to_grid(_pattern(x, 1 + np.sin(x)), GRID)
    measured = GRID.two_theta_deg[mask]
    assert measured[[0, -1]] == pytest.approx([20.0, 30.0], abs=0.021)
    assert mask.sum() == pytest.approx(501, abs=1)
    assert np.diff(np.flatnonzero(mask)).max() == 1


def test_wider_than_the_grid() -> None:
    x = np.linspace(2, 120, 5000)
    _, mask = to_grid(_pattern(x, 1 + np.sin(x)), GRID)
    assert mask.all()


def test_conversion_keeps_d() -> None:
    x = np.linspace(1, 170, 500)
    other = convert_two_theta(x, 1.5418711, 0.7107)
    d_before = 1.5418711 / (2 * np.sin(np.radians(x / 2)))
    d_after = 0.7107 / (2 * np.sin(np.radians(other / 2)))
    assert d_after == pytest.approx(d_before, rel=1e-12)
    assert convert_two_theta(other, 0.7107, 1.5418711) == pytest.approx(x, rel=1e-9)
    assert np.isnan(convert_two_theta(np.array([170.0]), 0.7107, 1.5418711)).all()


def test_other_wavelength_puts_peaks_where_bragg_says() -> None:
    d = 3.3426
    x = np.arange(2, 50, 0.005)
    at = 2 * np.degrees(np.arcsin(0.7107 / (2 * d)))
    values, _ = to_grid(_pattern(x, np.exp(-0.5 * ((x - at) / 0.05) ** 2), 0.7107), GRID)
    expected = 2 * np.degrees(np.arcsin(1.5418711 / (2 * d)))
    assert GRID.two_theta_deg[values.argmax()] == pytest.approx(expected, abs=0.011)


def test_refuses_no_wavelength_and_no_overlap() -> None:
    x = np.linspace(100, 170, 1000)
    with pytest.raises(WavelengthError, match="no wavelength known"):
        to_grid(_pattern(x, np.sin(x), None), GRID)
    with pytest.raises(InputError, match="does not overlap"):
        to_grid(_pattern(x, np.sin(x)), GRID)
    with pytest.raises(InputError, match="does not overlap"):
        to_grid(_pattern(x, np.sin(x), 0.7107), GRID)
    with pytest.raises(WavelengthError, match="must be positive"):
        convert_two_theta(x, 0.0, 1.0)


@pytest.mark.parametrize(("steps", "measured"), [(9, True), (12, False)])
def test_a_pause_of_more_than_ten_steps_is_a_gap(steps: int, measured: bool) -> None:
    """What was not measured is not joined by a line; a few points left out are."""
    x = GRID.start_deg + 5 + GRID.step_deg * np.array([*range(300), *range(299 + steps, 600)])
    _, mask = to_grid(_pattern(x, np.sin(x)), GRID)
    middle = np.searchsorted(GRID.two_theta_deg, x[299] + GRID.step_deg * steps / 2)
    assert mask[middle] == measured
    assert mask[[middle - steps, middle + steps]].all(), "both ends of the pause"
