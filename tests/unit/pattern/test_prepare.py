"""The one way from a pattern to what networks and library read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from powderlens.core.errors import CoverageError, InputError, WavelengthError
from powderlens.pattern.background import subtract_background
from powderlens.pattern.grid import Grid, to_grid
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.prepare import above_floor, prepare, residual_floor

GRID = Grid(start_deg=10.0, step_deg=0.02, points=2000, wavelength_A=1.541838)
X = np.arange(5, 60, 0.01)


def scan(level: float = 0.0, first: float = 5.0, last: float = 60.0, wavelength_A: float | None = 1.541838) -> Pattern:
    """Two lines on a level that falls, with noise."""
    keep = (first <= X) & (last >= X)
    y = 1000 * np.exp(-(((X - 26.6) / 0.1) ** 2)) + 400 * np.exp(-(((X - 40.0) / 0.1) ** 2))
    y += level * (1.5 - X / 60) + np.random.default_rng(1).normal(0, 2, len(X))
    return Pattern(X[keep], y[keep], wavelength_A, source="scan")


def test_the_steps_in_their_order() -> None:
    """Background, grid, floor, cut at zero, strongest point 1, as it was done when the shipped network learnt."""
    pattern = scan(300.0)
    found = prepare(pattern, GRID)
    flat, removed = subtract_background(pattern)
    expected, mask = to_grid(flat, GRID)
    assert removed
    assert found.background
    np.testing.assert_array_equal(found.flat, expected)
    np.testing.assert_array_equal(found.mask, mask)
    above = np.maximum(expected - residual_floor(expected), 0)
    np.testing.assert_allclose(found.above_floor, above / above.max(), atol=1e-7)
    np.testing.assert_array_equal(found.above_floor, above_floor(expected, mask).astype(np.float32))
    assert found.for_network(floor=True, mask=False) is found.above_floor


def test_without_floor_only_what_is_negative_goes() -> None:
    found = prepare(scan(), GRID)
    x = found.for_network(floor=False, mask=True)
    assert not found.background
    assert (x.dtype, x.min(), x.max()) == (np.float32, 0.0, 1.0)
    positive = found.flat > 0
    np.testing.assert_allclose(x[positive], found.flat[positive] / found.flat.max(), rtol=1e-6)
    assert 0.3 < (x == 0).mean() < 0.7, "noise about zero"


def test_simulated_patterns_keep_their_background() -> None:
    found = prepare(scan(300.0), GRID, background=False)
    assert not found.background
    np.testing.assert_array_equal(found.flat, to_grid(scan(300.0), GRID)[0])


def test_the_floor_is_the_30th_percentile_of_windows() -> None:
    """Of 250 points: the wanted rank of a ramp in each, joined by straight lines."""
    ramp = np.arange(1000.0)
    floor = residual_floor(ramp)
    centres = np.array([125, 375, 625, 875])
    np.testing.assert_allclose(floor[centres], [74, 324, 574, 824])
    np.testing.assert_allclose(floor[250], (74 + 324) / 2)
    assert floor[0] == 74
    assert floor[-1] == 824
    assert residual_floor(np.arange(100.0))[50] == 29


def test_a_part_of_the_grid() -> None:
    """Zero where nothing was measured; a network without mask refuses it, and lets a hundredth pass."""
    half = prepare(scan(last=30.0), GRID)
    assert half.mask.sum() == pytest.approx(1000, abs=1)
    for floor in (True, False):
        x = half.for_network(floor=floor, mask=True)
        assert not x[~half.mask].any()
        assert x.max() == 1
        with pytest.raises(CoverageError, match=r"scan: measured at 100\d of 2000 points, 10.0 to 30.0 degrees .* mlp"):
            half.for_network(floor=floor, mask=False, name="mlp")
    nearly = prepare(scan(last=49.7), GRID)
    assert 0.99 < nearly.mask.mean() < 1
    assert nearly.for_network(floor=False, mask=False).max() == 1


def test_what_cannot_be_prepared() -> None:
    with pytest.raises(WavelengthError, match="scan: no wavelength known"):
        prepare(scan(wavelength_A=None), GRID)
    with pytest.raises(InputError, match="does not overlap"):
        prepare(scan(last=9.0), GRID)


def test_excluded_points_have_no_say() -> None:
    """A spike under a mask: the rest is prepared as if it had never been there, and its place is not measured."""
    clean = scan(300.0)
    bad = (X > 33.0) & (X < 34.0)
    spiked = replace(clean, intensity=np.where(bad, 1e5, clean.intensity))
    found, without = prepare(replace(spiked, mask=~bad), GRID), prepare(replace(clean, mask=~bad), GRID)
    np.testing.assert_array_equal(found.above_floor, without.above_floor)
    angle = GRID.two_theta_deg
    assert not found.mask[(angle > 33.0) & (angle < 34.0)].any()
    assert found.mask[(angle < 32.97) | (angle > 34.03)].all()
    assert found.above_floor.argmax() == prepare(clean, GRID).above_floor.argmax()
    assert prepare(spiked, GRID).above_floor[angle.searchsorted(33.5)] == pytest.approx(1, abs=0.01)


def test_one_excluded_point_of_a_coarse_scan() -> None:
    """Between its neighbours nothing is measured: joining them would invent it."""
    x = np.arange(10.0, 50.0, 0.5)
    mask = np.ones(len(x), bool)
    mask[20] = False
    _, measured = to_grid(Pattern(x, np.arange(80.0) % 7, 1.541838, mask=mask), GRID)
    angle = GRID.two_theta_deg
    assert not measured[(angle > 19.51) & (angle < 20.49)].any()
    assert measured[(angle > 10) & (angle < 19.48)].all()
