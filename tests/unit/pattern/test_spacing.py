"""Grids of spacings: the same crystal reads nearly the same with any wavelength, and nothing is lost on the way."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.pattern.grid import Grid
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.prepare import above_local_floor, onto_spacings, prepare
from powderlens.pattern.spacing import SpacingGrid, angles_of, grid_of, words_of

GRID = SpacingGrid(d_max_A=18.3, log_step=0.0009, points=3136)
LINES_A = (8.11, 4.26, 3.343, 2.457, 2.128, 1.818, 1.541, 1.375, 1.199, 1.12)
HEIGHTS = (0.2, 0.4, 1.0, 0.1, 0.03, 0.5, 0.3, 0.25, 0.15, 0.02)


def measured(wavelength_A: float, first_deg: float, last_deg: float, step_deg: float) -> Pattern:
    """Gaussian lines, as wide in ln d with any wavelength."""
    angle = np.arange(first_deg, last_deg, step_deg)
    log_d = np.log(wavelength_A / (2 * np.sin(np.radians(angle / 2))))
    y = sum(h * np.exp(-0.5 * ((log_d - np.log(d)) / 0.0016) ** 2) for d, h in zip(LINES_A, HEIGHTS, strict=True))
    return Pattern(angle, np.asarray(y), wavelength_A=wavelength_A)


def test_where_it_lies() -> None:
    assert GRID.d_A[0] == pytest.approx(18.3)
    assert np.ptp(np.diff(np.log(GRID.d_A))) < 1e-12
    assert GRID.copper_deg()[[0, -1]] == pytest.approx([4.83, 90.12], abs=0.01)
    edges = GRID.edges_deg(1.54)
    assert (np.diff(edges) > 0).all()
    assert ((edges[:-1] < GRID.two_theta_deg(1.54)) & (GRID.two_theta_deg(1.54) < edges[1:])).all()
    assert np.sin(np.radians(GRID.two_theta_deg(0.7) / 2)) == pytest.approx(GRID.sines(0.7), rel=1e-6)
    assert GRID.two_theta_deg(2.5)[-1] == 180.0
    assert GRID.sines(2.5)[-1] == 0.0
    assert grid_of({"d_max_A": 18.3, "log_step": 0.0009, "points": 3136}) == GRID
    assert words_of(GRID) == "3136 points, spacings from 18.3 to 1.089 A by 0.0009 in ln d"
    with pytest.raises(InputError, match="needs a grid of angles"):
        angles_of(GRID, "this")


def test_another_wavelength_is_the_same_pattern() -> None:
    """Copper, molybdenum and 30 keV: the channels of a network agree, but for the angle, which must not."""
    ranges = {1.5406: (8.0, 88.0, 0.02), 0.7093: (4.0, 38.0, 0.01), 0.4133: (2.2, 21.8, 0.005)}
    read = {w: prepare(measured(w, *where), GRID, background=False) for w, where in ranges.items()}
    common = np.all([one.mask for one in read.values()], axis=0)
    assert common.mean() > 0.75
    copper = read[1.5406].above_floor
    for one in read.values():
        assert np.abs(np.sqrt(one.above_floor) - np.sqrt(copper))[common].max() < 0.03
        assert one.seen[common] == pytest.approx(GRID.sines(one.wavelength_A)[common])
        assert (one.seen[~one.mask] == 0).all()
    assert np.abs(read[0.7093].seen - read[1.5406].seen)[common].min() > 0.03


def test_cells_hold_means() -> None:
    """Where cells are wide a line keeps its area, where they are narrow its height."""
    pattern = measured(1.5406, 8.0, 88.0, 0.005)
    y, mask = onto_spacings(pattern.two_theta_deg, pattern.intensity, 1.5406, GRID)
    edges = GRID.edges_deg(1.5406)
    whole = np.flatnonzero(mask)[1:-1]
    inside = (pattern.two_theta_deg >= edges[whole[0]]) & (pattern.two_theta_deg <= edges[whole[-1] + 1])
    area = np.trapezoid(pattern.intensity[inside], pattern.two_theta_deg[inside])
    assert (y * np.diff(edges))[whole].sum() == pytest.approx(area, rel=2e-3)
    first = np.argmin(np.abs(GRID.d_A - LINES_A[0]))
    assert y[first - 3 : first + 4].max() == pytest.approx(HEIGHTS[0], rel=0.03)


def test_the_mean_is_exact() -> None:
    """Against the integral of the joined profile, taken finely."""
    x = np.linspace(10.0, 80.0, 701)
    y = np.random.default_rng(3).random(701)
    got, mask = onto_spacings(x, y, 1.54, GRID)
    edges = GRID.edges_deg(1.54)
    for at in np.flatnonzero(mask)[[1, 500, 1500, -2]]:
        fine = np.linspace(edges[at], edges[at + 1], 20001)
        assert got[at] == pytest.approx(np.interp(fine, x, y).mean(), rel=1e-4)


def test_what_was_not_measured() -> None:
    pattern = measured(1.5406, 8.0, 88.0, 0.02)
    x, y = pattern.two_theta_deg, pattern.intensity
    _, whole = onto_spacings(x, y, 1.5406, GRID)
    pause = (x < 30) | (x > 32)
    _, paused = onto_spacings(x[pause], y[pause], 1.5406, GRID)
    _, excluded = onto_spacings(x, y, 1.5406, GRID, pause)
    angle = GRID.two_theta_deg(1.5406)
    for mask in (paused, excluded):
        assert not mask[(angle > 30.1) & (angle < 31.9)].any()
        assert (mask == whole)[(angle < 29.9) | (angle > 32.1)].all()
    none, seen = onto_spacings(x[:1], y[:1], 1.5406, GRID)
    assert not seen.any()
    assert not none.any()
    with pytest.raises(InputError, match="does not overlap spacings"):
        prepare(Pattern(np.arange(100.0, 140.0, 0.1), np.arange(400.0), wavelength_A=1.5406), GRID, background=False)


def test_the_floor_is_the_local_quantile() -> None:
    """Windows equally wide in copper's angle, the floor linear between their middles."""
    random = np.random.default_rng(5)
    mask = np.zeros(GRID.points, bool)
    mask[300:2900] = True
    y = np.where(mask, random.random(GRID.points) + np.linspace(1, 3, GRID.points), 0.0)
    angle = GRID.copper_deg()[mask]
    count = round((angle[-1] - angle[0]) / 5.0)
    ends = np.searchsorted(angle, np.linspace(angle[0], angle[-1], count + 1)[1:-1])
    at, level = [], []
    for low, high in pairwise([0, *ends, len(angle)]):
        at.append((angle[low] + angle[high - 1]) / 2)
        level.append(np.sort(y[mask][low:high])[int(0.3 * (high - low - 1))])
    expected = np.maximum(y[mask] - np.interp(angle, at, level), 0)
    found = above_local_floor(y, mask, GRID)
    np.testing.assert_allclose(found[mask], expected / expected.max(), rtol=1e-9, atol=1e-12)
    assert not found[~mask].any()
    assert not above_local_floor(y, np.zeros(GRID.points, bool), GRID).any()


def test_a_grid_of_angles_is_one() -> None:
    grid = Grid(start_deg=5.0, step_deg=0.02, points=10, wavelength_A=1.54)
    assert angles_of(grid, "this") is grid
