"""Batches by number: of patterns in memory, or drawn as they are needed.

A batch is (patterns (b, points) float32, right answers by task). It is a pure function of its number, whether patterns
are held in memory or drawn, in this process or in others: that is what makes a run resume exactly. With several devices
each takes its share of every batch, so that their number does not change what is learnt from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from powderlens.corpus.stream.from_corpus import CorpusStream
from powderlens.corpus.stream.stream import Batch, Stream
from powderlens.models.task import Task
from powderlens.train.datasets import StreamDataset
from powderlens.train.noise import add_noise
from powderlens.train.recipe_parts import NoiseRecipe
from powderlens.train.targets import targets

Item = tuple[Tensor, dict[str, Tensor]]
VALIDATION_FIRST = 2**40
"""Number of the first validation pattern of endless data: far beyond what training reaches."""
VALIDATION_BATCH = 256
AHEAD = 64
"""Batches whose patterns are chosen together: one by one, choosing takes longer than a step of a small network."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the machine does, which decides nothing but the time.

    Attributes:
        workers: processes that draw.
        memory_GB: a corpus whose two parts fit is drawn once.
        cache: a folder for drawn patterns, see `draw_part`; with it size does not matter.
        rank, world: number of this process of so many, each with its share of every batch.
    """

    workers: int = 1
    memory_GB: float = 4.0
    cache: Path | None = None
    rank: int = 0
    world: int = 1

    def batch(self, step: int) -> int:
        """Number, in a stream of this process's share, of the batch of a step."""
        return step * self.world + self.rank


@dataclass(frozen=True)
class Noise:
    """Noise of a recipe, or none.

    Attributes:
        how: its ranges.
        seed: of the run.
    """

    how: NoiseRecipe | None
    seed: int

    def __call__(self, x_BL: Tensor, index: int) -> Tensor:
        """(B, L) patterns with the noise of batch `index`."""
        return x_BL if self.how is None else add_noise(x_BL, self.how, self.seed, index)


class FixedBatches(Dataset[Item]):
    """The validation patterns, the same every time, noise included.

    Args:
        patterns: (n, points).
        answers: by task, (n, ...).
        noise: added to them.
    """

    def __init__(self, patterns: NDArray[Any], answers: dict[str, Tensor], noise: Noise) -> None:
        self.patterns, self.answers, self.noise = patterns, answers, noise

    def __len__(self) -> int:
        return -(-len(self.patterns) // VALIDATION_BATCH)

    def __getitem__(self, index: int) -> Item:
        some = slice(index * VALIDATION_BATCH, (index + 1) * VALIDATION_BATCH)
        x_BL = torch.from_numpy(np.array(self.patterns[some], np.float32))
        return self.noise(x_BL, VALIDATION_FIRST + index), {name: answer[some] for name, answer in self.answers.items()}


class HeldBatches(IterableDataset[Item]):
    """Batches of patterns in memory.

    Args:
        stream: says which patterns make a batch.
        patterns: (n, points) in the order of `stream.chosen`.
        answers: likewise.
        machine: whose share it is.
        noise: added to what is shown.
        first: step to begin with.
        stop: step before which to end.
    """

    def __init__(
        self,
        stream: CorpusStream,
        patterns: NDArray[Any],
        answers: dict[str, Tensor],
        *,
        machine: Machine,
        noise: Noise,
        first: int,
        stop: int | None,
    ) -> None:
        self.stream, self.patterns, self.answers = stream, torch.from_numpy(patterns), answers
        self.machine, self.noise, self.first, self.stop = machine, noise, first, stop

    def __iter__(self) -> Iterator[Item]:
        first = self.first
        while self.stop is None or first < self.stop:
            end = first + AHEAD if self.stop is None else min(first + AHEAD, self.stop)
            batches = [self.machine.batch(i) for i in range(first, end)]
            numbers = self.stream.corpus_numbers(np.concatenate([self.stream.numbers(at) for at in batches]))
            rows = torch.from_numpy(np.searchsorted(self.stream.chosen, numbers)).view(len(batches), -1)
            for at, some in zip(batches, rows, strict=True):
                x_BL = self.patterns.index_select(0, some).float()
                yield self.noise(x_BL, at), {name: answer[some] for name, answer in self.answers.items()}
            first = end


class DrawnBatches(IterableDataset[Item]):
    """Batches that are drawn as they are needed.

    Args:
        stream: of this process's share.
        tasks: what is asked.
        machine: draws.
        precision: to which patterns are rounded.
        noise: added to what is shown.
        first: step to begin with.
        stop: step before which to end.
    """

    def __init__(
        self,
        stream: Stream,
        tasks: Sequence[Task],
        *,
        machine: Machine,
        precision: str,
        noise: Noise,
        first: int,
        stop: int | None,
    ) -> None:
        self.stream, self.tasks, self.machine, self.precision = stream, tasks, machine, precision
        self.noise, self.first, self.stop = noise, first, stop

    def __iter__(self) -> Iterator[Item]:
        m = self.machine
        stream = self.stream if m.world == 1 else _Share(self.stream, m)
        drawn = StreamDataset[Batch](
            stream, workers=m.workers, first=self.first, stop=self.stop, convert=lambda batch: batch
        )
        for i, batch in enumerate(drawn, start=self.first):
            x_BL = torch.from_numpy(batch.patterns.astype(self.precision)).float()
            yield self.noise(x_BL, m.batch(i)), targets(self.tasks, batch)


class _Share(Stream):
    """Of a stream in batches of b / world patterns, those of one process."""

    def __init__(self, inner: Stream, machine: Machine) -> None:
        super().__init__(size=inner.size, grid=inner.grid, seed=inner.seed, per_crystal=inner.per_crystal)
        self.inner, self.machine, self.shape = inner, machine, inner.shape

    def numbers(self, i: int) -> NDArray[np.int64]:
        """See `Stream.numbers`."""
        return self.inner.numbers(self.machine.batch(i))

    def draw(self, numbers: NDArray[np.int64]) -> Batch:
        """See `Stream.draw`."""
        return self.inner.draw(numbers)

    def identity(self) -> dict[str, Any]:
        """See `Stream.identity`."""
        return self.inner.identity()

    def shared(self, folder: Path) -> Stream:
        """See `Stream.shared`."""
        return _Share(self.inner.shared(folder), self.machine)
