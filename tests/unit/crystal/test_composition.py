"""Formulas without their elements."""

import pytest

from powderlens.crystal.composition import anonymous_formula, elements_of


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
