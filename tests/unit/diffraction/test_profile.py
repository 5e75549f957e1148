"""Widths and shapes of lines in closed form."""

import numpy as np
import pytest
from scipy.special import voigt_profile, wofz
from scipy.stats import cauchy, norm

from powderlens.diffraction import render_numba
from powderlens.diffraction.profile import (
    FWHM_TO_SIGMA,
    VOIGT_FAR,
    caglioti_fwhm_deg,
    faddeeva,
    gaussian,
    lorentzian,
    microstrain_fwhm_deg,
    pseudo_voigt,
    scherrer_fwhm_deg,
    thompson_cox_hastings,
    voigt,
)
from powderlens.diffraction.render_numpy import FADE, GAUSS_FADE, TAIL


def reach(eta: float) -> float:
    """How far a lone pseudo-Voigt is drawn, in FWHM: its tail, and a Gaussian to 1e-6 of its height."""
    core = np.sqrt(np.log(1 / (FADE * GAUSS_FADE)) / (4 * np.log(2))) if eta < 1 else 0.0
    return max(0.5 * np.sqrt(eta / FADE), core, TAIL if eta > 0 else 0.0)


def draw(eta: float, fwhm: float = 0.4, area: float = 3.0) -> np.ndarray:
    """One line at 50 degrees on 0 to 100 degrees in steps of 0.001."""
    out, ramp = np.zeros(100_001), np.arange(100_001.0)
    line = np.array([[50.0, area, fwhm, 0.0, fwhm, eta, 0.0, 0.0]])
    axis = render_numba.Axis(ramp, 0.0, 0.001, 0, len(ramp))
    render_numba.draw(out, axis, line, area / fwhm, FADE, render_numba.Tall(0.0, 0.0, 0.0, 0.0), False)
    return out


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_area(eta: float) -> None:
    lorentz_inside = 2 / np.pi * np.arctan(2 * reach(eta))
    expected = 3.0 * (1 - eta + eta * lorentz_inside)
    assert draw(eta).sum() * 0.001 == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_full_width_at_half_maximum(eta: float) -> None:
    out = draw(eta)
    assert out.argmax() == 50_000
    assert out[50_200] == pytest.approx(out[50_000] / 2, rel=1e-6)
    assert out[49_800] == pytest.approx(out[50_000] / 2, rel=1e-6)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_nothing_is_drawn_beyond_the_reach(eta: float) -> None:
    drawn = draw(eta).nonzero()[0]
    assert (50_000 - drawn[0]) * 0.001 == pytest.approx(0.4 * reach(eta), abs=0.0011)
    assert (drawn[-1] - 50_000) * 0.001 == pytest.approx(0.4 * reach(eta), abs=0.0011)


def test_scherrer_by_hand() -> None:
    """0.9 * 1.5406 A / 100 A = 0.0138654 rad = 0.794429 degrees, over cos(theta)."""
    widths = scherrer_fwhm_deg(np.array([0.0, 60.0]), 1.5406, 10.0)
    np.testing.assert_allclose(widths, [0.794429, 0.794429 / np.sqrt(0.75)], rtol=1e-5)
    assert scherrer_fwhm_deg(np.array([0.0]), 1.5406, 10.0, scherrer_k=1.0)[0] == pytest.approx(0.882699, rel=1e-5)


def test_microstrain_by_hand() -> None:
    """4 * 0.001 * tan(45 degrees) = 0.004 rad."""
    assert microstrain_fwhm_deg(np.array([90.0]), 0.001)[0] == pytest.approx(np.degrees(0.004), rel=1e-12)


def test_caglioti_by_hand() -> None:
    widths = caglioti_fwhm_deg(np.array([0.0, 60.0, 90.0]), 0.03, -0.02, 0.01)
    expected = [0.1, np.sqrt(0.03 / 3 - 0.02 / np.sqrt(3) + 0.01), np.sqrt(0.02)]
    np.testing.assert_allclose(widths, expected, rtol=1e-12)


def test_caglioti_out_of_its_range_is_cut_at_zero() -> None:
    assert caglioti_fwhm_deg(np.array([90.0]), 0.0, -1.0, 0.5)[0] == 0.0


def test_thompson_cox_hastings_limits() -> None:
    gauss, eta_gauss = thompson_cox_hastings(np.array([0.2]), np.array([0.0]))
    lorentz, eta_lorentz = thompson_cox_hastings(np.array([0.0]), np.array([0.3]))
    assert (gauss[0], eta_gauss[0]) == (pytest.approx(0.2), 0.0)
    assert (lorentz[0], eta_lorentz[0]) == (pytest.approx(0.3), pytest.approx(1.0, abs=1e-9))


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_thompson_cox_hastings_is_within_a_per_cent_of_the_voigt(share: float) -> None:
    gauss, lorentz = 0.2 * (1 - share), 0.2 * share
    fwhm, eta = thompson_cox_hastings(np.array([gauss]), np.array([lorentz]))
    x = np.arange(-20_000, 20_001) * 1e-4
    true = voigt_profile(x, gauss * FWHM_TO_SIGMA, lorentz / 2)
    assert fwhm[0] == pytest.approx(np.ptp(x[true >= true.max() / 2]), rel=0.01)
    u = x / fwhm[0]
    lorentz_part = 2 / (np.pi * fwhm[0]) / (1 + 4 * u * u)
    gauss_part = 2 * np.sqrt(np.log(2) / np.pi) / fwhm[0] * np.exp(-4 * np.log(2) * u * u)
    assert np.abs(eta[0] * lorentz_part + (1 - eta[0]) * gauss_part - true).max() < 0.015 * true.max()


OFFSETS = np.linspace(-3, 3, 6001)


@pytest.mark.parametrize("fwhm", [0.05, 0.3])
def test_shapes_have_their_width_height_and_area(fwhm: float) -> None:
    u = OFFSETS[np.abs(OFFSETS) < 20 * fwhm]
    step = u[1] - u[0]
    for shape in (gaussian, lorentzian, lambda x, w: pseudo_voigt(x, w, 0.4)):
        np.testing.assert_allclose(
            shape(np.array([fwhm / 2, -fwhm / 2]), fwhm), shape(np.zeros(2), fwhm) / 2, rtol=1e-12
        )
    assert gaussian(u, fwhm).sum() * step == pytest.approx(1, rel=1e-9)
    assert lorentzian(u, fwhm).sum() * step == pytest.approx(2 / np.pi * np.arctan(2 * u[-1] / fwhm), rel=1e-3)
    np.testing.assert_allclose(gaussian(u, fwhm), norm.pdf(u, scale=fwhm * FWHM_TO_SIGMA), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(lorentzian(u, fwhm), cauchy.pdf(u, scale=fwhm / 2), rtol=1e-10)


def test_a_pseudo_voigt_is_its_share_of_both() -> None:
    mixed = pseudo_voigt(OFFSETS, 0.2, 0.3)
    np.testing.assert_allclose(mixed, 0.3 * lorentzian(OFFSETS, 0.2) + 0.7 * gaussian(OFFSETS, 0.2), rtol=1e-12)
    np.testing.assert_array_equal(pseudo_voigt(OFFSETS, 0.2, 0.0), gaussian(OFFSETS, 0.2))
    np.testing.assert_array_equal(pseudo_voigt(OFFSETS, 0.2, 1.0), lorentzian(OFFSETS, 0.2))


@pytest.mark.parametrize(
    ("gauss", "lorentz"),
    [(0.1, 0.1), (0.2, 0.001), (0.01, 0.2), (0.3, 0.0), (1e-4, 0.1), (1e-4, 1e-4), (0.05, 0.5), (2.0, 1.0)],
)
def test_voigt_against_scipy(gauss: float, lorentz: float) -> None:
    true = voigt_profile(OFFSETS, gauss * FWHM_TO_SIGMA, lorentz / 2)
    assert np.abs(voigt(OFFSETS, gauss, lorentz) - true).max() < 5e-7 * true.max()


def test_voigt_is_the_convolution() -> None:
    step = 1e-3
    x = np.arange(-8000, 8001) * step
    both = np.convolve(gaussian(x, 0.2), lorentzian(x, 0.1), mode="same") * step
    middle = np.abs(x) < 1
    np.testing.assert_allclose(voigt(x[middle], 0.2, 0.1), both[middle], rtol=1e-4)


def test_voigt_without_one_of_its_widths() -> None:
    np.testing.assert_array_equal(voigt(OFFSETS, 0.0, 0.2), lorentzian(OFFSETS, 0.2))
    np.testing.assert_allclose(voigt(OFFSETS, 0.2, 0.0), gaussian(OFFSETS, 0.2), atol=4e-7 * 4.7)


def test_faddeeva_on_both_sides_of_the_change() -> None:
    z = (np.linspace(0, 40, 2001)[:, None] + 1j * np.array([0.0, 1e-3, 0.5, 3.0, 7.9, 8.1, 50.0])).astype(complex)
    assert np.abs(faddeeva(z).real - wofz(z).real).max() < 5e-7
    assert (np.abs(faddeeva(z).real - wofz(z).real) < 1e-6 * wofz(z).real.max(axis=0)).all()
    assert (np.abs(z) > VOIGT_FAR).any()
    assert (np.abs(z) < VOIGT_FAR).any()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_thompson_cox_hastings_stands_for_the_voigt(share: float) -> None:
    gauss, lorentz = 0.2 * (1 - share), 0.2 * share
    fwhm, eta = thompson_cox_hastings(np.array(gauss), np.array(lorentz))
    true = voigt(OFFSETS, gauss, lorentz)
    assert np.abs(pseudo_voigt(OFFSETS, fwhm, eta) - true).max() < 0.015 * true.max()
