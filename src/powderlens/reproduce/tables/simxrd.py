"""SimXRD's Tables 2, 4 and 5: every network, crystal system and space group, beside ours."""

from __future__ import annotations

from collections.abc import Sequence

from powderlens.reproduce.tables.entries import (
    CLASS_TASKS,
    TASK_WORDS,
    Cell,
    Entry,
    Pair,
    accuracy_error,
    by_setting,
    choose,
    class_metric,
    pairs,
    repaired,
)
from powderlens.reproduce.tables.notes import (
    Placed,
    about_absent,
    about_errors,
    about_majority,
    about_missing,
    about_order,
    about_ours,
    about_paper,
    words_of_setting,
)
from powderlens.reproduce.tables.published import figures, published
from powderlens.reproduce.tables.table import Column, Row, Table, Value

METRICS = {"accuracy": "accuracy", "macro_f1": "F1", "macro_precision": "precision", "macro_recall": "recall"}
FORMS = ("published", "meant")
PER_BATCH = 100


def table2(entries: Sequence[Entry]) -> Table:
    """Table 2: in-library, cross-entropy, with times."""
    title = "SimXRD, Table 2: crystals whose other patterns were learnt (in-library)"
    return _table("simxrd-table2", title, "table2", "in-library", entries)


def out_of_library(entries: Sequence[Entry]) -> Table:
    """Table 4: crystals that were not learnt."""
    title = "SimXRD, Table 4: crystals that were not learnt (out-of-library)"
    return _table("simxrd-out-of-library", title, "table4", "out-of-library", entries)


def measured(entries: Sequence[Entry]) -> Table:
    """Table 5: measured patterns of RRUFF."""
    return _table("simxrd-rruff", "SimXRD, Table 5: measured patterns of RRUFF", "table5", "measured", entries)


def columns(metrics: dict[str, str], *, paper: bool = True) -> list[Column]:
    """Of each metric: the paper's, ours as published and as meant; with errors where it is an accuracy."""
    made = []
    for key, words in metrics.items():
        wide = key not in ("accuracy", "macro_f1")
        made += [Column(f"paper_{key}", "paper", ".3f", "", words, wide)] if paper else []
        for form in FORMS:
            error = f"as_{form}_{key}_error" if key == "accuracy" else ""
            made.append(Column(f"as_{form}_{key}", f"as {form}", ".3f", error, words, wide))
            made += [Column(error)] if error else []
    return made


def class_values(task: str, form: str, cell: Cell | None) -> dict[str, Value]:
    """The figures of one form of a network, by key."""
    if cell is None:
        return {}
    made: dict[str, Value] = {}
    for key in METRICS:
        error = accuracy_error(task) if key == "accuracy" else None
        made[f"as_{form}_{key}"], uncertainty = cell.figure(class_metric(task, key), error)
        if key == "accuracy":
            made[f"as_{form}_accuracy_error"] = uncertainty
    time = cell.first.inference
    if time is not None:
        made[f"as_{form}_time_ms_per_100"] = PER_BATCH * time.batch_100_ms
    made[f"as_{form}_parameters"] = cell.first.parameters
    made[f"as_{form}_seeds"] = len(cell.entries)
    made[f"as_{form}_learning_rate"] = cell.entries[0].rate
    made[f"as_{form}_patterns_seen"] = cell.first.training.patterns_seen
    made[f"as_{form}_trained_on_sha256"] = cell.first.training.data.sha256
    made[f"as_{form}_tested_on_sha256"] = cell.first.tested.sha256
    made[f"as_{form}_records"] = " ".join(one.record.name for one in cell.entries)
    return made


def own_columns() -> list[Column]:
    """What CSV says beyond the figures."""
    more = ("seeds", "learning_rate", "patterns_seen", "trained_on_sha256", "tested_on_sha256", "records")
    return [Column(f"as_{form}_{name}") for form in FORMS for name in more]


def same_marks(network: str) -> dict[str, str]:
    """Marks of a network without faults in the columns of the form as meant."""
    return {} if repaired(network) else {f"as_meant_{key}": "same" for key in METRICS}


def _table(name: str, title: str, key: str, protocol: str, entries: Sequence[Entry]) -> Table:
    paper = published()["simxrd"]
    source = paper[key]
    timed = "time_ms_per_100" in source["columns"]
    rows: list[Row] = []
    used: list[Entry] = []
    orders: list[str] = []
    missing, cells, lacking = 0, 0, []
    for task in CLASS_TASKS:
        printed = figures(source, source[task])
        groups = by_setting(choose(entries, task, protocol, ["cross_entropy"]))
        for place, group in enumerate(groups or [[]]):
            used += group
            words = TASK_WORDS[task].capitalize()
            section = words if len(groups) < 2 else f"{words}; {words_of_setting(group)}"
            others = sorted({one.record.network for one in group} - set(paper["rows"]))
            order: dict[str, list[Placed]] = {form: [] for form in FORMS}
            for network in (*paper["rows"], *others):
                made = pairs(group, task, network)
                if not made and place:
                    continue
                for pair in made or [Pair(network, "full")]:
                    values = _values(task, pair, printed.get(network, {}))
                    rows.append(Row(values, section, marks=same_marks(network) if made else {}))
                    if network not in printed:
                        continue
                    forms = FORMS if repaired(network) else FORMS[:1]
                    absent = [form for form in forms if f"as_{form}_accuracy" not in values]
                    cells, missing = cells + len(forms), missing + len(absent)
                    lacking += [f"{network} as {form}" if len(forms) > 1 else network for form in absent]
                    for form in FORMS:
                        taken = form if form in forms else FORMS[0]
                        cell, ours = getattr(pair, taken), values.get(f"as_{taken}_accuracy")
                        theirs = printed[network]["accuracy"]
                        if theirs is not None and isinstance(ours, float):
                            order[form].append(Placed(network, theirs, ours, cell))
            for form in FORMS:
                orders += about_order(f"{section[0].lower()}{section[1:]}, as {form}", task, order[form])
    shown = [
        Column("task"),
        Column("network"),
        Column("label", "network"),
        Column("size"),
        Column("repaired"),
        *columns(METRICS),
        Column("parameters", "parameters", ",d"),
        Column("as_published_parameters"),
        Column("as_meant_parameters"),
        *([Column("paper_time_ms_per_100", "paper", ".1f", "", "ms / 100", True)] if timed else []),
        Column("time_ms_per_100", "ours", ".1f", "", "ms / 100", True),
        Column("as_published_time_ms_per_100"),
        Column("as_meant_time_ms_per_100"),
        *own_columns(),
    ]
    notes = [
        "As published: with the faults of the public code (`powderlens models show NAME`); as meant: without. "
        "A network without faults is the same in both and serves both orders.",
        *about_paper(paper, source),
        *about_ours(used),
        *about_majority(used),
        *about_absent(used),
        *_about_time(used),
        *about_errors(used),
        *orders,
        *about_missing(missing, cells, len(entries) - len(used), lacking),
    ]
    return Table(name, title, tuple(shown), tuple(rows), tuple(notes))


def _values(task: str, pair: Pair, printed: dict[str, float | None]) -> dict[str, Value]:
    values = {
        "task": task,
        "network": pair.network,
        "label": pair.label,
        "size": pair.size if pair.published or pair.meant else None,
        "repaired": repaired(pair.network),
        **{f"paper_{key}": value for key, value in printed.items()},
        **class_values(task, "published", pair.published),
        **class_values(task, "meant", pair.meant),
    }
    for name in ("parameters", "time_ms_per_100"):
        values[name] = values.get(f"as_published_{name}", values.get(f"as_meant_{name}"))
    return values


def _about_time(entries: Sequence[Entry]) -> list[str]:
    times = [one.record.inference for one in entries if one.record.inference is not None]
    where = sorted({f"{t.device}, {t.threads} thread{'s' if t.threads > 1 else ''}" for t in times})
    if not where:
        return []
    return [
        f"Times of ours: a batch of 100 on ready tensors, evaluation mode ({'; '.join(where)}), of the network as "
        "published or else as meant, as are the parameters; CSV has both forms."
    ]
