"""What SimXRD concludes from its Table 2, as differences of accuracies: in the paper, and in ours of both forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from powderlens.reproduce.tables.entries import (
    CLASS_TASKS,
    TASK_WORDS,
    Cell,
    Entry,
    by_setting,
    choose,
    class_metric,
    difference_error,
    pairs,
)
from powderlens.reproduce.tables.layout import laid_out
from powderlens.reproduce.tables.notes import about_errors, about_ours, sections
from powderlens.reproduce.tables.published import figures, published
from powderlens.reproduce.tables.simxrd import FORMS
from powderlens.reproduce.tables.simxrd_faults import PROTOCOLS
from powderlens.reproduce.tables.table import Row, Table, Value

CLEAR = 2
"""Standard errors from which on a difference is one."""


@dataclass(frozen=True)
class Claim:
    """`better` is above the best of `others`, says the paper in words."""

    words: str
    better: str
    others: tuple[str, ...]
    protocols: tuple[str, ...] = tuple(PROTOCOLS)


_OTHERS = tuple(name for name in published()["simxrd"]["rows"] if name not in ("bigru", "cnn11"))
CLAIMS = (
    Claim("CNN11, without pooling, above all other CNNs", "cnn11", tuple(f"cnn{i}" for i in range(1, 11))),
    Claim("RNN in both directions above one", "birnn", ("rnn",)),
    Claim("LSTM in both directions above one", "bilstm", ("lstm",)),
    Claim("GRU in both directions above one", "bigru", ("gru",)),
    Claim("patches (PatchTST) above the raw Transformer", "patchtst", ("transformer",)),
    Claim("BiGRU above all but CNN11", "bigru", _OTHERS, ("out-of-library",)),
    Claim("CNN11 above all but BiGRU", "cnn11", _OTHERS, ("out-of-library",)),
)


def conclusions(entries: Sequence[Entry]) -> Table:
    """A row a conclusion; a network without faults serves both forms."""
    paper = published()["simxrd"]
    rows: list[Row] = []
    used: list[Entry] = []
    for task, (protocol, key) in product(CLASS_TASKS, PROTOCOLS.items()):
        printed = {name: row["accuracy"] for name, row in figures(paper[key], paper[key][task]).items()}
        groups = by_setting(choose(entries, task, protocol, ["cross_entropy"]))
        for group, section in sections(f"{TASK_WORDS[task].capitalize()}, {protocol}", groups):
            used += group
            found = {form: _cells(group, task, form) for form in FORMS}
            for claim in (one for one in CLAIMS if protocol in one.protocols):
                values: dict[str, Value] = {"task": task, "protocol": protocol, "claim": claim.words}
                theirs = {name: value for name, value in printed.items() if value is not None}
                values["paper_difference"] = theirs[claim.better] - max(theirs[name] for name in claim.others)
                for form in FORMS:
                    values |= _ours(claim, task, form, found[form])
                rows.append(Row(values, section))
    notes = [
        f"Paper: {paper['paper']}; section 4.3 on its Tables 2 and 4. Where its own difference is not above zero, its "
        "words go further than its tables.",
        "Difference: accuracy of the network named first less that of the best of the others that have records. "
        f"Stands: more than {CLEAR} standard errors above zero; falls: as far below; open: between, or no error known. "
        "The best of several is itself chosen by these figures, which flatters it.",
        *about_ours(used),
        *about_errors(used),
    ]
    return laid_out("simxrd-conclusions", rows, notes)


def _cells(group: Sequence[Entry], task: str, form: str) -> dict[str, Cell]:
    """Network -> its records in a form; of a network without faults those it has."""
    found: dict[str, Cell] = {}
    for name in sorted({one.record.network for one in group}):
        for pair in pairs(group, task, name):
            cell = pair.published if form == "published" else (pair.meant or _unrepaired(pair.published))
            if cell is not None:
                found.setdefault(name, cell)
    return found


def _unrepaired(cell: Cell | None) -> Cell | None:
    return None if cell is None or cell.first.as_published else cell


def _ours(claim: Claim, task: str, form: str, cells: dict[str, Cell]) -> dict[str, Value]:
    others = [name for name in claim.others if name in cells]
    if claim.better not in cells or not others:
        return {}
    accuracy = {name: cells[name].figure(class_metric(task, "accuracy"))[0] or 0.0 for name in (claim.better, *others)}
    best = max(others, key=lambda name: accuracy[name])
    difference = accuracy[claim.better] - accuracy[best]
    error = difference_error(cells[claim.better], cells[best], task, lambda said: said.right)
    clear = error is not None and abs(difference) > CLEAR * error
    verdict = "open" if not clear else "stands" if difference > 0 else "falls"
    return {
        f"as_{form}_difference": difference,
        f"as_{form}_difference_error": error,
        f"as_{form}_against": best,
        f"as_{form}_compared": len(others),
        f"as_{form}_verdict": verdict,
    }
