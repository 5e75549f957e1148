"""Nothing but what a pattern looks like may tell measured from simulated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.diffraction.protocol import Protocol, load_protocol, parse_protocol
from powderlens.pattern.formats.rruff_set import RruffSet
from powderlens.pattern.pattern import Pattern
from powderlens.reproduce.realism import realism
from powderlens.reproduce.realism.appearance import STATISTICS
from powderlens.reproduce.realism.development import match_structures
from powderlens.reproduce.realism.realism import Sides, describe, evaluate_realism, side_by_side, tell_apart
from powderlens.reproduce.realism.treatment import (
    Treated,
    averaged,
    measured_points,
    measured_scan,
    quantum,
    scanned_grid,
    simulated_points,
    simulated_scan,
    stored,
    without_floor,
)

pytest.importorskip("sklearn")

if TYPE_CHECKING:
    from powderlens.crystal.structure import Structure

K = len(STATISTICS)


@pytest.fixture(autouse=True)
def small_forests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough trees for a few hundred patterns."""
    monkeypatch.setattr(realism, "TREES", 30)


def sides(measured: np.ndarray, simulated: np.ndarray, minerals: int = 40) -> Sides:
    n = len(measured)
    return Sides(measured, simulated, [f"mineral {i % minerals}" for i in range(n)])


def of_the_set(intensity: np.ndarray) -> Pattern:
    return RruffSet(Path("set.npz"), intensity[None], [{}]).pattern(0)


def test_steps_of_the_protocols(bench: Protocol) -> None:
    assert (measured_points(bench), simulated_points(bench)) == (2, 1)
    fine = load_protocol("ml4pxrds")
    assert (measured_points(fine), simulated_points(fine)) == (1, 1)
    short = load_protocol("alphadiffract")
    assert (measured_points(short), simulated_points(short)) == (1, 2)


def test_both_sides_get_the_same_form(bench: Protocol) -> None:
    """Poor counting in whole thousandths: after the treatment, noise and level are those of the finer numbers."""
    rng = np.random.default_rng(3)
    raw = np.abs(0.003 + 0.0012 * rng.standard_normal(8500))
    raw[4000] = 1.0
    stored = np.floor(1000 * raw)
    measured = measured_scan(of_the_set(stored), bench, rng)
    points = np.abs(0.003 + 0.0012 * rng.standard_normal((2, 4250))).mean(axis=0)
    points[2000] = 1.0
    simulated = simulated_scan(points, bench, measured, quantum(stored), rng)
    assert measured.two_theta_deg[:2] == pytest.approx([5.005, 5.025])
    assert measured.intensity.max() == simulated.intensity.max() == 1
    quiet = measured.intensity[:1900] * raw[4000:4002].mean(), simulated.intensity[:1900]
    assert quiet[0].mean() == pytest.approx(quiet[1].mean(), rel=0.03)
    assert quiet[0].std() == pytest.approx(quiet[1].std(), rel=0.08)
    assert len(np.unique(measured.intensity)) > 4000, "no steps are left by which to know a stored pattern"


def test_scanned_points_are_stored_one_by_one(bench: Protocol) -> None:
    """Near zero, where folding and cutting tell most, both sides have the same distribution."""
    rng = np.random.default_rng(8)
    scans = 0.0004 + 0.001 * rng.standard_normal((2, 8500))
    scans[:, 4000] = 1.0
    kept = np.floor(1000 * np.abs(scans[0]))
    measured = measured_scan(of_the_set(kept), bench, rng)
    simulated = simulated_scan(scans[1], bench, measured, quantum(kept), rng)
    coarse = simulated_scan(scans[1].reshape(-1, 2).mean(axis=1), bench, measured, quantum(kept), rng)

    def distance(scan: Treated) -> float:
        """Kolmogorov and Smirnov's; 0.042 is passed once in a thousand times by equal ones."""
        here, there = np.sort(measured.intensity), np.sort(scan.intensity)
        at = np.concatenate([here, there])
        return float(
            np.abs(
                np.searchsorted(here, at, "right") / len(here) - np.searchsorted(there, at, "right") / len(there)
            ).max()
        )

    assert distance(simulated) < 0.042
    assert distance(coarse) > 0.1, "a mean of two folds less than the two"


def test_scanned_grid_and_storage(bench: Protocol) -> None:
    fine = scanned_grid(bench, 2)
    assert averaged(fine.two_theta_deg, fine.two_theta_deg, 2)[0] == pytest.approx(bench.grid.two_theta_deg)
    assert scanned_grid(bench, 1) == bench.grid
    rng = np.random.default_rng(0)
    y = rng.random(20000)
    kept = stored(y, 0.1, rng)
    assert np.array_equal(np.floor(10 * kept), np.floor(10 * y)), "nothing leaves its step"
    assert np.abs(kept - y).mean() == pytest.approx(0.1 / 3, rel=0.03)
    assert stored(y, 0.0, rng) is y


def test_what_is_negative_loses_its_sign_and_ranges_are_common(bench: Protocol) -> None:
    rng = np.random.default_rng(0)
    like = Treated(np.array([20.0, 60.0]), np.ones(2))
    y = np.full(4250, -0.01)
    y[1500] = 1.0
    scan = simulated_scan(y, bench, like, 0.0, rng)
    assert (scan.two_theta_deg[0], scan.two_theta_deg[-1]) == pytest.approx((20.0, 60.0))
    assert scan.intensity.min() == pytest.approx(0.01)


def test_angles_are_converted_not_resampled() -> None:
    short = load_protocol("alphadiffract")
    y = np.zeros(8500)
    y[4000] = 1000
    scan = measured_scan(of_the_set(y + 1), short, np.random.default_rng(0))
    peak = scan.two_theta_deg[scan.intensity.argmax()]
    sine = np.sin(np.radians(45 / 2)) * short.grid.wavelength_A / 1.541838
    assert peak == pytest.approx(2 * np.degrees(np.arcsin(sine)), abs=1e-6)
    assert (scan.intensity > 0.5).sum() == 1


def test_blocks_and_floor() -> None:
    x, y = averaged(np.arange(7.0), np.arange(7.0) ** 2, 3)
    assert x.tolist() == [1.0, 4.0]
    assert y.tolist() == [5 / 3, 50 / 3]
    assert quantum(np.array([0.0, 3.0, 500.0])) == 0.002
    assert quantum(np.array([0.5, 1.0])) == 0
    bare = without_floor(Treated(np.arange(1000.0), np.where(np.arange(1000) % 100 == 0, 1.0, 0.2)))
    assert bare.intensity.max() == 1
    assert np.median(bare.intensity) == 0


def test_equal_sides_are_not_told_apart_and_unequal_ones_are() -> None:
    rng = np.random.default_rng(5)
    measured = rng.standard_normal((200, K))
    same = tell_apart(sides(measured, rng.standard_normal((2, 200, K))))
    assert same["accuracy"] == pytest.approx(0.5, abs=0.08)
    assert same["auc"] == pytest.approx(0.5, abs=0.08)
    assert same["forest_accuracy"] == pytest.approx(0.5, abs=0.08)
    moved = rng.standard_normal((2, 200, K))
    moved[..., 3] += 1
    told = tell_apart(sides(measured, moved))
    # Two normal distributions one standard deviation apart: Phi(1/2), and an area of Phi(1/sqrt 2).
    assert told["accuracy"] == pytest.approx(0.691, abs=0.06)
    assert told["auc"] == pytest.approx(0.760, abs=0.06)
    coefficients = told["coefficients"]
    assert isinstance(coefficients, dict)
    assert next(iter(coefficients)) == list(STATISTICS)[3]
    assert coefficients[list(STATISTICS)[3]] > 0, "positive: more of it means simulated"


def test_a_minerals_own_ways_give_nothing_away() -> None:
    """A trait that a mineral has in simulation alone, other for each mineral, cannot be learned from the others."""
    rng = np.random.default_rng(6)
    n, minerals = 200, 20
    measured = 0.1 * rng.standard_normal((n, K))
    of_mineral = rng.standard_normal((minerals, K))
    simulated = 0.1 * rng.standard_normal((1, n, K)) + of_mineral[np.arange(n) % minerals]
    told = tell_apart(sides(measured, simulated, minerals))
    assert float(str(told["accuracy"])) < 0.75
    assert float(str(told["standard_error"])) > 0.03, "20 minerals, not 200 patterns, are independent"


def test_missing_values() -> None:
    rng = np.random.default_rng(7)
    measured, simulated = rng.standard_normal((60, K)), rng.standard_normal((1, 60, K))
    measured[:, 4] = np.nan
    simulated[:, :, 4] = np.nan
    measured[::3, 5] = np.nan
    given = sides(measured, simulated)
    assert 0.2 < float(str(tell_apart(given)["accuracy"])) < 0.8
    table = side_by_side(given)
    assert table[list(STATISTICS)[4]]["measured_median"] is None
    assert table[list(STATISTICS)[4]]["auc"] is None
    assert table[list(STATISTICS)[5]]["measured_median"] == pytest.approx(np.nanmedian(measured[:, 5]), abs=1e-4)


def test_the_area_of_one_statistic() -> None:
    measured, simulated = np.zeros((20, K)), np.zeros((1, 20, K))
    measured[:, 0], simulated[0, :, 0] = np.arange(20), np.arange(20) + 0.5
    measured[:, 1], simulated[0, :, 1] = np.arange(20), np.arange(20) + 100
    table = side_by_side(sides(measured, simulated))
    auc = [table[name]["auc"] for name in list(STATISTICS)[:3]]
    assert auc == [pytest.approx(0.525), 1.0, 0.5]


@pytest.mark.slow
def test_a_protocol_is_not_told_from_what_was_measured_under_it(
    bench: Protocol, minerals: dict[str, Structure], stored_set: Callable[[Path, int], Path], tmp_path: Path
) -> None:
    """No leak: scans stored as RRUFF's set are, drawn by the protocol itself, look like the protocol's patterns."""
    matches, left, _ = match_structures(stored_set(tmp_path / "set.npz", 10), minerals.values())
    assert (len(matches), left) == (10 * 7, {})
    blurred = parse_protocol(bench.text.replace("[0.06, 0.12]", "[0.10, 0.20]").replace('"bench"', '"blurred"'))
    record = evaluate_realism(matches, [load_protocol("ideal"), blurred, bench], seed=4, draws=2)
    figures = record["protocols"]
    assert isinstance(figures, dict)
    assert list(figures) == ["bench", "blurred", "ideal"], "hardest to tell apart first"
    assert figures["bench"]["accuracy"] < 0.66
    assert figures["bench"]["floor_subtracted"]["accuracy"] < 0.66
    assert figures["blurred"]["accuracy"] > 0.75
    assert figures["ideal"]["accuracy"] > 0.97
    assert "width" in figures["blurred"]["coefficients"]
    assert set(figures["ideal"]["statistics"]) == set(record["definitions"])  # type: ignore[call-overload]
    assert figures["bench"]["measured"] == 70
    assert figures["bench"]["simulated"] == 140


def test_a_seed_gives_one_record(
    bench: Protocol, minerals: dict[str, Structure], stored_set: Callable[[Path, int], Path], tmp_path: Path
) -> None:
    matches, _, _ = match_structures(stored_set(tmp_path / "set.npz", 1), minerals.values())
    first, bare, _ = describe(matches, bench, seed=4, draws=2)
    again, _, _ = describe(matches, bench, seed=4, draws=2)
    other, _, _ = describe(matches, bench, seed=5, draws=2)
    assert first.simulated.shape == bare.simulated.shape == (2, 7, K)
    assert np.array_equal(first.simulated, again.simulated, equal_nan=True)
    assert np.array_equal(first.measured, again.measured, equal_nan=True)
    assert not np.array_equal(first.simulated, other.simulated, equal_nan=True)
    assert not np.array_equal(first.simulated[0], first.simulated[1], equal_nan=True)


def test_too_few_minerals(
    bench: Protocol, minerals: dict[str, Structure], tmp_path: Path, stored_set: Callable
) -> None:
    matches, _, _ = match_structures(stored_set(tmp_path / "set.npz", 2), list(minerals.values())[:4])
    with pytest.raises(InputError, match="4 minerals have a pattern and a structure; at least 5"):
        describe(matches, bench, seed=1)
