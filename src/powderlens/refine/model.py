"""The calculated pattern of a fit with its derivatives, and least squares on it.

The formulas are those of the renderers (`instrument.py`, `profile.py`, `specimen.py`), on the measured points, with the
derivative by every parameter. One crystal, no axial divergence, no absorption.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.polynomial.chebyshev import chebvander
from numpy.typing import NDArray

from powderlens.diffraction.render_numpy import FADE, MIN_FWHM_DEG, SINE_LIMIT
from powderlens.diffraction.specimen import march_dollase

Floats = NDArray[np.float64]

DEGREE = 180.0 / np.pi
GAUSS_REACH = 3.0
"""A Gaussian is drawn to this many FWHM on each side, where it is 1e-11 of its height."""
MAX_STRAIN = 0.04
"""The cell may change by this much, relative."""

PROFILE = (
    "zero_shift_deg",
    "displacement_mm",
    "caglioti_u_deg2",
    "caglioti_v_deg2",
    "caglioti_w_deg2",
    "lorentz_x_deg",
    "lorentz_y_deg",
    "march_r",
    "u_overall_A2",
)
BOUNDS = {
    "zero_shift_deg": (-0.5, 0.5),
    "displacement_mm": (-1.0, 1.0),
    "caglioti_u_deg2": (0.0, 4.0),
    "caglioti_v_deg2": (-8.0, 0.0),
    "caglioti_w_deg2": (1e-6, 4.0),
    "lorentz_x_deg": (0.0, 4.0),
    "lorentz_y_deg": (0.0, 8.0),
    "march_r": (0.2, 5.0),
    "u_overall_A2": (0.0, 0.15),
}


def invariant_strains(lattice: Floats, rotations: NDArray[np.int64]) -> Floats:
    """Basis of the small strains that a point group leaves as they are: what is free in the cell.

    A symmetric tensor e is invariant when R e R^T = e for every rotation R; the mean over the group projects onto these
    (International Tables for Crystallography D, section 1.1.4). Cubic: 1; tetragonal, trigonal, hexagonal: 2;
    orthorhombic: 3; monoclinic: 4; triclinic: 6.

    Args:
        lattice: (3, 3) rows are cell vectors, A.
        rotations: (r, 3, 3) distinct point-group rotations, x' = W x.

    Returns:
        (k, 3, 3) symmetric Cartesian tensors, the largest entry of each 1.
    """
    cartesian = lattice.T @ rotations @ np.linalg.inv(lattice.T)
    found: list[Floats] = []
    for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
        unit = np.zeros((3, 3))
        unit[i, j] = unit[j, i] = 1.0
        mean = (cartesian @ unit @ cartesian.transpose(0, 2, 1)).mean(axis=0)
        for other in found:
            mean = mean - other * np.sum(mean * other) / np.sum(other * other)
        top = np.abs(mean).max()
        if top > 1e-3:
            found.append(np.where(np.abs(mean) > 1e-9 * top, mean + mean.T, 0.0) / (2 * top))
    return np.array(found)


@dataclass(frozen=True, eq=False)
class Model:
    """What is calculated, apart from the parameters.

    The parameters are one vector: the amounts of the invariant strains, the nine of `PROFILE`, the scale, and the
    Chebyshev coefficients of the background.

    Attributes:
        two_theta_deg: (n,) ascending angles.
        lattice: (3, 3) rows are cell vectors before any strain, A.
        rotations: (r, 3, 3) int64 point-group rotations.
        basis: (k, 3, 3) invariant strains.
        hkl: (m, 3) int64, one of each family.
        strength: (m,) multiplicity times |F|^2, any scale.
        emission: wavelength in A and share of each line of the radiation.
        texture_axis: hkl of the March-Dollase axis.
        background_terms: number of Chebyshev polynomials.
        radius_mm: of the goniometer; it only gives the displacement its unit.
    """

    two_theta_deg: Floats
    lattice: Floats
    rotations: NDArray[np.int64]
    basis: Floats
    hkl: NDArray[np.int64]
    strength: Floats
    emission: tuple[tuple[float, float], ...]
    texture_axis: tuple[int, int, int] = (0, 0, 1)
    background_terms: int = 0
    radius_mm: float = 200.0

    @cached_property
    def names(self) -> list[str]:
        """One for each parameter, in their order."""
        strains = [f"strain_{i + 1}" for i in range(len(self.basis))]
        return [*strains, *PROFILE, "scale", *(f"background_{i}" for i in range(self.background_terms))]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.names)}

    @cached_property
    def _chebyshev(self) -> Floats:
        """(n, terms) polynomials over the range."""
        x = self.two_theta_deg
        if self.background_terms == 0:
            return np.zeros((len(x), 0))
        return np.asarray(chebvander(2 * (x - x[0]) / (x[-1] - x[0]) - 1, self.background_terms - 1))

    def at(self, name: str) -> int:
        """Where a parameter is in the vector."""
        return self._places[name]

    def start(self) -> Floats:
        """No strain, no shift, no texture, lines 0.14 degrees wide, scale 1."""
        out = np.zeros(len(self.names))
        for name, value in (("caglioti_w_deg2", 0.01), ("lorentz_x_deg", 0.06), ("march_r", 1.0), ("scale", 1.0)):
            out[self.at(name)] = value
        return out

    def bounds(self, values: Floats) -> tuple[Floats, Floats]:
        """Lowest and highest values of each parameter; those of V keep the width real near the given U and W."""
        low, high = np.full(len(self.names), -np.inf), np.full(len(self.names), np.inf)
        low[: len(self.basis)], high[: len(self.basis)] = -MAX_STRAIN, MAX_STRAIN
        for name, (least, most) in BOUNDS.items():
            low[self.at(name)], high[self.at(name)] = least, most
        u, w = values[self.at("caglioti_u_deg2")], values[self.at("caglioti_w_deg2")]
        low[self.at("caglioti_v_deg2")] = -max(1.9 * np.sqrt(u * w), 1e-4)
        low[self.at("scale")] = 0.0
        return low, high

    def strain(self, values: Floats) -> Floats:
        """(3, 3) Cartesian strain."""
        return np.asarray(np.tensordot(values[: len(self.basis)], self.basis, axes=1))

    def metric(self, values: Floats) -> tuple[Floats, Floats]:
        """(3, 3) metric tensor in A^2, the mean over the point group, and (k, 3, 3) its derivatives."""
        stretch = np.eye(3) + self.strain(values)
        slopes = np.array([b @ stretch + stretch @ b for b in self.basis]).reshape(-1, 3, 3)
        tensors = self.lattice @ np.concatenate([(stretch @ stretch)[None], slopes]) @ self.lattice.T
        turned = self.rotations.transpose(0, 2, 1)[None] @ tensors[:, None] @ self.rotations[None]
        mean = turned.mean(axis=1)
        return mean[0], mean[1:]

    def background(self, values: Floats) -> Floats:
        """(n,) the background alone."""
        return np.asarray(self._chebyshev @ values[len(self.names) - self.background_terms :])

    def positions(self, values: Floats) -> Floats:
        """(m,) observed 2theta of each family at the first wavelength, degrees; NaN where it is not reached."""
        q = self._reflections(values, np.zeros(0, np.int64))[0]
        with np.errstate(invalid="ignore"):
            theta = np.arcsin(0.5 * self.emission[0][0] * np.sqrt(q))
        shift = 2 * values[self.at("displacement_mm")] / self.radius_mm * np.cos(theta)
        return np.asarray(DEGREE * (2 * theta - shift) + values[self.at("zero_shift_deg")])

    def calculate(self, values: Floats) -> Floats:
        """(n,) the calculated pattern."""
        return self._draw(values, np.zeros(0, np.int64))[0] * values[self.at("scale")] + self.background(values)

    def jacobian(self, values: Floats, free: NDArray[np.int64]) -> Floats:
        """(n, f) derivatives by the parameters at the places `free`, ascending.

        Of the cell's influence, that on the texture's angles is left out.
        """
        scale_at = self.at("scale")
        drawn = free[free < scale_at]
        profile, slopes = self._draw(values, drawn)
        parts = [slopes * values[scale_at]]
        if scale_at in free:
            parts.append(profile[:, None])
        if (free > scale_at).any():
            parts.append(self._chebyshev[:, free[free > scale_at] - scale_at - 1])
        return np.concatenate(parts, axis=1)

    def _reflections(self, values: Floats, drawn: NDArray[np.int64]) -> tuple[Floats, Floats, Floats, Floats]:
        """1/d^2 and weight of each family, and the derivatives of both by the parameters `drawn`."""
        metric, slopes = self.metric(values)
        inverse = np.linalg.inv(metric)
        h = self.hkl @ inverse
        q = np.einsum("ij,ij->i", h, self.hkl)
        r_at, u_at = self.at("march_r"), self.at("u_overall_A2")
        r = values[r_at]
        axis = np.array(self.texture_axis, float)
        dq, dlog = np.zeros((len(q), len(drawn))), np.zeros((len(q), len(drawn)))
        debye = -4 * np.pi**2 * values[u_at]
        weight = self.strength * np.exp(debye * q)
        if r != 1.0 or r_at in drawn:
            factor = march_dollase(self.hkl, inverse, self.rotations, axis, r)
            weight = weight * factor
        for column, parameter in enumerate(drawn):
            if parameter < len(self.basis):
                dq[:, column] = -np.einsum("ij,jk,ik->i", h, slopes[parameter], h)
                dlog[:, column] = debye * dq[:, column]
            elif parameter == u_at:
                dlog[:, column] = -4 * np.pi**2 * q
            elif parameter == r_at:
                step = 1e-5 * r
                above, below = (march_dollase(self.hkl, inverse, self.rotations, axis, r + s) for s in (step, -step))
                dlog[:, column] = (above - below) / (2 * step * factor)
        return q, weight, dq, dlog

    def _lines(self, values: Floats, drawn: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """(4, k) position, area, Gaussian and Lorentzian FWHM of every line, and (4, k, f) their derivatives."""
        q, weight, dq, dlog = self._reflections(values, drawn)
        zero, displacement, u, v, w, x, y, _, _ = values[len(self.basis) : len(self.basis) + len(PROFILE)]
        column_of = {int(parameter) - len(self.basis): i for i, parameter in enumerate(drawn)}
        lever = 2 * DEGREE / self.radius_mm
        tables = []
        for wavelength, share in self.emission:
            sine = 0.5 * wavelength * np.sqrt(q)
            use = sine < SINE_LIMIT
            s, qs = sine[use], q[use]
            c = np.sqrt(1 - s * s)
            t, cos2 = s / c, 1 - 2 * s * s
            lp = (1 + cos2 * cos2) / (2 * s * s * c)
            longer = wavelength / self.emission[0][0]  # Scherrer: the width grows with the wavelength
            gauss = np.sqrt(np.maximum(u * t * t + v * t + w, MIN_FWHM_DEG**2))
            lorentz = x * longer / c + y * t
            position = 2 * DEGREE * np.arcsin(s) + zero - lever * displacement * c
            area = share * weight[use] * lp
            # by theta
            d_position = 2 * DEGREE + lever * displacement * s
            d_lp = -8 * cos2 * s * c / (1 + cos2 * cos2) - 2 / t + t
            d_gauss = (2 * u * t + v) * (1 + t * t) / (2 * gauss)
            d_lorentz = x * longer * t / c + y * (1 + t * t)
            d_theta = dq[use] * (t / (2 * qs))[:, None]
            slopes = np.zeros((4, len(s), len(drawn)))
            slopes[0] = d_position[:, None] * d_theta
            slopes[1] = area[:, None] * (dlog[use] + d_lp[:, None] * d_theta)
            slopes[2] = d_gauss[:, None] * d_theta
            slopes[3] = d_lorentz[:, None] * d_theta
            for row, place, slope in (
                (0, 0, np.ones_like(s)),
                (0, 1, -lever * c),
                (2, 2, t * t / (2 * gauss)),
                (2, 3, t / (2 * gauss)),
                (2, 4, 0.5 / gauss),
                (3, 5, longer / c),
                (3, 6, t),
            ):
                if place in column_of:
                    slopes[row, :, column_of[place]] = slope
            tables.append((np.stack([position, area, gauss, lorentz]), slopes))
        lines, derivatives = (np.concatenate(part, axis=1) for part in zip(*tables, strict=True))
        return lines, derivatives

    def _draw(self, values: Floats, drawn: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Profile at scale 1, and its derivatives by the parameters `drawn` (all before the scale)."""
        (position, area, gauss, lorentz), slopes = self._lines(values, drawn)
        fwhm, eta, chain = _pseudo_voigt(gauss, lorentz)
        by_width = chain[0][:, None] * slopes[2] + chain[1][:, None] * slopes[3]
        by_eta = chain[2][:, None] * slopes[2] + chain[3][:, None] * slopes[3]
        coefficients = np.ascontiguousarray(np.stack([slopes[0], slopes[1], by_width, by_eta], axis=1))
        height = area / fwhm
        top = height.max(initial=0.0)
        reach = np.full(len(fwhm), GAUSS_REACH)
        if top > 0:
            reach = np.maximum(0.5 * np.sqrt(eta * height / (FADE * top)), GAUSS_REACH)
        profile = np.zeros(len(self.two_theta_deg))
        jacobian = np.zeros((len(profile), len(drawn)))
        _accumulate(self.two_theta_deg, position, area, fwhm, eta, reach, coefficients, profile, jacobian)
        return profile, jacobian


def _pseudo_voigt(g: Floats, x: Floats) -> tuple[Floats, Floats, tuple[Floats, Floats, Floats, Floats]]:
    """Thompson, Cox and Hastings as in `profile.thompson_cox_hastings`, with derivatives.

    Returns:
        FWHM, eta, and the derivatives of the FWHM by g and x and of eta by g and x.
    """
    g2, x2 = g * g, x * x
    g3, x3 = g2 * g, x2 * x
    fifth = g3 * g2 + 2.69269 * g2 * g2 * x + 2.42843 * g3 * x2 + 4.47163 * g2 * x3 + 0.07842 * g * x2 * x2 + x3 * x2
    fwhm = np.maximum(fifth**0.2, MIN_FWHM_DEG)
    by_g = 5 * g2 * g2 + 10.77076 * g3 * x + 7.28529 * g2 * x2 + 8.94326 * g * x3 + 0.07842 * x2 * x2
    by_x = 2.69269 * g2 * g2 + 4.85686 * g3 * x + 13.41489 * g2 * x2 + 0.31368 * g * x3 + 5 * x2 * x2
    by_fifth = 1 / (5 * fwhm * fwhm * fwhm * fwhm)
    by_g, by_x = by_g * by_fifth, by_x * by_fifth
    q = x / fwhm
    eta = q * (1.36603 - q * (0.47719 - q * 0.11116))
    slope = 1.36603 - q * (0.95438 - q * 0.33348)
    eta_g, eta_x = -slope * q / fwhm * by_g, slope * (1 - q * by_x) / fwhm
    return fwhm, np.clip(eta, 0.0, 1.0), (by_g, by_x, eta_g, eta_x)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"})
def _accumulate(x, position, area, fwhm, eta, reach, coefficients, profile, jacobian):  # type: ignore[no-untyped-def]
    """Add every line to `profile`, and to `jacobian` its derivatives by (position, area, fwhm, eta) times coefficients.

    Args:
        x: (n,) ascending angles, degrees.
        position: (k,) degrees.
        area: (k,) integrated intensity, in intensity times degrees.
        fwhm: (k,) degrees.
        eta: (k,) Lorentzian share.
        reach: (k,) half-width of the window in FWHM.
        coefficients: (k, 4, f) derivatives of position, area, FWHM and eta of each line by the f parameters.
        profile: (n,) added to in place.
        jacobian: (n, f) added to in place.
    """
    k = 4.0 * np.log(2.0)
    free = coefficients.shape[2]
    for i in range(position.shape[0]):
        w, p, a, e = fwhm[i], position[i], area[i], eta[i]
        lo, hi = np.searchsorted(x, p - reach[i] * w), np.searchsorted(x, p + reach[i] * w)
        lorentz_top, gauss_top = 2.0 / (np.pi * w), 2.0 * np.sqrt(np.log(2.0) / np.pi) / w
        c = coefficients[i]
        for j in range(lo, hi):
            t = (x[j] - p) / w
            fall = 1.0 / (1.0 + 4.0 * t * t)
            lorentz = lorentz_top * fall
            gauss = gauss_top * np.exp(-k * t * t) if abs(t) <= GAUSS_REACH else 0.0
            shape = e * lorentz + (1.0 - e) * gauss
            profile[j] += a * shape
            if free > 0:
                by_t = -e * lorentz * 8.0 * t * fall - (1.0 - e) * gauss * 2.0 * k * t
                by_position, by_fwhm = -a * by_t / w, -a * (shape + t * by_t) / w
                by_eta = a * (lorentz - gauss)
                for f in range(free):
                    jacobian[j, f] += by_position * c[0, f] + shape * c[1, f] + by_fwhm * c[2, f] + by_eta * c[3, f]


def refine(
    model: Model,
    values: Floats,
    free: NDArray[np.int64],
    intensity: Floats,
    sigma: Floats,
    *,
    tolerance: float = 1e-4,
    most: int = 20,
) -> Floats:
    """Least squares over some of the parameters.

    Args:
        model: what is calculated.
        values: (p,) where it starts; moved inside the bounds where it is not.
        free: ascending places of the parameters that are refined.
        intensity: (n,) measured.
        sigma: (n,) their standard uncertainties.
        tolerance: relative change of the sum of squares at which it stops.
        most: evaluations of the pattern at most.

    Returns:
        (p,) all parameters.
    """
    from scipy.optimize import least_squares

    low, high = model.bounds(values)
    at = values.copy()

    def full(part: Floats) -> Floats:
        at[free] = part
        return at

    # Start strictly inside: trust-region steps are scaled by the distance to a bound.
    room = np.where(np.isfinite(high - low), 1e-6 * (high - low), 0.0)
    first = np.clip(values, low + room, high - room)[free]
    found = least_squares(
        lambda part: (model.calculate(full(part)) - intensity) / sigma,
        first,
        jac=lambda part: model.jacobian(full(part), free) / sigma[:, None],
        bounds=(low[free], high[free]),
        x_scale="jac",
        ftol=tolerance,
        xtol=1e-9,
        gtol=1e-12,
        max_nfev=most,
    )
    return full(found.x).copy()


def solve_linear(model: Model, values: Floats, intensity: Floats, sigma: Floats) -> tuple[Floats, float]:
    """The best scale (not below zero) and background for given other parameters.

    Returns:
        (p,) all parameters, and the sum of squared weighted differences.
    """
    scale_at = model.at("scale")
    profile = model._draw(values, np.zeros(0, np.int64))[0]
    design = np.concatenate([profile[:, None], model._chebyshev], axis=1) / sigma[:, None]
    solution = np.linalg.lstsq(design, intensity / sigma, rcond=None)[0]
    if solution[0] <= 0:
        solution = np.concatenate([[0.0], np.linalg.lstsq(design[:, 1:], intensity / sigma, rcond=None)[0]])
    out = values.copy()
    out[scale_at:] = solution
    rest = design @ solution - intensity / sigma
    return out, float(rest @ rest)
