"""Formulas without their elements, and as people write them."""

import pytest

from powderlens.crystal.composition import WRITTEN_ORDER, anonymous_formula, elements_of, written_formula
from powderlens.crystal.elements import ELEMENTS


@pytest.mark.parametrize(
    ("formula", "anonymous"),
    [
        ("Al2O3", "A2B3"),
        ("Fe", "A"),
        ("ClNa", "AB"),
        ("CaO3Ti", "ABC3"),
        ("O3TiCa", "ABC3"),
        ("Fe1.5MgO0.25", "A0.25BC1.5"),
    ],
)
def test_anonymous(formula: str, anonymous: str) -> None:
    assert anonymous_formula(formula) == anonymous


def test_elements() -> None:
    assert elements_of("CaO3Ti") == ["Ca", "O", "Ti"]
    assert elements_of("D2O") == ["D", "O"]


@pytest.mark.parametrize(
    ("counts", "written"),
    [
        ({"Ti": 1.8, "Nb": 0.006, "Cr": 0.014, "Al": 0.17, "O": 4}, "Ti0.9Cr0.01Al0.09O2"),
        ({"Mg": 7.2, "Fe": 0.8, "Si": 4, "O": 16}, "Mg1.8Fe0.2SiO4"),
        ({"Na": 1.2, "Ca": 2.8, "Al": 6.8, "Si": 9.2, "O": 32}, "Na0.3Ca0.7Al1.7Si2.3O8"),
        ({"O": 6, "Si": 3}, "SiO2"),
        ({"B": 6, "La": 1}, "LaB6"),
        ({"Cl": 4, "Na": 4}, "NaCl"),
        ({"O": 18, "C": 6, "Ca": 6}, "CaCO3"),
        ({"Ca": 4, "S": 4, "O": 24, "H": 16}, "CaH4SO6"),
        ({"D": 2, "O": 1}, "D2O"),
        ({"Fe": 3.5, "Ni": 0.5}, "Fe3.5Ni0.5"),
        ({"Fe": 2}, "Fe"),
    ],
)
def test_as_people_write_it(counts: dict[str, float], written: str) -> None:
    assert written_formula(counts) == written


def test_every_element_has_its_place() -> None:
    assert sorted(WRITTEN_ORDER) == sorted([*ELEMENTS, "D"])
