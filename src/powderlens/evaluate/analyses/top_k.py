"""Share of truths among the k likeliest classes, against k, of several records.

Source: ML4pXRDs (Schopmans, Reiser and Friederich 2023), Figs. S3 and S4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from powderlens.evaluate.analyses.base import Asked, Inputs, Result, share, table_of
from powderlens.evaluate.analyses.lines import beside, strokes, tidy
from powderlens.evaluate.zoo_metrics import K_MOST, NONE, class_column, list_column

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
                "tested": f"{one.record.tested.corpus}:{one.record.tested.part}",
                "k": k,
                "patterns": len(ranks),
                "accuracy": right,
                "standard_error": error,
            }
        )
    return rows


def _figure(rows: list[dict[str, Any]], asked: list[Asked]) -> Figure:
    from matplotlib.figure import Figure

    tasks = list(dict.fromkeys(one.task for one in asked))
    figure = Figure(figsize=(8.5, 4.6 * len(tasks)), layout="constrained")
    for axes, task in zip(figure.subplots(len(tasks), 1, squeeze=False)[:, 0], tasks, strict=True):
        of_task = [row for row in rows if row["task"] == task]
        curves: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for row in of_task:
            curves.setdefault((row["network"], row["tested"]), []).append(row)
        parts = {tested for _, tested in curves}
        named = [key for key in curves if key[0] != FREQUENT]
        drawn = dict(zip(named, strokes(len(named)), strict=True))
        for key, points in curves.items():
            k = [row["k"] for row in points]
            y = 100 * np.array([row["accuracy"] for row in points], float)
            if key in drawn:
                axes.plot(k, y, label=key[0], linewidth=1.2, **drawn[key])
            else:
                of = f" of {key[1]}" if len(parts) > 1 else ""
                axes.plot(k, y, label=f"{FREQUENT}{of}", color="0.6", linewidth=1.0)
        axes.set_xticks(range(1, max(row["k"] for row in of_task) + 1))
        axes.set_ylim(0, 101)
        axes.set_xlabel("k")
        axes.set_ylabel(f"{task.replace('_', ' ')} among the k likeliest (%)")
        tidy(axes)
        beside(axes)
    return figure


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
