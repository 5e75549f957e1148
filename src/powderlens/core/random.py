"""Random numbers that are addressed, not consumed: the same seed and place give the same number on every machine.

Philox 4x32 with 10 rounds turns a counter and a key into four independent 32-bit words. Here the key is the seed and
the counter says which pattern, which purpose and which position, so that NumPy, compiled and accelerator code read the
same numbers in any order, on any number of workers. Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers:
as easy as 1, 2, 3", Proc. SC11 (2011), doi:10.1145/2063384.2063405; the tests hold its published answers.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from powderlens.core import elementary
from powderlens.core.errors import InputError

MULTIPLIER_0, MULTIPLIER_1 = 0xD2511F53, 0xCD9E8D57
WEYL_0, WEYL_1 = 0x9E3779B9, 0xBB67AE85
ROUNDS = 10
MASK = 0xFFFFFFFF
MAX_SEED = 2**63 - 1


class Purpose(IntEnum):
    """What a random number is for: each purpose has a stream of its own."""

    CONDITIONS = 0
    INTENSITIES = 1
    NOISE = 2
    MULTIPLICATIVE = 3
    COUNTS = 4
    OFFSETS = 5
    IMPURITY = 6
    IMPURITY_INTENSITIES = 7
    IMPURITY_OFFSETS = 8
    BACKGROUND = 9
    PERTURBATION = 10
    IMPURITY_PERTURBATION = 11
    CRYSTAL = 12
    CELL = 13
    TRIAL = 14
    TRIAL_STRAIN = 15
    TRIAL_INTENSITIES = 16


def check_seed(seed: int) -> int:
    """The seed itself.

    Raises:
        InputError: negative, or beyond 63 bits.
    """
    if not 0 <= seed <= MAX_SEED:
        raise InputError(f"seed {seed}: give a whole number from 0 to {MAX_SEED}")
    return seed


def philox(
    counter: tuple[NDArray[np.uint64] | int, ...], seed: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
    """Four words for each counter.

    Args:
        counter: four arrays (or numbers) that broadcast together, each below 2^32.
        seed: the key, below 2^63.

    Returns:
        Four uint64 arrays that hold 32-bit words.
    """
    c0, c1, c2, c3 = np.broadcast_arrays(*(np.asarray(c, np.uint64) for c in counter))
    k0, k1 = seed & MASK, seed >> 32
    mask, half = np.uint64(MASK), np.uint64(32)
    for _ in range(ROUNDS):
        a, b = c0 * np.uint64(MULTIPLIER_0), c2 * np.uint64(MULTIPLIER_1)
        c0, c1, c2, c3 = (b >> half) ^ c1 ^ np.uint64(k0), b & mask, (a >> half) ^ c3 ^ np.uint64(k1), a & mask
        k0, k1 = (k0 + WEYL_0) & MASK, (k1 + WEYL_1) & MASK
    return c0, c1, c2, c3


def words(seed: int, index: NDArray[np.int64] | int, purpose: int, count: int) -> NDArray[np.uint64]:
    """The first `count` words of one purpose.

    Args:
        seed: of the whole set of patterns.
        index: (b,) or a number: which pattern, from 0.
        purpose: a `Purpose`.
        count: how many.

    Returns:
        (b, count) words, or (count,) for a number.
    """
    at = np.asarray(index, np.uint64)[..., None]
    blocks = np.arange(-(-count // 4), dtype=np.uint64)
    four = philox((blocks, int(purpose), at & np.uint64(MASK), at >> np.uint64(32)), seed)
    return np.stack(four, axis=-1).reshape(*np.shape(index), -1)[..., :count]


def uniform(seed: int, index: NDArray[np.int64] | int, purpose: int, count: int) -> NDArray[np.float64]:
    """Numbers evenly spread over 0..1, both ends excluded; shapes as `words`."""
    return (words(seed, index, purpose, count).astype(np.float64) + 0.5) * 2.0**-32


def normal(seed: int, index: NDArray[np.int64] | int, purpose: int, count: int) -> NDArray[np.float64]:
    """Standard normal numbers, shapes as `words`.

    Words 0 and 1, and words 2 and 3, of each block make a pair. Source: Box and Muller, Ann. Math. Stat. 29, 610
    (1958).
    """
    even = count + count % 2
    u = uniform(seed, index, purpose, even)
    radius = np.sqrt(-2 * elementary.log(u[..., 0::2]))
    sine, cosine = elementary.sin_cos(2 * np.pi * u[..., 1::2])
    pairs = np.stack([radius * cosine, radius * sine], axis=-1)
    return np.asarray(pairs.reshape(*u.shape)[..., :count])
