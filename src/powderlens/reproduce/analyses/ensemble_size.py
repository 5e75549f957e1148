"""Accuracy against the number of networks whose probabilities are averaged (AlphaDiffract, Fig. 3a).

Members are records that differ in nothing but the seed. Records keep the ten likeliest classes: the others count as 0.
"""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.evaluate.metrics import list_column
from powderlens.reproduce.analyses.base import AskedTask, Inputs, Result, grouped
from powderlens.reproduce.analyses.drawing import canvas, open_frame, tints

SUBSETS = 30
"""Of each size at most; where there are no more, all are taken, else so many at random."""
CHUNK = 2048
"""Patterns that are in memory with all their classes at a time."""
LAST_CLASS = 230


def subsets(members: int, size: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Sets of so many members: all, or `SUBSETS` different ones at random.

    Args:
        members: how many there are.
        size: of a set.
        rng: draws where there are too many.
    """
    if comb(members, size) <= SUBSETS:
        return list(combinations(range(members), size))
    found: set[tuple[int, ...]] = set()
    while len(found) < SUBSETS:
        found.add(tuple(sorted(rng.choice(members, size, replace=False).tolist())))
    return sorted(found)


def accuracies(
    truth: NDArray[np.int64],
    top: NDArray[np.int64],
    probability: NDArray[np.float64],
    chosen: list[tuple[int, ...]],
) -> NDArray[np.float64]:
    """Accuracy of the mean of each set of members.

    Args:
        truth: (n,) classes, 0 to 230.
        top: (m, n, k) classes that each member keeps.
        probability: (m, n, k) theirs; 0 throughout for a missing answer.
        chosen: sets of members.

    Returns:
        One for each set. Where two classes are equally likely the lower number is the answer; a pattern that no member
        of a set answers is wrong.
    """
    right = np.zeros(len(chosen))
    for first in range(0, len(truth), CHUNK):
        some = slice(first, first + CHUNK)
        kept = top[:, some]
        dense = np.zeros((*kept.shape[:2], LAST_CLASS + 1))
        np.put_along_axis(dense, kept, probability[:, some], axis=2)
        for i, members in enumerate(chosen):
            summed = dense[list(members)].sum(axis=0)
            said = np.where(summed.any(axis=1), summed.argmax(axis=1), -1)
            right[i] += (said == truth[some]).sum()
    return np.asarray(right / len(truth))


def analyse(inputs: Inputs) -> Result:
    """Mean and spread over sets of members, for every network with at least two seeds.

    Raises:
        InputError: no two records that differ in nothing but the seed.
    """
    asked = inputs.asked("crystal_system", "space_group", "extinction_class", seeds=False)
    families = grouped(asked, lambda one: (one.task, one.label, one.tested))
    ready = {key: some for key, some in families.items() if len({one.record.seed for one in some}) == len(some) > 1}
    if not ready:
        raise InputError(
            "no two records differ in nothing but the seed; train the network again with another --seed and evaluate it"
        )
    rng = np.random.default_rng(inputs.seed)
    rows: list[dict[str, Any]] = []
    notes = []
    for (task, label, _), members in ready.items():
        truth, top, probability = _stacked(members)
        mine: list[dict[str, Any]] = []
        for size in range(1, len(members) + 1):
            chosen = subsets(len(members), size, rng)
            found = accuracies(truth, top, probability, chosen)
            mine.append(
                {
                    "network": label,
                    "task": task,
                    "patterns": len(truth),
                    "members": size,
                    "sets": len(chosen),
                    "accuracy": float(found.mean()),
                    "standard_deviation": float(found.std(ddof=1)) if len(chosen) > 1 else None,
                    "lowest": float(found.min()),
                    "highest": float(found.max()),
                }
            )
        rows += mine
        notes.append(
            f"{label}, {task.replace('_', ' ')}: one network {100 * mine[0]['accuracy']:.1f} %, all {len(members)} "
            f"together {100 * mine[-1]['accuracy']:.1f} %, of {len(truth):,} patterns."
        )
    notes.append(
        "Records keep the ten likeliest classes of each pattern; others count as 0 in the mean. Bars are standard "
        "deviations over sets of members, which overlap: they shrink towards the full set for that reason alone."
    )
    if alone := len(families) - len(ready):
        notes.append(f"{alone} networks of a single seed are left out.")
    return Result(rows, _figure(rows), notes)


def _stacked(members: list[AskedTask]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Truth (n,), classes and probabilities (m, n, k) of the patterns whose truth is known."""
    tops, probabilities = [], []
    for one in members:
        answers = one.answers("top", "probability")
        order = np.argsort(answers.pattern)
        top = list_column(answers.columns, f"{one.task}_top", -1.0)[order]
        tops.append(np.where(top < 0, np.arange(top.shape[1]), top).astype(np.int64))
        probabilities.append(list_column(answers.columns, f"{one.task}_probability", 0.0)[order].astype(np.float64))
    if len({part.shape for part in tops}) > 1:
        raise InputError(f"{members[0].path}: other numbers of patterns or classes than {members[-1].path}")
    return answers.truth[order], np.stack(tops), np.stack(probabilities)


def _figure(rows: list[dict[str, Any]]) -> Figure:
    by_task = grouped(rows, lambda row: str(row["task"]))
    figure, (line,) = canvas(5.2 * len(by_task), 3.8, across=len(by_task))
    for axes, (task, mine) in zip(line, by_task.items(), strict=True):
        networks = grouped(mine, lambda row: str(row["network"]))
        for (name, some), tint in zip(networks.items(), tints(len(networks), 0.75), strict=True):
            axes.errorbar(
                [row["members"] for row in some],
                [100 * row["accuracy"] for row in some],
                [100 * (row["standard_deviation"] or 0.0) for row in some],
                color=tint, marker="o", markersize=4, capsize=2, linewidth=1.2, label=name,
            )  # fmt: skip
        axes.set_xticks(range(1, max(row["members"] for row in rows) + 1))
        axes.set_xlabel("networks averaged")
        axes.set_ylabel(f"{task.replace('_', ' ')}, accuracy (%)")
        open_frame(axes)
        axes.legend(frameon=False, fontsize=8)
    return figure
