"""AlphaDiffract's Fig. 2: what the graph earth mover's distance in the loss does to errors of the space group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from powderlens.evaluate.answers import SILENT, Answers, clustered_error
from powderlens.evaluate.record import Record
from powderlens.reproduce.tables.entries import (
    Cell,
    Entry,
    accuracy_error,
    by_setting,
    cells,
    class_metric,
    difference_error,
    loss_kind,
    top_5,
)
from powderlens.reproduce.tables.layout import laid_out
from powderlens.reproduce.tables.notes import about_errors, about_majority, about_ours, words_of_setting
from powderlens.reproduce.tables.published import published
from powderlens.reproduce.tables.table import Row, Table, Value

TASK = "space_group"
EDGES = (1, 2, 3)


def gemd(entries: Sequence[Entry]) -> Table:
    """A row for each weight mu; mu = 0 is cross-entropy of the same network, data and limits."""
    rows: list[Row] = []
    used: list[Entry] = []
    with_group = [one for one in entries if TASK in one.record.classes and _mu(one.record) is not None]
    for group in by_setting(with_group):
        trained = sorted(group, key=_variant)
        several = len({one.setting for one in with_group}) > 1
        for (network, *_), members in groupby(trained, key=_variant):
            same = list(members)
            if len({_mu(one.record) for one in same}) < 2 or not any(_is_gemd(one.record) for one in same):
                continue
            used += same
            section = f"{network}{'; ' + words_of_setting(same) if several else ''}, {same[0].record.protocol}"
            made = sorted(cells(same, TASK), key=lambda cell: (_mu(cell.first) or 0.0, cell.entries[0].rate or 0.0))
            rows += [Row(_values(cell, made[0]), section) for cell in made]
    paper = published()["alphadiffract"]
    notes = [
        f"Paper: {paper['paper']}; Fig. 2: {paper['gemd']['says']}",
        "Edges: in the graph of maximal subgroups, from the true space group to the answer, mean of what was "
        "answered; wrong: over the wrong answers alone. Within 1: right, or one edge away, of all patterns.",
        "Fewer edges: by how much the mean is smaller than with mu = 0, over the same patterns.",
        *about_ours(used),
        *about_majority(used),
        *about_errors(used),
    ]
    return laid_out("gemd", rows, notes)


def _mu(record: Record) -> float | None:
    """Weight of the distance; 0 of plain cross-entropy, None of another loss."""
    kind, _, number = record.loss.get(TASK, "").partition("=")
    return 0.0 if kind == "cross_entropy" else float(number) if kind == "gemd" else None


def _is_gemd(record: Record) -> bool:
    return loss_kind(record, TASK) == "gemd"


def _variant(entry: Entry) -> tuple[str, bool, str, tuple[str, ...], str]:
    """What has to be the same in a section, beside the setting."""
    record = entry.record
    return record.network, record.as_published, record.size, record.tasks, record.protocol


def _values(cell: Cell, plain: Cell) -> dict[str, Value]:
    accuracy, accuracy_spread = cell.figure(class_metric(TASK, "accuracy"), accuracy_error(TASK))
    edges, edges_spread = cell.figure(class_metric(TASK, "mean_edges"), _edges_error)
    values: dict[str, Value] = {
        **cell.about(),
        "mu": _mu(cell.first),
        "loss": cell.first.loss[TASK],
        "accuracy": accuracy,
        "accuracy_error": accuracy_spread,
        "top_5": cell.figure(top_5(TASK))[0],
        "mean_edges": edges,
        "mean_edges_error": edges_spread,
        "mean_edges_wrong": _wrong(cell.entries[0]),
        **{f"within_{k}_edges": cell.figure(_within(k))[0] for k in EDGES},
    }
    before = plain.figure(class_metric(TASK, "mean_edges"))[0]
    if cell is not plain and edges is not None and before is not None:
        values["fewer_edges"] = before - edges
        values["fewer_edges_error"] = difference_error(plain, cell, TASK, _edges)
    return values


def _edges(answers: Answers) -> NDArray[np.float64]:
    """NaN where there is no answer."""
    return np.where(answers.edges == SILENT, np.nan, answers.edges)


def _edges_error(entry: Entry) -> float | None:
    answers = entry.answers(TASK)
    if answers is None:
        return None
    there = answers.edges != SILENT
    return clustered_error(answers.edges[there], answers.crystal[there])


def _within(k: int) -> Callable[[Record], float | None]:
    return lambda record: (record.classes[TASK].within_edges or {}).get(str(k))


def _wrong(entry: Entry) -> float | None:
    """Mean number of edges of the wrong answers; None where there is none, or no predictions."""
    answers = entry.answers(TASK)
    wrong = np.array([]) if answers is None else answers.edges[answers.edges > 0]
    return float(wrong.mean()) if len(wrong) else None
