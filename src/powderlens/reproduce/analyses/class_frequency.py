"""Accuracy by crystal system, and by how frequent the space group is among the training crystals.

SimXRD (Cao et al. 2025) Fig. 5: space groups are sorted by their number of crystals and cut into five sets of equally
many groups. AlphaDiffract Fig. S5 has the systems.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.evaluate.answers import Answers, share
from powderlens.reproduce.analyses.base import AskedTask, Inputs, Result, check_corpus, grouped
from powderlens.reproduce.analyses.drawing import canvas, heat_map, heat_size
from powderlens.symmetry.groups import SYSTEM_OF, SYSTEMS

FIFTHS = 5


def fifths(crystals: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Space groups that occur, cut into five sets of equally many groups (the first ones larger by at most one).

    Args:
        crystals: (231,) crystals of each space-group number.

    Returns:
        Numbers of the groups, rarest set first; groups of the same frequency by number.

    Raises:
        InputError: fewer than five groups occur.
    """
    present = np.flatnonzero(crystals)
    if len(present) < FIFTHS:
        raise InputError(f"{len(present)} space groups occur; five sets of them need at least {FIFTHS}")
    return np.array_split(present[np.argsort(crystals[present], kind="stable")], FIFTHS)


def analyse(inputs: Inputs) -> Result:
    """Accuracy by system for every record, by frequency for those of space groups.

    With `--corpus`, the one that the networks were trained on, crystals of its training part are counted; without,
    those of the tested part, which is then the same for all records.
    """
    inputs, left = (inputs, []) if inputs.corpus is None else inputs.on_corpus("trained")
    asked = inputs.asked("crystal_system", "space_group")
    said = [one.answers() for one in asked]
    rows: list[dict[str, Any]] = []
    for one, answers in zip(asked, said, strict=True):
        system = answers.truth if one.task == "crystal_system" else np.array(SYSTEM_OF)[answers.truth]
        rows += [_row(one, answers, "system", name, system == i) for i, name in enumerate(SYSTEMS)]
    of_groups = [(one, answers) for one, answers in zip(asked, said, strict=True) if one.task == "space_group"]
    counted = ""
    if of_groups:
        crystals, counted = _crystals(inputs, of_groups)
        sets = {f"{i}: {_span(crystals[groups])}": groups for i, groups in enumerate(fifths(crystals), 1)}
        unseen = np.flatnonzero(crystals[1:] == 0) + 1
        if any(np.isin(answers.truth, unseen).any() for _, answers in of_groups):
            sets = {"0: none": unseen, **sets}
        for one, answers in of_groups:
            for name, groups in sets.items():
                row = _row(one, answers, "frequency", name, np.isin(answers.truth, groups))
                rows.append({**row, "space_groups": len(groups), "counted_crystals": int(crystals[groups].sum())})
    return Result(rows, _figure(rows, counted), [*_notes(rows, said, counted), *left])


def _crystals(inputs: Inputs, of_groups: list[tuple[AskedTask, Answers]]) -> tuple[NDArray[np.int64], str]:
    """(231,) crystals of each group, and in words what they are counted in."""
    if inputs.corpus is not None:
        for one, _ in of_groups:
            corpus = check_corpus(inputs.corpus, one.record.training.data, "was trained on")
        if len({one.record.training.data.part for one, _ in of_groups}) > 1:
            raise InputError("the records were trained on several parts of the corpus; give those of one")
        part = of_groups[0][0].record.training.data.part
        numbers = corpus.numbers(part)
        _, first = np.unique(corpus.crystal_of(numbers), return_index=True)
        groups = corpus.labels(numbers[first]).space_group
        return np.bincount(groups, minlength=231), f"the training part of {inputs.corpus.name}"
    if len({one.tested for one, _ in of_groups}) > 1:
        raise InputError("the records were tested on several parts; give those of one, or --corpus of the training")
    one, answers = of_groups[0]
    _, first = np.unique(answers.crystal, return_index=True)
    words = f"the tested part of {one.record.tested.corpus}, as no --corpus was given"
    return np.bincount(answers.truth[first], minlength=231), words


def _span(crystals: NDArray[np.int64]) -> str:
    low, high = int(crystals.min()), int(crystals.max())
    return f"{low:,}" if low == high else f"{low:,}-{high:,}"


def _row(one: AskedTask, answers: Answers, by: str, name: str, where: NDArray[np.bool_]) -> dict[str, Any]:
    accuracy, error = share(answers.right[where], answers.crystal[where])
    return {
        "network": one.label,
        "task": one.task,
        "by": by,
        "category": name,
        "patterns": int(where.sum()),
        "crystals": len(np.unique(answers.crystal[where])),
        "accuracy": accuracy,
        "standard_error": error,
    }


def _figure(rows: list[dict[str, Any]], counted: str) -> Figure:
    titles = {"system": "crystal system of the truth", "frequency": "fifths of the space groups"}
    by_panel = grouped(rows, lambda row: str(row["by"]))
    names = {by: list(grouped(some, lambda row: (row["network"], row["task"]))) for by, some in by_panel.items()}
    heights = [len(keys) for keys in names.values()]
    size = heat_size(sum(heights), 7, names=[name for name, _ in names["system"]], above=1.5 + 1.3 * len(by_panel))
    figure, grid = canvas(*size, len(by_panel), height_ratios=heights)
    for axes, (by, some) in zip(grid[:, 0], by_panel.items(), strict=True):
        columns = list(grouped(some, lambda row: str(row["category"])))
        values = np.array([100 * row["accuracy"] for row in some]).reshape(-1, len(columns))
        heat_map(axes, values, [name for name, _ in names[by]], columns)
        axes.set_title(f"accuracy (%) by {titles[by]}", loc="left", fontsize=10)
        if by == "frequency":
            axes.set_xlabel(f"crystals of a group in {counted}", fontsize=8)
    return figure


def _notes(rows: list[dict[str, Any]], said: list[Answers], counted: str) -> list[str]:
    notes = []
    of_groups = [row for row in rows if row["by"] == "frequency"]
    if of_groups:
        sets = grouped(of_groups, lambda row: str(row["category"]))
        found = {name: [row["accuracy"] for row in some if row["patterns"]] for name, some in sets.items()}
        mean = {name: float(np.mean(some)) for name, some in found.items() if some}
        notes.append(
            f"Space groups in five sets of equally many groups by their crystals in {counted}; mean accuracy of "
            f"{len(of_groups) // len(sets)} records by set and span of crystals: "
            f"{', '.join(f'{100 * value:.1f} % ({name})' for name, value in mean.items())}."
        )
    notes.append(
        f"{len(said[0].truth):,} patterns in the first record; standard errors take the patterns of one crystal as one "
        "draw. A missing answer counts as wrong."
    )
    if unknown := sum(answers.unknown for answers in said):
        notes.append(f"{unknown:,} patterns of all records have no label and are left out.")
    return notes
