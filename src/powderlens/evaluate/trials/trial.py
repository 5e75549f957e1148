"""`Trial`: a pattern as a user's file would give it, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from powderlens.crystal.structure import Cell, Structure
from powderlens.pattern.pattern import Pattern

Kind = Literal[
    "known",
    "removed",
    "mixture",
    "single",
    "noise",
    "hump",
    "one_line",
    "other_anode",
    "nanometre",
    "two_percent",
    "short_range",
    "radiations",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What kinds of trial there are. The place in this list is part of every random number's address: add at the end."""

FLAGGED: tuple[Kind, ...] = ("noise", "hump", "one_line", "other_anode", "nanometre", "two_percent", "short_range")
"""Kinds of which an answer must say that something is wrong with the pattern, or that it shows too little."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TruePhase:
    """A phase that a pattern was drawn of.

    Attributes:
        row: of the library; -1 where the library has no such phase.
        name, formula: of the entry.
        space_group: International Tables number.
        cell: conventional, as drawn: A and degrees, in the standard setting.
        reduced: Niggli cell, as drawn.
        weight_fraction: of the crystalline part.
        intensity_share: of all lines inside the measured range.
        origin: what it was drawn from: "loosened", or the identity of another determination.
        structure: before it was strained; with its operators, in the standard setting.
    """

    row: int
    name: str
    formula: str
    space_group: int
    cell: Cell
    reduced: Cell
    weight_fraction: float
    intensity_share: float
    origin: str
    structure: Structure


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """One simulated pattern.

    Attributes:
        kind, seed, number: the trial's address: the same three make the same trial.
        pattern: with the wavelength that its user would state.
        phases: what it was drawn of, the strongest first; none for noise and humps.
        impurity: name of the second phase that the protocol mixed in; "" where there is none.
        hidden: rows that a reader must leave out of the library: the phase is not to be known.
        setting: what was varied on purpose, as the anode; "" where nothing was.
        lines: how many of the one phase stand apart in the range and are not weak; None of mixtures and of nothing.
    """

    kind: Kind
    seed: int
    number: int
    pattern: Pattern
    phases: tuple[TruePhase, ...] = ()
    impurity: str = ""
    hidden: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    setting: str = ""
    lines: int | None = None

    @property
    def elements(self) -> tuple[str, ...]:
        """Of its true phases."""
        return tuple(sorted({element for phase in self.phases for element in phase.structure.elements}))
