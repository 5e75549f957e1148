"""Widths and shapes of lines in closed form."""

import numpy as np
import pytest
from scipy.special import voigt_profile

from powderlens.diffraction.kernel import draw_pseudo_voigt
from powderlens.diffraction.profile import (
    FWHM_TO_SIGMA,
    caglioti_fwhm_deg,
    microstrain_fwhm_deg,
    scherrer_fwhm_deg,
    thompson_cox_hastings,
)


def draw(eta: float, fwhm: float = 0.4, area: float = 3.0, reach: float = 50.0) -> np.ndarray:
    """One line at 50 degrees on 0 to 100 degrees in steps of 0.001."""
    out = np.zeros(100_001)
    one = np.ones(1)
    draw_pseudo_voigt(out, 0.0, 0.001, 50 * one, area * one, fwhm * one, eta * one, reach * one)
    return out


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_area(eta: float) -> None:
    lorentz_inside = 2 / np.pi * np.arctan(2 * 50.0)
    expected = 3.0 * (1 - eta + eta * lorentz_inside)
    assert draw(eta).sum() * 0.001 == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_full_width_at_half_maximum(eta: float) -> None:
    out = draw(eta)
    assert out.argmax() == 50_000
    assert out[50_200] == pytest.approx(out[50_000] / 2, rel=1e-9)
    assert out[49_800] == pytest.approx(out[50_000] / 2, rel=1e-9)


def test_nothing_is_drawn_beyond_the_reach() -> None:
    assert draw(1.0, reach=2.0).nonzero()[0][[0, -1]].tolist() == [49_200, 50_800]


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
