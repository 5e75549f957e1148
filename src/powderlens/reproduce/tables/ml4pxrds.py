"""ML4pXRDs's Table 1: what is learnt from synthetic crystals, what is left of it on real ones, and the gap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from powderlens.evaluate.record import Record
from powderlens.reproduce.tables.entries import (
    Cell,
    Entry,
    Pair,
    accuracy_error,
    by_setting,
    cells,
    class_metric,
    known_card,
)
from powderlens.reproduce.tables.notes import (
    about_errors,
    about_majority,
    about_missing,
    about_ours,
    about_paper,
    words_of_setting,
)
from powderlens.reproduce.tables.published import published
from powderlens.reproduce.tables.table import Column, Row, Table, Value

TASK = "space_group"
PERCENT = 100
PROTOCOLS = {"random": ("out-of-library",), "structure-type": ("structure-type",)}
"""The paper's split -> protocols of our records on real crystals."""


def table1(entries: Sequence[Entry]) -> Table:
    """Table 1 with Table S2: networks, parameters, accuracies, gap; then whatever else we trained on such crystals."""
    paper = published()["ml4pxrds"]
    source = paper["table1"]
    printed: list[dict[str, Any]] = source["rows"]
    mine = [one for one in entries if _is_ours(one)]
    rows: list[Row] = []
    used: list[Entry] = []
    lacking = []
    for one in printed:
        fitting = [entry for entry in mine if _fits(entry, one)]
        used += fitting
        section = f"{one['split'].capitalize()} split, trained on {one['training']} crystals"
        found = [cell for group in by_setting(fitting) for size in _sizes(group) for cell in cells(size, TASK)]
        lacking += [] if found else [f"{one['network']} ({one['split']}, {one['training']})"]
        for place, cell in enumerate(found or [None]):
            rows.append(Row(_values(one if not place else {"network": one["network"]}, cell), section))
    rest = [one for one in mine if one not in used]
    for group in by_setting(rest):
        section = f"Not in the paper: {group[0].record.protocol}; {words_of_setting(group)}"
        for name in sorted({one.record.network for one in group}):
            for size in _sizes([one for one in group if one.record.network == name]):
                rows += [Row(_values({"network": name}, cell), section) for cell in cells(size, TASK)]
    used += rest
    notes = [
        *about_paper(paper, source),
        "Learnt kind: patterns of such crystals as were learnt; ours were not learnt themselves (the validation at the "
        "checkpoint's step). Real: the tested part. Gap: their difference.",
        *about_ours(used),
        *about_majority(used),
        *about_errors(used),
        *about_missing(len(lacking), len(printed), len(entries) - len(used), lacking),
    ]
    shown = [
        Column("network"),
        Column("label", "network"),
        Column("size"),
        Column("protocol"),
        Column("paper_parameters", "paper", ",d", "", "parameters"),
        Column("parameters", "ours", ",d", "", "parameters"),
        Column("paper_patterns", "paper", ",d", "", "patterns", True),
        Column("patterns_seen", "ours", ",d", "", "patterns", True),
        Column("paper_training_accuracy_percent", "paper", ".1f", "", "learnt kind, %"),
        Column("validation_accuracy_percent", "ours", ".1f", "", "learnt kind, %"),
        Column("paper_test_accuracy_percent", "paper", ".1f", "", "real, %"),
        Column("test_accuracy_percent", "ours", ".1f", "test_accuracy_percent_error", "real, %"),
        Column("test_accuracy_percent_error"),
        Column("paper_gap_percent", "paper", ".1f", "", "gap, %"),
        Column("gap_percent", "ours", ".1f", "", "gap, %"),
        Column("top_5_percent", "ours", ".1f", "", "in five, %", True),
        Column("paper_days", "paper", "g", "", "days", True),
        Column("training_days", "ours", ".2g", "", "days", True),
        Column("seeds"),
        Column("learning_rate"),
        Column("trained_on_sha256"),
        Column("tested_on_sha256"),
        Column("records"),
    ]
    title = "ML4pXRDs, Table 1: space groups of crystals whose structure types were not learnt"
    return Table("ml4pxrds-table1", title, tuple(shown), tuple(rows), tuple(notes))


def _is_ours(entry: Entry) -> bool:
    """A space-group network of this paper, on simulated patterns of real crystals."""
    record = entry.record
    known = known_card(record.network)
    of_paper = (known is not None and known.family == "ml4pxrds") or _kind(record) == "synthetic"
    return of_paper and record.tasks == (TASK,) and record.protocol != "measured"


def _kind(record: Record) -> str:
    return str(record.training.recipe.get("data", {}).get("kind", ""))


def _fits(entry: Entry, printed: Mapping[str, Any]) -> bool:
    """Whether a record repeats a row of the paper: for synthetic crystals whatever real ones are tested."""
    record = entry.record
    if record.network != printed["network"] or (_kind(record) == "synthetic") != (printed["training"] == "synthetic"):
        return False
    return printed["training"] == "synthetic" or record.protocol in PROTOCOLS[printed["split"]]


def _sizes(entries: Sequence[Entry]) -> list[list[Entry]]:
    split = [[one for one in entries if one.record.size == size] for size in ("full", "small")]
    return [some for some in split if some]


def _validated(record: Record) -> float | None:
    """Accuracy in the validation at the checkpoint's step."""
    at = [point for point in record.training.curve if point.step == record.training.checkpoint_step]
    return at[-1].accuracy.get(TASK) if at else None


def _values(printed: Mapping[str, Any], cell: Cell | None) -> dict[str, Value]:
    values: dict[str, Value] = {"network": printed["network"], "label": printed["network"]}
    if "parameters" in printed:
        names = ("parameters", "patterns", "training_accuracy_percent", "test_accuracy_percent", "days")
        values |= {f"paper_{name}": printed[name] for name in names}
        values["paper_gap_percent"] = printed["training_accuracy_percent"] - printed["test_accuracy_percent"]
    if cell is None:
        return values
    record = cell.first
    test, error = cell.figure(class_metric(TASK, "accuracy"), accuracy_error(TASK))
    learnt, _ = cell.figure(_validated)
    values |= {
        "label": Pair(record.network, record.size).label,
        "size": record.size,
        "protocol": record.protocol,
        "parameters": record.parameters,
        "patterns_seen": record.training.patterns_seen,
        "validation_accuracy_percent": None if learnt is None else PERCENT * learnt,
        "test_accuracy_percent": None if test is None else PERCENT * test,
        "test_accuracy_percent_error": None if error is None else PERCENT * error,
        "gap_percent": None if learnt is None or test is None else PERCENT * (learnt - test),
        "training_days": record.training.seconds / 86400,
        "seeds": len(cell.entries),
        "learning_rate": cell.entries[0].rate,
        "trained_on_sha256": record.training.data.sha256,
        "tested_on_sha256": record.tested.sha256,
        "records": " ".join(one.record.name for one in cell.entries),
    }
    top = cell.figure(lambda one: one.classes[TASK].top_k.get("5"))[0]
    values["top_5_percent"] = None if top is None else PERCENT * top
    return values
