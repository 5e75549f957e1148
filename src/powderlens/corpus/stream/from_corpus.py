"""The patterns of a corpus, every one of a part in each epoch, shuffled."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core import random
from powderlens.core.errors import InputError
from powderlens.corpus.store.corpus import MEASURED, Corpus
from powderlens.corpus.stream.from_crystals import Balance
from powderlens.corpus.stream.order import shuffled
from powderlens.corpus.stream.stream import Batch, Stream, StreamPurpose, digest, group_labels, measured_points
from powderlens.pattern.spacing import angles_of


class CorpusStream(Stream):
    """One part of a corpus, for ever: in each epoch every pattern once, in an order that (seed, epoch) decides.

    With a balance there are no epochs: each pattern is drawn on its own, those of rare classes more often.

    Args:
        corpus: an open one; of stored patterns, opened with a grid.
        part: of its split, as "train".
        size: patterns a batch; the last batch of an epoch goes on in the next.
        seed: of the order. What is drawn is the corpus's, with its own seed.
        per_crystal: so many neighbouring patterns of a crystal follow each other.
        shuffle: False goes through the part in its own order.
        balance: draw classes more evenly.
        allow_measured: train on measured patterns all the same.

    Raises:
        InputError: no such part, an empty one, conditions that cannot be grouped by `per_crystal`, or a corpus of
            measured patterns.
    """

    def __init__(
        self,
        corpus: Corpus,
        part: str = "train",
        *,
        size: int,
        seed: int,
        per_crystal: int = 1,
        shuffle: bool = True,
        balance: Balance | None = None,
        allow_measured: bool = False,
    ) -> None:
        super().__init__(size=size, grid=corpus.grid, seed=seed, per_crystal=per_crystal)
        if corpus.kind == MEASURED and not allow_measured:
            raise InputError(
                "a corpus of measured patterns is for testing: what is trained on it cannot be judged by it; "
                "allow_measured=True insists"
            )
        if part not in corpus.parts:
            raise InputError(f"part {part!r}: the corpus has {', '.join(sorted(corpus.parts))}")
        if balance is not None and not shuffle:
            raise InputError("a balanced stream draws by chance: leave out the balance, or shuffle")
        self.corpus, self.part, self.shuffle, self.balance = corpus, part, shuffle, balance
        chosen = np.asarray(corpus.numbers(part), np.int64)
        if not len(chosen):
            raise InputError(f"part {part!r}: holds no patterns; choose another")
        if len(chosen) % per_crystal or _split_crystals(corpus, chosen, per_crystal):
            raise InputError(
                f"part {part!r}: its patterns cannot be taken {per_crystal} of a crystal at a time; give a divisor of "
                "the number of conditions of each crystal"
            )
        self.chosen = chosen
        self._file: Path | None = None
        self._ends: NDArray[np.float64] | None = None
        if balance is not None:
            units = chosen[::per_crystal]
            groups = np.asarray(corpus.labels(units).space_group)
            self._ends = np.cumsum(balance.applied(np.full(len(units), 1 / len(units)), groups))

    @property
    def epoch_patterns(self) -> int:
        """Patterns of an epoch."""
        return len(self.chosen)

    def epoch(self, i: int) -> int:
        """Epoch of the first pattern of batch i, from 0."""
        return i * self.size // self.epoch_patterns

    def corpus_numbers(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) numbers in the corpus of patterns of the stream."""
        unit, within = np.divmod(numbers, self.per_crystal)
        units = len(self.chosen) // self.per_crystal
        if self._ends is not None:
            u = random.uniform(self.seed, unit, StreamPurpose.BALANCE, 1)[:, 0]
            place = np.minimum(np.searchsorted(self._ends, u * self._ends[-1], side="right"), units - 1)
        else:
            epoch, place = np.divmod(unit, units)
            if self.shuffle:
                place = shuffled(self.seed, epoch, place, units)
        return np.asarray(self.chosen[place * self.per_crystal + within])

    def draw(self, numbers: NDArray[np.int64]) -> Batch:
        """See `Stream.draw`."""
        numbers = np.asarray(numbers, np.int64)
        own = self.corpus_numbers(numbers)
        out = Batch.zeros(len(numbers), self.shape)
        labels, records = self.corpus.labels(own), self.corpus.conditions(own)
        out.patterns[:] = self.corpus.draw(own, records=records)
        grid = angles_of(self.corpus.grid, "a stream of a corpus")
        out.numbers[:], out.wavelength_A[:] = numbers, grid.wavelength_A
        out.measured[:] = measured_points(records, grid)
        out.crystal[:] = self.corpus.crystal_of(own)
        out.cell[:], out.niggli[:] = labels.cell, labels.niggli
        for name, values in group_labels(np.asarray(labels.space_group)).items():
            getattr(out, name)[:] = values
        return out

    def identity(self) -> dict[str, Any]:
        """See `Stream.identity`."""
        manifest = self.corpus.manifest
        about = {name: manifest.get(name) for name in ("files", "seed", "per_crystal", "protocol")}
        balance = None if self.balance is None else [self.balance.by, self.balance.power]
        return self._identity(corpus=digest(about), part=self.part, shuffle=self.shuffle, balance=balance)

    def shared(self, folder: Path) -> CorpusStream:
        """See `Stream.shared`; the corpus itself is opened by each process."""
        other = copy.copy(self)
        other._file = folder / "numbers.npy"
        np.save(other._file, self.chosen)
        return other

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "chosen" or self._file is None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self._file is not None:
            self.chosen = np.load(self._file, mmap_mode="r")


def _split_crystals(corpus: Corpus, numbers: NDArray[np.int64], per_crystal: int) -> bool:
    """Whether some group of neighbouring patterns is not of one crystal."""
    if per_crystal == 1:
        return False
    crystals = np.asarray(corpus.crystal_of(numbers)).reshape(-1, per_crystal)
    return bool((crystals != crystals[:, :1]).any())
