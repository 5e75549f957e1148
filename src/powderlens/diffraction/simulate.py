"""`simulate` and `peaks`: the calculated pattern of a structure, as a curve and as a list of lines."""

from __future__ import annotations

from functools import partial
from math import pi, radians, sin
from typing import NamedTuple

import numpy as np

from powderlens.core.errors import InputError
from powderlens.crystal.label import as_it_stands
from powderlens.crystal.read import read_structure
from powderlens.crystal.structure import Structure
from powderlens.diffraction.conditions import Conditions, to_record
from powderlens.diffraction.phase import Phase
from powderlens.diffraction.reflections import (
    Backend,
    NoReflectionError,
    Reflections,
    arguments,
    compiled,
    reflections,
)
from powderlens.diffraction.render import render
from powderlens.diffraction.scattering import Table
from powderlens.pattern.grid import Grid
from powderlens.pattern.pattern import MIN_POINTS, Pattern
from powderlens.pattern.wavelength import Radiation, parse_radiation

MAX_TWO_THETA_DEG = 179.0
"""The Lorentz factor diverges at 180 degrees."""
MAX_POINTS = 1_000_000
MAX_REFLECTIONS = 20_000_000
"""Reflections, symmetry not counted, beyond which a calculation is refused instead of filling the memory."""
MARGIN_DEG = 2.0
"""Lines up to this far beyond the upper end are drawn, for their tails."""


class Peak(NamedTuple):
    """One family of reflections.

    Attributes:
        h, k, l: the member of the family with the fewest negative indices, in the cell of the structure as given.
        multiplicity: members of the family, Friedel mates included.
        d_A: spacing, A.
        two_theta_deg: Bragg angle, degrees; of a doublet, at its mean wavelength.
        intensity: integrated intensity of the whole family, 100 for the strongest in the list.
    """

    h: int
    k: int
    l: int
    multiplicity: int
    d_A: float
    two_theta_deg: float
    intensity: float


_AS_PEAK = partial(tuple.__new__, Peak)  # a third of the time of calling Peak: no Python code runs


def peaks(
    structure: object,
    wavelength: str | float | Radiation = "CuKa",
    *,
    two_theta_deg: tuple[float, float] = (5.0, 90.0),
    dispersion: bool = False,
    form_factors: Table = "it92",
    backend: Backend = "numba",
) -> list[Peak]:
    """Every family of reflections in a range, by ascending angle.

    Families that coincide in d without being equivalent by symmetry (333 and 511 of a cubic crystal) are listed apart.
    Intensities are multiplicity * LP * |F|^2: see `reflections.lorentz_polarisation` for LP and `scattering` for the
    form factors, valid for spacings above 0.25 A. Displacements count where the structure has them. Of neutrons the
    Lorentz factor alone takes the place of LP.

    Args:
        structure: whatever `powderlens.read_structure` takes. One without symmetry operators (POSCAR, pymatgen, ASE)
            has them found first, in its own cell. Operators that the cell breaks by more than 1e-5 of its lengths form
            no families: 200 and 002 of a = 4.000 and c = 4.005 A are two lines.
        wavelength: A, or what `parse_radiation` reads ("CuKa", "CuKa1", "20keV").
        two_theta_deg: first and last angle, degrees.
        dispersion: add f' and f'' at this wavelength; intensities of h and -h are averaged.
        form_factors: "it92", "pymatgen" or "neutron", see `scattering.Table`.
        backend: "numba" (compiled) or "numpy" (the reference).

    Returns:
        Peaks; the strongest has intensity 100.

    Raises:
        InputError: a range without reflections, or one that is no range; `StructureError` and `WavelengthError` of the
            readers are of this kind too.
    """
    radiation = parse_radiation(wavelength)
    check_range(two_theta_deg)
    loaded = _load(structure)
    d_min = _smallest_d_A(loaded, radiation, two_theta_deg[1], backend)
    numbers, values = compiled(backend).peak_table(
        *arguments(loaded, d_min, radiation.wavelength_A if dispersion else None, form_factors),
        radiation.wavelength_A,
        *map(float, two_theta_deg),
        form_factors != "neutron",
    )
    if numbers.shape[1] == 0:
        raise _nothing(loaded, radiation, two_theta_deg)
    return list(map(_AS_PEAK, zip(*numbers.tolist(), *values.tolist(), strict=True)))


def simulate(
    structure: object,
    wavelength: str | float | Radiation = "CuKa",
    *,
    two_theta_deg: tuple[float, float] = (5.0, 90.0),
    step_deg: float = 0.02,
    dispersion: bool = False,
    crystallite_size_nm: float = 200.0,
    microstrain: float = 0.0,
    caglioti_u_deg2: float = 0.0,
    caglioti_v_deg2: float = 0.0,
    caglioti_w_deg2: float = 0.0049,
    form_factors: Table = "it92",
    backend: Backend = "numba",
) -> Pattern:
    """The powder pattern of a structure: no background, no noise, no texture.

    Each line is the pseudo-Voigt of Thompson, Cox and Hastings for a Gaussian instrument (Caglioti) and Lorentzian size
    (Scherrer, K = 0.9) and strain broadening. A doublet is drawn as its two lines, 2 : 1. See `peaks` for intensities.

    Args:
        structure: whatever `powderlens.read_structure` takes.
        wavelength: A, or what `parse_radiation` reads. "CuKa" is the doublet, "CuKa1" a single line.
        two_theta_deg: first and last angle, degrees.
        step_deg: distance of points, degrees.
        dispersion: add f' and f'' at this wavelength (of a doublet, its mean).
        crystallite_size_nm: mean size of the crystallites, nm.
        microstrain: relative spread of spacings, dimensionless.
        caglioti_u_deg2: the instrument's FWHM^2 = U tan^2(theta) + V tan(theta) + W, U in degrees^2.
        caglioti_v_deg2: V in degrees^2.
        caglioti_w_deg2: W in degrees^2; the default alone makes 0.07 degrees at every angle.
        form_factors: "it92", "pymatgen" or "neutron", see `scattering.Table`.
        backend: "numba" (compiled) or "numpy" (the reference).

    Returns:
        The pattern, its highest point 100. `wavelength_A` is the mean of a doublet.

    Raises:
        InputError: a value out of its range, or a range without reflections; `StructureError` and `WavelengthError` of
            the readers are of this kind too.
    """
    radiation = parse_radiation(wavelength)
    grid = _grid(two_theta_deg, step_deg, radiation.wavelength_A)
    conditions = Conditions.of(
        ka1_A=radiation.ka1_A,
        ka2_A=radiation.ka2_A or radiation.ka1_A,
        ka2_ratio=radiation.ka2_ratio,
        # Neutrons are not polarised: fully perpendicular polarisation leaves the Lorentz factor alone.
        polarised_share=1.0 if form_factors == "neutron" else 0.5,
        crystallite_size_nm=crystallite_size_nm,
        microstrain=microstrain,
        caglioti_u_deg2=caglioti_u_deg2,
        caglioti_v_deg2=caglioti_v_deg2,
        caglioti_w_deg2=caglioti_w_deg2,
    )
    loaded = _load(structure)
    found = _reflections(loaded, radiation, two_theta_deg, dispersion, form_factors, backend)
    phase = Phase(loaded.lattice, loaded.rotations, found.hkl, found.multiplicity * found.f_squared)
    y = render([phase], to_record(conditions), grid, seed=0, backend=backend)[0]
    if not y.any():
        raise InputError(f"step {step_deg:g} degrees is too coarse: no point falls on a line; make it smaller")
    return Pattern(
        two_theta_deg=grid.two_theta_deg,
        intensity=100.0 * y,
        wavelength_A=radiation.wavelength_A,
        source=f"simulated from {loaded.source or loaded.name or 'a structure'}",
        metadata={"radiation": radiation.name, "dispersion": "with f' and f''" if dispersion else "none"},
        radiation=radiation,
    )


def check_range(two_theta_deg: tuple[float, float]) -> None:
    """Refuse a range that is none.

    Raises:
        InputError: not 0 <= first < last <= 179 degrees.
    """
    low, high = two_theta_deg
    if not 0 <= low < high <= MAX_TWO_THETA_DEG:
        raise InputError(
            f"range {low:g} to {high:g} degrees: give two angles, the smaller first, from 0 to {MAX_TWO_THETA_DEG:g}"
        )


def _grid(two_theta_deg: tuple[float, float], step_deg: float, wavelength_A: float) -> Grid:
    check_range(two_theta_deg)
    low, high = two_theta_deg
    if not (step_deg > 0 and np.isfinite(step_deg)):
        raise InputError(f"step {step_deg:g} degrees must be positive, such as 0.02")
    points = (high - low) / step_deg + 1 + 1e-6
    if not MIN_POINTS <= points <= MAX_POINTS:
        raise InputError(
            f"step {step_deg:g} degrees from {low:g} to {high:g} makes {points:.0f} points; "
            f"{MIN_POINTS} to {MAX_POINTS} are possible"
        )
    return Grid(start_deg=low, step_deg=step_deg, points=int(points), wavelength_A=wavelength_A)


def _load(structure: object) -> Structure:
    """Any structure, with the symmetry that its cell has."""
    return as_it_stands(read_structure(structure))


def _smallest_d_A(structure: Structure, radiation: Radiation, high_deg: float, backend: str) -> float:
    """The smallest spacing that the shortest line reaches up to an angle.

    Raises:
        InputError: too many reflections, or an unknown backend.
    """
    if backend not in ("numba", "numpy"):
        raise InputError(f"backend {backend!r}: choose numba or numpy")
    d_min = radiation.ka1_A / (2 * sin(radians(min(high_deg, MAX_TWO_THETA_DEG) / 2)))
    count = 4 / 3 * pi * structure.volume_A3 / d_min**3
    if count > MAX_REFLECTIONS:
        raise InputError(
            f"{_who(structure)}: about {count:.1g} reflections up to {high_deg:g} degrees, the limit is "
            f"{MAX_REFLECTIONS:.0g}; narrow the range or use a longer wavelength"
        )
    return d_min


def _reflections(
    structure: Structure,
    radiation: Radiation,
    two_theta_deg: tuple[float, float],
    dispersion: bool,
    form_factors: Table,
    backend: Backend,
) -> Reflections:
    """Families in the range and its margin."""
    low, high = two_theta_deg
    try:
        found = reflections(
            structure,
            d_min_A=_smallest_d_A(structure, radiation, high + MARGIN_DEG, backend),
            dispersion_wavelength_A=radiation.wavelength_A if dispersion else None,
            form_factors=form_factors,
            backend=backend,
        )
    except NoReflectionError:
        raise _nothing(structure, radiation, two_theta_deg) from None
    x = found.two_theta_deg(radiation.wavelength_A)
    if not ((x >= low) & (x <= high)).any():
        raise _nothing(structure, radiation, two_theta_deg)
    return found


def _who(structure: Structure) -> str:
    return structure.source or structure.name or "structure"


def _nothing(structure: Structure, radiation: Radiation, two_theta_deg: tuple[float, float]) -> InputError:
    low, high = two_theta_deg
    return InputError(
        f"{_who(structure)}: no reflection from {low:g} to {high:g} degrees at {radiation.wavelength_A:g} A; "
        "widen the range"
    )
