"""What stands under a table: how our records differ from the paper's work, all read from the records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from powderlens.evaluate.record import CorpusPart
from powderlens.reproduce.tables.entries import (
    BASELINES,
    TASK_WORDS,
    Cell,
    Entry,
    by_setting,
    difference_error,
    known_card,
)
from powderlens.reproduce.tables.statistics import spearman, swaps
from powderlens.symmetry.groups import SYSTEM_OF, SYSTEMS

SWAPS = 5
FEWEST = 3
"""Networks without which there is no order to speak of."""
FEW = 12


def about_paper(paper: Mapping[str, Any], table: Mapping[str, Any]) -> list[str]:
    """Source of the paper's figures, its data and budget, and remarks."""
    training = f"; {paper['training']}" if "training" in paper else ""
    trained = f"trained on {table['trained']}{training}; " if "trained" in table else ""
    return [f"Paper: {paper['paper']}; {table['where']}: {trained}tested on {table['tested']}.", *table["remarks"]]


def about_ours(entries: Sequence[Entry]) -> list[str]:
    """Data, budget, sizes, rates, seeds of the trained ones among the records that a table shows."""
    entries = [one for one in entries if one.trained]
    if not entries:
        return ["Ours: no record fits this table."]
    notes = [_setting(group) for group in by_setting(entries)]
    small = {one.record.network for one in entries if one.record.size == "small"}
    reduced = {name: known.small for name in sorted(small) if (known := known_card(name)) and known.small}
    if reduced:
        alike: dict[str, list[str]] = {}
        for name, what in reduced.items():
            alike.setdefault(what, []).append(name)
        told = "; ".join(f"{', '.join(names)}: {what}" for what, names in alike.items())
        notes.append(f"At their small size, which is another network than the paper's: {told}.")
    rates = sorted({one.rate for one in entries if one.rate is not None})
    rate = " to ".join(f"{value:g}" for value in dict.fromkeys((rates[0], rates[-1]))) if rates else "not recorded"
    notes.append(f"Highest learning rate {rate}. What chose checkpoint and settings: {_chosen(entries)}.")
    notes += _unfinished(entries)
    passes = sorted({one.record.network for one in entries if one.record.passes > 1})
    if passes:
        notes.append(f"Answers are means over several passes with dropout on: {', '.join(passes)}.")
    return notes


def about_baselines(entries: Sequence[Entry]) -> list[str]:
    """What is not trained: what it knows, what chose its settings, how long it takes, what it leaves open."""
    notes = []
    for one in entries:
        if one.trained:
            continue
        record, task = one.record, one.record.tasks[0]
        silent = record.classes[task].patterns - record.classes[task].answered
        time = record.inference
        took = "" if time is None else f"; {time.batch_1_ms:.2g} ms of a processor a pattern, peaks found included"
        notes.append(
            f"{BASELINES.get(record.network, record.network)}, {TASK_WORDS[task]}: nothing is trained; cards of the "
            f"{record.training.data.crystals:,} crystals of {record.training.data.name}; {record.training.chosen_by}; "
            f"{silent:,} patterns without an answer, counted as wrong{took}. The paper describes the method and has no "
            "figure of it."
        )
    return notes


def about_majority(entries: Sequence[Entry]) -> list[str]:
    """What always giving the same answer would reach."""
    found: dict[str, set[str]] = {}
    for one in entries:
        for task, figures in one.record.classes.items():
            found.setdefault(TASK_WORDS.get(task, task), set()).add(f"{figures.majority:.3f}")
    told = "; ".join(f"{task} {', '.join(sorted(values))}" for task, values in found.items())
    return [f"Always the most frequent class of our tested part: {told}."] if found else []


def about_absent(entries: Sequence[Entry]) -> list[str]:
    """Crystal systems of which the tested patterns, where these are measured, hold none; read from the predictions."""
    notes = []
    tested = {one.record.tested.sha256: one for one in entries if one.record.protocol == "measured"}
    for one in tested.values():
        task = next((task for task in ("space_group", "crystal_system") if task in one.record.classes), None)
        answers = None if task is None else one.answers(task)
        if answers is None:
            continue
        systems = np.array(SYSTEM_OF)[answers.truth] if task == "space_group" else answers.truth
        absent = [name for i, name in enumerate(SYSTEMS) if i not in systems]
        if absent:
            notes.append(
                f"Of {_part(one.record.tested)} none is {' or '.join(absent)}: the figures say nothing of that."
            )
    return notes


def about_errors(entries: Sequence[Entry]) -> list[str]:
    """What ± means here."""
    several = len({one.record.seed for one in entries}) > 1
    bare = sum(one.answers(task) is None for one in entries for task in one.record.classes)
    said = (
        "± is one standard error with all patterns of a crystal taken together, as they are not independent; it holds "
        "for one training, and says nothing of other seeds."
    )
    if several:
        said += " Where there are several seeds: mean ± sample standard deviation of the seeds."
    if bare:
        said += f" {bare} figures stand without it: their predictions do not lie beside the record."
    return [said] if entries else []


def about_missing(missing: int, cells: int, left_out: int, names: Iterable[str] = ()) -> list[str]:
    """How many cells have no record, and how many records no cell."""
    notes = []
    lacking = ", ".join(dict.fromkeys(names))
    if missing:
        which = f": {lacking}" if lacking else ""
        notes.append(f"Without a record: {missing} of {cells}{which}.")
    if left_out:
        notes.append(f"{left_out} records are of other tasks, losses or protocols and stand in other tables.")
    return notes


class Placed(NamedTuple):
    """A network's accuracy in the paper and here, and the records that say so."""

    name: str
    paper: float
    ours: float
    cell: Cell


def about_order(what: str, task: str, placed: Sequence[Placed]) -> list[str]:
    """Rank correlation of the paper's and our accuracies, and the pairs that swap most."""
    if len(placed) < FEWEST:
        return []
    names, paper, ours, found_cells = zip(*placed, strict=True)
    rho, found = spearman(paper, ours), swaps(names, paper, ours)
    number = "not defined, all are equal" if rho is None else f"{rho:.2f}"
    order = f"Order, {what}: Spearman's ρ of the paper's and our accuracies is {number} over {len(names)} networks"
    ordered = sum(paper[i] != paper[j] for i in range(len(names)) for j in range(i))
    order += f"; {len(found)} of the {ordered} pairs that the paper tells apart stand the other way round"
    cell = dict(zip(names, found_cells, strict=True))
    errors = [difference_error(cell[one.better], cell[one.worse], task, lambda said: said.right) for one in found]
    if found and all(error is not None for error in errors):
        clear = sum(one.our_gap > 2 * (error or 0.0) for one, error in zip(found, errors, strict=True))
        order += f", {clear} of them by more than two standard errors of the difference"
    if found:
        most = "; ".join(
            f"{one.better} over {one.worse} by {one.paper_gap:.3f} in the paper, under it by {one.our_gap:.3f} here"
            for one in found[:SWAPS]
        )
        order += f". Most of all: {most}"
    return [order + "."]


def words_of_setting(entries: Sequence[Entry]) -> str:
    """A setting in a few words, to head a section."""
    one = entries[0]
    trained, tested = one.record.training.data.corpus, one.record.tested.corpus
    where = trained if trained == tested else f"{trained}, tested on {tested}"
    return f"{where}, {one.budget}"


def sections(words: str, groups: Sequence[list[Entry]]) -> list[tuple[list[Entry], str]]:
    """Each group of one setting with what heads it, which tells the setting where there are several; else an empty one.

    Args:
        words: begin the head.
        groups: of `by_setting`.
    """
    several = len(groups) > 1
    return [(group, f"{words}; {words_of_setting(group)}" if several else words) for group in groups or [[]]]


def _setting(entries: Sequence[Entry]) -> str:
    training, tested = entries[0].record.training, entries[0].record.tested
    seen = sorted({one.record.training.patterns_seen for one in entries})
    shown = " to ".join(f"{value:,}" for value in dict.fromkeys((seen[0], seen[-1])))
    seeds = ", ".join(str(seed) for seed in sorted({one.record.seed for one in entries}))
    return (
        f"Ours, {words_of_setting(entries)}: {len(entries)} records; trained on {_part(training.data)}, "
        f"{shown} patterns shown in training; tested on {_part(tested)}; seeds {seeds}."
    )


def _part(part: CorpusPart) -> str:
    crystals = "" if part.crystals is None else f" of {part.crystals:,} crystals"
    protocol = "" if part.protocol_of_patterns is None else f", protocol {part.protocol_of_patterns}"
    return f"{part.patterns:,} patterns{crystals} ({part.corpus}:{part.part}{protocol}, sha256 {part.sha256[:12]})"


def _chosen(entries: Sequence[Entry]) -> str:
    """What chose checkpoints and settings, as far as it is the same for all."""
    ways = list(dict.fromkeys(one.record.training.chosen_by for one in entries))
    if len(ways) == 1:
        return ways[0]
    common = [part for part in ways[0].split("; ") if all(part in way.split("; ") for way in ways)]
    return "; ".join([*common, "the rest differs from network to network, see `powderlens table training --format md`"])


def _unfinished(entries: Sequence[Entry]) -> list[str]:
    """Runs that did not end as planned, and patterns without an answer."""
    notes = []
    diverged = sorted({one.record.name for one in entries if one.record.training.stopped_by == "diverged"})
    if diverged:
        notes.append(f"Diverged, last good checkpoint taken: {', '.join(diverged)}.")
    silent = {
        one.record.name: count
        for one in entries
        if (count := sum(figures.patterns - figures.answered for figures in one.record.classes.values()))
    }
    if silent:
        named = "; ".join(f"{name} {count:,}" for name, count in list(silent.items())[:FEW])
        notes.append(f"Patterns without an answer, counted as wrong: {named}.")
    return notes
