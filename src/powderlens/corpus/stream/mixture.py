"""A mixture of streams by weight."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core import random
from powderlens.core.errors import InputError
from powderlens.corpus.stream.stream import Batch, Stream, StreamPurpose

BLOCK = 1000
"""Crystals in which the shares are kept exactly."""


class MixtureStream(Stream):
    """Patterns of several streams, mixed crystal by crystal.

    Of each 1,000 crystals in a row every stream gives its share exactly, in an order drawn anew for each thousand; and
    each stream gives its own patterns in their order, none left out: a corpus is gone through whole, however little
    of it is mixed in.

    Args:
        streams: of one grid and as many patterns a crystal; their own batch sizes play no part.
        weights: shares, rounded to 1/1000 of their sum.
        size: patterns a batch.
        seed: of the order.

    Raises:
        InputError: fewer than two streams, streams that do not fit together, or a share that rounds to nothing.
    """

    def __init__(self, streams: Sequence[Stream], weights: Sequence[float], *, size: int, seed: int) -> None:
        if len(streams) < 2 or len(streams) != len(weights):
            raise InputError(f"{len(streams)} streams with {len(weights)} weights: give two or more, and a weight each")
        first = streams[0]
        for other in streams[1:]:
            for what in ("grid", "per_crystal", "shape"):
                if getattr(other, what) != getattr(first, what):
                    raise InputError(f"streams that are mixed need the same {what.replace('_', ' ')}; these differ")
        super().__init__(size=size, grid=first.grid, seed=seed, per_crystal=first.per_crystal)
        self.shape = first.shape
        self.streams, self.counts = tuple(streams), _counts(weights)

    def draw(self, numbers: NDArray[np.int64]) -> Batch:
        """See `Stream.draw`; `crystal` is that of the stream that gave the pattern."""
        numbers = np.asarray(numbers, np.int64)
        which, place = self.sources(numbers)
        out = Batch.zeros(len(numbers), self.shape)
        for at, stream in enumerate(self.streams):
            mine = np.flatnonzero(which == at)
            if len(mine):
                out.put(mine, stream.draw(place[mine]))
        out.numbers[:] = numbers
        return out

    def sources(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Which stream gives each pattern, and the pattern's number there; (n,) each."""
        crystal, within = np.divmod(numbers, self.per_crystal)
        block, at = np.divmod(crystal, BLOCK)
        which, place = np.empty(len(numbers), np.intp), np.empty(len(numbers), np.int64)
        for one in np.unique(block):
            mine = np.flatnonzero(block == one)
            order, rank = _order(self.seed, int(one), self.counts)
            which[mine] = order[at[mine]]
            place[mine] = one * np.array(self.counts)[which[mine]] + rank[at[mine]]
        return which, place * self.per_crystal + within

    def identity(self) -> dict[str, Any]:
        """See `Stream.identity`."""
        return self._identity(shares=list(self.counts), of=[stream.identity() for stream in self.streams])

    def shared(self, folder: Path) -> MixtureStream:
        """See `Stream.shared`."""
        other = copy.copy(self)
        made: list[Any] = []
        for at, stream in enumerate(self.streams):
            twin = next((new for old, new in zip(self.streams, made, strict=False) if _one_table(old, stream)), None)
            if twin is None:
                part = folder / str(at)
                part.mkdir()
                made.append(stream.shared(part))
            else:
                made.append(copy.copy(stream))
                made[-1].table = twin.table
        other.streams = tuple(made)
        return other


def _one_table(one: Any, other: Any) -> bool:
    """Whether two streams draw from one table, which is then written for other processes once."""
    return getattr(one, "table", None) is not None and one.table is getattr(other, "table", None)


def _counts(weights: Sequence[float]) -> tuple[int, ...]:
    """Whole numbers that sum to `BLOCK`, in proportion to weights: those with the largest remainders are rounded up."""
    given = np.asarray(weights, float)
    if not (np.isfinite(given) & (given > 0)).all():
        raise InputError(f"weights {', '.join(f'{w:g}' for w in weights)}: each must be a number above 0")
    exact = given / given.sum() * BLOCK
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: BLOCK - counts.sum()]] += 1
    if counts.min() < 1:
        raise InputError(f"a weight of {given.min():g} of {given.sum():g} rounds to nothing; at least 1/{BLOCK} counts")
    return tuple(counts.tolist())


@lru_cache(maxsize=64)
def _order(seed: int, block: int, counts: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """(BLOCK,) which stream has each place of a block, and the how many-th of its stream in the block it is."""
    key = random.uniform(seed, block, StreamPurpose.MIXTURE, BLOCK)
    order = np.repeat(np.arange(len(counts)), counts)[np.argsort(key, kind="stable")]
    rank = np.empty(BLOCK, np.int64)
    for at in range(len(counts)):
        mine = order == at
        rank[mine] = np.arange(mine.sum())
    return order, rank
