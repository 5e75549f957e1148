"""The graph of maximal subgroups among the 230 space-group types, and distances in it.

scripts/make_subgroup_graph.py derives the table; docs/notes/subgroups.md tells how, and how it compares with others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.symmetry.tables import read_table

GROUPS = 230


@dataclass(frozen=True, eq=False)
class Edge:
    """A maximal subgroup of another type than its group.

    Attributes:
        group: International Tables number of the group.
        subgroup: number of the subgroup.
        kind: "t", translationengleiche: all translations kept; "k", klassengleiche: the point group kept.
        index: the smallest one, where subgroups of this type have several.
        matrix: (3, 3) P of one example: the columns are the subgroup's conventional cell in that of the group,
            (a', b', c') = (a, b, c) P, both in their standard setting (unique axis b and cell choice 1, hexagonal axes,
            origin choice 2). det P > 0.
        origin: (3,) p of that example: the subgroup's origin in the group's cell, x = P x' + p.
    """

    group: int
    subgroup: int
    kind: Literal["t", "k"]
    index: int
    matrix: NDArray[np.float64]
    origin: NDArray[np.float64]


@lru_cache(maxsize=1)
def edges() -> tuple[Edge, ...]:
    """Every pair of different types of which one occurs as a maximal subgroup of the other, by group and subgroup.

    Isomorphic subgroups are left out when they have the type of their group. Those of the enantiomorphic type (P41 in
    P43, index 3) are edges of kind "k".
    """
    return tuple(_edge(*row) for row in _rows())


@lru_cache(maxsize=1)
def distance_matrix() -> NDArray[np.int8]:
    """(230, 230) smallest number of edges between two types, up or down; read-only.

    Row and column n belong to group n + 1. Symmetric, zero only on the diagonal, at most 6: the matrix D of the
    graph earth mover's distance of AlphaDiffract (section 2.2).
    """
    linked = np.eye(GROUPS, dtype=np.int64)
    for group, subgroup, *_ in _rows():
        linked[group - 1, subgroup - 1] = linked[subgroup - 1, group - 1] = 1
    within = np.eye(GROUPS, dtype=bool)
    distance = np.zeros((GROUPS, GROUPS), dtype=np.int8)
    while not within.all():
        distance += ~within
        grown = within @ linked > 0
        assert (grown != within).any(), "the graph is connected"
        within = grown
    distance.setflags(write=False)
    return distance


def distances(predicted: Sequence[int] | NDArray[Any], truth: Sequence[int] | NDArray[Any]) -> NDArray[np.int8]:
    """(n,) number of edges between each of (n,) predicted groups and the true one.

    Raises:
        InputError: no whole numbers from 1 to 230, other lengths, or nothing at all.
    """
    first, second = _numbers(predicted, "predicted"), _numbers(truth, "true")
    if first.shape != second.shape:
        raise InputError(f"{len(first)} predicted and {len(second)} true space groups; give one of each for a pattern")
    return distance_matrix()[first - 1, second - 1]


def within_edges(predicted: Sequence[int] | NDArray[Any], truth: Sequence[int] | NDArray[Any], k: int) -> float:
    """Share (0 to 1) of predictions at most k edges away from the truth; k = 0 counts the right ones.

    AlphaDiffract reports it for k = 1 (Fig. 2).

    Args:
        predicted: (n,) space-group numbers.
        truth: (n,) space-group numbers.
        k: number of edges, 0 or more.

    Raises:
        InputError: as `distances`, or a negative k.
    """
    if k < 0:
        raise InputError(f"{k} edges: give 0 or more")
    return float((distances(predicted, truth) <= k).mean())


def _numbers(values: Sequence[int] | NDArray[Any], name: str) -> NDArray[np.int64]:
    found = np.asarray(values)
    if found.ndim != 1 or not found.size:
        raise InputError(f"{name} space groups of shape {found.shape}; give a list of at least one number")
    if found.dtype.kind not in "iu":
        raise InputError(f"{name} space groups of type {found.dtype}; give whole numbers from 1 to {GROUPS}")
    wrong = found[(found < 1) | (found > GROUPS)]
    if wrong.size:
        raise InputError(f"{name} space group {wrong[0]}: numbers run from 1 to {GROUPS}")
    return found.astype(np.int64)


@lru_cache(maxsize=1)
def _rows() -> list[list[Any]]:
    return read_table("subgroups", "edges")


def _edge(group: int, subgroup: int, kind: Literal["t", "k"], index: int, matrix: str, origin: str) -> Edge:
    return Edge(group, subgroup, kind, index, _fractions(matrix).reshape(3, 3), _fractions(origin))


def _fractions(text: str) -> NDArray[np.float64]:
    out = np.array([float(Fraction(word)) for word in text.split()])
    out.setflags(write=False)
    return out
