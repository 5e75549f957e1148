"""What lies under the lines: smooth trends, random smooth curves, broad humps, scattering by air.

Heights are in units of the strongest line. Every smooth curve is a Chebyshev series over the grid, x = -1 at its
first point and 1 at its last, so that one form serves polynomials, Gaussian processes and refinement.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

JITTER = 1e-10
"""Added to the variance of a Gaussian process, so that its matrix has a root."""


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

    The process is drawn at the n Chebyshev points and interpolated. Sources: Rasmussen and Williams, "Gaussian
    Processes for Machine Learning" (2006), equation 4.9 and section A.2; Trefethen, "Approximation Theory and
    Approximation Practice" (2013), chapter 3. 48 points reproduce the kernel to 1e-9 for
    l down to 1/13 of the span and to 1e-6 down to 1/17. ML4pXRDs, SI S4.2: l from 7 to 40, span 85 degrees, a = 1.

    Args:
        length_deg: l, degrees; a number, or (...).
        span_deg: last minus first angle of the grid, degrees.
        normals: (..., n) standard normal numbers, one for each coefficient.
        amplitude: a, standard deviation of the curve; a number, or (...).

    Returns:
        (..., n) coefficients for `chebyshev`.
    """
    n = np.shape(normals)[-1]
    turns = np.pi * (np.arange(n) + 0.5) / n
    nodes = np.cos(turns)
    reduced = 2 * np.asarray(length_deg, float)[..., None, None] / span_deg
    kernel = np.exp(-0.5 * ((nodes[:, None] - nodes) / reduced) ** 2) + JITTER * np.eye(n)
    values = np.asarray(amplitude, float)[..., None] * (np.linalg.cholesky(kernel) @ normals[..., None])[..., 0]
    transform = np.cos(np.arange(n)[:, None] * turns) * (2 / n)
    transform[0] /= 2
    return np.asarray(values @ transform.T)


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
