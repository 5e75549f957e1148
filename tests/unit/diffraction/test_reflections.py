"""Structure factors, multiplicities and extinctions that can be written down by hand."""

from collections.abc import Callable

import numpy as np
import pytest

from powderlens.core.errors import InputError, WavelengthError
from powderlens.crystal.structure import Structure
from powderlens.diffraction.reflections import (
    NoReflectionError,
    Reflections,
    laue_rotations,
    lorentz_polarisation,
    reflections,
)
from powderlens.diffraction.scattering import dispersion, form_factors

CUBIC = (90.0, 90.0, 90.0)


def by_index(found: Reflections) -> dict[tuple[int, int, int], tuple[int, float, float]]:
    """{hkl with absolute values, descending: (multiplicity, d, |F|^2)} of cubic families."""
    return {
        tuple(sorted((abs(int(v)) for v in hkl), reverse=True)): (int(m), float(d), float(f))
        for hkl, m, d, f in zip(found.hkl, found.multiplicity, found.d_A, found.f_squared, strict=True)
    }


def f0(element: str, d_A: float) -> float:
    return float(form_factors([element], np.array([0.25 / d_A**2]))[0, 0])


def test_rock_salt_is_the_sum_or_the_difference_of_two_form_factors(rock_salt: Structure) -> None:
    found = by_index(reflections(rock_salt, d_min_A=1.0))
    assert set(found) >= {(1, 1, 1), (2, 0, 0), (2, 2, 0), (3, 1, 1), (2, 2, 2), (4, 0, 0), (3, 3, 1), (4, 2, 0)}
    for hkl, (_, d, f_squared) in found.items():
        assert d == pytest.approx(5.64 / np.sqrt(sum(v * v for v in hkl)), rel=1e-12)
        sign = -1 if hkl[0] % 2 else 1
        assert f_squared == pytest.approx(16 * (f0("Na", d) + sign * f0("Cl", d)) ** 2, rel=1e-9)


@pytest.mark.parametrize(
    ("group", "element", "allowed"),
    [
        ("I m -3 m", "Fe", lambda h, k, l: (h + k + l) % 2 == 0),
        ("F m -3 m", "Cu", lambda h, k, l: h % 2 == k % 2 == l % 2),
        (
            "F d -3 m",
            "C",
            lambda h, k, l: h % 2 == k % 2 == l % 2 and (h % 2 == 1 or (h + k + l) % 4 == 0),
        ),
    ],
    ids=["bcc", "fcc", "diamond"],
)
def test_extinctions(make: Callable[..., Structure], group: str, element: str, allowed: Callable[..., bool]) -> None:
    structure = make(group, (4.0,) * 3 + CUBIC, [(element, (0, 0, 0))])
    found = set(by_index(reflections(structure, d_min_A=0.7)))
    n = range(6)
    every = {(h, k, l) for h in n for k in n for l in n if h >= k >= l and 0 < h * h + k * k + l * l <= (4 / 0.7) ** 2}
    assert found == {hkl for hkl in every if allowed(*hkl)}


def test_multiplicities_of_the_two_cubic_laue_classes(make: Callable[..., Structure]) -> None:
    copper = by_index(reflections(make("P m -3 m", (4.0,) * 3 + CUBIC, [("Cu", (0, 0, 0))]), d_min_A=1.0))
    assert [copper[hkl][0] for hkl in [(1, 0, 0), (1, 1, 0), (1, 1, 1), (2, 1, 0), (2, 1, 1), (3, 2, 1)]] == [
        6, 12, 8, 24, 24, 48,
    ]  # fmt: skip
    pyrite = make("P a -3", (5.42,) * 3 + CUBIC, [("Fe", (0, 0, 0)), ("S", (0.385, 0.385, 0.385))])
    found = reflections(pyrite, d_min_A=1.4)
    apart = [
        (int(m), round(f))
        for hkl, m, f in zip(found.hkl, found.multiplicity, found.f_squared, strict=True)
        if sorted(map(abs, hkl)) == [1, 2, 3]
    ]
    assert [m for m, _ in apart] == [24, 24], "321 and 231 are different families in m-3"
    assert apart[0][1] != apart[1][1]


def test_families_that_coincide_in_d_stay_apart(rock_salt: Structure) -> None:
    found = reflections(rock_salt, d_min_A=1.05)
    at_d = np.isclose(found.d_A, 5.64 / np.sqrt(27))
    assert sorted(found.multiplicity[at_d]) == [8, 24], "333 and 511"


def test_reflections_ascend_in_angle(random_structure: Structure) -> None:
    found = reflections(random_structure, d_min_A=1.0)
    assert (np.diff(found.two_theta_deg(1.5)) >= -1e-10).all()


def test_equivalent_reflections_have_the_same_structure_factor(random_structure: Structure) -> None:
    """|F| of a family from one member is right only if operators and atoms belong together."""
    from powderlens.diffraction.reference import structure_factors_squared

    found = reflections(random_structure, d_min_A=1.4)
    for hkl, f_squared in zip(found.hkl[:30], found.f_squared, strict=False):
        members = np.unique(hkl @ laue_rotations(random_structure.rotations), axis=0)
        s2 = ((members @ random_structure.reciprocal) ** 2).sum(axis=1) / 4
        kinds, kind = np.unique(random_structure.elements, return_inverse=True)
        values = structure_factors_squared(
            members, s2, random_structure.frac, kind, random_structure.occupancy,
            np.nan_to_num(random_structure.u_iso_A2), np.zeros((0, 3, 3)), form_factors(list(kinds), s2),
            np.zeros(len(kinds)), False,
        )  # fmt: skip
        np.testing.assert_allclose(values, f_squared, rtol=1e-8)


def test_one_displacement_dims_every_line_by_its_debye_waller_factor(make: Callable[..., Structure]) -> None:
    cell, atom = (4.0,) * 3 + CUBIC, [("Cu", (0, 0, 0))]
    still = by_index(reflections(make("F m -3 m", cell, atom), d_min_A=0.8))
    moving = by_index(reflections(make("F m -3 m", cell, atom, u_iso_A2=[0.02]), d_min_A=0.8))
    for hkl, (_, d, f_squared) in still.items():
        expected = f_squared * np.exp(-16 * np.pi**2 * 0.02 / (4 * d * d))
        assert moving[hkl][2] == pytest.approx(expected, rel=1e-9)


def test_half_the_occupancy_is_a_quarter_of_the_intensity(make: Callable[..., Structure]) -> None:
    cell, atom = (4.0,) * 3 + CUBIC, [("Cu", (0, 0, 0))]
    whole = reflections(make("F m -3 m", cell, atom), d_min_A=1.0)
    half = reflections(make("F m -3 m", cell, atom, occupancy=[0.5]), d_min_A=1.0)
    np.testing.assert_allclose(half.f_squared, whole.f_squared / 4, rtol=1e-9)


def test_dispersion_of_an_acentric_crystal_averages_h_and_its_mate(zinc_blende: Structure) -> None:
    wavelength = 1.5405929
    plain = by_index(reflections(zinc_blende, d_min_A=1.2))
    found = by_index(reflections(zinc_blende, d_min_A=1.2, dispersion_wavelength_A=wavelength))
    extra = dict(zip(("Zn", "S"), dispersion(["Zn", "S"], wavelength), strict=True))
    for hkl, (_, d, f_squared) in found.items():
        zn, s = f0("Zn", d) + extra["Zn"], f0("S", d) + extra["S"]
        plus, minus = (4 * (zn + s * np.exp(sign * 0.5j * np.pi * sum(hkl))) for sign in (1, -1))
        assert f_squared == pytest.approx((abs(plus) ** 2 + abs(minus) ** 2) / 2, rel=1e-9)
        if hkl == (1, 1, 1):
            assert abs(abs(plus) ** 2 - abs(minus) ** 2) > 100, "the mates differ, or nothing is averaged"
            assert f_squared != pytest.approx(plain[hkl][2], rel=0.01)


def test_lorentz_polarisation_by_hand() -> None:
    angles = np.array([60.0, 90.0, 120.0])
    expected = [1.25 / (0.25 * np.sqrt(0.75)), 2 * np.sqrt(2), 1.25 / (0.75 * 0.5)]
    np.testing.assert_allclose(lorentz_polarisation(angles), expected, rtol=1e-12)


def test_lorentz_by_hand() -> None:
    expected = [1 / (0.25 * np.sqrt(0.75)), 2 * np.sqrt(2), 1 / (0.75 * 0.5)]
    np.testing.assert_allclose(lorentz_polarisation(np.array([60.0, 90.0, 120.0]), 0.0), expected, rtol=1e-12)


def test_neutrons_see_nuclei(make: Callable[..., Structure]) -> None:
    """Nickel oxide by Sears' lengths, 10.3 and 5.803 fm: no fading with the angle, no polarisation."""
    oxide = make("F m -3 m", (4.177,) * 3 + CUBIC, [("Ni", (0, 0, 0)), ("O", (0.5, 0.5, 0.5))])
    found = reflections(oxide, d_min_A=1.0, form_factors="neutron")
    assert found.neutrons
    for hkl, (_, _, f_squared) in by_index(found).items():
        assert f_squared == pytest.approx(16 * (10.3 + (-1 if hkl[0] % 2 else 1) * 5.803) ** 2, rel=1e-6)
    expected = found.multiplicity * found.f_squared * lorentz_polarisation(found.two_theta_deg(1.5), 0.0)
    np.testing.assert_allclose(found.intensity(1.5), expected, rtol=1e-12)
    with pytest.raises(InputError, match="dispersion belongs to X-rays"):
        reflections(oxide, d_min_A=1.0, form_factors="neutron", dispersion_wavelength_A=1.5)


def test_a_range_of_nothing_but_extinct_reflections_is_empty(make: Callable[..., Structure]) -> None:
    """0 0 1 of a threefold screw, which is not zero but 1e-32 by rounding."""
    screw = make("P 31", (4.0, 4.0, 6.0, 90.0, 90.0, 120.0), [("Si", (0.3, 0.1, 0.05))])
    for backend in ("numba", "numpy"):
        with pytest.raises(NoReflectionError, match="no reflection"):
            reflections(screw, d_min_A=5.0, backend=backend)


def test_what_cannot_be_calculated_is_refused(rock_salt: Structure) -> None:
    with pytest.raises(InputError, match="no reflection with d of at least 9 A"):
        reflections(rock_salt, d_min_A=9.0)
    with pytest.raises(InputError, match="must be positive"):
        reflections(rock_salt, d_min_A=0.0)
    with pytest.raises(WavelengthError, match="must be positive"):
        reflections(rock_salt, d_min_A=2.0).two_theta_deg(-1.0)


def test_a_wavelength_too_long_for_a_spacing_has_no_angle(rock_salt: Structure) -> None:
    angles = reflections(rock_salt, d_min_A=2.0).two_theta_deg(6.0)
    assert np.isnan(angles).any()
    assert np.isfinite(angles).any()
