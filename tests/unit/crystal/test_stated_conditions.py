"""Temperatures and pressures in the notes of sources, and references in one line."""

import math

import pytest

from powderlens.crystal.stated_conditions import reference, stated_pressure_GPa, stated_temperature_K


@pytest.mark.parametrize(
    ("text", "temperature_K"),
    [
        ("Sample: T = 225 C", 498.15),
        ("Note: T = 300 K", 300.0),
        ("T = 25 deg C", 298.15),
        ("Sample: at T = -100 C", 173.15),
        ("Note: ZnS structure\nNote: T = 523 K, conventional anisotropic refinement", 523.0),
        ("Sample: RLM445, 1405 C, Mg2TiO4", None),
        ("Sample: annealed at T = 900 C", None),
        ("Sample: synthesized at T = 900 C\nNote: T = 100 K", 100.0),
        ("Note: T = 0 K", None),
        ("T = 5 Ca", None),
        ("", None),
    ],
)
def test_temperature(text: str, temperature_K: float | None) -> None:
    found = stated_temperature_K(text)
    assert math.isnan(found) if temperature_K is None else found == pytest.approx(temperature_K)


@pytest.mark.parametrize(
    ("text", "pressure_GPa"),
    [
        ("Note: P = 56.8 kbar", 5.68),
        ("Sample: P = 10.2 GPa, Phase II", 10.2),
        ("Note: T = 218 C\n Note: P = 101 kPa", 1.01e-4),
        ("P = 50 kbars", 5.0),
        ("P = 1 atm", 1.01325e-4),
        ("synthetic, synthesized at P = 15 GPa, T = 1500 C", None),
        ("up to 50 kbars", None),
    ],
)
def test_pressure(text: str, pressure_GPa: float | None) -> None:
    found = stated_pressure_GPa(text)
    assert math.isnan(found) if pressure_GPa is None else found == pytest.approx(pressure_GPa)


def test_reference() -> None:
    assert reference("Clark J, Appleman D", "American Mineralogist", "16", "1931", "580", "591") == (
        "Clark J, Appleman D; American Mineralogist 16 (1931) 580-591"
    )
    assert reference("", "Acta", "", "", "7", "7") == "Acta 7"
    assert reference("", "", "", "", "", "") == ""
