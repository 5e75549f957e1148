"""`fit`: a structure and a measured pattern in; the conditions under which the one gives the other out.

Least squares over cell, shifts, widths, texture, scale and background; the atoms stay where they are. It is no general
Rietveld program (H. M. Rietveld, J. Appl. Cryst. 2, 65 (1969)): one phase, no axial divergence, no absorption.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError, StructureError, WavelengthError
from powderlens.crystal.label import with_symmetry
from powderlens.crystal.read import read_structure
from powderlens.crystal.structure import Structure
from powderlens.diffraction.reflections import laue_rotations, reflections
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.wavelength import Radiation, infer_radiation, parse_radiation
from powderlens.refine.model import MAX_STRAIN, Floats, Model, invariant_strains, refine
from powderlens.refine.result import Fit, at_bounds, summarise
from powderlens.refine.search import estimate_sigma, rough_start, rough_width

TEXTURE_AXES = ((0, 0, 1), (1, 0, 0), (0, 1, 0), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1), (1, 0, 4))
"""Axes among which the best is chosen, one of each set that the crystal's symmetry makes equal. 104 is the cleavage of
calcite and its kin."""
TRIAL_R = (0.35, 0.55, 0.75, 0.9, 1.15, 1.4, 1.8)
"""Not 1: there a cubic crystal's pattern does not change with r to first order."""
BACKGROUND_TERMS = 8
MAX_BACKGROUND_TERMS = 24
RADIUS_MM = 200.0
V_FROM_DEG = 100.0
"""Caglioti's V is refined only when the data reach this angle: below it cannot be told from U and W."""
POINTS_PER_PARAMETER = 8
FEWEST_POINTS = 50
MAX_FAMILIES = 50_000
SHIFTS = ("zero", "displacement", "both", "none")


def fit(
    structure: object,
    pattern: Pattern,
    wavelength: str | float | Radiation | None = None,
    *,
    two_theta_deg: tuple[float, float] | None = None,
    texture: bool = True,
    texture_axis: tuple[int, int, int] | None = None,
    shift: str = "zero",
    background_terms: int = BACKGROUND_TERMS,
    dispersion: bool = True,
) -> Fit:
    """Fit a structure to a measured pattern.

    Refined are the lengths and angles of the cell that its symmetry leaves free, a shift, Caglioti's U and W (and V
    where the data reach 100 degrees), Lorentzian widths X (size) and Y (strain), one March-Dollase parameter, one
    displacement U added to all atoms, the scale, and a Chebyshev background. A first search with broadened lines finds
    cells that differ by up to about 2 % and shifts up to 0.2 degrees; then the parameters are freed in stages.

    Size and microstrain are those of the whole Lorentzian width: what the instrument adds to it is not taken off, so
    that the size is a lower and the strain an upper limit. The standard uncertainties take the differences of
    neighbouring points for independent; where a misfit spreads over whole lines they are too small (Berar and Lelann,
    J. Appl. Cryst. 24, 1 (1991)).

    Args:
        structure: whatever `powderlens.read_structure` takes; symmetry is found where it has none.
        pattern: measured; uncertainties are used where it has them, and estimated where not, see
            `refine.search.estimate_sigma`. Masked points and those with an uncertainty of 0 are left out.
        wavelength: wins over the pattern's; what `parse_radiation` reads. The mean of a doublet means its two lines.
        two_theta_deg: first and last angle, degrees; all of the pattern when None.
        texture: refine preferred orientation.
        texture_axis: its hkl; None takes the best of `TEXTURE_AXES`.
        shift: the "zero" shift of every line, the specimen's "displacement", "both" or "none". From 5 to 90 degrees,
            and mostly to 145, the two cannot be told apart from each other and the cell, as their uncertainties say.
            One alone takes the place of the other, at the cost of about 0.02 % in the cell for 0.1 mm.
        background_terms: number of Chebyshev polynomials, 1 to 24.
        dispersion: structure factors with f' and f''.

    Raises:
        InputError: no wavelength, too few points for the parameters, no reflection in range, or an option out of range;
            what the readers raise is of this kind too.
    """
    if not 1 <= background_terms <= MAX_BACKGROUND_TERMS:
        raise InputError(f"background of {background_terms} terms: give 1 to {MAX_BACKGROUND_TERMS}")
    if shift not in SHIFTS:
        raise InputError(f"shift {shift!r}: choose one of {', '.join(SHIFTS)}")
    if texture_axis is not None:
        if not texture:
            raise InputError(f"texture axis {_words(texture_axis)} without texture: give one or the other")
        if not any(texture_axis):
            raise InputError("texture axis 0 0 0 is no direction; give an hkl such as 0 0 1")
    who = pattern.source or "pattern"
    if wavelength is not None:
        radiation = parse_radiation(wavelength)
    elif pattern.radiation is not None:
        radiation = pattern.radiation
    elif pattern.wavelength_A is not None:
        radiation = infer_radiation(pattern.wavelength_A)
    else:
        raise WavelengthError(f"{who}: no wavelength is known; give it in angstrom, or a line such as CuKa or CuKa1")
    part = _part(pattern.measured_only(), two_theta_deg)
    loaded = with_symmetry(read_structure(structure))
    model = _model(loaded, radiation, part, background_terms, dispersion)
    needed = POINTS_PER_PARAMETER * len(model.names)
    if len(part.two_theta_deg) < needed:
        raise InputError(
            f"{who}: {len(part.two_theta_deg)} points for {len(model.names)} parameters, {needed} are needed; "
            "measure with a smaller step or fit a wider range"
        )
    y = part.intensity
    if part.sigma is None:
        sigma, floor, gain = estimate_sigma(y)
    else:
        sigma, (floor, gain) = part.sigma, estimate_sigma(y)[1:]
    values = rough_width(model, rough_start(model, y), y, sigma)
    axes = [texture_axis] if texture_axis is not None else _distinct_axes(model) if texture else []
    values, model, free, stopped = _in_stages(model, values, y, sigma, axes, shift)
    return summarise(
        loaded, radiation, part, model, values, free, stopped, sigma, (floor, gain), dispersion=dispersion,
        textured=bool(axes),
    )  # fmt: skip


def _words(axis: tuple[int, int, int]) -> str:
    return " ".join(map(str, axis))


def _part(pattern: Pattern, two_theta_deg: tuple[float, float] | None) -> Pattern:
    """The part of a pattern that is fitted: in range, with weight."""
    x = pattern.two_theta_deg
    keep = np.ones(len(x), bool)
    who = pattern.source or "pattern"
    if two_theta_deg is not None:
        low, high = two_theta_deg
        if not low < high:
            raise InputError(f"range {low:g} to {high:g} degrees: give two angles, the smaller first")
        keep = (x >= low - 1e-9) & (x <= high + 1e-9)
    if pattern.sigma is not None:
        keep &= pattern.sigma > 0
    if keep.sum() < FEWEST_POINTS:
        raise InputError(
            f"{who}: {keep.sum()} points with weight in the range, measured are {x[0]:g} to {x[-1]:g} degrees; "
            "widen the range"
        )
    if np.ptp(pattern.intensity[keep]) == 0:
        raise InputError(f"{who}: every intensity in the range is {pattern.intensity[keep][0]:g}; widen the range")
    return replace(
        pattern,
        two_theta_deg=x[keep],
        intensity=pattern.intensity[keep],
        sigma=None if pattern.sigma is None else pattern.sigma[keep],
    )


def _model(loaded: Structure, radiation: Radiation, part: Pattern, terms: int, dispersion: bool) -> Model:
    """The families that any allowed cell and shift can bring into range, ready to be drawn; strongest line about 1."""
    who = loaded.source or loaded.name or "structure"
    x = part.two_theta_deg
    low, high = float(x[0]), float(x[-1])
    nothing = InputError(
        f"{who}: no reflection from {low:g} to {high:g} degrees at {radiation.wavelength_A:g} A; fit another range"
    )
    d_min = radiation.ka1_A / (2 * np.sin(np.radians(min(high + 1.0, 179.0) / 2)))
    order = max(1, len(laue_rotations(loaded.rotations)))
    count = 4 / 3 * np.pi * loaded.volume_A3 / d_min**3 / order
    if count > MAX_FAMILIES:
        raise InputError(
            f"{who}: about {count:.1g} families of reflections up to {high:g} degrees, the limit is {MAX_FAMILIES}; "
            "fit a narrower range"
        )
    try:
        found = reflections(
            loaded,
            d_min_A=d_min * (1 - 0.5 * MAX_STRAIN),
            dispersion_wavelength_A=radiation.wavelength_A if dispersion else None,
        )
    except StructureError:
        raise
    except InputError:
        raise nothing from None
    position = found.two_theta_deg(radiation.ka1_A)
    inside = (position >= low) & (position <= high)
    if not inside.any():
        raise nothing
    rotations = np.unique(loaded.rotations.reshape(-1, 9), axis=0).reshape(-1, 3, 3).astype(np.int64)
    lattice = np.ascontiguousarray(loaded.lattice, dtype=float)
    emission = [(radiation.ka1_A, 1.0)]
    if radiation.ka2_A is not None:
        emission.append((radiation.ka2_A, radiation.ka2_ratio))
    strength = found.multiplicity * found.f_squared
    return Model(
        two_theta_deg=x,
        lattice=lattice,
        rotations=rotations,
        basis=invariant_strains(lattice, rotations),
        hkl=np.ascontiguousarray(found.hkl),
        strength=strength / found.intensity(radiation.ka1_A)[inside].max(),
        emission=tuple(emission),
        background_terms=terms,
        radius_mm=RADIUS_MM,
    )


def _distinct_axes(model: Model) -> list[tuple[int, int, int]]:
    """`TEXTURE_AXES` without those that the symmetry makes equal to one before."""
    seen: set[tuple[int, ...]] = set()
    out = []
    for axis in TEXTURE_AXES:
        if axis in seen:
            continue
        out.append(axis)
        members = np.array(axis) @ model.rotations
        seen.update(tuple(int(v) for v in member) for member in np.concatenate([members, -members]))
    return out


def _places(model: Model, *names: str) -> NDArray[np.int64]:
    """Ascending places of parameters; "cell" and "linear" stand for several."""
    size, scale_at = len(model.basis), model.at("scale")
    places: list[int] = []
    for name in names:
        if name == "cell":
            places += range(size)
        elif name == "linear":
            places += range(scale_at, len(model.names))
        else:
            places.append(model.at(name))
    return np.array(sorted(places), np.int64)


def _in_stages(
    model: Model, values: Floats, y: Floats, sigma: Floats, axes: list[tuple[int, int, int]], shift: str
) -> tuple[Floats, Model, NDArray[np.int64], NDArray[np.int64]]:
    """Least squares with more and more parameters.

    Returns:
        All parameters, the model with its texture axis, the places of the parameters refined at the end, and of those
        that stopped at a bound before.
    """
    values = values.copy()
    names = ["linear", "cell", "caglioti_w_deg2", "lorentz_x_deg"]
    if shift in ("displacement", "none"):
        values[model.at("zero_shift_deg")] = 0.0
    if shift != "none":
        names.append("displacement_mm" if shift == "displacement" else "zero_shift_deg")
    values = refine(model, values, _places(model, *names), y, sigma, tolerance=1e-3, most=15)
    names += ["caglioti_u_deg2", "lorentz_y_deg"]
    values[_places(model, *names[-2:])] = 1e-3, 0.02
    values = refine(model, values, _places(model, *names), y, sigma, tolerance=1e-3, most=15)
    names.append("u_overall_A2")
    values[model.at("u_overall_A2")] = 0.004
    if axes:
        model, values = _textured(model, values, _places(model, *names), y, sigma, axes)
        names.append("march_r")
    values = refine(model, values, _places(model, *names), y, sigma, tolerance=1e-4, most=20)
    if shift == "both":
        names.append("displacement_mm")
    if model.two_theta_deg[-1] >= V_FROM_DEG:
        names.append("caglioti_v_deg2")
    free = _places(model, *names)
    stopped = np.zeros(0, np.int64)
    for _ in range(4):
        low, high = model.bounds(values)
        values = refine(model, values, free, y, sigma, tolerance=1e-7, most=40)
        reached = at_bounds(model, values, free)
        if not len(reached):
            break
        below = values[reached] - low[reached] < high[reached] - values[reached]
        values[reached] = np.where(below, low[reached], high[reached])
        free, stopped = np.setdiff1d(free, reached), np.union1d(stopped, reached)
    return values, model, free, stopped


def _textured(
    model: Model, values: Floats, free: NDArray[np.int64], y: Floats, sigma: Floats, axes: list[tuple[int, int, int]]
) -> tuple[Model, Floats]:
    """The axis whose texture takes away most of the misfit, and the parameters at its first estimate.

    Each axis is judged by its best of a few values of r, the other parameters following linearly; the best three are
    refined.
    """
    r_at, scale = model.at("march_r"), values[model.at("scale")]
    others = model.jacobian(values, free) / sigma[:, None]
    lengths: Floats = np.maximum(np.linalg.norm(others, axis=0), 1e-300)
    basis = np.linalg.qr(others / lengths)[0]

    def left(column: Floats) -> Floats:
        weighted = column / sigma
        return np.asarray(weighted - basis @ (basis.T @ weighted))

    def least(axis: tuple[int, int, int]) -> tuple[float, float, tuple[int, int, int]]:
        trial, moved, out = replace(model, texture_axis=axis), values.copy(), []
        for r in TRIAL_R:
            moved[r_at] = r
            difference = left(y - trial.calculate(moved))
            out.append((float(difference @ difference), r, axis))
        return min(out)

    if not scale > 0:
        return replace(model, texture_axis=axes[0]), values
    ranked = sorted(least(axis) for axis in axes)
    best: tuple[float, Model, Floats] | None = None
    for _, r, axis in ranked[:3]:
        trial, start = replace(model, texture_axis=axis), values.copy()
        start[r_at] = r
        found = refine(trial, start, np.union1d(free, [r_at]), y, sigma, tolerance=1e-3, most=10)
        cost = float(np.sum(((y - trial.calculate(found)) / sigma) ** 2))
        if best is None or cost < best[0]:
            best = cost, trial, found
    assert best is not None
    return best[1], best[2]
