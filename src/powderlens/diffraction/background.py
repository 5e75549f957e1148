"""What lies under the lines: smooth trends, random smooth curves, broad humps, scattering by air.

Heights are in units of the strongest line. Every smooth curve is a Chebyshev series over the grid, x = -1 at its
first point and 1 at its last, so that one form serves polynomials, Gaussian processes and refinement.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import cos, exp, sin_cos

Floats = NDArray[np.float64]


def chebyshev(coefficients: Floats | Sequence[float], points: int) -> Floats:
    """Sum of c_k T_k(x) at `points` equal steps from x = -1 to 1.

    Args:
        coefficients: (k,) from T_0 on; none gives zero.
        points: at least 2.

    Returns:
        (points,) heights.
    """
    if len(coefficients) == 0:
        return np.zeros(points)
    return np.asarray(np.polynomial.chebyshev.chebval(np.linspace(-1, 1, points), np.asarray(coefficients, float)))


def polynomial_to_chebyshev(coefficients: Floats | Sequence[float]) -> Floats:
    """The same polynomial in Chebyshev terms.

    Args:
        coefficients: (k,) of x^0, x^1, ... with x from -1 to 1 over the grid; seven for SimXRD's sixth order.

    Returns:
        (k,) coefficients for `chebyshev`.
    """
    return np.asarray(np.polynomial.chebyshev.poly2cheb(np.asarray(coefficients, float)))


def gaussian_process_chebyshev(
    length_deg: float | Floats, span_deg: float, normals: Floats, amplitude: float | Floats = 1.0
) -> Floats:
    """A random smooth curve with the kernel a^2 exp(-(x - x')^2 / (2 l^2)), as a Chebyshev series.

    A closed form, in which no matrix is factored. On a circle of circumference P the process is a Fourier series with
    independent normal coefficients, in units in which x runs from -1 to 1 and r = 2 l / span:

        f(x) = a sum_j s_j (z_2j-1 sin(w_j x) + z_2j cos(w_j x)),   w_j = 2 pi j / P,
        s_0^2 = sqrt(2 pi) r / P,   s_j^2 = 2 s_0^2 exp(-(w_j r)^2 / 2).

    Two errors are made, and P = 2 + g r is chosen so that both are of the size e = exp(-g^2 / 2): points at both ends
    of the span are neighbours on the circle, g r apart, and the series ends at the whole number J below n / 2, where
    w_J+1/2 r = g. So g = sqrt(1 / r^2 + 2 pi (J + 1/2)) - 1 / r. With 48 terms e is 2e-17 for l = 1/8 of the span,
    4e-15 for 1/10, 3e-12 for 1/13 and 2e-9 for 1/17. There the Chebyshev series, interpolated at n points, adds more:
    the covariance of what is drawn is the kernel to 1e-13 for l down to 1/10 of the span, 3e-10 down to 1/13 and
    1e-6 down to 1/17. Sources: Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), equations 4.8
    and 4.9; Wood and Chan, J. Comput. Graph. Stat. 3, 409 (1994); Trefethen, "Approximation Theory and Approximation
    Practice" (2013), chapter 3. ML4pXRDs, SI S4.2: l from 7 to 40, span 85 degrees, a = 1.

    Args:
        length_deg: l, degrees; a number, or (...).
        span_deg: last minus first angle of the grid, degrees.
        normals: (..., n) standard normal numbers; of an even n the last is not used.
        amplitude: a, standard deviation of the curve; a number, or (...).

    Returns:
        (..., n) coefficients for `chebyshev`.
    """
    n = np.shape(normals)[-1]
    nodes, transform = _chebyshev_points(n)
    r = 2.0 * np.asarray(length_deg, float) / span_deg
    last = (n - 1) // 2
    circle = 2.0 + r * (np.sqrt(1.0 / (r * r) + 2.0 * np.pi * (last + 0.5)) - 1.0 / r)
    first = np.asarray(amplitude, float) * np.sqrt(np.sqrt(2.0 * np.pi) * r / circle)
    sine, cosine = sin_cos((2.0 * np.pi / circle)[..., None] * nodes)
    values = np.broadcast_to((first * normals[..., 0])[..., None], np.shape(normals)).copy()
    s, c = sine, cosine
    for j in range(1, last + 1):
        wave = 2.0 * np.pi * j / circle * r
        size = first * np.sqrt(2.0 * exp(-0.5 * wave * wave))
        values += (size * normals[..., 2 * j - 1])[..., None] * s + (size * normals[..., 2 * j])[..., None] * c
        s, c = s * cosine + c * sine, c * cosine - s * sine
    out = np.zeros(values.shape)
    for i in range(n):
        out += values[..., i, None] * transform[i]
    return out


@lru_cache(maxsize=8)
def _chebyshev_points(n: int) -> tuple[Floats, Floats]:
    """(n,) Chebyshev points, and (n, n) the coefficients of the series that is 1 at one of them and 0 at the others."""
    turns = np.pi * (np.arange(n) + 0.5) / n
    transform = cos(turns[:, None] * np.arange(n)) * (2.0 / n)
    transform[:, 0] /= 2.0
    return cos(turns), transform


def lifted(coefficients: Floats, points: int, total: float) -> Floats:
    """The series with its lowest point moved to 0 and the sum of its points made `total`.

    ML4pXRDs, SI S4.2, steps 2 to 4: 8501 points, total from 0 to 150.

    Args:
        coefficients: (k,).
        points: of the grid.
        total: sum of all heights.

    Returns:
        (k,) coefficients; zeros where the curve is flat.
    """
    heights = chebyshev(coefficients, points)
    above = heights.sum() - points * heights.min()
    out = np.array(coefficients, float)
    if not above > 1e-12 * np.abs(heights).sum():
        return np.zeros_like(out)
    out[0] -= heights.min()
    return out * (total / above)


def humps(two_theta_deg: Floats, rows: Floats | Sequence[Sequence[float]]) -> Floats:
    """Broad residues of amorphous matter: sum of height exp(-4 ln 2 ((2theta - centre) / FWHM)^2).

    The first maximum of glass or of a polymer is near enough to a Gaussian of 5 to 15 degrees.

    Args:
        two_theta_deg: (points,) angles.
        rows: (k, 3) centre and FWHM in degrees, height; a row with FWHM 0 is empty.

    Returns:
        (points,) heights.
    """
    out = np.zeros(len(two_theta_deg))
    for centre, fwhm, height in rows:
        if fwhm > 0:
            out += height * np.exp(-4 * np.log(2) * ((two_theta_deg - centre) / fwhm) ** 2)
    return out


def air(two_theta_deg: Floats, height: float, decay_deg: float) -> Floats:
    """Scattering of the direct beam by air, height exp(-2theta / decay): an empirical form for low angles.

    Args:
        two_theta_deg: (points,) angles.
        height: at 2theta = 0.
        decay_deg: where it has fallen by e, above 0.

    Returns:
        (points,) heights.
    """
    return np.asarray(height * np.exp(-two_theta_deg / decay_deg))


def under(c: NDArray[np.void], two_theta_deg: Floats) -> Floats:
    """Everything under the lines of one pattern.

    Args:
        c: a record of `conditions.RECORD`.
        two_theta_deg: (points,) the grid.

    Returns:
        (points,) heights.
    """
    smooth = chebyshev(c["chebyshev"][: int(c["terms"])], len(two_theta_deg))
    haze = air(two_theta_deg, float(c["air_scatter"]), float(c["air_decay_deg"]))
    return np.asarray(smooth + humps(two_theta_deg, c["humps"]) + haze)
