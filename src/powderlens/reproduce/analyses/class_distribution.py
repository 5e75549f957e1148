"""How patterns and crystals are distributed over crystal systems and space groups.

SimXRD (Cao et al. 2025) Fig. 3: space groups by rank; Fig. 4: systems, and space groups in five sets by frequency.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.corpus.store.corpus import Corpus
from powderlens.reproduce.analyses.base import Inputs, Result, grouped
from powderlens.reproduce.analyses.drawing import canvas, open_frame, tints
from powderlens.symmetry.groups import SYSTEM_OF, SYSTEMS, crystal_system, symbol

RARE = 50
"""Crystals below which ML4pXRDs leaves a space group out."""


@dataclass(frozen=True, eq=False)
class Counted:
    """One set of patterns.

    Attributes:
        name: of the set.
        patterns: (231,) of each space-group number.
        crystals: (231,) likewise.
    """

    name: str
    patterns: NDArray[np.int64]
    crystals: NDArray[np.int64]


def count(name: str, groups: NDArray[np.int64], crystal: NDArray[np.int64]) -> Counted:
    """Count a set.

    Args:
        name: of the set.
        groups: (n,) space group of each pattern, 0 where it is not known.
        crystal: (n,) which crystal each is of.
    """
    _, first = np.unique(crystal, return_index=True)
    patterns, crystals = np.bincount(groups, minlength=231), np.bincount(groups[first], minlength=231)
    patterns[0] = crystals[0] = 0
    return Counted(name, patterns, crystals)


def analyse(inputs: Inputs) -> Result:
    """The parts of a corpus, and what records were tested on.

    Raises:
        InputError: neither a corpus nor a record of space groups.
    """
    sets = _of_corpus(inputs) if inputs.corpus is not None else []
    for one, *_ in grouped(inputs.asked("space_group"), lambda one: one.tested).values():
        answers, part = one.answers(), one.record.tested
        sets.append(count(f"{part.corpus}, tested {part.part}", answers.truth, answers.crystal))
    if not sets:
        raise InputError("class-distribution needs --corpus, or records of space groups")
    rows = [
        {
            "set": one.name,
            "space_group": number,
            "symbol": symbol(number),
            "crystal_system": crystal_system(number),
            "crystals": int(one.crystals[number]),
            "patterns": int(one.patterns[number]),
            "percent_of_patterns": 100 * float(one.patterns[number] / one.patterns.sum()),
        }
        for one in sets
        for number in np.flatnonzero(one.patterns).tolist()
    ]
    return Result(rows, _figure(sets), [_note(one) for one in sets])


def _of_corpus(inputs: Inputs) -> list[Counted]:
    assert inputs.corpus is not None
    corpus = Corpus.open(inputs.corpus)
    sets = []
    for part in corpus.parts:
        numbers = corpus.numbers(part)
        if len(numbers):
            groups = corpus.labels(numbers).space_group.astype(np.int64)
            sets.append(count(f"{inputs.corpus.name}, {part}", groups, corpus.crystal_of(numbers)))
    return [one for one in sets if one.patterns.any()]


def systems(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """(7,) sums by crystal system of (231,) counts by space group."""
    return np.bincount(SYSTEM_OF[1:], groups[1:], minlength=len(SYSTEMS)).astype(np.int64)


def _figure(sets: list[Counted]) -> Figure:
    figure, ((left, right),) = canvas(10.5, 4.2, across=2)
    shown = _merged(sets)
    wide = 0.8 / len(shown)
    for i, (one, tint) in enumerate(zip(shown, tints(len(shown), 0.7), strict=True)):
        by_system = systems(one.crystals)
        left.bar(np.arange(7) - 0.4 + (i + 0.5) * wide, 100 * by_system / by_system.sum(), wide, color=tint)
        ranked = np.sort(one.crystals[one.crystals > 0])[::-1]
        right.step(np.arange(1, len(ranked) + 1), ranked, where="mid", color=tint, linewidth=1.4,
                   label=f"{one.name}: {ranked.sum():,} crystals, {len(ranked)} groups")  # fmt: skip
    left.set_xticks(range(7), SYSTEMS, rotation=30, ha="right")
    left.set_ylabel("crystals (%)")
    right.set_yscale("log")
    right.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    right.yaxis.set_minor_formatter(NullFormatter())
    right.set_xlabel("space groups by rank")
    right.set_ylabel("crystals")
    right.legend(frameon=False, fontsize=8)
    for axes in (left, right):
        open_frame(axes)
    return figure


def _merged(sets: list[Counted]) -> list[Counted]:
    """Sets of the same crystals, as the parts of an in-library split are, as one."""
    alike = grouped(sets, lambda one: one.crystals.tobytes()).values()
    return [replace(same[0], name="\n".join(one.name for one in same)) for same in alike]


def _note(one: Counted) -> str:
    present = one.crystals[one.crystals > 0]
    top = int(one.crystals.argmax())
    by_system = systems(one.crystals)
    most = int(by_system.argmax())
    return (
        f"{one.name}: {one.patterns.sum():,} patterns of {present.sum():,} crystals in {len(present)} of 230 space "
        f"groups, {int((present < RARE).sum())} of them with fewer than {RARE} crystals; most frequent {symbol(top)} "
        f"({top}) with {100 * present.max() / present.sum():.1f} %, and {SYSTEMS[most]} with "
        f"{100 * by_system[most] / by_system.sum():.1f} %."
    )
