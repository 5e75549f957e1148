"""What users write for a wavelength."""

import math

import pytest

from powderlens.core.constants import ANODES
from powderlens.core.errors import WavelengthError
from powderlens.pattern.wavelength import infer_radiation, parse_radiation

CU = ANODES["Cu"]


@pytest.mark.parametrize(
    "text",
    ["CuKa", "cuka", "CUKA", "Cu K-alpha", "Cu-Ka", "CuKα", "Cu Kα", "Cu_K_alpha", "CuKalpha", "CuKa12", " CuKa "],
)
def test_copper_doublet(text: str) -> None:
    radiation = parse_radiation(text)
    assert radiation.name == "CuKa"
    assert (radiation.ka1_A, radiation.ka2_A) == (CU.ka1_A, CU.ka2_A)
    assert radiation.wavelength_A == pytest.approx((2 * 1.5405929 + 1.5444274) / 3, abs=1e-9)
    assert radiation.ka2_ratio == 0.5


@pytest.mark.parametrize("text", ["CuKa1", "Cu-Ka1", "cu k-alpha-1", "CuKα1", "CuKα₁", "Cu K-alpha1"])
def test_copper_single_line(text: str) -> None:
    radiation = parse_radiation(text)
    assert (radiation.wavelength_A, radiation.ka1_A, radiation.ka2_A) == (1.5405929, 1.5405929, None)
    assert radiation.name == "CuKa1"


def test_second_line_and_other_anodes() -> None:
    assert parse_radiation("CuKa2").wavelength_A == CU.ka2_A
    assert parse_radiation("MoKa").wavelength_A == pytest.approx(0.7107, abs=1e-4)
    assert parse_radiation("CoKa").wavelength_A == pytest.approx(1.7903, abs=1e-4)
    assert parse_radiation("CrKa1").wavelength_A == 2.289726


@pytest.mark.parametrize(
    ("text", "wavelength_A"),
    [
        ("1.54056", 1.54056),
        (1.54056, 1.54056),
        ("1.54056 A", 1.54056),
        ("1.54056Å", 1.54056),
        ("0.154056 nm", 1.54056),
        ("20keV", 0.61992099),
        ("20 keV", 0.61992099),
        ("20000 eV", 0.61992099),
        ("8.04778keV", 1.5406),
        ("4.1e-1", 0.41),
        ("0.05", 0.05),
        ("10", 10.0),
    ],
)
def test_numbers_and_energies(text: str | float, wavelength_A: float) -> None:
    assert parse_radiation(text).wavelength_A == pytest.approx(wavelength_A, rel=1e-5)


@pytest.mark.parametrize("wavelength_A", [1.541838, 1.5418, 1.54184, 1.54178, 1.541871, 1.541874])
def test_means_of_copper_are_a_doublet(wavelength_A: float) -> None:
    radiation = infer_radiation(wavelength_A)
    assert radiation.name == "CuKa"
    assert radiation.wavelength_A == wavelength_A
    assert radiation.ka2_A is not None
    assert (2 * radiation.ka1_A + radiation.ka2_A) / 3 == pytest.approx(wavelength_A, rel=1e-12)
    assert radiation.ka2_A / radiation.ka1_A == pytest.approx(CU.ka2_A / CU.ka1_A, rel=1e-12)


@pytest.mark.parametrize(
    ("wavelength_A", "name"),
    [
        (1.5406, "CuKa1"),
        (1.54056, "CuKa1"),
        (1.54051, "CuKa1"),
        (0.7093, "MoKa1"),
        (0.71073, "MoKa"),
        (1.78897, "CoKa1"),
    ],
)
def test_lines_are_recognised(wavelength_A: float, name: str) -> None:
    radiation = infer_radiation(wavelength_A)
    assert radiation.name == name
    assert radiation.wavelength_A == wavelength_A


@pytest.mark.parametrize("wavelength_A", [1.5412, 1.54, 0.4, 1.5423, 0.61992])
def test_anything_else_is_one_line(wavelength_A: float) -> None:
    radiation = infer_radiation(wavelength_A)
    assert radiation.ka2_A is None
    assert radiation.ka1_A == wavelength_A


@pytest.mark.parametrize(
    "value", [0, 0.0, -1.5, math.nan, math.inf, 10.1, 0.049, "0", "-1.54", "nan", "inf", "15.4", "20"]
)
def test_impossible_numbers(value: float | str) -> None:
    with pytest.raises(WavelengthError, match=r"in angstrom; for photon energy use e\.g\. 20keV"):
        parse_radiation(value)


@pytest.mark.parametrize("text", ["Cu", "cu", "Mo", "Co"])
def test_anode_alone_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(WavelengthError, match=rf"{text.capitalize()}Ka for the doublet or {text.capitalize()}Ka1"):
        parse_radiation(text)


@pytest.mark.parametrize(
    "text",
    ["", "copper", "XxKa", "WKa", "CuKb", "CuKβ", "CuKa3", "1.54 miles", "1,5406", "0keV", "-5keV", "1keV", None, []],
)
def test_nonsense_is_one_clear_line(text: object) -> None:
    with pytest.raises(WavelengthError) as caught:
        parse_radiation(text)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_radiation_is_handed_back() -> None:
    radiation = parse_radiation("CuKa")
    assert parse_radiation(radiation) is radiation
