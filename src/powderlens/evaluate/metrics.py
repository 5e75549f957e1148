"""Figures of merit of ranked, probabilistic answers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from powderlens.symmetry.subgroups import within_edges

ACCURACIES = ("crystal_system", "space_group", "space_group_top5")
"""The figures of a record that are shares of right answers."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def top_k(probability: Floats, truth: Ints, k: int) -> float:
    """Share of the (b,) truths among the k most probable of (b, n) classes."""
    best = np.argsort(-probability, axis=1, kind="stable")[:, :k]
    return float((best == truth[:, None]).any(axis=1).mean())


def log_loss(probability: Floats, truth: Ints) -> float:
    """Mean of -ln p(truth), nats; probabilities are cut at 1e-9."""
    return float(-np.log(np.maximum(probability[np.arange(len(truth)), truth], 1e-9)).mean())


def calibration_error(probability: Floats, truth: Ints, bins: int = 10) -> float:
    """Expected calibration error: mean gap of confidence and accuracy over equal bins, weighted by count.

    Source: Naeini, Cooper and Hauskrecht, AAAI 2015.
    """
    confidence, right = probability.max(axis=1), probability.argmax(axis=1) == truth
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(float(confidence[which == b].mean()) - float(right[which == b].mean())) * int((which == b).sum())
        for b in range(bins)
        if (which == b).any()
    ]
    return sum(gaps) / len(truth)


def classification(system: Floats, group: Floats, true_group: Ints, true_system: Ints) -> dict[str, float]:
    """The figures of a record, from (b, 7) and (b, 230) probabilities and class indices from 0.

    Within one edge: the first group is the true one or one step away in the graph of maximal subgroups.
    """
    figures = {
        "crystal_system": top_k(system, true_system, 1),
        "space_group": top_k(group, true_group, 1),
        "space_group_top5": top_k(group, true_group, 5),
        "space_group_within_one_edge": within_edges(group.argmax(axis=1) + 1, true_group + 1, 1),
        "space_group_log_loss": log_loss(group, true_group),
        "crystal_system_calibration_error": calibration_error(system, true_system),
        "space_group_calibration_error": calibration_error(group, true_group),
    }
    return {name: round(value, 4) for name, value in figures.items()}


def lattice(predicted: Floats, true: Floats, mean: Floats) -> dict[str, float]:
    """Errors of (b, 6) cells in A and degrees, beside those of always answering the training mean (6,)."""

    def errors(cells: Floats) -> tuple[float, float, float]:
        relative = np.abs(cells[:, :3] / true[:, :3] - 1)
        return float(relative.mean()), float(np.median(relative)), float(np.abs(cells[:, 3:] - true[:, 3:]).mean())

    ours, naive = errors(predicted), errors(np.broadcast_to(mean, true.shape))
    names = ("length_mean_relative_error", "length_median_relative_error", "angle_mean_error_deg")
    out = {name: round(value, 4) for name, value in zip(names, ours, strict=True)}
    return out | {f"naive_{name}": round(value, 4) for name, value in zip(names, naive, strict=True)}
