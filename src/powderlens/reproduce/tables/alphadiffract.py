"""AlphaDiffract's Tables 1 to 3, on measured patterns: crystal system, space group, and the cell against the mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from powderlens.reproduce.tables.entries import (
    CLASS_TASKS,
    Cell,
    Entry,
    accuracy_error,
    by_setting,
    class_metric,
    percent,
)
from powderlens.reproduce.tables.layout import laid_out
from powderlens.reproduce.tables.notes import (
    about_absent,
    about_errors,
    about_missing,
    about_ours,
    about_paper,
    words_of_setting,
)
from powderlens.reproduce.tables.published import figures, published
from powderlens.reproduce.tables.table import Row, Table, Value

LENGTHS, ANGLES = slice(0, 3), slice(3, 6)
CLASSES, CELL = "Classes", "Niggli cell"


def rruff(entries: Sequence[Entry]) -> Table:
    """Measured patterns only: the paper's rows, then ours, classes first."""
    paper = published()["alphadiffract"]
    used = [one for one in entries if one.record.protocol == "measured"]
    groups = by_setting(used)
    rows: list[Row] = []
    for key, title in (("classes", CLASSES), ("lattice", CELL)):
        source = paper[key]
        printed = figures(source, source["rows"])
        rows += [Row({"label": name, "of": "paper", **values}, title) for name, values in printed.items()]
        for group in groups:
            where = f" ({words_of_setting(group)})" if len(groups) > 1 else ""
            for one in group:
                for line in _classes(one) if key == "classes" else _lattice(one):
                    row = Row({**line, "label": f"{line['label']}{where}"}, title)
                    rows += [] if row in rows else [row]
    notes = [
        *about_paper(paper, paper["classes"]),
        *about_paper(paper, paper["lattice"]),
        "Within 1: the answer is the true space group or one edge away from it in the graph of maximal subgroups.",
        *about_ours(used),
        *about_absent(used),
        *about_errors(used),
        *about_missing(0, 0, len(entries) - len(used)),
    ]
    return laid_out("alphadiffract-rruff", rows, notes)


def _who(entry: Entry) -> dict[str, Value]:
    values = entry.about()
    how = " as published" if entry.record.as_published else ""
    return {**values, "of": "ours", "label": f"{values['label']}{how}, seed {entry.record.seed}"}


def _classes(entry: Entry) -> list[dict[str, Value]]:
    record = entry.record
    there = [task for task in CLASS_TASKS if task in record.classes]
    if not there:
        return []
    cell, values = Cell((entry,)), _who(entry)
    for task in there:
        accuracy, error = cell.figure(class_metric(task, "accuracy"), accuracy_error(task))
        values[f"{task}_percent"] = percent(accuracy)
        values[f"{task}_percent_error"] = percent(error)
        values["patterns"] = record.classes[task].patterns
    if "space_group" in record.classes:
        found = record.classes["space_group"]
        values["space_group_within_1_percent"] = percent((found.within_edges or {}).get("1"))
        values["space_group_top_5_percent"] = percent(found.top_k.get("5"))
    most: dict[str, Value] = {"of": "ours", "label": "most frequent class of the tested"}
    most |= {f"{task}_percent": percent(record.classes[task].majority) for task in there}
    return [values, {**most, "patterns": values["patterns"]}]


def _lattice(entry: Entry) -> list[dict[str, Value]]:
    found = entry.record.lattice
    if found is None:
        return []
    values = _who(entry) | {"patterns": found.answered}
    naive: dict[str, Value] = {"of": "ours", "label": f"mean of {found.naive_of}", "patterns": found.answered}
    for name, unit, part in (("length", "A", LENGTHS), ("angle", "deg", ANGLES)):
        values[f"{name}_mae_{unit}"] = _mean(found.mae[part])
        values[f"{name}_mape_percent"] = _mean(found.mape_percent[part])
        values[f"{name}_r2"] = _mean(found.r2[part])
        naive[f"{name}_mae_{unit}"] = _mean(found.naive_mae[part])
        naive[f"{name}_mape_percent"] = _mean(found.naive_mape_percent[part])
    return [values, naive]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
