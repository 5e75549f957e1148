"""Networks that an analysis asks again: each run beside its record, and the corpus on the network's grid (torch)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from powderlens.core.errors import InputError
from powderlens.corpus.store.corpus import Corpus
from powderlens.evaluate.answers import Answers, read_answers
from powderlens.evaluate.record import Record
from powderlens.evaluate.training_run import read_run
from powderlens.models.network import Network
from powderlens.models.task import Task
from powderlens.reproduce.analyses.base import Inputs, labels
from powderlens.train.components.checkpoint import load_network
from powderlens.train.components.drawn import network_reads
from powderlens.train.predict import open_corpus

BATCH = 100


@dataclass(frozen=True, eq=False)
class AskedNetwork:
    """A network, what it said, and the patterns that it said it of.

    Attributes:
        label: short name, see `base.labels`.
        network: in evaluation mode.
        path: of the record.
        record: of this network on this corpus.
        corpus: on the network's grid.
        floor: the network reads patterns above their floor.
    """

    label: str
    network: Network
    path: Path
    record: Record
    corpus: Corpus
    floor: bool

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Those with classes."""
        return tuple(task for task in self.network.tasks if task.kind == "classes")

    def answers(self, task: str) -> Answers:
        """See `read_answers`."""
        return read_answers(self.path, self.record, task)

    def read(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        """(n, points) patterns as the network reads them, and where they are measured; None without a mask."""
        return network_reads(self.corpus, numbers, floor=self.floor, mask=self.network.mask)

    def ask(
        self, patterns: NDArray[np.float32], masks: NDArray[np.bool_] | None = None
    ) -> dict[str, NDArray[np.int64]]:
        """Answers (n,) by task with classes, as the task names its classes, to (n, points) patterns."""
        said: dict[str, list[Tensor]] = {task.name: [] for task in self.tasks}
        with torch.inference_mode():
            for first in range(0, len(patterns), BATCH):
                some = slice(first, first + BATCH)
                outputs = self.network(
                    torch.from_numpy(patterns[some]), None if masks is None else torch.from_numpy(masks[some])
                )
                for name, found in said.items():
                    found.append(outputs[name].argmax(dim=1))
        return {task.name: np.array(task.classes, np.int64)[torch.cat(said[task.name]).numpy()] for task in self.tasks}


def asked_networks(inputs: Inputs) -> list[AskedNetwork]:
    """The networks of all runs, each with its record on the corpus.

    Args:
        inputs: with records, a corpus and runs.

    Raises:
        InputError: a run that none of the records on this corpus is of, or several; what `read_run`, `load_network` and
            `open_corpus` raise.
    """
    assert inputs.corpus is not None
    here = inputs.on_corpus("tested")[0].records
    found = []
    for folder in inputs.runs:
        run = read_run(folder)
        network, grid, about = load_network(run.checkpoint)
        fits = [
            (path, record)
            for path, record in here
            if record.training.recipe == run.about["recipe"]
            and record.training.checkpoint_step == about["step"]
            and record.training.data.sha256 == run.about["data"].get("sha256", record.training.data.sha256)
        ]
        if len(fits) != 1:
            what = "none" if not fits else f"{len(fits)} ({', '.join(record.name for _, record in fits)})"
            raise InputError(
                f"{folder}: of the records on {inputs.corpus.name}, {what} is of this checkpoint; give one record of "
                "each run, from `powderlens evaluate`"
            )
        if grid.points != network.points:
            raise InputError(f"{folder}: a network for {network.points} points with a grid of {grid.points}")
        found.append((network, *fits[0], open_corpus(inputs.corpus, grid), bool(about["floor"])))
    named = labels([record for _, _, record, *_ in found])
    return [AskedNetwork(label, *one) for label, one in zip(named, found, strict=True)]


def some_of(numbers: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """(m,) numbers, rising: all, or `most` of them at random."""
    if len(numbers) <= most:
        return np.sort(numbers)
    return np.sort(np.random.default_rng(seed).choice(numbers, most, replace=False))
