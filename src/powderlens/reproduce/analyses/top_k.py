"""Share of truths among the k likeliest classes, against k, of several records.

Source: ML4pXRDs (Schopmans, Reiser and Friederich 2023), Figs. S3 and S4.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from powderlens.evaluate.answers import scored
from powderlens.evaluate.metrics import K_MOST, NONE, list_column
from powderlens.reproduce.analyses.base import AskedTask, Inputs, Result, grouped, labels
from powderlens.reproduce.analyses.drawing import beside, canvas, name_panel, strokes, tidy

TASKS = ("space_group", "crystal_system", "extinction_class")
FREQUENT = "most frequent classes"


def truth_ranks(top: NDArray[np.int64], truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of the truth among the likeliest classes.

    Args:
        top: (n, m) classes, the likeliest first.
        truth: (n,) classes.

    Returns:
        (n,) 1 for the likeliest, m + 1 where the truth is not among them.
    """
    same = top == truth[:, None]
    return np.where(same.any(axis=1), same.argmax(axis=1) + 1, top.shape[1] + 1)


def analyse(inputs: Inputs) -> Result:
    """The curves, and for each tested part the naive one: always answering its most frequent classes."""
    asked = inputs.asked(*TASKS)
    rows: list[dict[str, Any]] = []
    naive: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for one in asked:
        answers = one.answers("top")
        top = list_column(answers.columns, f"{one.task}_top", NONE).astype(np.int64)
        truth, most = answers.truth, min(K_MOST, top.shape[1])
        rows += _rows(one, one.label, truth_ranks(top, truth), answers.crystal, most)
        part = (*one.tested, one.task)
        if part not in naive:
            kinds, counts = np.unique(truth, return_counts=True)
            frequent = np.tile(kinds[np.argsort(-counts, kind="stable")][: top.shape[1]], (len(truth), 1))
            naive[part] = _rows(one, FREQUENT, truth_ranks(frequent, truth), answers.crystal, most)
    every = [*rows, *(row for found in naive.values() for row in found)]
    return Result(every, _figure(every, asked), _notes(rows))


def _rows(
    one: AskedTask, label: str, ranks: NDArray[np.int64], crystal: NDArray[np.int64], most: int
) -> list[dict[str, Any]]:
    key = {"network": label, "task": one.task, "tested": one.record.tested.name}
    return [{**key, "k": k, **scored(ranks <= k, crystal)} for k in range(1, most + 1)]


def _figure(rows: list[dict[str, Any]], asked: list[AskedTask]) -> Figure:
    """A panel for each task (down) and tested part (across); a network has one colour in all."""
    tasks, parts = (list(dict.fromkeys(names)) for names in zip(*map(_panel, asked), strict=True))
    many = grouped(asked, _panel)
    short = {key: labels([one.record for one in some], [one.task for one in some]) for key, some in many.items()}
    names = list(dict.fromkeys(name for found in short.values() for name in found))
    drawn = dict(zip(names, strokes(len(names)), strict=True))
    down, across = len(tasks), len(parts)
    figure, grid = canvas(2.2 + 4.6 * across, 4.3 * down, down, across, sharey=True)
    for axes, key in zip(grid.flat, product(tasks, parts), strict=True):
        mine = [row for row in rows if (row["task"], row["tested"]) == key]
        for one, name in zip(many.get(key, []), short.get(key, []), strict=True):
            points = [row for row in mine if row["network"] == one.label]
            axes.plot(*_curve(points), label=name, linewidth=1.2, **drawn[name])
        axes.plot(*_curve([row for row in mine if row["network"] == FREQUENT]), color="0.6", label=FREQUENT)
        axes.set_xticks(range(1, max((row["k"] for row in mine), default=1) + 1))
        axes.set_ylim(0, 101)
        axes.set_xlabel("k")
        name_panel(axes, key[1])
        tidy(axes)
    for task, line in zip(tasks, grid, strict=True):
        line[0].set_ylabel(f"{task.replace('_', ' ')} among the k likeliest (%)")
        beside(line[-1])
    return figure


def _panel(one: AskedTask) -> tuple[str, str]:
    return one.task, one.record.tested.name


def _curve(points: list[dict[str, Any]]) -> tuple[list[int], NDArray[np.float64]]:
    return [row["k"] for row in points], 100 * np.array([row["accuracy"] for row in points], float)


def _notes(rows: list[dict[str, Any]]) -> list[str]:
    notes = []
    for task, of_task in grouped(rows, lambda row: str(row["task"])).items():
        for k in (1, 5):
            at = sorted((row for row in of_task if row["k"] == k), key=lambda row: -row["accuracy"])
            if at:
                best, worst = at[0], at[-1]
                said = f"{best['network']} {best['accuracy']:.1%} ± {best['standard_error']:.1%}"
                if len(at) > 1:
                    said += f", lowest {worst['network']} {worst['accuracy']:.1%}"
                notes.append(f"{task.replace('_', ' ')}, {k} likeliest: {said}; {best['patterns']:,} patterns.")
    notes.append(
        "Patterns without an answer count as wrong. Errors are standard errors over crystals. The grey curve always "
        "answers the classes that are most frequent in the tested part itself."
    )
    return notes
