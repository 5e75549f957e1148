"""Line widths and shapes: what broadens a reflection, in degrees of 2theta."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
