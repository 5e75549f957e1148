"""Records as tables take them: chosen, grouped by seed and setting, with standard errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.evaluate.answers import Answers, clustered_error, read_answers
from powderlens.evaluate.record import CurvePoint, Record, read_records
from powderlens.models.card import Card
from powderlens.models.registry import NAMES, card
from powderlens.reproduce.tables.table import Value

CLASS_TASKS = ("crystal_system", "space_group")
TASK_WORDS = {"crystal_system": "crystal system", "space_group": "space group"}
UNTRAINED = "none"
"""In place of a loss: nothing was trained, as with search-match."""
BASELINES = {"search-match": "search-match (d-I lists)"}
"""What is no network, as rows call it."""


@dataclass(frozen=True, eq=False)
class Entry:
    """A record and where it lies."""

    path: Path
    record: Record

    @cached_property
    def _answers(self) -> dict[str, Answers]:
        """Of each task with classes; empty where the predictions do not lie beside the record."""
        if not self.path.with_name(f"{self.record.name}.parquet").is_file():
            return {}
        return {task: read_answers(self.path, self.record, task) for task in self.record.classes}

    def answers(self, task: str) -> Answers | None:
        """What was said of the patterns whose class is known; None where the predictions are not at hand."""
        return self._answers.get(task)

    @property
    def rate(self) -> float | None:
        """Learning rate of the recipe, its highest."""
        rate = self.record.training.recipe.get("optimiser", {}).get("learning_rate")
        return None if rate is None else float(rate)

    @property
    def trained(self) -> bool:
        """Whether it is of something that learnt by a loss."""
        return UNTRAINED not in self.record.loss.values()

    @property
    def data(self) -> tuple[str, ...]:
        """What was learnt and tested: sha256 and part of either."""
        learnt, tested = self.record.training.data, self.record.tested
        return learnt.sha256, learnt.part, tested.sha256, tested.part

    @property
    def setting(self) -> str:
        """What has to be the same for figures to stand in one column: data, parts and limits."""
        return json.dumps([*self.data, self.record.training.recipe.get("limits")], sort_keys=True)

    @property
    def budget(self) -> str:
        """The limits of the recipe in words."""
        limits = self.record.training.recipe.get("limits") or {}
        words = [f"{value:,g} {name}" for name, value in limits.items() if value is not None]
        return ", ".join(words) or "no limit"

    def about(self) -> dict[str, Value]:
        """What identifies the record and its training, by the keys that columns of several tables have."""
        record, training = self.record, self.record.training
        alike = ("network", "size", "as_published", "seed", "protocol", "passes", "powderlens", "date")
        return {
            **{name: getattr(record, name) for name in (*alike, "hardware", "command")},
            "record": record.name,
            "label": Pair(record.network, record.size).label,
            "tasks": " ".join(record.tasks),
            "loss": " ".join(dict.fromkeys(record.loss.values())),
            "tested_on": f"{record.tested.corpus}:{record.tested.part}",
            "tested_on_sha256": record.tested.sha256,
            "trained_on": f"{training.data.corpus}:{training.data.part}",
            "trained_on_sha256": training.data.sha256,
            "parameters": record.parameters if self.trained else None,
            "patterns_seen": training.patterns_seen,
            "learning_rate": self.rate,
        }


@dataclass(frozen=True)
class Cell:
    """The records that one figure stands for: the same but for their seeds; never empty."""

    entries: tuple[Entry, ...]

    def about(self) -> dict[str, Value]:
        """What identifies its records: of the lowest seed all, of the others the names."""
        records = " ".join(one.record.name for one in self.entries)
        return {**self.entries[0].about(), "seeds": len(self.entries), "records": records}

    @property
    def first(self) -> Record:
        """That of the lowest seed."""
        return self.entries[0].record

    def figure(
        self, read: Callable[[Record], float | None], error: Callable[[Entry], float | None] | None = None
    ) -> tuple[float | None, float | None]:
        """Mean and its uncertainty.

        Args:
            read: the figure of a record.
            error: standard error of a single record's figure.

        Returns:
            Several seeds: mean and sample standard deviation. One: the figure and `error`.
        """
        values = [value for value in (read(one.record) for one in self.entries) if value is not None]
        if not values:
            return None, None
        if len(values) > 1:
            return float(np.mean(values)), float(np.std(values, ddof=1))
        return values[0], None if error is None else error(self.entries[0])


@dataclass(frozen=True)
class Pair:
    """A row of a network: as published, and as its inventors meant it where the two differ."""

    network: str
    size: str
    published: Cell | None = None
    meant: Cell | None = None

    @property
    def label(self) -> str:
        """The network, marked where its small form is another network; a baseline with what it is."""
        if self.network in BASELINES:
            return BASELINES[self.network]
        small = self.size == "small" and self.network in NAMES and card(self.network).small
        return f"{self.network} (small)" if small else self.network


def open_entries(paths: Sequence[Path]) -> list[Entry]:
    """All records of some files and folders.

    Raises:
        InputError: see `read_records`.
    """
    return [Entry(path, record) for path, record in read_records(paths)]


def known_card(network: str) -> Card | None:
    """The card of a network; None where this version has none."""
    return card(network) if network in NAMES else None


def repaired(network: str) -> bool:
    """Whether the network has published faults."""
    known = known_card(network)
    return known is not None and bool(known.faults)


def loss_kind(record: Record, task: str) -> str:
    """Name of a task's loss without its number."""
    return record.loss.get(task, "").split("=")[0]


def choose(entries: Iterable[Entry], task: str, protocol: str, losses: Sequence[str]) -> list[Entry]:
    """Records of networks with this head alone, under a protocol; a drawn corpus is tested in its part `test`."""
    return [
        one
        for one in entries
        if one.record.tasks == (task,)
        and one.record.protocol == protocol
        and loss_kind(one.record, task) in losses
        and (protocol == "measured" or one.record.tested.part == "test")
    ]


def by_setting(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Groups of one setting each, the largest first; what is not trained stands in every group of its data, last."""
    groups: dict[str, list[Entry]] = {}
    for one in entries:
        if one.trained:
            groups.setdefault(one.setting, []).append(one)
    trained = list(groups.values())
    for one in entries:
        if not one.trained:
            beside = [group for group in trained if group[0].data == one.data]
            for group in beside or [groups.setdefault(one.setting, [])]:
                group.append(one)
    return sorted(groups.values(), key=lambda group: (-len(group), group[0].record.name))


def cells(entries: Sequence[Entry], task: str) -> list[Cell]:
    """Groups that differ in their seeds only, the lowest learning rate and the fewest passes first.

    Raises:
        InputError: two records of the same seed.
    """
    groups: dict[tuple[Any, ...], list[Entry]] = {}
    for one in entries:
        key = (one.rate or 0.0, one.record.passes, one.record.loss.get(task, ""))
        groups.setdefault(key, []).append(one)
    found = []
    for key in sorted(groups):
        group = sorted(groups[key], key=lambda one: one.record.seed)
        for one, other in pairwise(group):
            if one.record.seed == other.record.seed:
                raise InputError(
                    f"{one.path} and {other.path}: the same network, data and seed {one.record.seed} twice; "
                    "give one of the two"
                )
        found.append(Cell(tuple(group)))
    return found


def pairs(entries: Sequence[Entry], task: str, network: str) -> list[Pair]:
    """The rows of a network; one for each size, and more where it was trained in several ways."""
    found = []
    mine = [one for one in entries if one.record.network == network]
    for size in ("full", "small"):
        of_size = [one for one in mine if one.record.size == size]
        as_published = cells([one for one in of_size if one.record.as_published], task)
        as_meant = cells([one for one in of_size if not one.record.as_published], task)
        if not repaired(network):
            as_published, as_meant = as_published + as_meant, []
        found += [Pair(network, size, one, other) for one, other in zip_longest(as_published, as_meant)]
    return found


def accuracy_error(task: str) -> Callable[[Entry], float | None]:
    """Standard error of an accuracy by crystal, of a record."""

    def error(entry: Entry) -> float | None:
        answers = entry.answers(task)
        return None if answers is None else clustered_error(answers.right, answers.crystal)

    return error


def validated(record: Record) -> CurvePoint | None:
    """The validation at the step of the checkpoint."""
    training = record.training
    return next((one for one in reversed(training.curve) if one.step == training.checkpoint_step), None)


def percent(share: float | None) -> float | None:
    """A share in percent."""
    return None if share is None else 100 * share


def top_5(task: str) -> Callable[[Record], float | None]:
    """Share of truths among the five likeliest classes, of a record."""
    return lambda record: record.classes[task].top_k.get("5")


def class_metric(task: str, name: str) -> Callable[[Record], float | None]:
    """A field of `ClassFigures`, of a record."""
    return lambda record: getattr(record.classes[task], name)


def difference_error(
    one: Cell | None, other: Cell | None, task: str, of: Callable[[Answers], NDArray[Any]]
) -> float | None:
    """Standard error by crystal of the difference of two means over the same patterns.

    Args:
        one: a record.
        other: another.
        task: of both.
        of: what the mean is taken of, (n,); NaN in either leaves a pattern out.

    Returns:
        None where either has several seeds or no predictions at hand, or the patterns are not the same.
    """
    if one is None or other is None or len(one.entries) > 1 or len(other.entries) > 1:
        return None
    first, second = one.entries[0].answers(task), other.entries[0].answers(task)
    if first is None or second is None or not np.array_equal(first.pattern, second.pattern):
        return None
    difference = of(first).astype(np.float64) - of(second)
    there = np.isfinite(difference)
    return clustered_error(difference[there], first.crystal[there])
