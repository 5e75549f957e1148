"""How two orders of networks agree."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def ranks(values: Sequence[float]) -> Floats:
    """(n,) ranks from 1, smallest first; equal values share the mean of their ranks."""
    numbers = np.asarray(values, dtype=np.float64)
    below = (numbers[:, None] > numbers[None, :]).sum(axis=1)
    equal = (numbers[:, None] == numbers[None, :]).sum(axis=1)
    return np.asarray(below + (equal + 1) / 2, dtype=np.float64)


def spearman(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Spearman's rank correlation: Pearson's of the ranks, ties averaged; None where either is all equal."""
    a, b = ranks(one), ranks(other)
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size else None


class Swap(NamedTuple):
    """A pair whose order the paper and we see differently: `better` in the paper, `worse` with us."""

    better: str
    worse: str
    paper_gap: float
    our_gap: float


def swaps(names: Sequence[str], paper: Sequence[float], ours: Sequence[float]) -> list[Swap]:
    """Pairs in another order, largest first: by the smaller of the two gaps, both above zero."""
    found = []
    for i, j in combinations(range(len(names)), 2):
        if (paper[i] - paper[j]) * (ours[i] - ours[j]) < 0:
            up, down = (i, j) if paper[i] > paper[j] else (j, i)
            found.append(Swap(names[up], names[down], paper[up] - paper[down], ours[down] - ours[up]))
    return sorted(found, key=lambda one: -min(one.paper_gap, one.our_gap))
