"""Recall of every space group against the number of its training patterns.

Source: ML4pXRDs (Schopmans, Reiser and Friederich 2023), Figs. S7 and S8.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import spearmanr

from powderlens.core.errors import InputError
from powderlens.evaluate.answers import Answers, share
from powderlens.generate.statistics import shipped_statistics
from powderlens.reproduce.analyses.base import AskedTask, Inputs, Result, check_corpus
from powderlens.reproduce.analyses.drawing import beside, canvas, logarithmic, strokes, tidy
from powderlens.symmetry.groups import symbol

SYNTHETIC = "synthetic"
TREND_GROUPS = 10
"""Groups of neighbouring frequency whose patterns make one point of the trend."""


def analyse(inputs: Inputs) -> Result:
    """Records of space groups, trained on the same patterns.

    Training patterns are those of the `--corpus` that was learnt; of synthetic crystals the patterns seen, shared out
    as the statistics that come with powderlens have the groups.

    Raises:
        InputError: records of several trainings, or of a corpus that is not given.
    """
    left: list[str] = []
    if inputs.corpus is not None and any(one.training.data.corpus != SYNTHETIC for _, one in inputs.records):
        inputs, left = inputs.on_corpus("trained")
    asked = inputs.asked("space_group")
    learnt, counted = _training(inputs, asked)
    rows: list[dict[str, Any]] = []
    said = [one.answers() for one in asked]
    for one, answers in zip(asked, said, strict=True):
        rows += _rows(one, answers, learnt)
    return Result(rows, _figure(rows, asked, counted), [*_notes(rows, asked, said, counted), *left])


def trend(
    learnt: NDArray[np.float64], right: NDArray[np.int64], tested: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Recall over groups of neighbouring frequency, all their patterns together.

    Args:
        learnt: (n,) training patterns of each group.
        right: (n,) right answers.
        tested: (n,) tested patterns, more than 0.

    Returns:
        Geometric mean of the training patterns (of those above 0), and the recall, for every `TREND_GROUPS` groups.
    """
    order = np.argsort(learnt, kind="stable")
    sets = np.array_split(order, max(1, round(len(order) / TREND_GROUPS)))
    middle = np.array([np.exp(np.log(np.maximum(learnt[some], 1)).mean()) for some in sets])
    return middle, np.array([right[some].sum() / tested[some].sum() for some in sets])


def rank_correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Spearman's, equal values sharing their mean rank; NaN where one of them is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(spearmanr(a, b).statistic)


def _training(inputs: Inputs, asked: list[AskedTask]) -> tuple[NDArray[np.float64], str]:
    """(231,) training patterns of each group, and in words how they are counted."""
    trained = {(one.record.training.data.sha256, one.record.training.data.part) for one in asked}
    if len(trained) > 1:
        raise InputError(f"the records are of {len(trained)} trainings on different patterns; give those of one")
    data = asked[0].record.training.data
    if data.corpus == SYNTHETIC:
        if inputs.corpus is not None:
            raise InputError("--corpus: has no effect, the networks have learnt synthetic crystals; leave it out")
        counts = np.zeros(231)
        statistics = shipped_statistics()
        for group in statistics.groups:
            counts[group] = statistics.counts[group]
        return counts / counts.sum() * data.patterns, "expected among the synthetic patterns that were learnt"
    if inputs.corpus is None:
        raise InputError(
            f"the networks have learnt {data.corpus}; give it with --corpus, its training part is what is counted"
        )
    corpus = check_corpus(inputs.corpus, data, "was trained on")
    groups = corpus.labels(corpus.numbers(data.part)).space_group
    return np.bincount(groups, minlength=231).astype(float), f"in the {data.part} part of {data.corpus}"


def _rows(one: AskedTask, answers: Answers, learnt: NDArray[np.float64]) -> list[dict[str, Any]]:
    rows = []
    for group in np.unique(answers.truth).tolist():
        where = answers.truth == group
        recall, error = share(answers.right[where], answers.crystal[where])
        rows.append(
            {
                "network": one.label,
                "space_group": group,
                "symbol": symbol(group),
                "training_patterns": float(learnt[group]),
                "training_share": float(learnt[group] / learnt.sum()),
                "tested_patterns": int(where.sum()),
                "tested_crystals": len(np.unique(answers.crystal[where])),
                "recall": recall,
                "standard_error": error,
            }
        )
    return sorted(rows, key=lambda row: (-row["training_patterns"], row["space_group"]))


def _columns(rows: list[dict[str, Any]], label: str) -> tuple[NDArray[np.float64], ...]:
    mine = [row for row in rows if row["network"] == label]
    fields = ("training_patterns", "recall", "tested_patterns")
    return tuple(np.array([row[field] for row in mine], float) for field in fields)


def _trend(rows: list[dict[str, Any]], label: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    learnt, recall, tested = _columns(rows, label)
    return trend(learnt, np.rint(recall * tested).astype(np.int64), tested.astype(np.int64))


def _figure(rows: list[dict[str, Any]], asked: list[AskedTask], counted: str) -> Figure:
    figure, ((axes,),) = canvas(9.5, 4.8)
    for one, stroke in zip(asked, strokes(len(asked)), strict=True):
        learnt, recall, tested = _columns(rows, one.label)
        x = np.maximum(learnt, 0.5)
        size = np.clip(6 * np.sqrt(tested), 6, 160)
        axes.scatter(x, 100 * recall, size, color=stroke["color"], alpha=0.35, linewidth=0)
        middle, height = _trend(rows, one.label)
        axes.plot(middle, 100 * height, label=one.label, linewidth=1.6, **stroke)
    logarithmic(axes, "x")
    axes.set_ylim(-3, 103)
    axes.set_xlabel(f"training patterns of the space group, {counted}")
    axes.set_ylabel("recall (%)")
    tidy(axes)
    beside(axes)
    return figure


def _notes(rows: list[dict[str, Any]], asked: list[AskedTask], said: list[Answers], counted: str) -> list[str]:
    notes = []
    for one, answers in zip(asked, said, strict=True):
        learnt, recall, _ = _columns(rows, one.label)
        never = int(((recall == 0) & (learnt > 0)).sum())
        notes.append(
            f"{one.label}: mean recall {recall.mean():.1%} over {len(recall)} space groups, accuracy "
            f"{answers.right.mean():.1%} over {len(answers.truth):,} patterns; rank correlation of recall and "
            f"frequency {rank_correlation(learnt, recall):.2f}; {never} groups that were learnt are never recognised."
        )
    unseen = [row for row in rows if row["training_patterns"] == 0]
    if unseen:
        groups = sorted({row["space_group"] for row in unseen})
        notes.append(f"Not in the training at all: {', '.join(map(str, groups))}; drawn at the left edge.")
    notes.append(
        f"Training patterns are {counted}. Dots are space groups, larger where more patterns are tested; the line "
        f"takes about {TREND_GROUPS} neighbouring groups together, all their patterns in one."
    )
    return notes
