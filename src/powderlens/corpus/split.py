"""Which crystals are held out: whole chemical systems within a space group, from all databases together.

So repeated determinations of a phase stay on one side. A solid solution with one more element is another system: it
may stand on the other side of its end member.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PARTS = ("train", "validation", "test")
HELD_OUT_PERCENT = {"validation": 1, "test": 2}


def split_of(elements: str, space_group: int) -> str:
    """Part of all crystals that share their set of elements and their space group, from any database.

    The choice is a hash, so it needs no file and stays when crystals are added.
    """
    bucket = int.from_bytes(hashlib.sha256(f"{elements}|{space_group}".encode()).digest()[:4], "big") % 100
    low = 0
    for part, percent in HELD_OUT_PERCENT.items():
        if low <= bucket < low + percent:
            return part
        low += percent
    return "train"


def split_indices(elements: Sequence[str], space_groups: Sequence[int]) -> dict[str, NDArray[np.int64]]:
    """Row numbers of each part."""
    parts = np.array([split_of(e, int(g)) for e, g in zip(elements, space_groups, strict=True)])
    return {part: np.flatnonzero(parts == part) for part in PARTS}
