"""A record of search-match on a corpus, of the same form as a network's. No torch."""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from powderlens import __version__
from powderlens.core.errors import InputError, PowderlensError
from powderlens.core.files import atomic_write, file_sha256, make_folder
from powderlens.corpus.store.corpus import Corpus, Labels
from powderlens.corpus.store.drawn import DrawnCorpus
from powderlens.evaluate.metrics import NONE, class_figures
from powderlens.evaluate.record import Inference, Record, Training, made_here, write_record
from powderlens.evaluate.separation import derive_protocol, describe_part
from powderlens.evaluate.training_run import TRAIN, Learnt, safe_name
from powderlens.pattern.spacing import angles_of
from powderlens.reproduce.search_match.cards import Cards
from powderlens.reproduce.search_match.lines import Lines, lines_of_crystal, lines_of_pattern

Task = Literal["space_group", "crystal_system"]
TASKS: tuple[Task, ...] = ("space_group", "crystal_system")

NAME, LOSS = "search-match", "none"
VALIDATION = "validation"
WINDOWS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
"""Errors of ln d of which the validation part chooses one, see `Cards.ranked`."""
TOP = 10
TOGETHER, TIMED = 100, 50
NOTHING_ALIKE = "no card has a line in common with it"


@dataclass(frozen=True, eq=False)
class SearchMatch:
    """The cards of the crystals that a corpus learns from, with what they are of.

    Attributes:
        corpus: that they are of.
        cards: a card of each crystal of its part `train`.
        labels: of these crystals.
        seconds: of processor time that the cards took.
    """

    corpus: DrawnCorpus
    cards: Cards
    labels: Labels
    seconds: float

    @classmethod
    def of_corpus(cls, corpus: DrawnCorpus) -> SearchMatch:
        """Make the cards from the reflections of the crystals at rest.

        Raises:
            InputError: no part `train`, or nothing in it.
        """
        began = time.process_time()
        numbers = corpus.numbers(TRAIN)
        crystals, first = np.unique(corpus.crystal_of(numbers), return_index=True)
        if not len(crystals):
            raise InputError(f"{corpus.path}: its part {TRAIN!r} holds no patterns, so there are no cards to search")
        cards = Cards([lines_of_crystal(corpus.at_rest(row), corpus.grid) for row in crystals.tolist()])
        return cls(corpus, cards, corpus.labels(numbers[first]), time.process_time() - began)

    def answers(self, pattern: Lines | None, windows: Mapping[Task, float]) -> dict[Task, list[int]]:
        """Classes of each task in the order of their best cards, at most `TOP`; none where no card is at all alike.

        Args:
            pattern: its list; None where it could not be read.
            windows: of each task, see `Comparison.ranked`.
        """
        if pattern is None or not len(pattern):
            return {task: [] for task in windows}
        compared = self.cards.compare(pattern)
        return {
            task: list(dict.fromkeys(values_of(task, self.labels)[compared.ranked(window)].tolist()))[:TOP]
            for task, window in windows.items()
        }

    def accuracies(self, patterns: Sequence[Lines | None], labels: Labels, task: Task) -> dict[float, float]:
        """Share of right answers at each of `WINDOWS`."""
        right = dict.fromkeys(WINDOWS, 0)
        classes, truth = values_of(task, self.labels), values_of(task, labels).tolist()
        for pattern, true in zip(patterns, truth, strict=True):
            if pattern is None or not len(pattern):
                continue
            compared = self.cards.compare(pattern)
            for window in WINDOWS:
                best = compared.ranked(window)[:1]
                right[window] += bool(len(best)) and int(classes[best[0]]) == true
        return {window: count / len(patterns) for window, count in right.items()}


def values_of(task: Task, labels: Labels) -> NDArray[np.int64]:
    """(n,) classes of a task, `NONE` where nothing is known."""
    if task == "crystal_system":
        return labels.crystal_system.astype(np.int64)
    groups = labels.space_group.astype(np.int64)
    return np.where(groups > 0, groups, NONE)


def evaluate_search_match(
    corpus: Path,
    part: str | None,
    folder: Path,
    *,
    tasks: Sequence[Task] = TASKS,
    trained_on: Path | None = None,
    window: float | None = None,
    protocol: str | None = None,
    name: str | None = None,
    timing: bool = True,
    command: str,
) -> list[Record]:
    """Answer a part of a corpus with the crystals of the best cards; NAME.parquet and NAME.json of each task.

    Args:
        corpus: drawn, stored or measured.
        part: of its split; None is "test" of drawn patterns, else "all".
        folder: for the files; those of the same name are replaced.
        tasks: a record each, as networks with one head have.
        trained_on: the corpus whose crystals have cards, where it is not the tested one.
        window: error of ln d; None lets the validation part of that corpus choose, for each task.
        protocol: see `evaluate_network`.
        name: what the names of the files begin with; None is "search-match"; task and corpora follow.
        timing: measure the time of an answer.
        command: that repeats it.

    Returns:
        The records.

    Raises:
        InputError: a window that is none, a corpus that has no crystals, see also `derive_protocol`.
    """
    if window is not None and not 0 < window <= 0.5:
        raise InputError(f"window {window:g}: an error of ln d; give more than 0 and at most 0.5, such as 0.01")
    learns = DrawnCorpus.open(trained_on or corpus)
    tested: Corpus = learns if trained_on is None else Corpus.open(corpus, learns.grid)
    if tested.manifest["sha256"] == learns.manifest["sha256"]:
        tested = learns
    if tested.grid != learns.grid:
        raise InputError(f"{corpus}: its patterns lie on another grid than those of {trained_on}; build it on that one")
    part = part or ("test" if isinstance(tested, DrawnCorpus) else "all")
    asked = tested.numbers(part)
    if not len(asked):
        raise InputError(f"{corpus}: its part {part!r} holds no patterns")
    chooses = window is None
    if chooses and not (VALIDATION in learns.parts and len(learns.numbers(VALIDATION))):
        raise InputError(f"{learns.path}: has no part {VALIDATION}, which would choose the window; give --window")
    parts = (TRAIN, VALIDATION) if chooses else (TRAIN,)
    learnt = Learnt("corpus", learns.path.resolve().name, learns.manifest["sha256"], parts)
    found = derive_protocol(learnt, tested, part, learns, protocol)
    search = SearchMatch.of_corpus(learns)
    began = time.process_time()
    if window is None:
        windows, chosen_by = _chosen(search, tasks)
    else:
        windows, chosen_by = dict.fromkeys(tasks, window), dict.fromkeys(tasks, "the command, which gave the window")
    seconds = search.seconds + time.process_time() - began
    missing = Counter[str]()
    answers: list[dict[Task, list[int]]] = []
    for lines, problem in _lists(tested, asked):
        answers.append(search.answers(lines, windows))
        if problem or not any(answers[-1].values()):
            missing[problem or NOTHING_ALIKE] += 1
    make_folder(folder)
    truth = tested.labels(asked)
    records = []
    for task in tasks:
        stem = safe_name(name or NAME, task, *_corpora(learns, tested), found, *_unusual(part))
        table = _answers(task, asked, tested.ids(asked), values_of(task, truth), [one[task] for one in answers])
        figures = class_figures(table, task)
        with atomic_write(folder / f"{stem}.parquet") as aside:
            pq.write_table(table, aside, compression="zstd")
        unknown = table[f"{task}_true"].null_count
        record = Record(
            format=1,
            name=stem,
            network=NAME,
            size="full",
            as_published=False,
            parameters=0,
            tasks=(task,),
            loss={task: LOSS},
            seed=0,
            protocol=found,
            training=_training(search, windows[task], seconds, chosen_by[task], validates=chooses),
            tested=describe_part(tested, part),
            missing={**missing, **({f"{task}: no label": unknown} if unknown else {})},
            passes=1,
            classes={task: figures},
            lattice=None,
            inference=_time(search, task, windows[task]) if timing else None,
            predictions_sha256=file_sha256(folder / f"{stem}.parquet"),
            command=command,
            **made_here(),
        )
        write_record(folder / f"{stem}.json", record)
        records.append(record)
    return records


def _chosen(search: SearchMatch, tasks: Sequence[Task]) -> tuple[dict[Task, float], dict[Task, str]]:
    """The window of each task with the best accuracy in the validation part, of equal ones the narrowest; and why."""
    corpus = search.corpus
    numbers = corpus.numbers(VALIDATION)
    patterns, labels = [lines for lines, _ in _lists(corpus, numbers)], corpus.labels(numbers)
    windows: dict[Task, float] = {}
    why: dict[Task, str] = {}
    for task in tasks:
        reached = search.accuracies(patterns, labels, task)
        windows[task] = max(reached, key=lambda one: reached[one])
        tried = ", ".join(f"{share:.3f} at {one:g}" for one, share in reached.items())
        where = f"the {VALIDATION} part of {corpus.path.resolve().name}"
        why[task] = f"window {windows[task]:g} in ln d: best accuracy in {where} ({tried})"
    return windows, why


def _lists(corpus: Corpus, numbers: NDArray[np.int64]) -> Iterator[tuple[Lines | None, str]]:
    """The d-I list of each pattern; where it cannot be read None and why."""
    for first in range(0, len(numbers), TOGETHER):
        some = numbers[first : first + TOGETHER]
        if isinstance(corpus, DrawnCorpus):
            yield from ((lines_of_pattern(one, corpus.grid), "") for one in corpus.draw(some))
            continue
        grid = angles_of(corpus.grid, str(corpus.path))
        for number in some:
            try:
                yield lines_of_pattern(corpus.draw(np.array([number]))[0], grid), ""
            except PowderlensError as error:
                yield None, f"not drawn: {type(error).__name__}"


def _answers(
    task: Task, numbers: NDArray[np.int64], ids: Sequence[str], truth: NDArray[np.int64], answers: Sequence[list[int]]
) -> pa.Table:
    """Columns as `train.predict.predict` has them; figures of merit are no probabilities, so these are null."""
    top = np.full((len(answers), TOP), NONE, np.int16)
    for row, classes in enumerate(answers):
        top[row, : len(classes)] = classes
    silent = top[:, 0] == NONE
    none = pa.nulls(len(top), pa.list_(pa.float32(), TOP))
    return pa.table(
        {
            "pattern": pa.array(numbers),
            "crystal": pa.array(ids, pa.string()),
            f"{task}_true": pa.array(truth.astype(np.int16), mask=truth == NONE),
            f"{task}_predicted": pa.array(top[:, 0], mask=silent),
            f"{task}_top": pa.FixedSizeListArray.from_arrays(pa.array(top.ravel()), TOP, mask=pa.array(silent)),
            f"{task}_probability": none,
        }
    )


def _training(search: SearchMatch, window: float, seconds: float, chosen_by: str, *, validates: bool) -> Training:
    """Nothing is trained: what the cards are of, and what chose the window."""
    recipe: dict[str, Any] = {"name": NAME, "cards": len(search.cards), "window_ln_d": window}
    return Training(
        recipe=recipe,
        data=describe_part(search.corpus, TRAIN),
        validation=describe_part(search.corpus, VALIDATION) if validates else None,
        steps=0,
        patterns_seen=0,
        seconds=round(seconds, 3),
        cpu_seconds=round(seconds, 3),
        stopped_by="nothing to train",
        chosen_by=chosen_by,
        checkpoint_step=0,
        curve=(),
        hardware=f"cpu, 1 thread ({platform.machine()})",
        torch="not used",
        powderlens=__version__,
    )


def _time(search: SearchMatch, task: Task, window: float) -> Inference:
    """Median processor time of an answer, from the points of a pattern to its ranked classes; never in batches."""
    corpus, took = search.corpus, []
    for drawn in corpus.draw(corpus.numbers(TRAIN)[:TIMED]):
        began = time.process_time()
        search.answers(lines_of_pattern(drawn, corpus.grid), {task: window})
        took.append(1000 * (time.process_time() - began))
    one = median(took)
    return Inference(batch_1_ms=one, batch_100_ms=one, threads=1, device=f"cpu ({platform.machine()})")


def _corpora(learns: Corpus, tested: Corpus) -> list[str]:
    names = [learns.path.resolve().name, tested.path.resolve().name]
    return names[:1] if names[0] == names[1] else [names[0], "on", names[1]]


def _unusual(part: str) -> list[str]:
    return [] if part in ("test", "all") else [part]
