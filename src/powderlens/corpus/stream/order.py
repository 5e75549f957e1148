"""The order in which streams go through what they have: a permutation that is computed, not stored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from powderlens.core.random import philox
from powderlens.corpus.stream.stream import StreamPurpose

FEISTEL_ROUNDS = 6


def shuffled(seed: int, epoch: NDArray[np.int64], place: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Where a permutation of 0..count - 1 that (seed, epoch) decides takes some places; nothing is stored.

    A Feistel network with Philox as its round function permutes the next power of four; places beyond the count walk
    on until they are inside. Source: Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002.

    Args:
        seed: of the whole.
        epoch: (n,) which permutation.
        place: (n,) 0..count - 1.
        count: how many there are.
    """
    half = max(1, ((count - 1).bit_length() + 1) // 2)
    mask = np.uint64((1 << half) - 1)
    at = np.array(place, np.uint64)
    low, high = np.asarray(epoch, np.uint64) & np.uint64(0xFFFFFFFF), np.asarray(epoch, np.uint64) >> np.uint64(32)
    todo = np.arange(len(at))
    while len(todo):
        left, right = at[todo] >> np.uint64(half), at[todo] & mask
        for turn in range(FEISTEL_ROUNDS):
            word = philox((right, StreamPurpose.SHUFFLE + (turn << 8), low[todo], high[todo]), seed)[0]
            left, right = right, left ^ (word & mask)
        at[todo] = (left << np.uint64(half)) | right
        todo = todo[at[todo] >= count]
    return at.astype(np.int64)
