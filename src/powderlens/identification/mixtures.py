"""Mixtures: further phases searched for in what a fit leaves over, and refined together with those that are there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from powderlens.core.errors import InputError
from powderlens.identification.candidates import Candidate, axis_of, worth_of
from powderlens.identification.checks import LEAST_HEIGHT
from powderlens.identification.deadline import Deadline
from powderlens.library.shelf import Shelf
from powderlens.pattern.peaks import find_lines
from powderlens.refine.candidates import Measured, fit, smooth_of, smoothed

ROOTS = 2
"""Single phases from which mixtures start."""
RETRIEVED = 16
"""Phases that are held against what a node leaves over."""
TRIED = 3
"""The best of them, refined together with those before."""
LEAST_REST = 0.03
"""Lines below this share of the strongest measured line are not searched for partners."""
LEFT_OVER = 0.5
"""A line of which less than this is calculated has another reason too."""
LEAST_GAIN = 0.004
"""A further phase must raise the agreement by this."""
LEAST_SHARE = 0.01
"""Of the calculated intensity; a phase with less is not there."""


@dataclass(frozen=True, eq=False)
class _Node:
    candidate: Candidate
    names: frozenset[str]


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
    out: list[Candidate] = []
    nodes = _roots(shelf, roots, weight)
    for _ in range(max((len(one.rows) for one in roots), default=most), most):
        found: dict[frozenset[int], _Node] = {}
        for node in nodes:
            for one in _grown(measured, shelf, node, deadline):
                known = found.get(frozenset(one.candidate.rows))
                if known is None or one.candidate.fit.agreement > known.candidate.fit.agreement:
                    found[frozenset(one.candidate.rows)] = one
        following = sorted(found.values(), key=lambda one: -weight(one.candidate))
        out += [one.candidate for one in following]
        nodes = [one for one in following[:1] if weight(one.candidate) > max(weight(node.candidate) for node in nodes)]
        if not nodes:
            break
    return out


def _roots(shelf: Shelf, single: list[Candidate], weight: Callable[[Candidate], float]) -> list[_Node]:
    """The best of the single phases, each name once."""
    found: dict[str, _Node] = {}
    for one in sorted(single, key=lambda one: -weight(one)):
        name = shelf.name(one.rows[0])
        if name not in found:
            found[name] = _Node(one, frozenset(map(shelf.name, one.rows)))
        if len(found) == ROOTS:
            break
    return list(found.values())


def _grown(measured: Measured, shelf: Shelf, node: _Node, deadline: Deadline) -> list[_Node]:
    """A node with each of the phases that suit best what it leaves over."""
    before = node.candidate.fit
    profile, noise = smoothed(measured)
    lines = find_lines(measured.two_theta_deg, profile, np.maximum(LEAST_REST, LEAST_HEIGHT * noise))
    drawn = np.interp(lines.two_theta_deg, measured.two_theta_deg, smooth_of(measured, before.calculated))
    if not (drawn < LEFT_OVER * lines.height).any():
        return []
    rest = measured.without(before.calculated)
    tried: list[tuple[float, int, float]] = []
    found = shelf.retrieve(axis_of(rest), RETRIEVED)
    for row, scale in zip(found.row.tolist(), found.scale.tolist(), strict=True):
        if shelf.name(row) in node.names:
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
    for _, row, scale in tried[:TRIED]:
        if deadline.passed():
            break
        phase = shelf.lines(row, measured.d_min_A)
        together = fit(measured, [*phases, phase], [*(1.0 for _ in phases), scale], start=before)
        if together.agreement < before.agreement + LEAST_GAIN or together.phases[-1].intensity < LEAST_SHARE:
            continue
        grown = Candidate.of((*node.candidate.rows, row), together, (*phases, phase), (*node.candidate.march, 1.0))
        out.append(_Node(grown, node.names | {shelf.name(row)}))
    return out
