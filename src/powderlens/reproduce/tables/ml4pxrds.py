"""ML4pXRDs's Table 1: what is learnt from synthetic crystals, what is left of it on real ones, and the gap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from powderlens.evaluate.record import Record
from powderlens.reproduce.tables.entries import (
    Cell,
    Entry,
    accuracy_error,
    by_setting,
    cells,
    class_metric,
    known_card,
    percent,
    top_5,
    validated,
)
from powderlens.reproduce.tables.layout import laid_out
from powderlens.reproduce.tables.notes import (
    about_errors,
    about_majority,
    about_missing,
    about_ours,
    about_paper,
    words_of_setting,
)
from powderlens.reproduce.tables.published import published
from powderlens.reproduce.tables.table import Row, Table, Value

TASK = "space_group"
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
    return laid_out("ml4pxrds-table1", rows, notes)


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


def _learnt(record: Record) -> float | None:
    """Accuracy in the validation at the checkpoint's step."""
    at = validated(record)
    return None if at is None else at.accuracy.get(TASK)


def _values(printed: Mapping[str, Any], cell: Cell | None) -> dict[str, Value]:
    values: dict[str, Value] = {"network": printed["network"], "label": printed["network"]}
    if "parameters" in printed:
        names = ("parameters", "patterns", "training_accuracy_percent", "test_accuracy_percent", "days")
        values |= {f"paper_{name}": printed[name] for name in names}
        values["paper_gap_percent"] = printed["training_accuracy_percent"] - printed["test_accuracy_percent"]
    if cell is None:
        return values
    test, error = cell.figure(class_metric(TASK, "accuracy"), accuracy_error(TASK))
    learnt, _ = cell.figure(_learnt)
    return values | {
        **cell.about(),
        "validation_accuracy_percent": percent(learnt),
        "test_accuracy_percent": percent(test),
        "test_accuracy_percent_error": percent(error),
        "gap_percent": None if learnt is None or test is None else percent(learnt - test),
        "top_5_percent": percent(cell.figure(top_5(TASK))[0]),
        "training_days": cell.first.training.seconds / 86400,
    }
