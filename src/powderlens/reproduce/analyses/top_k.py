"""Share of truths among the k likeliest classes, against k, of several records.

Source: ML4pXRDs (Schopmans, Reiser and Friederich 2023), Figs. S3 and S4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from powderlens.evaluate.answers import share
from powderlens.evaluate.metrics import K_MOST, NONE, class_column, list_column
from powderlens.reproduce.analyses.base import Asked, Inputs, Result, labels, table_of
from powderlens.reproduce.analyses.lines import beside, strokes, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
        answers = one.record.answers(one.path.parent, [f"{one.task}_{what}" for what in ("true", "top")] + ["crystal"])
        truth = class_column(answers, f"{one.task}_true")
        known = truth != NONE
        truth, top = truth[known], list_column(answers, f"{one.task}_top", NONE)[known].astype(np.int64)
        crystal = np.unique(answers["crystal"].to_numpy(zero_copy_only=False)[known].astype(str), return_inverse=True)[
            1
        ]
        rows += _rows(one, one.label, truth_ranks(top, truth), crystal, min(K_MOST, top.shape[1]))
        part = (*one.tested, one.task)
        if part not in naive:
            kinds, counts = np.unique(truth, return_counts=True)
            frequent = np.tile(kinds[np.argsort(-counts, kind="stable")][: top.shape[1]], (len(truth), 1))
            naive[part] = _rows(one, FREQUENT, truth_ranks(frequent, truth), crystal, min(K_MOST, top.shape[1]))
    every = [*rows, *(row for found in naive.values() for row in found)]
    return Result(table=table_of(every), figure=_figure(every, asked), notes=tuple(_notes(rows, asked)))


def _rows(
    one: Asked, label: str, ranks: NDArray[np.int64], crystal: NDArray[np.int64], most: int
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for k in range(1, most + 1):
        right, error = share(ranks <= k, crystal)
        rows.append(
            {
                "network": label,
                "task": one.task,
                "tested": _part(one),
                "k": k,
                "patterns": len(ranks),
                "accuracy": right,
                "standard_error": error,
            }
        )
    return rows


def _figure(rows: list[dict[str, Any]], asked: list[Asked]) -> Figure:
    """A panel for each task (down) and tested part (across); a network has one colour in all."""
    from matplotlib.figure import Figure

    tasks = list(dict.fromkeys(one.task for one in asked))
    parts = list(dict.fromkeys(_part(one) for one in asked))
    panels = {
        (task, part): [o for o in asked if o.task == task and _part(o) == part] for task in tasks for part in parts
    }
    short = {
        key: labels([one.record for one in many], [one.task for one in many]) for key, many in panels.items() if many
    }
    names = list(dict.fromkeys(name for found in short.values() for name in found))
    drawn = dict(zip(names, strokes(len(names)), strict=True))
    figure = Figure(figsize=(2.2 + 4.6 * len(parts), 4.3 * len(tasks)), layout="constrained")
    grid = figure.subplots(len(tasks), len(parts), squeeze=False, sharey=True)
    for axes, ((task, part), many) in zip(grid.flat, panels.items(), strict=True):
        mine = [row for row in rows if row["task"] == task and row["tested"] == part]
        for one, name in zip(many, short.get((task, part), []), strict=True):
            points = [row for row in mine if row["network"] == one.label]
            axes.plot(*_curve(points), label=name, linewidth=1.2, **drawn[name])
        axes.plot(*_curve([row for row in mine if row["network"] == FREQUENT]), color="0.6", label=FREQUENT)
        axes.set_xticks(range(1, max((row["k"] for row in mine), default=1) + 1))
        axes.set_ylim(0, 101)
        axes.set_xlabel("k")
        axes.set_title(part, loc="left", fontsize=9, parse_math=False)
        tidy(axes)
    for task, line in zip(tasks, grid, strict=True):
        line[0].set_ylabel(f"{task.replace('_', ' ')} among the k likeliest (%)")
        beside(line[-1])
    return figure


def _curve(points: list[dict[str, Any]]) -> tuple[list[int], NDArray[np.float64]]:
    return [row["k"] for row in points], 100 * np.array([row["accuracy"] for row in points], float)


def _part(one: Asked) -> str:
    return f"{one.record.tested.corpus}:{one.record.tested.part}"


def _notes(rows: list[dict[str, Any]], asked: list[Asked]) -> list[str]:
    notes = []
    for task in dict.fromkeys(one.task for one in asked):
        of_task = [row for row in rows if row["task"] == task]
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
