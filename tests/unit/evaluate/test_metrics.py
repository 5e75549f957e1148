"""Figures of merit, each against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from powderlens.evaluate.metrics import ACCURACIES, calibration_error, classification, lattice, log_loss, top_k

P = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.4, 0.35, 0.25], [0.2, 0.2, 0.6]])
TRUTH = np.array([0, 1, 2, 2])
"""Ranks of the truth: 1, 2, 3, 1."""


@pytest.mark.parametrize(("k", "share"), [(1, 0.5), (2, 0.75), (3, 1.0), (5, 1.0)])
def test_top_k(k: int, share: float) -> None:
    assert top_k(P, TRUTH, k) == share


def test_ties_are_not_all_counted_right() -> None:
    """Of equal candidates the first k count, as an answer lists them."""
    flat = np.full((4, 4), 0.25)
    assert top_k(flat, np.arange(4), 1) == 0.25
    assert top_k(flat, np.arange(4), 2) == 0.5


def test_log_loss() -> None:
    assert log_loss(P, TRUTH) == pytest.approx(-np.log([0.5, 0.2, 0.25, 0.6]).mean())
    assert log_loss(np.full((3, 230), 1 / 230), np.array([0, 7, 229])) == pytest.approx(np.log(230))
    assert log_loss(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(-np.log(1e-9)), "cut, not infinite"


def test_calibration_error_of_two_bins() -> None:
    """Confidences 0.5 and 0.4 (one of two right, mean 0.45), 0.7 and 0.6 (one of two right, mean 0.65)."""
    confidence_low, confidence_high = np.array([[0.55, 0.45], [0.6, 0.4]]), np.array([[0.9, 0.1], [0.8, 0.2]])
    p = np.concatenate([confidence_low, confidence_high])
    truth = np.array([0, 1, 0, 0])
    # Ten bins: 0.55 and right (gap 0.45), 0.6 and wrong (0.6), 0.9 and right (0.1), 0.8 and right (0.2).
    assert calibration_error(p, truth) == pytest.approx((0.45 + 0.6 + 0.1 + 0.2) / 4)
    # Two bins: from 0.5 on, mean confidence 0.7125, three of four right.
    assert calibration_error(p, truth, bins=2) == pytest.approx(0.75 - 0.7125)


def test_calibration_error_of_honest_and_of_boastful_answers() -> None:
    honest = np.tile([0.8, 0.2], (1000, 1))
    truth = (np.arange(1000) % 5 == 0).astype(int)
    assert calibration_error(honest, truth) == pytest.approx(0.0, abs=1e-12)
    assert calibration_error(np.tile([1.0, 0.0], (1000, 1)), truth) == pytest.approx(0.2), (
        "certainty is in the last bin"
    )


def test_the_figures_of_a_record() -> None:
    system = np.eye(7)[[0, 3, 6, 1]] * 0.9 + 0.1 / 7
    group = np.full((4, 230), 0.1 / 229)
    group[np.arange(4), [0, 135, 224, 13]] = 0.9
    found = classification(system, group, np.array([0, 135, 220, 13]), np.array([0, 3, 6, 2]))
    assert found["crystal_system"] == 0.75
    assert found["space_group"] == 0.75
    # 225 for 221: Pm-3m lies one step above Fm-3m, in a cell twice as long.
    assert found["space_group_within_one_edge"] == 1.0
    assert found["space_group_log_loss"] == pytest.approx(-(3 * np.log(0.9) + np.log(0.1 / 229)) / 4, abs=1e-4)
    assert found["crystal_system_calibration_error"] == pytest.approx(0.9 + 0.1 / 7 - 0.75, abs=1e-4)
    assert found["space_group_calibration_error"] == pytest.approx(0.15, abs=1e-4)
    assert set(ACCURACIES) < set(found)
    assert found["space_group_top5"] >= found["space_group"]


def test_lattice_errors_beside_the_naive_ones() -> None:
    true = np.array([[4.0, 5.0, 10.0, 90, 90, 90], [4.0, 5.0, 10.0, 90, 90, 120]])
    mean = true.mean(axis=0)
    ours = true * np.array([1.01, 0.98, 1.0, 1, 1, 1]) + np.array([0, 0, 0, 1.0, -2.0, 0])
    found = lattice(ours, true, mean)
    assert found["length_mean_relative_error"] == pytest.approx(0.01)
    assert found["length_median_relative_error"] == pytest.approx(0.01)
    assert found["angle_mean_error_deg"] == pytest.approx(1.0)
    assert found["naive_length_mean_relative_error"] == 0
    assert found["naive_angle_mean_error_deg"] == pytest.approx(5.0)
    assert lattice(true, true, mean)["angle_mean_error_deg"] == 0
