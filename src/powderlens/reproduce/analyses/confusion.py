"""True against predicted crystal system; of space groups, the system that the answer belongs to."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from powderlens.evaluate.answers import SILENT, Answers
from powderlens.reproduce.analyses.base import Inputs, Result
from powderlens.reproduce.analyses.drawing import canvas, heat_map, name_panel
from powderlens.symmetry.groups import SYSTEM_OF, SYSTEMS

ACROSS = 4


def confusion(answers: Answers, task: str) -> NDArray[np.int64]:
    """(7, 8) patterns by true system and answered one; the last column holds missing answers.

    Args:
        answers: of a record.
        task: `crystal_system` or `space_group`.
    """
    truth, said = answers.truth, answers.predicted
    if task == "space_group":
        truth, said = (np.array(SYSTEM_OF)[np.maximum(groups, 0)] for groups in (truth, said))
    n = len(SYSTEMS)
    return np.bincount(truth * (n + 1) + np.where(said == SILENT, n, said), minlength=n * (n + 1)).reshape(n, n + 1)


def analyse(inputs: Inputs) -> Result:
    """A matrix for every record and task."""
    asked = inputs.asked("crystal_system", "space_group")
    found = [confusion(one.answers(), one.task) for one in asked]
    rows: list[dict[str, Any]] = [
        {
            "network": one.label,
            "task": one.task,
            "true_system": SYSTEMS[i],
            "answered_system": [*SYSTEMS, "no answer"][j],
            "patterns": int(count),
            "percent_of_true": 100 * float(count / matrix[i].sum()) if matrix[i].any() else None,
        }
        for one, matrix in zip(asked, found, strict=True)
        for (i, j), count in np.ndenumerate(matrix)
    ]
    notes = []
    for one, matrix in zip(asked, found, strict=True):
        wrong = matrix[:, :-1] - np.diag(np.diag(matrix))
        i, j = np.unravel_index(int(wrong.argmax()), wrong.shape)
        right = 100 * np.trace(matrix) / matrix.sum()
        notes.append(
            f"{one.label}, {one.task.replace('_', ' ')}: system right in {right:.1f} % of {matrix.sum():,} patterns; "
            f"most often missed: {SYSTEMS[i]}, taken for {SYSTEMS[j]} ({wrong[i, j]:,})."
        )
    names = [f"{one.label}\n{one.task.replace('_', ' ')}" for one in asked]
    return Result(rows, _figure(found, names), notes)


def _figure(found: list[NDArray[np.int64]], names: list[str]) -> Figure:
    across = min(ACROSS, len(found))
    down = -(-len(found) // across)
    figure, grid = canvas(1.0 + 3.0 * across, 0.8 + 3.0 * down, down, across, sharey=True)
    short = [name[:5] for name in SYSTEMS]
    for axes, matrix, name in zip(grid.flat, found, names, strict=False):
        rows = matrix.sum(axis=1, keepdims=True)
        percent = np.where(rows > 0, 100 * matrix / np.maximum(rows, 1), np.nan)
        silent = matrix[:, -1].any()
        heat_map(axes, percent if silent else percent[:, :-1], SYSTEMS, [*short, "none"] if silent else short)
        name_panel(axes, name)
        axes.tick_params(axis="x", labelsize=7)
    for axes in grid.flat[len(found) :]:
        axes.set_visible(False)
    figure.supylabel("true system", fontsize=9)
    figure.supxlabel("answered system (% of the true one)", fontsize=9)
    return figure
