"""Mixtures: further phases searched for in what a fit leaves over, and refined together with those that are there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from powderlens.core.errors import InputError
from powderlens.identification.candidates import Candidate, axis_of, residual, worth_of
from powderlens.identification.deadline import Deadline
from powderlens.library.shelf import Shelf
from powderlens.pattern.peaks import find_lines
from powderlens.refine.candidates import fit, textured
from powderlens.refine.measured import Measured

ROOTS = 2
"""Single phases from which mixtures start."""
BEAM, BEHIND = 2, 3.0
"""Sets that are grown further, and by how much less log-weight than the best set so far they may have: a third phase
may show what a second one was."""
RETRIEVED = 32
"""Phases that are held against what a node leaves over."""
TRIED = 4
"""The best of them, refined together with those before."""
LEFT_OVER, LEAST_LEFT = 7.0, 0.01
"""Some line of what is left over must be so many times as high as the noise, and have this share of the strongest."""
LEAST_GAIN = 0.01
"""A further phase must lower the squares of the residuals by this share."""
CORRELATED = 6.0
"""Neighbouring points that share the error of a line."""
LEAST_SHARE = 0.005
"""Of the calculated intensity; a phase with less is not there."""


@dataclass(frozen=True, eq=False)
class _Node:
    """A set of phases, its log-weight, and what kinds it holds."""

    candidate: Candidate
    weight: float
    kinds: frozenset[tuple[str, int]]


def mixtures(
    measured: Measured,
    shelf: Shelf,
    roots: list[Candidate],
    most: int,
    weight: Callable[[Candidate], float],
    deadline: Deadline,
) -> list[Candidate]:
    """Sets of up to `most` phases that fit better than their parts.

    Args:
        measured: the pattern.
        shelf: the libraries.
        roots: phases refined alone, best first, or one set of phases that are known to be there.
        most: phases in a mixture.
        weight: log-weight of a set of phases; the search goes on from the best set while it rises.
        deadline: when it ends in any case.
    """
    out: list[_Node] = []
    nodes = _roots(shelf, roots, weight)
    best = max((node.weight for node in nodes), default=0.0)
    nodes = [node for node in nodes if node.weight > best - BEHIND]
    for _ in range(max((len(one.rows) for one in roots), default=most), most):
        found: dict[frozenset[int], _Node] = {}
        for node in nodes:
            for one in _grown(measured, shelf, node, weight, deadline):
                known = found.get(frozenset(one.candidate.rows))
                if known is None or one.candidate.fit.agreement > known.candidate.fit.agreement:
                    found[frozenset(one.candidate.rows)] = one
        following = sorted(found.values(), key=lambda one: -one.weight)
        out += following
        nodes = [one for one in following[:BEAM] if one.weight > best - BEHIND]
        best = max([best, *(one.weight for one in following)])
        if not nodes:
            break
    sets = [one.candidate for one in sorted(out, key=lambda one: -one.weight)]
    return [one if place else _oriented(measured, one, deadline) for place, one in enumerate(sets)]


def _oriented(measured: Measured, one: Candidate, deadline: Deadline) -> Candidate:
    """The best set, its phases oriented where that pays, the strongest first."""
    phases, fitted, march = one.phases, one.fit, list(one.march)
    for place, r in enumerate(one.march):
        if r == 1.0 and not phases[place].fixed_cell and not deadline.passed():
            phases, fitted, march[place] = textured(measured, phases, fitted, place)
    return Candidate(one.rows, fitted, phases, tuple(march), one.support)


def _roots(shelf: Shelf, single: list[Candidate], weight: Callable[[Candidate], float]) -> list[_Node]:
    """The best of the single phases, each kind once."""
    found: dict[tuple[str, int], _Node] = {}
    nodes = [_Node(one, weight(one), frozenset(map(shelf.kind, one.rows))) for one in single]
    for node in sorted(nodes, key=lambda one: -one.weight):
        found.setdefault(shelf.kind(node.candidate.rows[0]), node)
        if len(found) == ROOTS:
            break
    return list(found.values())


def _grown(
    measured: Measured, shelf: Shelf, node: _Node, weight: Callable[[Candidate], float], deadline: Deadline
) -> list[_Node]:
    """A node with each of the phases that suit best what it leaves over."""
    before = node.candidate.fit
    rest = measured.without(before.calculated)
    profile, noise = rest.smoothed
    least = np.maximum(LEFT_OVER * noise, LEAST_LEFT / rest.unit)
    if not len(find_lines(rest.two_theta_deg, profile, least)):
        return []
    tried: list[tuple[float, int, float]] = []
    found = shelf.retrieve(axis_of(rest), RETRIEVED)
    for row, scale in zip(found.row.tolist(), found.scale.tolist(), strict=True):
        if shelf.kind(row) in node.kinds:
            continue
        if deadline.passed():
            break
        try:
            alone = fit(rest, [shelf.lines(row, measured.d_min_A)], [scale], depth=2)
        except InputError:
            continue
        tried.append((worth_of(alone, not shelf.measured[row]), row, 1 + alone.phases[0].mean_strain))
    tried.sort(reverse=True)
    out = []
    phases = node.candidate.phases
    squares, points = residual(measured, before), float(measured.levels[-1].used.sum())
    for _, row, scale in tried[:TRIED]:
        if deadline.passed():
            break
        phase = shelf.lines(row, measured.d_min_A)
        together = fit(measured, [*phases, phase], [*(1.0 for _ in phases), scale], start=before)
        taken = squares - residual(measured, together)
        if together.phases[-1].intensity < LEAST_SHARE or taken < LEAST_GAIN * squares:
            continue
        support = node.candidate.support + float(np.log(max(taken * points / CORRELATED, 1.0)))
        grown = Candidate.of(
            (*node.candidate.rows, row), together, (*phases, phase), (*node.candidate.march, 1.0), support
        )
        out.append(_Node(grown, weight(grown), node.kinds | {shelf.kind(row)}))
    return out
