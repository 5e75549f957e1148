"""Each phase of a library is found from its own pattern, whatever was done to it that leaves it readable."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from powderlens.library.search import (
    COARSE,
    FLOOR_QUANTILE,
    LEAST_INSIDE,
    MOST_NOISE,
    SMOOTH_DEG,
    Search,
    blur,
    noise_share,
)
from powderlens.library.table import ANGLE_STEP_DEG, WAVELENGTH_A, LibraryTable
from powderlens.pattern.grid import Grid

NAMES = ("Rutile", "Quartz", "Halite", "Fluorite", "Corundum", "Calcite", "Sphalerite")
Noisy = Callable[..., np.ndarray]


def found(search: Search, x: np.ndarray) -> tuple[str, float, float]:
    """Name and score of the best phase, and the score of the next one."""
    matches = search(x[None])
    return str(search.table.name[matches.row[0, 0]]), float(matches.score[0, 0]), float(matches.score[0, 1])


@pytest.mark.parametrize("name", NAMES)
def test_found_in_noise(search: Search, noisy: Noisy, name: str) -> None:
    best, score, second = found(search, noisy(name, noise=0.03))
    assert best == name
    assert score > 0.8
    assert second < score - 0.2


@pytest.mark.parametrize("zero_deg", [-0.12, 0.12])
@pytest.mark.parametrize("name", NAMES)
def test_found_under_a_zero_shift(search: Search, noisy: Noisy, name: str, zero_deg: float) -> None:
    best, score, _ = found(search, noisy(name, zero_deg=zero_deg))
    assert best == name
    assert score > 0.85


@pytest.mark.parametrize("two_theta_deg", [(20.0, 60.0), (25.0, 90.0)])
@pytest.mark.parametrize("name", NAMES)
def test_found_in_part_of_the_range(
    search: Search, noisy: Noisy, name: str, two_theta_deg: tuple[float, float]
) -> None:
    best, score, _ = found(search, noisy(name, two_theta_deg=two_theta_deg))
    assert best == name
    assert score > 0.85


@pytest.mark.parametrize(("wavelength", "two_theta_deg"), [("MoKa", (3.0, 38.0)), ("CoKa", (10.0, 110.0))])
@pytest.mark.parametrize("name", NAMES)
def test_found_at_another_wavelength(
    search: Search, noisy: Noisy, name: str, wavelength: str, two_theta_deg: tuple[float, float]
) -> None:
    best, score, _ = found(search, noisy(name, wavelength=wavelength, two_theta_deg=two_theta_deg, noise=0.01))
    assert best == name
    assert score > 0.8


def test_the_right_phase_of_a_clean_pattern_is_nearly_one(search: Search, noisy: Noisy) -> None:
    for name in NAMES:
        assert found(search, noisy(name, noise=0.0))[1] > 0.93


def test_matches_are_sorted_and_scores_are_between_0_and_1(search: Search, noisy: Noisy) -> None:
    x = np.stack([noisy("Quartz", noise=0.3), noisy("Halite"), noisy("Calcite", two_theta_deg=(28.0, 31.0))])
    matches = search(x)
    assert matches.row.shape == matches.score.shape == matches.group.shape == (3, 7), "a small library is given whole"
    assert [sorted(row) for row in matches.row.tolist()] == [list(range(7))] * 3
    assert (np.diff(matches.score, axis=1) <= 0).all()
    assert matches.score.min() >= 0
    assert matches.score.max() <= 1
    assert matches.group.tolist() == search.table.space_group[matches.row].tolist()


def test_a_batch_gives_what_its_patterns_give_alone(search: Search, noisy: Noisy) -> None:
    x = np.stack([noisy("Quartz"), noisy("Halite", two_theta_deg=(20.0, 60.0)), noisy("Corundum")])
    together = search(x)
    for i in range(3):
        alone = search(x[i : i + 1])
        assert together.row[i].tolist() == alone.row[0].tolist()
        assert together.score[i] == pytest.approx(alone.score[0], abs=1e-5)
    part = together.take(np.array([2, 0]))
    assert part.row.tolist() == together.row[[2, 0]].tolist()
    assert part.score.tolist() == together.score[[2, 0]].tolist()
    assert part.group.tolist() == together.group[[2, 0]].tolist()


def test_only_the_best_are_kept(library: LibraryTable, noisy: Noisy) -> None:
    grid = Grid(start_deg=5.0, step_deg=0.02, points=4250, wavelength_A=1.5418711)
    whole, best = Search(library, grid)(noisy("Rutile")[None]), Search(library, grid, keep=2)(noisy("Rutile")[None])
    assert best.row.shape == (1, 2)
    assert best.row[0].tolist() == whole.row[0, :2].tolist()


def test_a_phase_outside_the_measured_range_is_not_compared(search: Search, noisy: Noisy) -> None:
    """Halite's first line stands at 27.3 degrees: nothing of it is in a scan up to 20."""
    x = noisy("Quartz", two_theta_deg=(18.0, 22.5), noise=0.0)
    matches = search(x[None])
    score = dict(zip(search.table.name[matches.row[0]].tolist(), matches.score[0].tolist(), strict=True))
    assert score["Halite"] == 0
    assert score["Fluorite"] == 0
    assert 0 < LEAST_INSIDE < 1


def test_a_phase_with_little_inside_is_not_compared(search: Search, noisy: Noisy) -> None:
    """From 26 to 29 degrees halite shows its weak 111 alone, by which many phases would look like quartz."""
    x = noisy("Quartz", two_theta_deg=(26.0, 29.0), noise=0.0)[None]
    (inside,) = search._inside(x[:, 1, ::COARSE] > 0)
    assert inside is not None
    assert 0 < inside[2] < LEAST_INSIDE < inside[1]
    matches = search(x)
    score = dict(zip(search.table.name[matches.row[0]].tolist(), matches.score[0].tolist(), strict=True))
    assert score["Halite"] == 0
    assert score["Quartz"] > 0.9


def test_a_range_of_a_point_or_two_matches_nothing(search: Search) -> None:
    x = np.zeros((1, 2, 4250), np.float32)
    x[0, :, 1001:1003] = 1.0
    assert search(x).score.max() == 0


def test_the_noise_of_a_flat_pattern_is_read_right(search: Search) -> None:
    """Half the profile is noise above its floor, half is lines: the share is a half."""
    rng = np.random.default_rng(0)
    sigma, points = 0.05, 4250
    intensity = 0.5 + sigma * rng.standard_normal((1, points)).astype(np.float32)
    smoothed = blur(intensity, 4.0)[0, 20:-20]
    above = np.maximum(smoothed - np.quantile(smoothed, 0.3), 0).sum()
    share = noise_share(intensity, np.array([2 * above]), 0.02)
    assert share[0] == pytest.approx(0.5, abs=0.03)
    assert noise_share(intensity, np.array([above]), 0.02)[0] == MOST_NOISE
    assert noise_share(np.zeros((1, points), np.float32), np.array([1.0]), 0.02)[0] == 0


def test_blur_keeps_the_area_and_has_the_stated_width() -> None:
    row = np.zeros((2, 201), np.float32)
    row[0, 100] = 3.0
    row[1, 60] = 1.0
    out = blur(row, 4.0)
    assert out.sum(axis=1) == pytest.approx([3.0, 1.0], rel=1e-5)
    place = np.arange(201)
    assert (out[0] * (place - 100) ** 2).sum() / 3 == pytest.approx(16.0, rel=0.02)
    assert out[0, 104] / out[0, 100] == pytest.approx(np.exp(-0.5), rel=1e-4)
    assert out[0].tolist() == out[0][::-1].tolist()


@pytest.mark.parametrize("points", [-10, 10])
def test_both_ends_of_the_finer_shifts_are_looked_at(search: Search, noisy: Noisy, points: int) -> None:
    """A fifth of a degree to either side costs nothing."""
    x = noisy("Quartz", noise=0.0)
    assert found(search, np.roll(x, points, axis=1))[1] == pytest.approx(found(search, x)[1], abs=1e-3)
    assert found(search, np.roll(x, 2 * points, axis=1))[1] < found(search, x)[1] - 0.05


def test_a_line_in_the_last_cell_of_the_grid_is_left_out(library: LibraryTable) -> None:
    """It would be shared with the first cell of the next phase."""
    angle = library.angle[library.offset[6] : library.offset[7]].max() * ANGLE_STEP_DEG
    points = int(np.ceil((angle - 20.0) / 0.08))
    grid = Grid(start_deg=20.0, step_deg=0.02, points=COARSE * points, wavelength_A=WAVELENGTH_A)
    assert points - 1 < (angle - 20.0) / 0.08 < points
    scores = Search(library, grid)(np.ones((1, 2, COARSE * points), np.float32)).score
    assert scores.shape == (1, 7)


@pytest.mark.parametrize("length", [4240, 4244])
def test_the_floor_has_the_rank_that_is_stated(search: Search, length: int) -> None:
    x = np.zeros((1, 2, 4250), np.float32)
    x[0, 0, :length], x[0, 1, :length] = np.linspace(0, 1, length), 1.0
    smoothed = blur(x[:, 0], SMOOTH_DEG / 0.02)[0, :length]
    every = np.sort(smoothed[::COARSE])
    level = every[int(FLOOR_QUANTILE * (len(every) - 1))]
    np.testing.assert_allclose(search._smooth(x)[0, :length] ** 2, np.maximum(smoothed - level, 0), atol=1e-6)
