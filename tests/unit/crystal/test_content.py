"""Formulas, and whether a cell holds what is said."""

import numpy as np
import pytest

from powderlens.crystal.content import Content, contradictions, counted


@pytest.mark.parametrize(
    ("formula", "counts"),
    [
        ("C2 H6 O", {"C": 2, "H": 6, "O": 1}), ("Ca (O H)2", {"Ca": 1, "O": 2, "H": 2}),
        ("Nb0.8 Zr.2", {"Nb": 0.8, "Zr": 0.2}),
        ("(Fe.54 W1.46) Ca.12", {"Fe": 0.54, "W": 1.46, "Ca": 0.12}), ("D2 O", {"H": 2, "O": 1}), ("Si", {"Si": 1}),
        ("Ca2(Mg(Si2 O)2)3", {"Ca": 2, "Mg": 3, "Si": 12, "O": 6}), ("C2H6O", {"C": 2, "H": 6, "O": 1}),
    ],
)  # fmt: skip
def test_counts_of_a_formula(formula: str, counts: dict[str, float]) -> None:
    assert counted(formula) == pytest.approx(counts)


@pytest.mark.parametrize("formula", ["", "Xx2", "Ca (O H", "Ca)", "NaCl?", "n C2", "0"])
def test_what_is_no_formula_says_nothing(formula: str) -> None:
    assert counted(formula) is None
    assert contradictions(Content.of(formula), ["Fe"], np.ones(1), 10.0) == []


def texts(content: Content, atoms: dict[str, float], volume_A3: float = 100.0) -> list[str]:
    return [
        d.text for d in contradictions(content, list(atoms), np.array(list(atoms.values()), dtype=float), volume_A3)
    ]


def test_hydrogen_may_be_missing_but_not_in_excess() -> None:
    brucite = Content.of("H2 Mg O2", 1)
    assert texts(brucite, {"Mg": 1, "O": 2, "H": 2}) == []
    assert texts(brucite, {"Mg": 1, "O": 2}) == []
    assert texts(brucite, {"Mg": 1, "O": 2, "D": 2}) == []
    assert texts(brucite, {"Mg": 1, "O": 2, "H": 6}) == ["formula 'H2 Mg O2' stated, 'H6 Mg1 O2' found"]
    assert texts(Content.of("H2", 2), {"H": 4}) == []
    assert texts(Content.of("H2", 2), {"H": 8}) == ["Z 2 stated, 4 found"]


def test_a_tenth_may_be_off() -> None:
    content = Content.of("Fe O", 4)
    assert texts(content, {"Fe": 3.8, "O": 4}) == []
    assert texts(content, {"Fe": 2.8, "O": 4}) != []
    assert texts(content, {"Fe": 3, "O": 3}) == ["Z 4 stated, 3 found"]
    assert texts(content, {"Mg": 4, "O": 4}) == ["formula 'Fe O' stated, 'Mg4 O4' found"]


def test_the_density_may_be_that_of_deuterium_and_counts_hydrogen_that_is_not_listed() -> None:
    ice = Content.of("O H2", density_g_cm3=0.92)
    volume = 4 * 18.015 * 1.66053907 / 0.92
    assert texts(ice, {"O": 4, "H": 8}, volume) == []
    assert texts(ice, {"O": 4}, volume) == []
    heavy = Content.of("O H2", density_g_cm3=1.025)
    assert texts(heavy, {"O": 4, "H": 8}, volume) == []
    assert texts(heavy, {"O": 2, "H": 4}, volume) == ["density 1.025 g/cm^3 stated, 0.46 found"]


@pytest.mark.parametrize("density", [float("nan"), 0.0, -1.0, 2330.0])
def test_densities_that_are_none_say_nothing(density: float) -> None:
    assert texts(Content.of("", density_g_cm3=density), {"Fe": 1}) == []
