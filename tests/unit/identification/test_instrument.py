"""What the instrument adds: further lines of the tube, doublets that are not there, holders; and nothing invented."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from powderlens.core.constants import ANODES, K_BETA_A, W_L_ALPHA_A
from powderlens.crystal.structure import Structure
from powderlens.diffraction.phase import Phase, phase_of
from powderlens.diffraction.simulate import simulate
from powderlens.identification.candidates import Candidate
from powderlens.identification.identify import Identifier, Search
from powderlens.identification.instrument import (
    HOLDERS,
    SAID_OF,
    anode_of,
    further_lines,
    holder,
    microabsorption,
    settle,
)
from powderlens.library.shelf import Shelf
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.wavelength import Radiation
from powderlens.refine.candidates import Fit, fit
from powderlens.refine.measured import Measured

Part = tuple[object, str | float, float]
NOISE = 0.003


def pattern_of(*parts: Part, told: Radiation | None = None) -> Pattern:
    """Structures under radiations, each with the height of its strongest line, and noise."""
    clean = [(simulate(one, w, two_theta_deg=(15, 75), step_deg=0.03), share) for one, w, share in parts]
    y = sum(share * p.intensity / 100 for p, share in clean)
    y = y + NOISE * np.random.default_rng(5).standard_normal(len(y))
    first = clean[0][0]
    radiation = told or first.radiation
    assert radiation is not None
    return Pattern(first.two_theta_deg, y, radiation.wavelength_A, radiation=radiation)


def drawn(*parts: Part, told: Radiation | None = None) -> Measured:
    return Measured.of(pattern_of(*parts, told=told))


def fitted(measured: Measured, phase: Phase) -> Fit:
    return fit(measured, [phase], [1.0])


@pytest.fixture(scope="module")
def phases(minerals: Mapping[str, Structure]) -> dict[str, Phase]:
    return {name: phase_of(minerals[name], d_min_A=1.0) for name in ("Rutile", "Quartz", "Halite")}


def test_k_beta_and_tungsten_are_told(minerals: Mapping[str, Structure], phases: dict[str, Phase]) -> None:
    quartz = minerals["Quartz"]
    measured = drawn((quartz, "CuKa", 1.0), (quartz, K_BETA_A["Cu"], 0.03), (quartz, W_L_ALPHA_A, 0.02))
    found = further_lines(measured, fitted(measured, phases["Quartz"]), [phases["Quartz"]])
    assert [line.name for line in found] == ["K-beta of copper", "L-alpha of tungsten"]
    # Single lines are half as high again as doublets of one area, where those are not resolved less.
    assert 0.015 < found[0].share < 0.04
    assert 0.01 < found[1].share < 0.03


@pytest.mark.parametrize("second", ["Rutile", "Halite"])
def test_a_second_phase_is_no_further_line(
    minerals: Mapping[str, Structure], phases: dict[str, Phase], second: str
) -> None:
    measured = drawn((minerals["Quartz"], "CuKa", 1.0), (minerals[second], "CuKa", 0.2))
    assert not further_lines(measured, fitted(measured, phases["Quartz"]), [phases["Quartz"]])


def test_a_clean_pattern_is_left_alone(minerals: Mapping[str, Structure], small_library: Path) -> None:
    shelf = Shelf([small_library], shipped=False)
    measured = drawn((minerals["Rutile"], "CuKa", 1.0))
    one = candidate(shelf, measured, "Rutile")
    settled = settle(measured, shelf, [one], weigh)
    assert settled.remarks == ()
    assert settled.measured is measured
    assert settled.roots == [one]
    assert settle(measured, shelf, [], weigh).roots == []


def candidate(shelf: Shelf, measured: Measured, name: str) -> Candidate:
    row = next(row for row in range(len(shelf)) if shelf.name(row) == name)
    lines = shelf.lines(row, measured.d_min_A)
    return Candidate.of([row], fitted(measured, lines), [lines])


def weigh(one: Candidate) -> float:
    return one.fit.agreement


def test_a_stripped_doublet_and_one_that_was_not_stated_are_told(
    minerals: Mapping[str, Structure], small_library: Path
) -> None:
    shelf = Shelf([small_library], shipped=False)
    lines = ANODES["Cu"]
    doublet = Radiation(lines.mean_A, lines.ka1_A, lines.ka2_A, "CuKa")
    stripped = drawn((minerals["Corundum"], "CuKa1", 1.0), told=doublet)
    settled = settle(stripped, shelf, [candidate(shelf, stripped, "Corundum")], weigh)
    assert "no K-alpha-2 is seen" in settled.remarks[0]
    assert settled.measured.wavelength.tolist() == [lines.ka1_A]
    assert abs(settled.roots[0].fit.phases[0].mean_strain) < 4e-4
    both = drawn((minerals["Corundum"], "CuKa", 1.0), told=Radiation(lines.ka1_A, lines.ka1_A, None, "CuKa1"))
    before = candidate(shelf, both, "Corundum")
    settled = settle(both, shelf, [before], weigh)
    assert "K-alpha-2 is seen" in settled.remarks[0]
    assert settled.measured.share == pytest.approx([2 / 3, 1 / 3])
    assert settled.roots[0].fit.agreement > before.fit.agreement + 0.004


@pytest.mark.parametrize("name", sorted(HOLDERS))
def test_lines_of_a_holder_are_taken_off(
    minerals: Mapping[str, Structure], phases: dict[str, Phase], name: str
) -> None:
    measured = drawn((minerals["Quartz"], "CuKa", 1.0), (HOLDERS[name], "CuKa", 0.25))
    alone = fitted(measured, phases["Quartz"])
    best = Candidate.of([0], alone, [phases["Quartz"]])
    found = holder(measured, best, frozenset())
    assert found is not None
    cleared, said = found
    assert name in said
    assert cleared.holder is not None
    again = fit(cleared, [phases["Quartz"]], [1.0], start=alone)
    assert again.agreement > alone.agreement + 0.005
    whole = cleared.unit * (cleared.intensity + cleared.holder) + cleared.background
    assert whole == pytest.approx(measured.unit * measured.intensity + measured.background, abs=1e-9 * measured.unit)
    assert holder(measured, best, frozenset(HOLDERS[name].elements)) is None, "not where the specimen has it"


@pytest.mark.parametrize("second", ["Rutile", "Halite", None])
def test_a_second_phase_is_no_holder(
    minerals: Mapping[str, Structure], phases: dict[str, Phase], second: str | None
) -> None:
    parts: list[Part] = [(minerals["Quartz"], "CuKa", 1.0)]
    if second is not None:
        parts.append((minerals[second], "CuKa", 0.3))
    measured = drawn(*parts)
    assert (
        holder(measured, Candidate.of([0], fitted(measured, phases["Quartz"]), [phases["Quartz"]]), frozenset()) is None
    )


def test_anodes_are_known_by_their_lines(minerals: Mapping[str, Structure]) -> None:
    measured = drawn((minerals["Rutile"], "CoKa", 1.0))
    assert anode_of(measured) == "Co"
    assert anode_of(replace(measured, wavelength=np.array([0.6199]), share=np.ones(1))) is None


def test_weights_are_doubted_where_phases_absorb_differently(
    minerals: Mapping[str, Structure], small_library: Path
) -> None:
    """At copper's wavelength hematite absorbs 1100/cm and quartz 95/cm; corundum absorbs as quartz does."""
    shelf = Shelf([small_library], shipped=False)
    measured = drawn((minerals["Quartz"], "CuKa", 1.0))

    def both(other: str) -> Candidate:
        rows = [candidate(shelf, measured, name).rows[0] for name in ("Quartz", other)]
        lines = [shelf.lines(row, measured.d_min_A) for row in rows]
        return Candidate.of(rows, fit(measured, lines, [1.0, 1.0]), lines)

    said = microabsorption(measured, shelf, both("Hematite"))
    assert said is not None
    assert said.startswith("Hematite absorbs 1")
    assert microabsorption(measured, shelf, both("Corundum")) is None
    assert microabsorption(measured, shelf, candidate(shelf, measured, "Quartz")) is None


def test_the_answer_says_what_the_instrument_adds(minerals: Mapping[str, Structure], small_library: Path) -> None:
    quartz = minerals["Quartz"]
    parts: list[Part] = [
        (quartz, "CuKa", 1.0), (quartz, K_BETA_A["Cu"], 0.04), (HOLDERS["aluminium"], "CuKa", 0.15),
    ]  # fmt: skip
    search = Search(libraries=(str(small_library),), shipped=False)
    answer = Identifier("library", search=search).identify(pattern_of(*parts))
    assert any(warning.startswith("K-beta of copper, ") for warning in answer.warnings)
    assert SAID_OF["aluminium"] in answer.warnings
    assert [phase.name for phase in answer.best_phases] == ["Quartz"]
    assert answer.unexplained_peaks == []
    assert answer.explained is not None
    assert answer.explained > 0.78
    assert answer.curve is not None
    near = np.abs(answer.curve.two_theta_deg - 38.47) < 0.1
    assert answer.curve.observed[near].max() > 0.05 * answer.curve.observed.max(), "what is measured stays"
    assert answer.curve.calculated[near].max() > 0.05 * answer.curve.observed.max()
