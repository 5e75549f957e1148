"""`Reflections`: families of lattice planes with their spacing, multiplicity and |F|^2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError, WavelengthError
from powderlens.crystal.structure import Structure
from powderlens.diffraction import scattering

Backend = Literal["numba", "numpy"]

EXTINCT = 1e-12
"""Families weaker than this share of the strongest |F|^2 are symmetry-extinct up to rounding."""


@dataclass(frozen=True, eq=False)
class Reflections:
    """Families of symmetry-equivalent reflections, by ascending 2theta.

    Attributes:
        hkl: (m, 3) int64, one member of each family.
        multiplicity: (m,) int64, members of the family, Friedel mates included.
        d_A: (m,) spacings, A.
        f_squared: (m,) |F|^2 of one member, electrons^2; h and -h averaged.
    """

    hkl: NDArray[np.int64]
    multiplicity: NDArray[np.int64]
    d_A: NDArray[np.float64]
    f_squared: NDArray[np.float64]

    def two_theta_deg(self, wavelength_A: float) -> NDArray[np.float64]:
        """(m,) Bragg angles, degrees; NaN where the wavelength is too long to reach the spacing."""
        if not wavelength_A > 0:
            raise WavelengthError(f"wavelength {wavelength_A:g} A must be positive")
        with np.errstate(invalid="ignore"):
            return np.asarray(2 * np.degrees(np.arcsin(wavelength_A / (2 * self.d_A))))

    def intensity(self, wavelength_A: float) -> NDArray[np.float64]:
        """(m,) integrated intensities, multiplicity * LP * |F|^2, arbitrary scale."""
        return self.multiplicity * self.f_squared * lorentz_polarisation(self.two_theta_deg(wavelength_A))


def lorentz_polarisation(two_theta_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """(1 + cos^2 2theta) / (sin^2 theta cos theta): powder Lorentz factor, unpolarised beam, no monochromator.

    Source: International Tables for Crystallography C (2004), section 6.2.
    """
    theta = np.radians(two_theta_deg) / 2
    return np.asarray((1 + np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta)))


def laue_rotations(rotations: NDArray[np.int64]) -> NDArray[np.int64]:
    """Distinct rotation parts with inversion added, (n, 3, 3)."""
    both = np.concatenate([rotations, -rotations])
    return np.unique(both.reshape(-1, 9), axis=0).reshape(-1, 3, 3)


def reflections(
    structure: Structure,
    *,
    d_min_A: float,
    dispersion_wavelength_A: float | None = None,
    backend: Backend = "numba",
) -> Reflections:
    """All families of reflections of a structure down to a spacing.

    Args:
        structure: its symmetry operators decide which reflections form a family.
        d_min_A: smallest spacing, A; half the wavelength is the Ewald limit.
        dispersion_wavelength_A: add f' and f'' for this wavelength; None leaves them out.
        backend: "numba" (compiled) or "numpy" (the reference).

    Returns:
        Reflections, ascending in 2theta; symmetry-extinct families are left out.

    Raises:
        InputError: no reflection in range.
    """
    if not d_min_A > 0:
        raise InputError(f"d_min {d_min_A:g} A must be positive")
    if backend == "numba":
        from powderlens.diffraction import kernel as code
    else:
        from powderlens.diffraction import reference as code  # type: ignore[no-redef]
    hkl, multiplicity, inv_d2 = code.families(structure.reciprocal, d_min_A, laue_rotations(structure.rotations))
    if len(hkl) == 0:
        raise InputError(f"{structure.name or 'structure'}: no reflection with d of at least {d_min_A:g} A")
    kinds, kind = np.unique(structure.elements, return_inverse=True)
    f_real = scattering.form_factors(kinds.tolist(), inv_d2 / 4)
    f_imag = np.zeros(len(kinds))
    if dispersion_wavelength_A is not None:
        extra = scattering.dispersion(kinds.tolist(), dispersion_wavelength_A)
        f_real, f_imag = f_real + extra.real[:, None], extra.imag
    beta = np.zeros((0, 3, 3)) if structure.beta is None else np.nan_to_num(structure.beta)
    u_iso = np.nan_to_num(structure.u_iso_A2)
    if structure.beta is not None:
        u_iso = np.where(np.isfinite(structure.beta).all(axis=(1, 2)), 0.0, u_iso)
    f_squared = code.structure_factors_squared(
        hkl,
        inv_d2 / 4,
        np.ascontiguousarray(structure.frac, dtype=float),
        kind.astype(np.int64),
        np.asarray(structure.occupancy, dtype=float),
        u_iso,
        beta,
        f_real,
        f_imag,
        dispersion_wavelength_A is not None,
    )
    present = f_squared > EXTINCT * f_squared.max()
    order = np.flatnonzero(present)[np.lexsort((*(-hkl[present].T[::-1]), inv_d2[present]))]
    return Reflections(hkl[order], multiplicity[order], 1 / np.sqrt(inv_d2[order]), f_squared[order])
