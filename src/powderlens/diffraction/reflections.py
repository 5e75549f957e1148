"""`Reflections`: families of lattice planes with their spacing, multiplicity and |F|^2."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import arcsin, cos, sin_cos
from powderlens.core.errors import InputError, WavelengthError
from powderlens.crystal.structure import Structure
from powderlens.diffraction import reference
from powderlens.diffraction.reference import laue_rotations as laue_rotations
from powderlens.diffraction.scattering import Table, coefficients, dispersion

Backend = Literal["numba", "numpy"]

NO_BETA = np.zeros((0, 3, 3))


class NoReflectionError(InputError):
    """No reflection is within the limit of d."""


@dataclass(frozen=True, eq=False)
class Reflections:
    """Families of symmetry-equivalent reflections, by ascending 2theta.

    Attributes:
        hkl: (m, 3) int64, the member of each family with the fewest negative indices, of these the largest.
        multiplicity: (m,) int64, members of the family, Friedel mates included.
        d_A: (m,) spacings, A.
        f_squared: (m,) |F|^2 of one member, electrons^2 (of neutrons fm^2); h and -h averaged.
        neutrons: scattered by nuclei, so that nothing is polarised.
    """

    hkl: NDArray[np.int64]
    multiplicity: NDArray[np.int64]
    d_A: NDArray[np.float64]
    f_squared: NDArray[np.float64]
    neutrons: bool = False

    def two_theta_deg(self, wavelength_A: float) -> NDArray[np.float64]:
        """(m,) Bragg angles, degrees; NaN where the wavelength is too long to reach the spacing."""
        if not wavelength_A > 0:
            raise WavelengthError(f"wavelength {wavelength_A:g} A must be positive")
        with np.errstate(invalid="ignore"):
            return np.asarray(arcsin((0.5 * wavelength_A) / self.d_A) * (360 / np.pi))

    def intensity(self, wavelength_A: float) -> NDArray[np.float64]:
        """(m,) integrated intensities, multiplicity * LP * |F|^2, arbitrary scale; of neutrons with L for LP."""
        return self.intensity_at(self.two_theta_deg(wavelength_A))

    def intensity_at(self, two_theta_deg: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same for Bragg angles that are known already, (m,) degrees."""
        return self.multiplicity * self.f_squared * lorentz_polarisation(two_theta_deg, 0.0 if self.neutrons else 1.0)


def lorentz_polarisation(two_theta_deg: NDArray[np.float64], polarisation_ratio: float = 1.0) -> NDArray[np.float64]:
    """Powder Lorentz and polarisation factor (1 + A cos^2 2theta) / (sin^2 theta cos theta), its scale free.

    Source: International Tables for Crystallography C (2004), section 6.2. Valid for 0 < 2theta < 180 degrees.

    Args:
        two_theta_deg: Bragg angles, degrees.
        polarisation_ratio: A, see `instrument.polarisation_ratio`; 1 for an unpolarised beam, 0 for neutrons.
    """
    half = np.radians(two_theta_deg) / 2
    sine, cosine = sin_cos(half)
    return np.asarray((1 + polarisation_ratio * cos(2 * half) ** 2) * (1 / (sine * sine * cosine)))


def reflections(
    structure: Structure,
    *,
    d_min_A: float,
    dispersion_wavelength_A: float | None = None,
    form_factors: Table = "it92",
    backend: Backend = "numba",
) -> Reflections:
    """All families of reflections of a structure down to a spacing.

    Args:
        structure: its symmetry operators decide which reflections form a family.
        d_min_A: smallest spacing, A; half the wavelength is the Ewald limit.
        dispersion_wavelength_A: add f' and f'' for this wavelength; None leaves them out.
        form_factors: "it92", "pymatgen" or "neutron", see `scattering.Table`.
        backend: "numba" (compiled) or "numpy" (the reference).

    Returns:
        Reflections, ascending in 2theta; symmetry-extinct families are left out.

    Raises:
        NoReflectionError: no reflection in range.
        InputError: an unknown table, or dispersion of neutrons.
        StructureError: an element that the table does not hold.
    """
    hkl, multiplicity, inv_d2, f_squared = compiled(backend).reflection_list(
        *arguments(structure, d_min_A, dispersion_wavelength_A, form_factors)
    )
    if len(hkl) == 0:
        raise NoReflectionError(f"{structure.name or 'structure'}: no reflection with d of at least {d_min_A:g} A")
    return Reflections(hkl, multiplicity, 1 / np.sqrt(inv_d2), f_squared, form_factors == "neutron")


def compiled(backend: Backend) -> ModuleType:
    """`kernel` or, for "numpy", its twin `reference`."""
    if backend == "numba":
        from powderlens.diffraction import kernel

        return kernel
    return reference


def arguments(
    structure: Structure, d_min_A: float, dispersion_wavelength_A: float | None, form_factors: Table
) -> tuple[Any, ...]:
    """What `kernel.reflection_list` takes; arguments and errors as `reflections`."""
    if not d_min_A > 0:
        raise InputError(f"d_min {d_min_A:g} A must be positive")
    row = {element: i for i, element in enumerate(dict.fromkeys(structure.elements))}
    kinds = list(row)
    c, f_imag = coefficients(kinds, form_factors), np.zeros(len(kinds))
    if dispersion_wavelength_A is not None:
        if form_factors == "neutron":
            raise InputError("dispersion belongs to X-rays; leave it out for form_factors = neutron")
        extra = dispersion(kinds, dispersion_wavelength_A)
        c[:, 0] += extra.real
        f_imag = extra.imag
    beta, u_iso = NO_BETA, np.where(np.isnan(structure.u_iso_A2), 0.0, structure.u_iso_A2)
    if structure.beta is not None:
        beta = np.nan_to_num(structure.beta)
        u_iso = np.where(np.isfinite(structure.beta).all(axis=(1, 2)), 0.0, u_iso)
    return (
        plain(structure.lattice, float),
        plain(structure.rotations, np.int64),
        d_min_A,
        plain(structure.frac, float),
        np.array([row[element] for element in structure.elements]),
        plain(structure.occupancy, float),
        u_iso,
        plain(beta, float),
        c,
        plain(f_imag, float),
        dispersion_wavelength_A is not None,
    )


def plain(array: NDArray[Any], kind: type) -> NDArray[Any]:
    """In C order and writable, a copy where it is not: for each other kind of array kernels would be compiled anew."""
    return np.require(array, kind, ("C", "W"))
