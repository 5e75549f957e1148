"""`Fit`: what least squares found, with its uncertainties, figures of merit and warnings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core.cell import CELL_NAMES
from powderlens.core.text import with_uncertainty
from powderlens.crystal.structure import Structure, cell_from_lattice
from powderlens.diffraction.conditions import Background, Conditions, Counting, Geometry, Profile, Source, Specimen
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.wavelength import Radiation
from powderlens.refine.model import BOUNDS, DEGREE, MAX_STRAIN, PROFILE, Floats, Model

SCHERRER_K = 0.9
POOR = 0.7
"""A structure that leaves more than this of what stands above the background unexplained is not in the pattern: of 239
measured minerals none left more of itself (at most 0.66), of as many fitted with another mineral's structure one left
less. Where one line outshines all others, a strange structure that has a line there may leave less too."""
ALIKE = 0.99
"""Pairs of parameters more correlated than this are named."""
SINGULAR = 1e-9
"""Smallest share of a determined combination of parameters in the scaled normal matrix."""
IDLE = {
    "caglioti_u_deg2": 2e-6,
    "caglioti_v_deg2": 2e-6,
    "caglioti_w_deg2": 3e-6,
    "lorentz_x_deg": 2e-4,
    "lorentz_y_deg": 2e-4,
    "march_r": 1e-3,
    "u_overall_A2": 2e-5,
}
"""A parameter this close to its bound is at it."""
UNITS = {
    "zero_shift_deg": "degrees",
    "displacement_mm": "mm",
    "caglioti_u_deg2": "degrees^2",
    "caglioti_v_deg2": "degrees^2",
    "caglioti_w_deg2": "degrees^2",
    "lorentz_x_deg": "degrees",
    "lorentz_y_deg": "degrees",
    "u_overall_A2": "A^2",
}


@dataclass(frozen=True)
class Parameter:
    """One parameter of the fit.

    Attributes:
        name: as in `Conditions` where there is such a field.
        value: where the fit ended.
        uncertainty: standard uncertainty, from the covariance and scaled by the goodness of fit; None when not refined.
        unit: empty for a plain number.
        state: "refined", "fixed", "at its bound" or "undetermined".
    """

    name: str
    value: float
    uncertainty: float | None
    unit: str
    state: str


@dataclass(frozen=True, eq=False)
class Fit:
    """What a fit found.

    Attributes:
        structure: the structure as it was given, with its symmetry.
        pattern: the part of the measured pattern that was fitted.
        radiation: the wavelengths.
        dispersion: whether the structure factors hold f' and f''.
        sigma: (n,) standard uncertainties; the weights are 1 / sigma^2.
        sigma_given: True when the pattern had them, False when they were estimated from the scatter of the data.
        calculated, background: (n,) the calculated pattern, and the part of it that is background.
        hkl: (m, 3) one of each family in range; line_deg: (m,) where it is observed, at the first wavelength.
        parameters: every parameter.
        cell, cell_uncertainty: a, b, c in A; alpha, beta, gamma in degrees. An uncertainty is 0 where the symmetry
            fixes the value, and None where the pattern does not determine it.
        r_p, r_wp: profile R factors, as fractions.
        r_wp_above_background: as `r_wp`, with the background taken off the measured values in the denominator.
        unexplained: share of what stands above background and noise that the structure leaves over, the root of a
            ratio of sums of squares as in R_wp.
        r_expected: R_wp of a perfect model under these uncertainties. chi2: the goodness of fit (r_wp / r_expected)^2.
        crystallite_size_nm, microstrain: from X and Y, value and uncertainty; None where that width is nil.
        texture_axis: hkl of the March-Dollase axis, None without texture.
        conditions: the values found; they give the calculated pattern again, with noise of its size.
        warnings: a line each.

    Source of the R factors: B. H. Toby, Powder Diffr. 21, 67 (2006), doi:10.1154/1.2179804: with w = 1 / sigma^2,
    R_p = sum |y_o - y_c| / sum y_o, R_wp^2 = sum w (y_o - y_c)^2 / sum w y_o^2, R_exp^2 = (N - P) / sum w y_o^2,
    chi^2 = (R_wp / R_exp)^2. `r_p` is None where the sum of y_o is not positive.
    """

    structure: Structure
    pattern: Pattern
    radiation: Radiation
    dispersion: bool
    sigma: Floats
    sigma_given: bool
    calculated: Floats
    background: Floats
    hkl: NDArray[np.int64]
    line_deg: Floats
    parameters: tuple[Parameter, ...]
    cell: tuple[float, ...]
    cell_uncertainty: tuple[float | None, ...]
    r_p: float | None
    r_wp: float
    r_wp_above_background: float
    unexplained: float
    r_expected: float
    chi2: float
    crystallite_size_nm: tuple[float, float] | None
    microstrain: tuple[float, float] | None
    texture_axis: tuple[int, int, int] | None
    conditions: Conditions
    warnings: tuple[str, ...]

    def parameter(self, name: str) -> Parameter:
        """One parameter by its name.

        Raises:
            KeyError: there is none of that name.
        """
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)

    @property
    def name(self) -> str:
        """What the structure is called, or its formula."""
        return self.structure.name or self.structure.formula

    @property
    def text(self) -> str:
        """The fit in lines of text: figures of merit, cell, specimen and instrument."""
        x = self.pattern.two_theta_deg
        noise = "sigma as given" if self.sigma_given else "sigma estimated from the scatter of the data"
        r_p = "none" if self.r_p is None else f"{100 * self.r_p:.2f} %"
        rows = [
            f"{self.name} in {self.pattern.source or 'a pattern'}, {self.radiation.name}",
            f"{len(x)} points from {x[0]:g} to {x[-1]:g} degrees, {len(self.hkl)} reflections, {noise}",
            "",
            f"Rp {r_p}   Rwp {100 * self.r_wp:.2f} %   Rwp without background {100 * self.r_wp_above_background:.2f} %",
            f"Rexp {100 * self.r_expected:.2f} %   chi^2 {self.chi2:.3g}   "
            f"left unexplained {100 * self.unexplained:.1f} %",
            "",
        ]
        for label, value, uncertainty in zip(CELL_NAMES, self.cell, self.cell_uncertainty, strict=True):
            name, unit = label.rsplit("_", 1)
            fixed = "  by symmetry" if uncertainty == 0 else ""
            rows.append(f"{name:<24}{with_uncertainty(value, uncertainty):>16} {unit}{fixed}")
        rows.append("")
        for parameter in self.parameters:
            if parameter.name.startswith(("strain_", "background_")):
                continue
            if parameter.state == "fixed":
                continue
            name = parameter.name.removesuffix("_deg").removesuffix("_deg2").removesuffix("_mm").removesuffix("_A2")
            if name == "march_r" and self.texture_axis is not None:
                name += " along " + " ".join(map(str, self.texture_axis))
            said = "" if parameter.state == "refined" else f"  {parameter.state}"
            number = with_uncertainty(parameter.value, parameter.uncertainty)
            rows.append(f"{name:<24}{number:>16} {parameter.unit}{said}".rstrip())
        if self.crystallite_size_nm is not None:
            rows.append(f"{'crystallite size':<24}{with_uncertainty(*self.crystallite_size_nm):>16} nm, from X")
        if self.microstrain is not None:
            value, uncertainty = (100 * v for v in self.microstrain)
            rows.append(f"{'microstrain':<24}{with_uncertainty(value, uncertainty):>16} %, from Y")
        return "\n".join(rows)

    def as_json(self) -> dict[str, Any]:
        """Everything but the curves, as JSON takes it."""
        x = self.pattern.two_theta_deg
        return {
            "structure": self.structure.source or self.structure.name,
            "pattern": self.pattern.source,
            "radiation": self.radiation.name,
            "range_deg": [float(x[0]), float(x[-1])],
            "points": len(x),
            "reflections": len(self.hkl),
            "sigma": "given" if self.sigma_given else "estimated from the scatter of the data",
            "r_p": self.r_p,
            "r_wp": self.r_wp,
            "r_wp_above_background": self.r_wp_above_background,
            "unexplained": self.unexplained,
            "r_expected": self.r_expected,
            "chi2": self.chi2,
            "cell": dict(zip(CELL_NAMES, self.cell, strict=True)),
            "cell_uncertainty": dict(zip(CELL_NAMES, self.cell_uncertainty, strict=True)),
            "crystallite_size_nm": _pair(self.crystallite_size_nm),
            "microstrain": _pair(self.microstrain),
            "texture_axis": None if self.texture_axis is None else list(self.texture_axis),
            "parameters": [
                {"name": p.name, "value": p.value, "uncertainty": p.uncertainty, "unit": p.unit, "state": p.state}
                for p in self.parameters
            ],
            "conditions": self.conditions.changes(),
            "warnings": list(self.warnings),
        }


def summarise(
    structure: Structure,
    radiation: Radiation,
    part: Pattern,
    model: Model,
    values: Floats,
    free: NDArray[np.int64],
    at_bound: NDArray[np.int64],
    sigma: Floats,
    noise: tuple[float, float],
    *,
    dispersion: bool,
    textured: bool,
) -> Fit:
    """Figures of merit and uncertainties of a finished refinement.

    Args:
        structure: what was fitted.
        radiation: its wavelengths.
        part: the measured points.
        model: what is calculated.
        values: (p,) all parameters.
        free: places of the parameters refined at the end.
        at_bound: places of those that stopped at a bound before.
        sigma: (n,) uncertainties.
        noise: variance at intensity 0 and its growth, for the conditions.
        dispersion: whether the structure factors hold f' and f''.
        textured: whether a texture was refined.
    """
    y = part.intensity
    calculated, background = model.calculate(values), model.background(values)
    weight = 1 / sigma**2
    rest2 = float(np.sum(weight * (y - calculated) ** 2))
    above2 = float(np.sum(weight * (y - background) ** 2))
    all2 = float(np.sum(weight * y**2))
    # A parameter at its bound counts as free here: the uncertainties of the others allow for it.
    every = np.union1d(free, at_bound).astype(np.int64)
    freedom = len(y) - len(every)
    chi2 = rest2 / freedom
    matrix, lost = covariance(model.jacobian(values, every) / sigma[:, None], chi2)
    uncertainty: list[float | None] = [None] * len(values)
    states = ["fixed"] * len(values)
    low, high = model.bounds(values)
    for k, place in enumerate(every):
        deviation = float(np.sqrt(matrix[k, k]))
        span = high[place] - low[place]
        wide = bool(np.isfinite(span)) and deviation > span / 2
        states[place] = "undetermined" if lost[k] or wide else "at its bound" if place in at_bound else "refined"
        uncertainty[place] = None if states[place] == "undetermined" else deviation
    names = model.names
    parameters = tuple(
        Parameter(n, float(v), u, UNITS.get(n, ""), s)
        for n, v, u, s in zip(names, values, uncertainty, states, strict=True)
    )
    noiseless = float(np.sum(y)) > 0
    unexplained = float(np.sqrt(max(rest2 - freedom, 0.0) / (above2 - freedom))) if above2 > 1.05 * freedom else 1.0
    position = model.positions(values)
    inside = (position >= part.two_theta_deg[0]) & (position <= part.two_theta_deg[-1])
    by_name = {name: float(value) for name, value in zip(names, values, strict=True)}
    error = dict(zip(names, uncertainty, strict=True))
    axis = model.texture_axis if textured else None
    found = Fit(
        structure=structure,
        pattern=part,
        radiation=radiation,
        dispersion=dispersion,
        sigma=sigma,
        sigma_given=part.sigma is not None,
        calculated=calculated,
        background=background,
        hkl=model.hkl[inside],
        line_deg=position[inside],
        parameters=parameters,
        cell=_cell(model, values),
        cell_uncertainty=_cell_uncertainty(model, values, every, matrix, states),
        r_p=float(np.abs(y - calculated).sum() / y.sum()) if noiseless else None,
        r_wp=float(np.sqrt(rest2 / all2)),
        r_wp_above_background=float(np.sqrt(rest2 / above2)),
        unexplained=min(unexplained, 1.0),
        r_expected=float(np.sqrt(freedom / all2)),
        chi2=chi2,
        crystallite_size_nm=_size_nm(by_name["lorentz_x_deg"], error["lorentz_x_deg"], radiation.ka1_A),
        microstrain=_microstrain(by_name["lorentz_y_deg"], error["lorentz_y_deg"]),
        texture_axis=axis,
        conditions=_conditions(model, by_name, float((calculated - background).max()), noise, radiation),
        warnings=(),
    )
    return replace(found, warnings=_warnings(found, matrix, [names[place] for place in every]))


def _pair(value: tuple[float, float] | None) -> dict[str, float] | None:
    return None if value is None else {"value": value[0], "uncertainty": value[1]}


def at_bounds(model: Model, values: Floats, free: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of the refined parameters that ended at a bound."""
    low, high = model.bounds(values)
    near = np.array([IDLE.get(name, 1e-4) for name in model.names])
    reached = (values - low <= near) | (high - values <= near)
    reached[model.at("scale") :] = False
    return free[reached[free]]


def covariance(jacobian: Floats, chi2: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Covariance chi^2 (J^T J)^-1 of weighted derivatives (n, f), and which parameters the data do not determine."""
    length = np.linalg.norm(jacobian, axis=0)
    idle = length <= 1e-12 * max(float(length.max(initial=0.0)), 1e-300)
    scaled = jacobian / np.where(idle, 1.0, length)
    values, vectors = np.linalg.eigh(scaled.T @ scaled)
    null = values < SINGULAR
    lost = idle | ((vectors[:, null] ** 2).sum(axis=1) > 1e-3)
    inverse = (vectors[:, ~null] / values[~null]) @ vectors[:, ~null].T
    length = np.where(idle, 1.0, length)
    return np.asarray(chi2 * inverse / np.outer(length, length)), np.asarray(lost)


def _cell(model: Model, values: Floats) -> tuple[float, ...]:
    """a, b, c in A; alpha, beta, gamma in degrees."""
    return cell_from_lattice(np.asarray(np.linalg.cholesky(model.metric(values)[0]), np.float64))


def _cell_uncertainty(
    model: Model, values: Floats, free: NDArray[np.int64], matrix: Floats, states: list[str]
) -> tuple[float | None, ...]:
    """Of a, b, c, alpha, beta, gamma by their derivatives with respect to the strains."""
    size = len(model.basis)
    slopes = np.zeros((6, len(free)))
    unknown = np.zeros(6, bool)
    for place in range(size):
        cells = []
        for step in (1e-6, -1e-6):
            moved = values.copy()
            moved[place] += step
            cells.append(_cell(model, moved))
        slope = (np.array(cells[0]) - np.array(cells[1])) / 2e-6
        slope[np.abs(slope) < 1e-5] = 0.0
        if states[place] == "refined":
            slopes[:, np.searchsorted(free, place)] = slope
        else:
            unknown |= slope != 0
    variance = np.einsum("if,fg,ig->i", slopes, matrix, slopes)
    return tuple(None if lost else float(np.sqrt(max(v, 0.0))) for v, lost in zip(variance, unknown, strict=True))


def _size_nm(x_deg: float, uncertainty: float | None, wavelength_A: float) -> tuple[float, float] | None:
    """Scherrer's size K lambda / X, X in radians (`profile.scherrer_fwhm_deg`)."""
    if uncertainty is None or x_deg <= IDLE["lorentz_x_deg"]:
        return None
    size = DEGREE * SCHERRER_K * wavelength_A / (10 * x_deg)
    return size, size * uncertainty / x_deg


def _microstrain(y_deg: float, uncertainty: float | None) -> tuple[float, float] | None:
    """Stokes and Wilson's epsilon = Y / 4, Y in radians (`profile.microstrain_fwhm_deg`)."""
    if uncertainty is None or y_deg <= IDLE["lorentz_y_deg"]:
        return None
    return y_deg / (4 * DEGREE), uncertainty / (4 * DEGREE)


def _conditions(
    model: Model, value: dict[str, float], top: float, noise: tuple[float, float], radiation: Radiation
) -> Conditions:
    """The values as `Conditions`, intensities in units of the strongest point above the background."""
    strain = model.strain(np.array([value[name] for name in model.names]))
    xx, yy, zz, yz, xz, xy = (float(strain[i, j]) for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)))
    x, y = value["lorentz_x_deg"], value["lorentz_y_deg"]
    top = top if top > 0 else 1.0
    floor, gain = noise
    counting = Counting()
    if floor > 1e-6 * gain * top:
        share = floor / (gain * top) if gain > 0 else 0.0
        counting = Counting(noise_sigma=min(floor**0.5 / top, 10.0), background_share=share if share <= 1e3 else 0.0)
    elif gain > 0:
        counting = Counting(counts_at_max=min(top / gain, 1e9))
    doublet = {"ka2_ratio": 0.0}
    if radiation.ka2_A is not None:
        doublet = {"ka2_A": radiation.ka2_A, "ka2_ratio": model.emission[1][1]}
    terms = model.background_terms
    return Conditions(
        source=Source(ka1_A=radiation.ka1_A, **doublet),
        geometry=Geometry(
            zero_shift_deg=value["zero_shift_deg"],
            displacement_mm=value["displacement_mm"],
            radius_mm=model.radius_mm,
        ),
        profile=Profile(
            caglioti_u_deg2=value["caglioti_u_deg2"],
            caglioti_v_deg2=value["caglioti_v_deg2"],
            caglioti_w_deg2=value["caglioti_w_deg2"],
            crystallite_size_nm=DEGREE * SCHERRER_K * radiation.ka1_A / (10 * x) if x > 0 else np.inf,
            scherrer_k=SCHERRER_K,
            microstrain=y / (4 * DEGREE),
        ),
        specimen=Specimen(
            texture_axis=model.texture_axis,
            march_r=value["march_r"],
            strain=(xx, yy, zz, yz, xz, xy),
            u_overall_A2=value["u_overall_A2"],
        ),
        background=Background(chebyshev=tuple(value[f"background_{i}"] / top for i in range(terms))),
        counting=counting,
    )


def _warnings(found: Fit, matrix: Floats, refined: list[str]) -> tuple[str, ...]:
    out = []
    if found.unexplained > POOR:
        out.append(
            f"the pattern does not seem to hold {found.name}: {100 * found.unexplained:.0f} % of what stands above the "
            f"background is left unexplained (Rwp {100 * found.r_wp:.0f} %); cell and widths mean nothing"
        )
    undetermined = [p.name for p in found.parameters if p.state == "undetermined"]
    if undetermined:
        out.append(f"the pattern does not determine {', '.join(undetermined)}")
    stopped = [p for p in found.parameters if p.state == "at its bound"]
    if any(p.name.startswith("strain_") for p in stopped):
        out.append(f"the cell would move more than {100 * MAX_STRAIN:.0f} %; start from a nearer structure")
    # No broadening and no displacement are answers; the other ends are none.
    odd = [f"{p.name} = {p.value:g}" for p in stopped if p.name == "march_r" or abs(p.value) > 1e-5]
    odd = [text for text in odd if not text.startswith("strain_")]
    if odd:
        out.append(f"at a bound: {', '.join(odd)}; the model does not fit, or another parameter takes its place")
    deviation = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    correlation = matrix / np.outer(deviation, deviation)
    known = {p.name for p in found.parameters if p.state == "refined" and not p.name.startswith("background_")}
    for i, one in enumerate(refined):
        for j, other in enumerate(refined[:i]):
            if one in known and other in known and abs(correlation[i, j]) > ALIKE:
                out.append(
                    f"{other} and {one} go together (correlation {correlation[i, j]:.3f}): neither alone is certain"
                )
    return tuple(out)


assert set(BOUNDS) == set(PROFILE)
