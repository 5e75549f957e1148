"""Batches by number: of patterns in memory, or drawn as they are needed.

A batch is (patterns (b, points) float32, mask (b, points) bool or None, right answers by task). It is a pure function
of its number, whether patterns are held in memory or drawn, in this process, in others or on Ray: that is what makes a
run resume exactly. With several devices each takes its share of every batch, so that their number does not change what
is learnt from.
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
from powderlens.corpus.stream.stream import Batch, Stream, seen_of
from powderlens.models.task import Task
from powderlens.train.components.drawn import batches_by
from powderlens.train.components.machine import Machine
from powderlens.train.components.noise import add_noise
from powderlens.train.components.targets import targets
from powderlens.train.recipe_parts import NoiseRecipe

Item = tuple[Tensor, Tensor | None, dict[str, Tensor]]
Measured = NDArray[np.int32] | NDArray[np.bool_] | NDArray[np.float32]
"""(n, 2) first point measured and the one after the last; or (n, points) True where measured, or the sine of theta."""

VALIDATION_FIRST = 2**40
"""Number of the first validation pattern of endless data: far beyond what training reaches."""
VALIDATION_BATCH = 256
AHEAD = 64
"""Batches whose patterns are chosen together: one by one, choosing takes longer than a step of a small network."""


@dataclass(frozen=True)
class Noise:
    """Noise of a recipe, or none.

    Attributes:
        how: its ranges.
        seed: of the run.
    """

    how: NoiseRecipe | None
    seed: int

    def __call__(self, x_BL: Tensor, mask_BL: Tensor | None, index: int) -> Tensor:
        """(B, L) patterns with the noise of batch `index`, where they are measured."""
        if self.how is None:
            return x_BL
        x_BL = add_noise(x_BL, self.how, self.seed, index)
        return x_BL if mask_BL is None else torch.where(mask_BL, x_BL, 0.0)


def mask_of(measured: Measured | None, points: int) -> Tensor | None:
    """(n, points), True or the sine of theta where measured; None where nobody asks for a mask."""
    if measured is None or measured.dtype != np.int32:
        return None if measured is None else torch.from_numpy(measured)
    first_n1, end_n1 = torch.from_numpy(measured).split(1, dim=1)
    at_L = torch.arange(points)
    return (at_L >= first_n1) & (at_L < end_n1)


@dataclass(eq=False)
class FixedBatches(Dataset[Item]):
    """Patterns to validate on, the same every time, noise included.

    Attributes:
        patterns: (n, points).
        measured: of them; None for networks that read no mask.
        answers: by task, (n, ...).
        noise: added to them.
    """

    patterns: NDArray[Any]
    measured: Measured | None
    answers: dict[str, Tensor]
    noise: Noise

    def __len__(self) -> int:
        return -(-len(self.patterns) // VALIDATION_BATCH)

    def __getitem__(self, index: int) -> Item:
        some = slice(index * VALIDATION_BATCH, (index + 1) * VALIDATION_BATCH)
        x_BL = torch.from_numpy(np.array(self.patterns[some], np.float32))
        mask_BL = mask_of(None if self.measured is None else self.measured[some], x_BL.shape[1])
        x_BL = self.noise(x_BL, mask_BL, VALIDATION_FIRST + index)
        return x_BL, mask_BL, {name: answer[some] for name, answer in self.answers.items()}


@dataclass(eq=False, kw_only=True)
class HeldBatches(IterableDataset[Item]):
    """Batches of patterns in memory.

    Attributes:
        stream: says which patterns make a batch.
        patterns: (n, points) in the order of `stream.chosen`.
        measured: likewise; None for networks that read no mask.
        answers: likewise.
        machine: whose share it is.
        noise: added to what is shown.
        first: step to begin with.
        stop: step before which to end.
    """

    stream: CorpusStream
    patterns: NDArray[Any]
    measured: Measured | None
    answers: dict[str, Tensor]
    machine: Machine
    noise: Noise
    first: int
    stop: int | None

    def __iter__(self) -> Iterator[Item]:
        first, points, patterns = self.first, self.patterns.shape[1], torch.from_numpy(self.patterns)
        while self.stop is None or first < self.stop:
            end = first + AHEAD if self.stop is None else min(first + AHEAD, self.stop)
            batches = [self.machine.batch(i) for i in range(first, end)]
            numbers = self.stream.corpus_numbers(np.concatenate([self.stream.numbers(at) for at in batches]))
            rows = torch.from_numpy(np.searchsorted(self.stream.chosen, numbers)).view(len(batches), -1)
            for at, some in zip(batches, rows, strict=True):
                x_BL = patterns.index_select(0, some).float()
                mask_BL = mask_of(None if self.measured is None else self.measured[some.numpy()], points)
                answers = {name: answer[some] for name, answer in self.answers.items()}
                yield self.noise(x_BL, mask_BL, at), mask_BL, answers
            first = end


@dataclass(eq=False, kw_only=True)
class DrawnBatches(IterableDataset[Item]):
    """Batches that are drawn as they are needed.

    Attributes:
        stream: of this process's share.
        tasks: what is asked.
        mask: the network reads one.
        machine: draws.
        precision: to which patterns are rounded.
        noise: added to what is shown.
        first: step to begin with.
        stop: step before which to end.
    """

    stream: Stream
    tasks: Sequence[Task]
    mask: bool
    machine: Machine
    precision: str
    noise: Noise
    first: int
    stop: int | None

    def __iter__(self) -> Iterator[Item]:
        m = self.machine
        stream = self.stream if m.devices == 1 else _Share(self.stream, m)
        for i, batch in enumerate(batches_by(m, stream, first=self.first, stop=self.stop), start=self.first):
            x_BL = torch.from_numpy(batch.patterns.astype(self.precision)).float()
            mask_BL = mask_of(seen_of(batch, stream.grid) if self.mask else None, x_BL.shape[1])
            yield self.noise(x_BL, mask_BL, m.batch(i)), mask_BL, targets(self.tasks, batch)


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
