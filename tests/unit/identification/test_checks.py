"""What is wrong with a pattern: nothing in it, too little, or another wavelength than the one that is stated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from powderlens.crystal.common import common_minerals
from powderlens.crystal.structure import Structure
from powderlens.diffraction.simulate import simulate
from powderlens.identification.answer import Answer
from powderlens.identification.checks import Sight, look
from powderlens.identification.identify import Identifier, Search
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.wavelength import parse_radiation
from powderlens.refine.measured import Measured

X = np.arange(15.0, 75.0, 0.03)
NOISE = 0.3 * np.random.default_rng(3).standard_normal(len(X))


def pattern(y: np.ndarray, wavelength: str | float = "CuKa") -> Pattern:
    radiation = parse_radiation(wavelength)
    return Pattern(X, y + NOISE, radiation.wavelength_A, radiation=radiation)


def line(at_deg: float, height: float, fwhm_deg: float = 0.15) -> np.ndarray:
    return np.asarray(height * np.exp(-4 * np.log(2) * ((X - at_deg) / fwhm_deg) ** 2))


def seen(y: np.ndarray, wavelength: str | float = "CuKa") -> Sight:
    return look(Measured.of(pattern(y, wavelength)))


def drawn(structure: Structure, radiation: str, told: str | float = "CuKa") -> Pattern:
    clean = simulate(structure, radiation, two_theta_deg=(15, 75), step_deg=0.03)
    return pattern(np.interp(X, clean.two_theta_deg, clean.intensity), told)


@pytest.fixture(scope="module")
def common() -> Mapping[str, Structure]:
    return {mineral.name: mineral for mineral in common_minerals()}


@pytest.fixture(scope="module")
def asking(small_library: Path) -> Identifier:
    return Identifier("library", threads=1, search=Search(libraries=(str(small_library),), shipped=False, max_phases=1))


def test_nothing_and_humps() -> None:
    assert (seen(np.zeros(len(X))).abstains or "").startswith("no reflection stands out of the noise")
    hump = seen(line(24.0, 100.0, 9.0))
    assert (hump.abstains or "").startswith("only broad humps")
    assert len(hump.lines) == 0


def test_few_lines_and_one_family() -> None:
    one = seen(line(30.0, 100))
    assert one.abstains is None
    assert one.warnings[0].startswith("1 line in the range, of one spacing and its orders")
    three = seen(line(22.0, 100) + line(30.0, 60) + line(41.3, 40))
    assert three.warnings == ("3 lines in the range: too few to tell cells and phases apart",)
    # Five orders of 10 A.
    angles = [2 * np.degrees(np.arcsin(0.5 * 1.5419 * n / 10)) for n in (2, 3, 4, 5, 6)]
    orders = seen(np.sum([line(float(at), 100 / n) for n, at in enumerate(angles, start=1)], axis=0))
    assert orders.warnings[0].startswith("one line and its orders carry nearly everything")


def test_nanometres_for_angstrom(common: Mapping[str, Structure]) -> None:
    quartz = drawn(common["Quartz"], "CuKa", 0.15418)
    assert look(Measured.of(quartz)).abstains == (
        "every line has a spacing below 1.45 A (the longest 0.425 A): is the wavelength of 0.15418 in nanometres "
        "(Cu K-alpha)? It is asked in A"
    )
    # A spacing of 29 A is one of 2.9 A with a tenth of the wavelength; the others tell.
    x = X - 13
    y = NOISE + sum(np.interp(x + 13, X, line(at + 13, 50)) for at in (3.0, 24.0, 33.0, 42.0, 51.0))
    radiation = parse_radiation(0.154)
    long = look(Measured.of(Pattern(x, y, radiation.wavelength_A, radiation=radiation)))
    assert (long.abstains or "").startswith("lines have spacings down to 0.18 A, where no powder shows any")


def test_what_is_said_of_nothing_has_no_phase(asking: Identifier, common: Mapping[str, Structure]) -> None:
    answer = asking.identify(drawn(common["Quartz"], "CuKa", 0.15418))
    assert answer.abstains is not None
    assert answer.phases == []
    assert answer.space_group[0].probability < 0.2


@pytest.mark.parametrize("anode", ["Co", "Mo"])
def test_another_anode(asking: Identifier, common: Mapping[str, Structure], anode: str) -> None:
    answer = asking.identify(drawn(common["Forsterite"], f"{anode}Ka"))
    assert answer.abstains == (
        f"the lines fit Forsterite under {anode} K-alpha as well as anything at the stated 1.5419 A, or better: is the "
        "wavelength right?"
    )
    assert sure(answer) < 0.55


def test_a_wavelength_that_is_no_anodes(asking: Identifier, common: Mapping[str, Structure]) -> None:
    answer = asking.identify(drawn(common["Forsterite"], "CuKa", 1.5727))
    assert answer.abstains == (
        "1.5727 A is no line of a tube, and the lines fit Forsterite under Cu K-alpha (1.5419 A): is the wavelength "
        "right?"
    )
    assert sure(answer) < 0.55
    # A synchrotron may have it.
    assert asking.identify(drawn(common["Forsterite"], "1.5727", 1.5727)).abstains is None


def test_all_spacings_a_little_off(asking: Identifier, common: Mapping[str, Structure]) -> None:
    forsterite = common["Forsterite"]
    answer = asking.identify(drawn(replace(forsterite, lattice=1.02 * forsterite.lattice), "CuKa"))
    assert "spacings are 2.0 % larger than those of Forsterite" in (answer.abstains or "")
    assert sure(answer) < 0.55


@pytest.mark.parametrize("name", ["Forsterite", "Quartz", "Calcite", "Rutile"])
@pytest.mark.parametrize("radiation", ["CuKa", "MoKa"])
def test_good_patterns_are_not_doubted(
    asking: Identifier, common: Mapping[str, Structure], name: str, radiation: str
) -> None:
    answer = asking.identify(drawn(common[name], radiation, radiation))
    assert answer.abstains is None
    assert answer.phases[0].name == name


def sure(answer: Answer) -> float:
    return max(group.probability for group in answer.space_group)
