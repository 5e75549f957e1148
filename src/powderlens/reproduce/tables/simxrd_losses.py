"""SimXRD's Table 3: weighted, smoothed and focal cross-entropy against long tails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from powderlens.reproduce.tables.entries import (
    CLASS_TASKS,
    TASK_WORDS,
    Entry,
    Pair,
    by_setting,
    choose,
    loss_kind,
    pairs,
)
from powderlens.reproduce.tables.layout import laid_out
from powderlens.reproduce.tables.notes import (
    about_errors,
    about_majority,
    about_missing,
    about_ours,
    about_paper,
    sections,
)
from powderlens.reproduce.tables.published import figures, published
from powderlens.reproduce.tables.simxrd import FORMS, pair_values, same_marks
from powderlens.reproduce.tables.table import Row, Table, Value

PLAIN = "cross_entropy"
LOSSES = {PLAIN: "cross-entropy", "weighted": "weighted", "smoothed": "label smoothing", "focal": "focal"}

Printed = Mapping[str, Mapping[str, Mapping[str, float | None]]]
"""Loss -> network -> column -> the paper's figure."""


def table3(entries: Sequence[Entry]) -> Table:
    """Table 3: three losses, and cross-entropy beside them; networks that were trained with none stand in CSV alone."""
    paper = published()["simxrd"]
    source = paper["table3"]
    rows: list[Row] = []
    used: list[Entry] = []
    effects: list[str] = []
    lacking: list[str] = []
    for task in CLASS_TASKS:
        printed = {PLAIN: figures(paper["table2"], paper["table2"][task])}
        printed |= {loss: figures(source, source[task][loss]) for loss in LOSSES if loss != PLAIN}
        groups = [
            group
            for group in by_setting(choose(entries, task, "in-library", list(LOSSES)))
            if any(loss_kind(one.record, task) != PLAIN for one in group)
        ]
        for place, (group, section) in enumerate(sections(TASK_WORDS[task].capitalize(), groups)):
            tried = {one.record.network for one in group if loss_kind(one.record, task) != PLAIN}
            shown = [one for one in group if one.record.network in tried]
            used += shown
            made: list[Row] = []
            for network in (*paper["rows"], *sorted(tried - set(paper["rows"]))):
                if network not in tried and place:
                    continue
                for loss in LOSSES:
                    of_loss = [one for one in shown if loss_kind(one.record, task) == loss]
                    for pair in pairs(of_loss, task, network) or [Pair(network, "full")]:
                        values = _values(task, loss, pair, printed[loss].get(network, {}))
                        there = pair.published or pair.meant
                        marks = same_marks(network) if there else {}
                        made.append(Row(values, section, hidden=network not in tried, marks=marks))
            rows += made
            absent = sum(name not in tried for name in paper["rows"])
            lacking += [f"{section}: {absent} of {len(paper['rows'])} networks have no record with these losses."]
            effects += [_effect(section, loss, made, printed) for loss in LOSSES if loss != PLAIN and tried]
    notes = [
        *about_paper(paper, source),
        *about_ours(used),
        *about_majority(used),
        *about_errors(used),
        *effects,
        *lacking,
        "The paper's figures for networks without such a record stand in CSV alone.",
        *about_missing(0, 0, len(entries) - len(used)),
    ]
    return laid_out("simxrd-table3", rows, notes)


def _values(task: str, loss: str, pair: Pair, printed: Mapping[str, float | None]) -> dict[str, Value]:
    cell = pair.published or pair.meant
    number = cell.first.loss[task].partition("=")[2] if cell else ""
    return pair_values(task, pair, printed) | {"loss_kind": loss, "loss": f"{LOSSES[loss]} {number}".strip()}


def _effect(section: str, loss: str, rows: Sequence[Row], printed: Printed) -> str:
    """How a loss changes macro F1 against cross-entropy: in the paper, and with us."""
    theirs = [
        change
        for network, of_network in printed[loss].items()
        if (change := _minus(of_network["macro_f1"], printed[PLAIN][network]["macro_f1"])) is not None
    ]
    ours = []
    for form in FORMS:
        key = f"as_{form}_macro_f1"
        plain = {row.values["label"]: row.values.get(key) for row in rows if row.values["loss_kind"] == PLAIN}
        of_loss = [row.values for row in rows if row.values["loss_kind"] == loss]
        changes = [_minus(values.get(key), plain.get(values["label"])) for values in of_loss]
        ours += [change for change in changes if change is not None]
    return f"{section}, {LOSSES[loss]} against cross-entropy, macro F1: paper {_up(theirs)}; ours {_up(ours)}."


def _minus(one: Value, other: Value) -> float | None:
    return one - other if isinstance(one, float) and isinstance(other, float) else None


def _up(changes: Sequence[float]) -> str:
    if not changes:
        return "no pair of records"
    up = sum(change > 0 for change in changes)
    return f"higher in {up} of {len(changes)}, by {sum(changes) / len(changes):+.3f} on average"
