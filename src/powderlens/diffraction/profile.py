"""Line widths and shapes: what broadens a reflection, in degrees of 2theta."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import cos, exp, sin_cos

Floats = NDArray[np.float64]

FWHM_TO_SIGMA = 1.0 / (2.0 * np.sqrt(2.0 * np.log(2.0)))


def scherrer_fwhm_deg(
    two_theta_deg: Floats, wavelength_A: float, crystallite_size_nm: float, scherrer_k: float = 0.9
) -> Floats:
    """Full width from finite crystallite size, degrees: K lambda / (L cos theta), converted from radians.

    Source: Scherrer (1918); Langford and Wilson, J. Appl. Cryst. 11, 102 (1978). K = 0.9 holds for the FWHM of
    roughly equant crystallites; valid well below the instrument's coherence limit (about 1 um).
    """
    theta = np.radians(two_theta_deg) / 2
    return np.asarray(np.degrees(scherrer_k * wavelength_A / (10.0 * crystallite_size_nm * np.cos(theta))))


def microstrain_fwhm_deg(two_theta_deg: Floats, microstrain: float) -> Floats:
    """Full width from a spread of spacings, degrees: 4 epsilon tan theta (Stokes and Wilson 1944)."""
    return np.asarray(np.degrees(4.0 * microstrain * np.tan(np.radians(two_theta_deg) / 2)))


def caglioti_fwhm_deg(two_theta_deg: Floats, u_deg2: float, v_deg2: float, w_deg2: float) -> Floats:
    """Instrumental Gaussian width sqrt(U tan^2 + V tan + W), degrees.

    Source: Caglioti, Paoletti and Ricci, Nucl. Instrum. 3, 223 (1958). Negative radicands are cut at 0.
    """
    t = np.tan(np.radians(two_theta_deg) / 2)
    return np.asarray(np.sqrt(np.maximum(u_deg2 * t * t + v_deg2 * t + w_deg2, 0.0)))


def thompson_cox_hastings(gauss_fwhm_deg: Floats, lorentz_fwhm_deg: Floats) -> tuple[Floats, Floats]:
    """Width and Lorentzian share of the pseudo-Voigt that stands for the Voigt of two given widths.

    Source: Thompson, Cox and Hastings, J. Appl. Cryst. 20, 79 (1987); within 1 % of the true Voigt.

    Returns:
        FWHM in degrees and eta in 0..1.
    """
    g, x = gauss_fwhm_deg, lorentz_fwhm_deg
    fifth = g**5 + 2.69269 * g**4 * x + 2.42843 * g**3 * x**2 + 4.47163 * g**2 * x**3 + 0.07842 * g * x**4 + x**5
    fwhm = fifth**0.2
    q = x / np.maximum(fwhm, 1e-12)
    return np.asarray(fwhm), np.asarray(1.36603 * q - 0.47719 * q**2 + 0.11116 * q**3)


def gaussian(offset_deg: Floats, fwhm_deg: float | Floats) -> Floats:
    """Gaussian of unit area, per degree, at offsets from its centre.

    Source, as of the next two: Young and Wiles, J. Appl. Cryst. 15, 430 (1982).
    """
    u = offset_deg / fwhm_deg
    return np.asarray(2 * np.sqrt(np.log(2) / np.pi) / fwhm_deg * np.exp(-4 * np.log(2) * u * u))


def lorentzian(offset_deg: Floats, fwhm_deg: float | Floats) -> Floats:
    """Lorentzian of unit area, per degree, at offsets from its centre."""
    u = offset_deg / fwhm_deg
    return np.asarray(2 / (np.pi * fwhm_deg) / (1 + 4 * u * u))


def pseudo_voigt(offset_deg: Floats, fwhm_deg: float | Floats, eta: float | Floats) -> Floats:
    """Sum of eta Lorentzian and 1 - eta Gaussian of one FWHM; unit area, per degree."""
    return np.asarray(eta * lorentzian(offset_deg, fwhm_deg) + (1 - eta) * gaussian(offset_deg, fwhm_deg))


def voigt(offset_deg: Floats, gauss_fwhm_deg: float, lorentz_fwhm_deg: float) -> Floats:
    """Convolution of a Gaussian and a Lorentzian; unit area, per degree.

    Re w(z) / (sigma sqrt(2 pi)) with z = (x + i gamma) / (sigma sqrt 2). Source: Armstrong, J. Quant. Spectrosc.
    Radiat. Transfer 7, 61 (1967). Within 4e-7 of the height everywhere.

    Args:
        offset_deg: distances x from the centre, degrees.
        gauss_fwhm_deg: FWHM of the Gaussian, 0 for a pure Lorentzian.
        lorentz_fwhm_deg: FWHM 2 gamma of the Lorentzian; not both 0.
    """
    if gauss_fwhm_deg == 0:
        return lorentzian(offset_deg, lorentz_fwhm_deg)
    unit = 1 / (gauss_fwhm_deg * FWHM_TO_SIGMA * np.sqrt(2))
    z = unit * (np.asarray(offset_deg) + 0.5j * lorentz_fwhm_deg)
    return np.asarray(unit / np.sqrt(np.pi) * faddeeva(z).real)


VOIGT_TERMS = 16
VOIGT_L = 2**-0.25 * np.sqrt(VOIGT_TERMS)


def _weideman_coefficients(terms: int, scale: float) -> Floats:
    """Coefficients of `faddeeva`, highest power first.

    They are the Fourier series of exp(-t^2) (L^2 + t^2) in the angle of t = L tan(angle / 2).
    """
    steps = 2 * terms
    turns = np.arange(1 - steps, steps) * np.pi / steps
    sine, cosine = sin_cos(turns / 2)
    t = scale * sine / cosine
    sampled = exp(-t * t) * (scale * scale + t * t)
    out = np.zeros(terms)
    for turn, value in zip(turns, sampled, strict=True):
        out += value * cos(np.arange(terms, 0, -1) * turn)
    return out / (2 * steps)


VOIGT_COEFFICIENTS = _weideman_coefficients(VOIGT_TERMS, float(VOIGT_L))
VOIGT_FAR = 6.0
"""|z| beyond which `faddeeva` is a fraction of two powers; the two agree there to 4e-7."""


def faddeeva(z: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """w(z) = exp(-z^2) erfc(-i z) in the upper half plane; Re w within 4e-7 of its largest value for the same Im z.

    Sources: Weideman, SIAM J. Numer. Anal. 31, 1497 (1994), 16 terms; for large |z| Humlicek, J. Quant.
    Spectrosc. Radiat. Transfer 27, 437 (1982), region 2.
    """
    below = VOIGT_L - 1j * z
    series = 2 * np.polyval(VOIGT_COEFFICIENTS, (VOIGT_L + 1j * z) / below) / below**2 + 1 / (np.sqrt(np.pi) * below)
    far = np.where(np.abs(z) > 1, z, 1.0)
    square = far * far
    fraction = 1j * far * (square / np.sqrt(np.pi) - 2.5 / np.sqrt(np.pi)) / (0.75 + square * (square - 3))
    return np.asarray(np.where(np.abs(z) > VOIGT_FAR, fraction, series))
