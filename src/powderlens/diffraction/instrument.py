"""What the diffractometer does to the strength and place of a line: polarisation, slits, zero, height, transparency."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.diffraction.conditions import SLITS

Floats = NDArray[np.float64]


def polarisation_ratio(monochromator_deg: float, polarised_share: float = 0.5) -> float:
    """Strength of the beam polarised in the plane of diffraction relative to that perpendicular to it.

    A = cos^2(2 theta_m) (1 - P) / P: a crystal monochromator in the same plane weakens the component in the plane by
    cos^2(2 theta_m) (a mosaic crystal; a perfect one by |cos 2 theta_m|). Source: Azaroff, Acta Cryst. 8, 701 (1955).

    Args:
        monochromator_deg: 2theta of the monochromator, degrees; 0 for none. 26.6 for graphite 0 0 2 and Cu K-alpha.
        polarised_share: share P of the beam polarised perpendicular to the plane of diffraction, above 0 to 1; 0.5
            from a tube, near 1 at a synchrotron with a vertical plane.

    Returns:
        A from 0 (fully polarised) to 1 (unpolarised).
    """
    return float(np.cos(np.radians(monochromator_deg)) ** 2 * (1.0 - polarised_share) / polarised_share)


def line_shift_deg(
    two_theta_deg: Floats, zero_shift_deg: float, displacement_mm: float, radius_mm: float, transparency_mm: float
) -> Floats:
    """How far a line stands from its Bragg angle on a Bragg-Brentano diffractometer, degrees of 2theta.

    zero - (180/pi) (2 s / R) cos theta - (180/pi) sin(2theta) t / (2 R). A specimen whose surface lies too low, and one
    that the beam enters, show their lines at too low an angle. Source: Wilson, "Mathematical Theory of X-ray Powder
    Diffractometry" (1963), chapter 4; International Tables for Crystallography H (2019), chapter 3.1. Valid for
    |s| and t far below R, and for t far below the thickness of the specimen.

    Args:
        two_theta_deg: Bragg angles, degrees.
        zero_shift_deg: added to every angle.
        displacement_mm: s, how far the surface lies outside the focusing circle (too low, away from tube and detector).
        radius_mm: R of the goniometer.
        transparency_mm: t = 1 / mu, depth in which absorption weakens the beam by e.

    Returns:
        Shifts, same shape as the angles.
    """
    two_theta = np.radians(two_theta_deg)
    displaced = 2 * displacement_mm / radius_mm * np.cos(two_theta / 2)
    sunk = transparency_mm / (2 * radius_mm) * np.sin(two_theta)
    return np.asarray(zero_shift_deg - np.degrees(displaced + sunk))


def slit_factor(two_theta_deg: Floats, slits: str) -> Floats:
    """Relative strength of a line for the kind of divergence slit.

    A fixed opening keeps the irradiated volume of a thick flat specimen: 1. An automatic slit keeps the irradiated
    length, so it opens with the sine of theta. Source: International Tables for Crystallography H (2019), chapter
    2.1.

    Args:
        two_theta_deg: angles, degrees.
        slits: "fixed" or "automatic".

    Returns:
        Factors, same shape.

    Raises:
        InputError: another word.
    """
    if slits not in SLITS:
        raise InputError(f"slits = {slits!r}: choose one of {', '.join(SLITS)}")
    if slits == "fixed":
        return np.ones(np.shape(two_theta_deg))
    return np.asarray(np.sin(np.radians(two_theta_deg) / 2))
