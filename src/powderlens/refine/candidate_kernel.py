"""Compiled least squares of candidate phases: cells, shift, widths and scales against a square-root profile.

Several phases have one shift and one width and each its own cell and scale. All parameters are one vector: zero shift
(degrees), displacement (degrees, times the `lever` of the geometry), ln of the constant width, ln of the width that
goes with tan theta (degrees); then for each phase the ln of its scale and its strains.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

SHARED = 4
"""Parameters that all phases share."""
STRAINS = 6
REACH_GAUSS = 3.3
REACH_LORENTZ = 4.0
"""How far a line is drawn, in standard deviations of a Gaussian and in FWHM of a pseudo-Voigt."""
REACH_BELL = 5.0
"""How far the Gaussian part of a pseudo-Voigt is, in its standard deviations (4e-6 of its height)."""
ETA = 0.5
"""Lorentzian share of a line."""
TO_FWHM = 2.3548200450309493
DEG = 180.0 / np.pi
REFLECTION, TRANSMISSION, CAPILLARY = 0, 1, 2
"""How the beam meets the specimen, see `lever`."""


class Lines(NamedTuple):
    """What is drawn: the families of all phases, how their cells move, and the radiation.

    Attributes:
        hkl: (m, 3) float64.
        strength: (m,) multiplicity times |F|^2.
        owner: (m,) the phase of each.
        reciprocal: (phases, 3, 3) of the entries' cells.
        basis: (phases, 6, 3, 3) invariant strains, of which
        strains: (phases,) so many count.
        offset: (phases,) place of each phase's scale among the parameters; its strains follow.
        wavelength: (lines of the radiation,) A, with
        share: of each.
        geometry: see `lever`.
        polarised: strength of the beam in the plane of diffraction over that across it: 1 from a tube, cos^2 of a
            monochromator's 2theta.
    """

    hkl: NDArray[np.float64]
    strength: NDArray[np.float64]
    owner: NDArray[np.int64]
    reciprocal: NDArray[np.float64]
    basis: NDArray[np.float64]
    strains: NDArray[np.int64]
    offset: NDArray[np.int64]
    wavelength: NDArray[np.float64]
    share: NDArray[np.float64]
    geometry: int
    polarised: float


@njit(cache=True, fastmath=True, error_model="numpy")
def lever(geometry, sine, cosine):  # type: ignore[no-untyped-def]
    """How a displaced specimen moves a line, relative to the displacement over the radius of the goniometer.

    A specimen that the beam meets a length t behind the axis shows lines at 2theta + (t / R) sin(2theta). A plate in
    reflection whose surface is off by s is met at t = s / sin(theta): 2 (s / R) cos(theta). A plate in symmetric
    transmission is met at t = s / cos(theta): 2 (s / R) sin(theta). A capillary that is off along the beam has t = s.
    Off across the beam it moves lines by cos(2theta), which zero shift and sin(2theta) together take up to a tenth, up
    to 60 degrees of 2theta. The factors 2 are the parameter's. Source: Klug and Alexander, "X-Ray Diffraction
    Procedures" (1974), chapters 4 and 5; Wilson, "Mathematical Theory of X-ray Powder Diffractometry" (1963).

    Args:
        geometry: `REFLECTION`, `TRANSMISSION` or `CAPILLARY`.
        sine: of theta.
        cosine: of theta.
    """
    if geometry == REFLECTION:
        return cosine
    if geometry == TRANSMISSION:
        return sine
    return 2.0 * sine * cosine


@njit(cache=True, fastmath=True, error_model="numpy")
def deformed(reciprocal, basis, amounts):  # type: ignore[no-untyped-def]
    """(3, 3) rows a*, b*, c* of a cell L (1 + E): R (1 + E)^-1, E the sum of the symmetric strains."""
    m = np.zeros((3, 3))
    for i in range(3):
        m[i, i] = 1.0
    for s in range(len(amounts)):
        for i in range(3):
            for j in range(3):
                m[i, j] += amounts[s] * basis[s, i, j]
    inv = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            a, b = (j + 1) % 3, (j + 2) % 3
            c, d = (i + 1) % 3, (i + 2) % 3
            inv[i, j] = m[a, c] * m[b, d] - m[a, d] * m[b, c]
    det = m[0, 0] * inv[0, 0] + m[0, 1] * inv[1, 0] + m[0, 2] * inv[2, 0]
    out = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            for k in range(3):
                out[i, j] += reciprocal[i, k] * inv[k, j] / det
    return out


@njit(cache=True, fastmath=True, error_model="numpy")
def draw(par, first, step, lines, blur, sharp, y, slope):  # type: ignore[no-untyped-def]
    """Profile and its derivatives.

    Args:
        par: (p,) parameters.
        first: of the grid of y, degrees, with
        step: its spacing.
        lines: `Lines`.
        blur: standard deviation that is added to every line, degrees.
        sharp: draw pseudo-Voigts and their derivatives by width; else Gaussians of `blur` and the width.
        y: (n,) is filled.
        slope: (p, n) is filled; with (0, n) no derivatives are asked for.
    """
    hkl, strength, owner, reciprocal, basis, strains, offset, wavelength, share, geometry, polarised = lines
    n, phases, wanted = len(y), len(strains), len(slope) > 0
    y[:] = 0.0
    slope[:, :] = 0.0
    zero, displacement = par[0], par[1]
    constant, rising = np.exp(par[2]), np.exp(par[3])
    cells = np.empty((phases, 3, 3))
    for p in range(phases):
        cell = deformed(reciprocal[p], basis[p], par[offset[p] + 1 : offset[p] + 1 + strains[p]])
        for i in range(3):
            for j in range(3):
                cells[p, i, j] = cell[i, j]
    moves = np.empty(STRAINS)
    value, by_place, by_width = np.empty(n), np.empty(n), np.empty(n)
    for i in range(len(hkl)):
        p = owner[i]
        r = cells[p]
        g0 = hkl[i, 0] * r[0, 0] + hkl[i, 1] * r[1, 0] + hkl[i, 2] * r[2, 0]
        g1 = hkl[i, 0] * r[0, 1] + hkl[i, 1] * r[1, 1] + hkl[i, 2] * r[2, 1]
        g2 = hkl[i, 0] * r[0, 2] + hkl[i, 1] * r[1, 2] + hkl[i, 2] * r[2, 2]
        q = g0 * g0 + g1 * g1 + g2 * g2
        if wanted:
            for s in range(strains[p]):
                b = basis[p, s]
                along = (
                    g0 * (b[0, 0] * g0 + b[0, 1] * g1 + b[0, 2] * g2)
                    + g1 * (b[1, 0] * g0 + b[1, 1] * g1 + b[1, 2] * g2)
                    + g2 * (b[2, 0] * g0 + b[2, 1] * g1 + b[2, 2] * g2)
                )
                moves[s] = -2.0 * DEG * along / q
        o = offset[p]
        scale = np.exp(par[o]) * strength[i]
        for e in range(len(wavelength)):
            sine = 0.5 * wavelength[e] * np.sqrt(q)
            if sine >= 0.9995:
                continue
            cosine = np.sqrt(1.0 - sine * sine)
            tangent = sine / cosine
            cos2 = 1.0 - 2.0 * sine * sine
            area = scale * share[e] * (1.0 + polarised * cos2 * cos2) / (sine * sine * cosine)
            arm = lever(geometry, sine, cosine)
            place = 2.0 * DEG * np.arcsin(sine) + zero + displacement * arm
            width = constant + rising * tangent
            if sharp:
                low, high = _pseudo_voigt(area, place, width, first, step, wanted, value, by_place, by_width)
            else:
                sigma = np.sqrt(blur * blur + (width / TO_FWHM) ** 2)
                low, high = _gaussian(area, place, sigma, first, step, value, by_place)
            for k in range(low, high):
                y[k] += value[k]
            if not wanted:
                continue
            for k in range(low, high):
                slope[o, k] += value[k]
                slope[0, k] += by_place[k]
                slope[1, k] += arm * by_place[k]
            if sharp:
                for k in range(low, high):
                    slope[2, k] += constant * by_width[k]
                    slope[3, k] += rising * tangent * by_width[k]
            for s in range(strains[p]):
                by_strain = tangent * moves[s]
                for k in range(low, high):
                    slope[o + 1 + s, k] += by_strain * by_place[k]


@njit(cache=True, fastmath=True, error_model="numpy")
def _gaussian(area, place, sigma, first, step, value, by_place):  # type: ignore[no-untyped-def]
    """A line and its derivative by its place, where it matters; from and to which point that is."""
    at, half = (place - first) / step, REACH_GAUSS * sigma / step
    low, high = max(int(np.ceil(at - half)), 0), min(int(np.floor(at + half)) + 1, len(value))
    u = first + low * step - place
    bell = area * 0.3989422804014327 / sigma * np.exp(-0.5 * (u / sigma) ** 2)
    ratio = np.exp(-(2.0 * u * step + step * step) / (2.0 * sigma * sigma))
    ratio2 = np.exp(-step * step / (sigma * sigma))
    for k in range(low, high):
        value[k] = bell
        bell *= ratio
        ratio *= ratio2
    for k in range(low, high):
        by_place[k] = value[k] * (first + k * step - place) / (sigma * sigma)
    return low, high


@njit(cache=True, fastmath=True, error_model="numpy")
def _pseudo_voigt(area, place, width, first, step, slopes, value, by_place, by_width):  # type: ignore[no-untyped-def]
    """A line and its derivatives by its place and its FWHM, where it matters; from and to which point that is."""
    at, half = (place - first) / step, REACH_LORENTZ * width / step
    low, high = max(int(np.ceil(at - half)), 0), min(int(np.floor(at + half)) + 1, len(value))
    per_width = 1.0 / width
    top = area * ETA * 0.6366197723675814 * per_width
    if slopes:
        for k in range(low, high):
            w = 2.0 * (first + k * step - place) * per_width
            under = 1.0 / (1.0 + w * w)
            value[k] = top * under
            by_place[k] = top * under * under * 4.0 * w * per_width
            by_width[k] = top * under * (2.0 * w * w * under - 1.0) * per_width
    else:
        for k in range(low, high):
            w = 2.0 * (first + k * step - place) * per_width
            value[k] = top / (1.0 + w * w)
    sigma = width / TO_FWHM
    half = REACH_BELL * sigma / step
    inner, outer = max(int(np.ceil(at - half)), 0), min(int(np.floor(at + half)) + 1, len(value))
    u = first + inner * step - place
    bell = area * (1.0 - ETA) * 0.3989422804014327 / sigma * np.exp(-0.5 * (u / sigma) ** 2)
    ratio = np.exp(-(2.0 * u * step + step * step) / (2.0 * sigma * sigma))
    ratio2 = np.exp(-step * step / (sigma * sigma))
    for k in range(inner, outer):
        value[k] += bell
        if slopes:
            u = (first + k * step - place) / sigma
            by_place[k] += bell * u / sigma
            by_width[k] += bell * (u * u - 1.0) * per_width
        bell *= ratio
        ratio *= ratio2
    return low, high


@njit(cache=True, fastmath=True, error_model="numpy")
def cholesky_solve(a, b):  # type: ignore[no-untyped-def]
    """x of a x = b in place of b, a its Cholesky factor after that; False where the (p, p) a is not positive."""
    p = len(b)
    for i in range(p):
        for j in range(i + 1):
            total = a[i, j]
            for k in range(j):
                total -= a[i, k] * a[j, k]
            if i == j:
                if not total > 0.0:
                    return False
                a[i, i] = np.sqrt(total)
            else:
                a[i, j] = total / a[j, j]
    for i in range(p):
        for k in range(i):
            b[i] -= a[i, k] * b[k]
        b[i] /= a[i, i]
    for i in range(p - 1, -1, -1):
        for k in range(i + 1, p):
            b[i] -= a[k, i] * b[k]
        b[i] /= a[i, i]
    return True


@njit(cache=True, fastmath=True, error_model="numpy")
def cost_of(root, y, used, floor, par, centre, ridge, load):  # type: ignore[no-untyped-def]
    """Sum of squares of the square-root profile and of the priors."""
    total = 0.0
    edge = np.sqrt(floor)
    for k in range(len(y)):
        if used[k]:
            d = root[k] - (np.sqrt(y[k] + floor) - edge)
            total += d * d
    total *= load
    for i in range(len(par)):
        total += ridge[i] * (par[i] - centre[i]) ** 2
    return total


@njit(cache=True, fastmath=True, error_model="numpy")
def _root_slopes(slope, rows, y, used, floor, out):  # type: ignore[no-untyped-def]
    """Derivatives of sqrt(y + floor) by the parameters of some rows, (m, n) into `out`; 0 where not measured."""
    n = len(y)
    half = np.empty(n)
    for k in range(n):
        half[k] = 0.5 / np.sqrt(y[k] + floor) if used[k] else 0.0
    for i in range(len(rows)):
        for k in range(n):
            out[i, k] = slope[rows[i], k] * half[k]


@njit(cache=True, fastmath=True, error_model="numpy")
def _normal_matrix(slopes, rows, ridge, load, out):  # type: ignore[no-untyped-def]
    """Lower half of the normal matrix of (m, n) derivatives, and the priors, (m, m) into `out`."""
    m, n = slopes.shape
    for i in range(m):
        for j in range(i + 1):
            total = 0.0
            for k in range(n):
                total += slopes[i, k] * slopes[j, k]
            out[i, j] = load * total
        out[i, i] += ridge[rows[i]]


@njit(cache=True, fastmath=True, error_model="numpy")
def refine(  # type: ignore[no-untyped-def]
    par, free, centre, ridge, root, used, floor, load, first, step, lines, blur, sharp, rounds, tolerance, y, slope,
    normal,
):  # fmt: skip
    """Damped Gauss-Newton (Levenberg-Marquardt) on sqrt(y + floor); `par` is moved, y and slope end at its place.

    Args:
        par: (p,) start.
        free: (p,) bool.
        centre: (p,) of the Gaussian priors, with
        ridge: (p,) 1 / sd^2.
        root: (n,) measured, sqrt(y + floor) - sqrt(floor).
        used: (n,) bool.
        floor: under the root.
        load: weight of the squares against the priors.
        first: this and what follows as in `draw`.
        step: degrees.
        lines: `Lines`.
        blur: degrees.
        sharp: see there.
        rounds: most steps.
        tolerance: relative gain below which it ends.
        y: (n,).
        slope: (p, n).
        normal: (p, p) is filled with the normal matrix at the end, priors included.
    """
    p, n = len(par), len(root)
    rows = np.flatnonzero(free)
    m = len(rows)
    draw(par, first, step, lines, blur, sharp, y, slope)
    cost = cost_of(root, y, used, floor, par, centre, ridge, load)
    damping = 1e-3
    a, work, slopes = np.zeros((m, m)), np.empty((m, m)), np.empty((m, n))
    b, right, trial = np.zeros(m), np.empty(m), np.empty(p)
    y2, slope2 = np.empty_like(y), np.empty_like(slope)
    edge = np.sqrt(floor)
    residual = np.empty(n)
    for _ in range(rounds):
        for k in range(n):
            residual[k] = root[k] - (np.sqrt(y[k] + floor) - edge) if used[k] else 0.0
        _root_slopes(slope, rows, y, used, floor, slopes)
        _normal_matrix(slopes, rows, ridge, load, a)
        for i in range(m):
            total = 0.0
            for k in range(n):
                total += slopes[i, k] * residual[k]
            b[i] = load * total - ridge[rows[i]] * (par[rows[i]] - centre[rows[i]])
        better = False
        gain = 0.0
        for _ in range(5):
            for i in range(m):
                for j in range(i + 1):
                    work[i, j] = a[i, j]
                work[i, i] = a[i, i] * (1.0 + damping) + 1e-12
                right[i] = b[i]
            if not cholesky_solve(work, right):
                damping *= 10.0
                continue
            for i in range(p):
                trial[i] = par[i]
            for i in range(m):
                trial[rows[i]] += right[i]
            # Widths stay between 0.01 and 2 degrees, scales and shifts finite.
            trial[2] = min(max(trial[2], -4.6), 0.7)
            trial[3] = min(max(trial[3], -6.0), 0.7)
            draw(trial, first, step, lines, blur, sharp, y2, slope2)
            new = cost_of(root, y2, used, floor, trial, centre, ridge, load)
            if new < cost:
                gain = (cost - new) / cost
                cost = new
                for i in range(p):
                    par[i] = trial[i]
                for i in range(len(slope)):
                    for k in range(n):
                        slope[i, k] = slope2[i, k]
                for k in range(n):
                    y[k] = y2[k]
                damping = max(damping * 0.2, 1e-6)
                better = True
                break
            damping *= 8.0
        if not better or gain < tolerance:
            break
    _root_slopes(slope, rows, y, used, floor, slopes)
    _normal_matrix(slopes, rows, ridge, load, a)
    normal[:, :] = 0.0
    for i in range(p):
        normal[i, i] = max(ridge[i], 1e-12)
    for i in range(m):
        for j in range(i + 1):
            normal[rows[i], rows[j]] = normal[rows[j], rows[i]] = a[i, j]
