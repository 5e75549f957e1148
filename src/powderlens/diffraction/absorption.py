"""Absorption by the specimen: how strong it is, and how much of a line's strength is left."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.crystal.structure import Structure
from powderlens.diffraction.scattering import dispersion

Floats = NDArray[np.float64]


ELECTRON_RADIUS_A = 2.8179403205e-5
"""Classical radius of the electron, A. Source: CODATA 2022."""


def linear_absorption_per_cm(structure: Structure, wavelength_A: float) -> float:
    """Linear coefficient of absorption of a crystal, 1/cm.

    By the optical theorem 2 r_e lambda / V times the sum of f'' over the cell: photoabsorption alone, without what is
    scattered, which is a few per cent for light elements. Source of f'': see `scattering.dispersion`.

    Args:
        structure: the crystal, without pores.
        wavelength_A: A.
    """
    imaginary = (structure.occupancy * dispersion(structure.elements, wavelength_A).imag).sum()
    return float(1e8 * 2 * ELECTRON_RADIUS_A * wavelength_A * imaginary / structure.volume_A3)


def flat_plate(two_theta_deg: Floats, mu_t: float) -> Floats:
    """Strength reflected by a flat plate relative to a thick one, 1 - exp(-2 mu t / sin theta).

    Symmetric reflection (Bragg-Brentano), beam inside the plate at every angle. Source: International Tables for
    Crystallography C (2004), section 6.3.3. The factor 1 / (2 mu) of the thick plate is the same at all
    angles and left out. Valid for 0 < 2theta < 180 degrees.

    Args:
        two_theta_deg: Bragg angles, degrees.
        mu_t: linear absorption times thickness; 0 stands for a thick plate.

    Returns:
        Factors from 0 to 1, same shape.
    """
    if mu_t == 0:
        return np.ones(np.shape(two_theta_deg))
    return np.asarray(-np.expm1(-2 * mu_t / np.sin(np.radians(two_theta_deg) / 2)))


def cylinder(two_theta_deg: Floats, mu_r: float) -> Floats:
    """Strength transmitted by a cylinder bathed in the beam relative to one that does not absorb.

    exp(-k0 mu_r - k1 mu_r^2 - k2 mu_r^3 - k3 mu_r^4), the k functions of y = sin^2 theta; k0 = 16 / (3 pi) is the
    mean path in units of the radius and exact. Source: Lobanov and Alte da Veiga, 6th European Powder Diffraction
    Conference, abstract P12-16 (1998); the form of GSAS and GSAS-II. Against the paths through the disc, integrated
    numerically: within 0.9 % for mu_r up to 2.5 and 1.4 % up to 3, where it ends.

    Args:
        two_theta_deg: Bragg angles, degrees, 0 to 180.
        mu_r: linear absorption times radius; that of the packed powder.

    Returns:
        Factors from 0 to 1, same shape.
    """
    root = np.sin(np.radians(two_theta_deg) / 2)
    y = root * root
    return np.asarray(np.exp(-mu_r * paths(y, root, np.sqrt(root), np.exp(-0.024551 * y), mu_r)))


def paths(y: Any, root: Any, fourth: Any, fall: Any, mu_r: Any) -> Any:
    """k0 + k1 mu_r + k2 mu_r^2 + k3 mu_r^3 of `cylinder`; arithmetic alone, for arrays, tensors and compiled code.

    Args:
        y: sin^2 theta, with
        root: its square root,
        fourth: the root of that, and
        fall: exp(-0.024551 y).
        mu_r: linear absorption times radius.
    """
    k0 = 16.0 / (3.0 * np.pi)
    k1 = (25.99978 - 0.01911 * fourth) * fall + 0.109561 * root - 26.04556
    k2 = -0.02489 + y * (-0.39499 + 1.219077 * root + y * (-1.31268 + 0.871081 * root - 0.2327 * y))
    k3 = 0.003045 + y * (0.018167 - 0.03305 * y)
    return k0 + mu_r * (k1 + mu_r * (k2 + mu_r * k3))
