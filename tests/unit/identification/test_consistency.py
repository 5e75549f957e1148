"""No answer contradicts itself: system, group, cell and phases are those of one set of hypotheses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powderlens.crystal.common import common_minerals
from powderlens.diffraction.simulate import simulate
from powderlens.identification.answer import Answer
from powderlens.identification.consistency import contradictions
from powderlens.identification.evidence import GROUP_TO_SYSTEM, GROUPS
from powderlens.identification.hypotheses import LOWER, Posterior
from powderlens.identification.identify import Identifier, Search
from powderlens.identification.write_answer import write_answer
from powderlens.library.shelf import Shelf
from powderlens.pattern.pattern import Pattern

NAMES = ("Calcite", "Quartz", "Halite", "Corundum", "Rutile", "Gypsum", "Forsterite", "Pyrite")


@pytest.fixture(scope="module")
def identifier(small_library: Path) -> Identifier:
    return Identifier("all", threads=1, search=Search(libraries=(str(small_library),), shipped=False))


def check(answer: Answer, shelf: Shelf | None) -> None:
    """Every part of an answer against every other, and its phases against the library."""
    assert contradictions(answer) == []
    assert (answer.cell is None) == (answer.curve is None)
    for phase in answer.best_phases:
        assert shelf is not None
        assert shelf.space_group[phase.row] == phase.space_group


def pattern_of(names: Sequence[str], weights: Sequence[float], seed: int, span: tuple[float, float]) -> Pattern:
    """Counts of a mixture; of nothing, background alone."""
    minerals = {one.name: one for one in common_minerals()}
    x = np.arange(span[0], span[1], 0.03)
    y = np.zeros(len(x))
    for name, weight in zip(names, weights, strict=False):
        one = simulate(minerals[name], "CuKa", two_theta_deg=span)
        y += weight * np.interp(x, one.two_theta_deg, one.intensity / max(one.intensity.max(), 1e-9))
    counts = np.random.default_rng(seed).poisson(2000 * y + 60).astype(float)
    return Pattern(x, counts, 1.541838)


@settings(max_examples=12)
@given(
    names=st.lists(st.sampled_from(NAMES), max_size=3, unique=True),
    weights=st.lists(st.floats(0.1, 1.0), min_size=3, max_size=3),
    seed=st.integers(0, 1000),
    span=st.sampled_from([(10.0, 80.0), (20.0, 60.0), (25.0, 38.0)]),
)
def test_of_any_pattern(
    identifier: Identifier, names: list[str], weights: list[float], seed: int, span: tuple[float, float]
) -> None:
    check(identifier.identify(pattern_of(names, weights, seed, span)), identifier.shelf)


@settings(max_examples=60)
@given(data=st.data())
def test_of_any_belief(identifier: Identifier, data: st.DataObject) -> None:
    """Whatever the weights of the hypotheses are."""
    asked, found = _found(identifier)
    belief = st.floats(-30.0, 5.0)
    known = np.exp([data.draw(belief) for _ in found])
    none = np.zeros(GROUPS)
    for group in data.draw(st.lists(st.integers(0, GROUPS - 1), min_size=1, max_size=6)):
        none[LOWER[group]] += np.exp(data.draw(belief))
    total = known.sum() + none.sum()
    known, none = known / total, none / total
    group = none.copy()
    assert identifier.shelf is not None
    np.add.at(group, LOWER[identifier.shelf.space_group[[one.rows[0] for one in found]].astype(int) - 1], known)
    answer = write_answer(
        asked,
        found,
        Posterior(known, none, group, group @ GROUP_TO_SYSTEM),
        identifier.shelf,
        evidence="all",
        model="prism-1",
        network_cell=None,
        tells_groups=True,
        calibration="uncalibrated",
        abstains=None,
        remarks=[],
    )
    check(answer, identifier.shelf)


_KEPT: list = []


def _found(identifier: Identifier) -> tuple:
    """The hypotheses of one mixture, found once."""
    if not _KEPT:
        asked, found = identifier.candidates(
            identifier.prepare(pattern_of(["Calcite", "Halite"], [1.0, 0.6], 1, (15.0, 75.0)))
        )
        assert {len(one.rows) for one in found} >= {1, 2}
        _KEPT.extend((asked, found))
    return _KEPT[0], _KEPT[1]


def test_the_check_finds_a_contradiction(identifier: Identifier) -> None:
    answer = identifier.identify(pattern_of(["Calcite"], [1.0], 0, (15.0, 75.0)))
    check(answer, identifier.shelf)
    wrong = [one._replace(number=225, symbol="Fm-3m") for one in answer.space_group[:1]] + answer.space_group[1:]
    assert len(contradictions(replace(answer, space_group=wrong))) >= 4
    assert contradictions(replace(answer, lattice={**answer.lattice, "a_A": 1.0})) == [
        "the reduced cells of answer and main phase differ"
    ]
    assert contradictions(replace(answer, crystal_system=answer.crystal_system[::-1])) != []
    assert contradictions(replace(answer, cell=None)) != []
    assert contradictions(replace(answer, leans_on="Halite")) != []
