"""What the faults of SimXRD's public code change: every repaired network in both forms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from powderlens.evaluate.answers import SILENT
from powderlens.reproduce.tables.entries import (
    CLASS_TASKS,
    TASK_WORDS,
    Cell,
    Entry,
    Pair,
    by_setting,
    choose,
    class_metric,
    difference_error,
    known_card,
    pairs,
    repaired,
)
from powderlens.reproduce.tables.layout import laid_out
from powderlens.reproduce.tables.notes import about_errors, about_missing, about_ours, sections
from powderlens.reproduce.tables.published import figures, published
from powderlens.reproduce.tables.simxrd import FORMS, pair_values
from powderlens.reproduce.tables.table import Row, Table, Value

PROTOCOLS = {"in-library": "table2", "out-of-library": "table4"}


def faults(entries: Sequence[Entry]) -> Table:
    """As published against as meant, with the difference."""
    paper = published()["simxrd"]
    networks = [name for name in paper["rows"] if repaired(name)]
    rows: list[Row] = []
    used: list[Entry] = []
    stuck: list[str] = []
    lacking: list[str] = []
    cells = 0
    for task, (protocol, key) in product(CLASS_TASKS, PROTOCOLS.items()):
        printed = figures(paper[key], paper[key][task])
        chosen = choose(entries, task, protocol, ["cross_entropy"])
        groups = by_setting([one for one in chosen if one.record.network in networks])
        for place, (group, section) in enumerate(sections(f"{TASK_WORDS[task].capitalize()}, {protocol}", groups)):
            used += group
            made = []
            for network in networks:
                for pair in pairs(group, task, network) or ([Pair(network, "full")] if not place else []):
                    made.append(Row(_values(task, protocol, pair, printed[network]), section))
                    cells += len(FORMS)
                    lacking += [
                        f"{network} as {form} ({section[0].lower()}{section[1:]})"
                        for form, one in zip(FORMS, (pair.published, pair.meant), strict=True)
                        if one is None
                    ]
            rows += made
            stuck += _stuck(section, made)
    told = {
        fault: [name for name in networks if fault in _faults(name)] for name in networks for fault in _faults(name)
    }
    notes = [
        "Difference: as meant less as published, over the same patterns.",
        "Classes: how many different ones the network answers with in the whole tested part; 1 is a network that says "
        "the same of every pattern.",
        *(f"{', '.join(names)}: {fault}" for fault, names in told.items()),
        *about_ours(used),
        *about_errors(used),
        *stuck,
        *about_missing(len(lacking), cells, len(entries) - len(used), lacking if used else ()),
    ]
    return laid_out("simxrd-faults", rows, notes)


def _faults(network: str) -> tuple[str, ...]:
    known = known_card(network)
    return known.faults if known else ()


def _values(task: str, protocol: str, pair: Pair, printed: dict[str, float | None]) -> dict[str, Value]:
    values = pair_values(task, pair, printed) | {"protocol": protocol}
    for form, cell in zip(FORMS, (pair.published, pair.meant), strict=True):
        if cell is not None:
            values[f"as_{form}_classes_answered"] = _answered(cell, task)
            values["majority"] = cell.figure(class_metric(task, "majority"))[0]
    one, other = values.get("as_published_accuracy"), values.get("as_meant_accuracy")
    if isinstance(one, float) and isinstance(other, float):
        values["difference_accuracy"] = other - one
        values["difference_accuracy_error"] = difference_error(
            pair.meant, pair.published, task, lambda said: said.right
        )
    return values


def _answered(cell: Cell, task: str) -> int | None:
    """Different classes that a network answers with; of several seeds the fewest."""
    found = [said for one in cell.entries if (said := one.answers(task)) is not None]
    return min((len(np.unique(said.predicted[said.predicted != SILENT])) for said in found), default=None)


def _stuck(section: str, rows: Sequence[Row]) -> Iterator[str]:
    """Which networks answer one class only."""
    told = []
    for form in FORMS:
        counts = {str(row.values["network"]): row.values.get(f"as_{form}_classes_answered") for row in rows}
        known = [name for name, count in counts.items() if count is not None]
        same = [name for name in known if counts[name] == 1]
        if known:
            told.append(f"as {form} {len(same)} of {len(known)}{': ' if same else ''}{', '.join(same)}")
    if told:
        yield f"{section}, the same answer to every pattern: {'; '.join(told)}."
