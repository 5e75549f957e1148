"""The random numbers of one synthetic crystal: a stream that its seed and its index address."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import cos, log
from powderlens.core.random import check_seed

BLOCK = 64
"""Words that are drawn at a time."""

_BELOW_1 = 1 - 2.0**-53  # a product that rounds up never reaches the last end


class Stream:
    """Numbers of crystal `index` under `seed`, the same in any process and on any machine.

    Philox 4x64 with 10 rounds, key (seed, index). Only its raw words are used, which NumPy keeps for ever as they are
    (NEP 19), and everything else is made of them here. Source: see `core.random`.

    Args:
        seed: 0 to 2^63 - 1.
        index: which crystal, from 0.
        purpose: streams of different purpose share no number.

    Raises:
        InputError: the seed is out of range.
    """

    def __init__(self, seed: int, index: int, purpose: int = 0) -> None:
        key = np.array([check_seed(seed), index], dtype=np.uint64)
        counter = np.array([0, 0, 0, purpose], dtype=np.uint64)
        self._bits = np.random.Philox(counter=counter, key=key)
        self._ready: list[float] = []

    def number(self) -> float:
        """One number evenly spread over 0..1, both ends excluded."""
        if not self._ready:
            self._ready = _spread(self._bits.random_raw(BLOCK)).tolist()
        return self._ready.pop()

    def uniform(self, count: int) -> NDArray[np.float64]:
        """(count,) such numbers."""
        return _spread(self._bits.random_raw(count))

    def normal(self, count: int) -> NDArray[np.float64]:
        """(count,) standard normal numbers. Source: Box and Muller, Ann. Math. Stat. 29, 610 (1958)."""
        u = self.uniform(2 * count).reshape(2, count)
        return np.asarray(np.sqrt(-2 * log(u[0])) * cos(2 * np.pi * u[1]))

    def choose(self, ends: Sequence[float]) -> int:
        """An index; index i with probability in proportion to `ends[i] - ends[i - 1]`, sums that grow from 0."""
        return bisect_right(ends, self.number() * ends[-1] * _BELOW_1)


def _spread(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """The upper 53 bits of each word as a number between 0 and 1."""
    return np.asarray(((words >> np.uint64(11)) + 0.5) * 2.0**-53, dtype=np.float64)
