"""SimXRD's Tables 2, 4 and 5: every network, crystal system and space group, beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from powderlens.reproduce.tables.entries import (
    CLASS_TASKS,
    TASK_WORDS,
    UNTRAINED,
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
from powderlens.reproduce.tables.layout import laid_out
from powderlens.reproduce.tables.notes import (
    Placed,
    about_absent,
    about_baselines,
    about_errors,
    about_majority,
    about_missing,
    about_order,
    about_ours,
    about_paper,
    sections,
)
from powderlens.reproduce.tables.published import figures, published
from powderlens.reproduce.tables.table import Row, Table, Value

METRICS = ("accuracy", "macro_f1", "macro_precision", "macro_recall")
FORMS = ("published", "meant")
PER_BATCH = 100


def table2(entries: Sequence[Entry]) -> Table:
    """Table 2: in-library, cross-entropy, with times."""
    return _table("simxrd-table2", "table2", "in-library", entries)


def out_of_library(entries: Sequence[Entry]) -> Table:
    """Table 4: crystals that were not learnt."""
    return _table("simxrd-out-of-library", "table4", "out-of-library", entries)


def measured(entries: Sequence[Entry]) -> Table:
    """Table 5: measured patterns of RRUFF."""
    return _table("simxrd-rruff", "table5", "measured", entries)


def class_values(task: str, form: str, cell: Cell | None) -> dict[str, Value]:
    """The figures of one form of a network, by key."""
    if cell is None:
        return {}
    figures = {key: cell.figure(class_metric(task, key))[0] for key in METRICS}
    figures["accuracy_error"] = cell.figure(class_metric(task, "accuracy"), accuracy_error(task))[1]
    time = cell.first.inference
    if time is not None:
        figures["time_ms_per_100"] = PER_BATCH * time.batch_100_ms
    return {f"as_{form}_{key}": value for key, value in {**figures, **cell.about()}.items()}


def pair_values(task: str, pair: Pair, printed: Mapping[str, float | None]) -> dict[str, Value]:
    """A row of a network: the paper's figures, and ours of both forms."""
    return {
        "task": task,
        "network": pair.network,
        "label": pair.label,
        "size": pair.size if pair.published or pair.meant else None,
        **{f"paper_{key}": value for key, value in printed.items()},
        **class_values(task, "published", pair.published),
        **class_values(task, "meant", pair.meant),
    }


def same_marks(network: str) -> dict[str, str]:
    """Marks of a network without faults in the columns of the form as meant."""
    return {} if repaired(network) else {f"as_meant_{key}": "same" for key in METRICS}


def _table(name: str, key: str, protocol: str, entries: Sequence[Entry]) -> Table:
    paper = published()["simxrd"]
    source = paper[key]
    rows: list[Row] = []
    used: list[Entry] = []
    orders: list[str] = []
    missing, cells, lacking = 0, 0, []
    for task in CLASS_TASKS:
        printed = figures(source, source[task])
        groups = by_setting(choose(entries, task, protocol, ["cross_entropy", UNTRAINED]))
        for place, (group, section) in enumerate(sections(TASK_WORDS[task].capitalize(), groups)):
            used += [one for one in group if one not in used]
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
    notes = [
        "As published: with the faults of the public code (`powderlens models show NAME`); as meant: without. "
        "A network without faults is the same in both and serves both orders.",
        *about_paper(paper, source),
        *about_ours(used),
        *about_baselines(used),
        *about_majority(used),
        *about_absent(used),
        *_about_time(used),
        *about_errors(used),
        *orders,
        *about_missing(missing, cells, len(entries) - len(used), lacking),
    ]
    return laid_out(name, rows, notes)


def _values(task: str, pair: Pair, printed: Mapping[str, float | None]) -> dict[str, Value]:
    values = pair_values(task, pair, printed) | {"repaired": repaired(pair.network)}
    for name in ("parameters", "time_ms_per_100"):
        values[name] = values.get(f"as_published_{name}", values.get(f"as_meant_{name}"))
    return values


def _about_time(entries: Sequence[Entry]) -> list[str]:
    times = [one.record.inference for one in entries if one.record.inference is not None and one.trained]
    where = sorted({f"{t.device}, {t.threads} thread{'s' if t.threads > 1 else ''}" for t in times})
    if not where:
        return []
    return [
        f"Times of ours: a batch of 100 on ready tensors, evaluation mode ({'; '.join(where)}), of the network as "
        "published or else as meant, as are the parameters; CSV has both forms."
    ]
