"""exp, log, sine and their kin, and small matrix products, that round the same on every processor.

NumPy, the C library and compiled code choose their way by what the processor can do: their exponential with AVX512 is
another than with AVX2, and a matrix product by BLAS adds in another order with every core. Each is right to the last
bit or two, and no two agree on it. What is drawn from a seed therefore uses only operations whose result IEEE 754
fixes: sums, differences, products, quotients, square roots and roundings, in an order that is written down. Here are
the functions made of them for NumPy; `core.elementary_compiled` holds the same for compiled code, to the byte.

The approximations, good to one or two units in the last place, are those of fdlibm 5.3 (e_exp.c, e_log.c, k_sin.c,
k_cos.c, s_atan.c, e_asin.c; www.netlib.org/fdlibm). "Copyright (C) 1993 by Sun Microsystems, Inc. All rights reserved.
Developed at SunPro, a Sun Microsystems, Inc. business. Permission to use, copy, modify, and distribute this software is
freely granted, provided that this notice is preserved."
"""

from __future__ import annotations

import math
import sys
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

LN2_HIGH, LN2_LOW, PER_LN2 = 6.93147180369123816490e-01, 1.90821492927058770002e-10, 1.44269504088896338700
LARGEST, SMALLEST = 709.782712893384, -745.1332191019411
"""Beyond them exp is infinite, or zero."""
ROOT_HALF = 0.7071067811865476
MANY = 4096
COMPILER = "numba"
"""More numbers at a time are left to compiled code, which is ten times as fast from some thousands on, where the
compiler is loaded already: loading it takes longer than a pattern does, and `identify` goes without. The bytes are the
same."""
HALF_PI_1, HALF_PI_2, HALF_PI_3 = 1.57079632673412561417e00, 6.07710050630396597660e-11, 2.02226624879595063154e-21
"""pi / 2 in three parts, the first two of 33 bits: whole multiples of them up to 2^20 are exact."""
PER_HALF_PI = 6.36619772367581382433e-01
FARTHEST_TURN = 1.6e6
"""Largest argument of sine and cosine, radians."""
ATAN_FROM = (0.4375, 0.6875, 1.1875, 2.4375)
"""From these tangents on the angle is that of 1/2, 1, 3/2 or infinity, and a rest."""
HALF_PI_HIGH, HALF_PI_LOW = 1.57079632679489655800e00, 6.12323399573676603587e-17
ATAN_HIGH = (4.63647609000806093515e-01, 7.85398163397448278999e-01, 9.82793723247329054082e-01, 1.57079632679489655800)
ATAN_LOW = (
    2.26987774529616870924e-17,
    3.06161699786838301793e-17,
    1.39033110312309984516e-17,
    6.12323399573676603587e-17,
)


# One source for both: these take arrays as well as, compiled, numbers. No power operator, no branch.


def exp_reduced(high, low):  # type: ignore[no-untyped-def]
    """exp(high - low) for |high - low| up to ln 2 / 2."""
    r = high - low
    t = r * r
    c = r - t * (
        1.66666666666666019037e-01
        + t
        * (
            -2.77777777770155933842e-03
            + t * (6.61375632143793436117e-05 + t * (-1.65339022054652515390e-06 + t * 4.13813679705723846039e-08))
        )
    )
    return 1.0 - ((low - (r * c) / (2.0 - c)) - high)


def log_reduced(f, k):  # type: ignore[no-untyped-def]
    """log((1 + f) 2^k) for 1 + f from sqrt(1/2) to sqrt(2)."""
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    r = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01)) + z * (
        6.666666666666735130e-01
        + w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01))
    )
    half = 0.5 * f * f
    return k * LN2_HIGH - ((half - (s * (half + r) + k * LN2_LOW)) - f)


def sine_reduced(x, tail):  # type: ignore[no-untyped-def]
    """sin(x + tail) for |x| up to pi / 4."""
    z = x * x
    v = z * x
    r = 8.33333333332248946124e-03 + z * (
        -1.98412698298579493134e-04
        + z * (2.75573137070700676789e-06 + z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10))
    )
    return x - ((z * (0.5 * tail - v * r) - tail) + v * 1.66666666666666324348e-01)


def cosine_reduced(x, tail):  # type: ignore[no-untyped-def]
    """cos(x + tail) for |x| up to pi / 4."""
    z = x * x
    r = z * (
        4.16666666666666019037e-02
        + z
        * (
            -1.38888888888741095749e-03
            + z
            * (
                2.48015872894767294178e-05
                + z * (-2.75573143513906633035e-07 + z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11))
            )
        )
    )
    half = 0.5 * z
    whole = 1.0 - half
    return whole + (((1.0 - whole) - half) + (z * r - x * tail))


def turn_reduced(x, n):  # type: ignore[no-untyped-def]
    """x - n pi / 2 and what its rounding left, for n the whole number nearest to x / (pi / 2)."""
    first = x - n * HALF_PI_1
    w = n * HALF_PI_2
    second = first - w
    w = n * HALF_PI_3 - ((first - second) - w)
    rest = second - w
    return rest, (second - rest) - w


def atan_reduced(x):  # type: ignore[no-untyped-def]
    """x - atan(x) for |x| up to 7 / 16."""
    z = x * x
    w = z * z
    even = z * (
        3.33333333333329318027e-01
        + w
        * (
            1.42857142725034663711e-01
            + w
            * (
                9.09088713343650656196e-02
                + w * (6.66107313738753120669e-02 + w * (4.97687799461593236017e-02 + w * 1.62858201153657823623e-02))
            )
        )
    )
    odd = w * (
        -1.99999999998764832476e-01
        + w
        * (
            -1.11111104054623557880e-01
            + w * (-7.69187620504482999495e-02 + w * (-5.83357013379057348645e-02 + w * -3.65315727442169155270e-02))
        )
    )
    return x * (even + odd)


def asin_reduced(t):  # type: ignore[no-untyped-def]
    """asin(x) / x - 1 of t = x^2, for |x| up to 1/2."""
    p = t * (
        1.66666666666666657415e-01
        + t
        * (
            -3.25565818622400915405e-01
            + t
            * (
                2.01212532134862925881e-01
                + t * (-4.00555345006794114027e-02 + t * (7.91534994289814532176e-04 + t * 3.47933107596021167570e-05))
            )
        )
    )
    q = 1.0 + t * (
        -2.40339491173441421878e00
        + t * (2.02094576023350569471e00 + t * (-6.88283971605453293030e-01 + t * 7.70381505559019352791e-02))
    )
    return p / q


@overload
def exp(x: float) -> float: ...
@overload
def exp(x: ArrayLike) -> Floats: ...
def exp(x: ArrayLike | float) -> Floats | float:
    """e^x, the shape of x; infinite above 709.78, zero below -745.13."""
    if isinstance(x, float):
        if not SMALLEST <= x <= LARGEST:
            return math.inf if x > 0 else (0.0 if x < 0 else math.nan)
        whole = round(float(x) * PER_LN2)
        return math.ldexp(exp_reduced(float(x) - whole * LN2_HIGH, whole * LN2_LOW), whole)
    x = np.asarray(x, np.float64)
    if x.size > MANY and COMPILER in sys.modules:
        from powderlens.core.elementary_compiled import exp_array

        exp_array(x.ravel(), (out := np.empty(x.size)))
        return out.reshape(x.shape)
    inside = np.clip(x, SMALLEST, LARGEST)
    k = np.rint(inside * PER_LN2)
    y = exp_reduced(inside - k * LN2_HIGH, k * LN2_LOW)
    y = np.ldexp(y, np.where(k == k, k, 0.0).astype(np.int32))
    return np.asarray(np.where(x > LARGEST, np.inf, np.where(x < SMALLEST, 0.0, y)))


@overload
def log(x: float) -> float: ...
@overload
def log(x: ArrayLike) -> Floats: ...
def log(x: ArrayLike | float) -> Floats | float:
    """Natural logarithm, the shape of x; -infinity at 0, NaN below."""
    if isinstance(x, float):
        if not 0 < x < math.inf:
            return float(x) if x > 0 else (-math.inf if x == 0 else math.nan)
        mantissa, whole = math.frexp(x)
        if mantissa < ROOT_HALF:
            mantissa, whole = mantissa + mantissa, whole - 1
        return float(log_reduced(mantissa - 1.0, float(whole)))
    x = np.asarray(x, np.float64)
    if x.size > MANY and COMPILER in sys.modules:
        from powderlens.core.elementary_compiled import log_array

        log_array(x.ravel(), (out := np.empty(x.size)))
        return out.reshape(x.shape)
    good = (x > 0) & (x < np.inf)
    m, k = np.frexp(np.where(good, x, 1.0))
    low = m < ROOT_HALF
    y = log_reduced(np.where(low, m + m, m) - 1.0, np.where(low, k - 1, k).astype(np.float64))
    return np.asarray(np.where(good, y, np.where(x == 0, -np.inf, np.where(x > 0, x, np.nan))))


@overload
def sin_cos(x: float) -> tuple[float, float]: ...
@overload
def sin_cos(x: ArrayLike) -> tuple[Floats, Floats]: ...
def sin_cos(x: ArrayLike | float) -> tuple[Floats | float, Floats | float]:
    """Sine and cosine of angles in radians, below `FARTHEST_TURN`; NaN beyond."""
    if isinstance(x, float):
        if not abs(x) < FARTHEST_TURN:
            return math.nan, math.nan
        whole = round(float(x) * PER_HALF_PI)
        rest, tail = turn_reduced(float(x), whole)
        sine, cosine = sine_reduced(rest, tail), cosine_reduced(rest, tail)
        return ((sine, cosine), (cosine, -sine), (-sine, -cosine), (-cosine, sine))[whole % 4]
    x = np.asarray(x, np.float64)
    if x.size > MANY and COMPILER in sys.modules:
        from powderlens.core.elementary_compiled import sin_cos_array

        sin_cos_array(x.ravel(), (sine := np.empty(x.size)), (cosine := np.empty(x.size)))
        return sine.reshape(x.shape), cosine.reshape(x.shape)
    x = np.where(np.abs(x) < FARTHEST_TURN, x, np.nan)
    n = np.rint(x * PER_HALF_PI)
    rest, tail = turn_reduced(x, n)
    sine, cosine = sine_reduced(rest, tail), cosine_reduced(rest, tail)
    quarter = n - 4.0 * np.floor(n * 0.25)
    odd = (quarter == 1) | (quarter == 3)
    s, c = np.where(odd, cosine, sine), np.where(odd, sine, cosine)
    return np.where(quarter >= 2, -s, s), np.where((quarter == 1) | (quarter == 2), -c, c)


@overload
def sin(x: float) -> float: ...
@overload
def sin(x: ArrayLike) -> Floats: ...
def sin(x: ArrayLike | float) -> Floats | float:
    """Sine of angles in radians, see `sin_cos`."""
    return sin_cos(x)[0]


@overload
def cos(x: float) -> float: ...
@overload
def cos(x: ArrayLike) -> Floats: ...
def cos(x: ArrayLike | float) -> Floats | float:
    """Cosine of angles in radians, see `sin_cos`."""
    return sin_cos(x)[1]


def cube_root(x: float) -> float:
    """Cube root of a positive number."""
    root = exp(log(float(x)) / 3)
    return root - (root - x / (root * root)) / 3


def arctan(x: ArrayLike) -> Floats:
    """Angle of a tangent, radians, -pi/2 to pi/2."""
    x = np.asarray(x, np.float64)
    size = np.abs(x)
    part = np.searchsorted(ATAN_FROM, size, side="right") - 1
    some = np.minimum(size, 4.0)
    top = np.where(part == 0, (2.0 * some - 1.0) / (2.0 + some), size)
    top = np.where(part == 1, (some - 1.0) / (some + 1.0), top)
    top = np.where(part == 2, (some - 1.5) / (1.0 + 1.5 * some), top)
    top = np.where(part == 3, -1.0 / np.maximum(size, 1.0), top)
    less = atan_reduced(top)
    at = np.maximum(part, 0)
    high, low = np.array(ATAN_HIGH)[at], np.array(ATAN_LOW)[at]
    angle = np.where(part < 0, top - less, high - ((less - low) - top))
    return np.asarray(np.where(x < 0, -angle, angle))


def arcsin(x: ArrayLike) -> Floats:
    """Angle of a sine, radians; NaN beyond 1."""
    x = np.asarray(x, np.float64)
    size = np.abs(x)
    low = size < 0.5
    square = np.where(low, x * x, 0.5 * (1.0 - size))
    root = np.sqrt(np.maximum(square, 0.0))
    part = asin_reduced(square)
    angle = np.where(low, size + size * part, HALF_PI_HIGH - (2.0 * (root + root * part) - HALF_PI_LOW))
    return np.asarray(np.where(size <= 1, np.where(x < 0, -angle, angle), np.nan))


def arccos(x: ArrayLike) -> Floats:
    """Angle of a cosine, radians, 0 to pi; NaN beyond 1."""
    x = np.asarray(x, np.float64)
    below = np.where(x > -1, 1.0 + x, 1.0)
    angle = np.where(x > -1, 2.0 * arctan(np.sqrt(np.abs(1.0 - x) / below)), np.pi)
    return np.asarray(np.where(np.abs(x) <= 1, angle, np.nan))


def normal_share(x: float) -> float:
    """Cumulative probability of a standard normal number, to 1e-15.

    1/2 + phi(x) (x + x^3 / 3 + x^5 / (3 5) + ...). Source: Marsaglia, J. Stat. Softw. 11(4) (2004),
    doi:10.18637/jss.v011.i04.
    """
    if not -8.0 < x < 8.0:
        return 0.0 if x < 0 else 1.0
    term = total = x
    before, n = math.nan, 1
    while total != before:
        before, n = total, n + 2
        term *= x * x / n
        total += term
    return 0.5 + total * exp(-0.5 * x * x) * 0.3989422804014327


def product(a: ArrayLike, b: ArrayLike) -> NDArray[Any]:
    """Matrix product over the last axis of a and the last but one of b, added in rising order; stacks broadcast.

    For few dimensions: every term is an array operation. A row (k,) for a is taken as (1, k) where b is a matrix.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim == 1:
        return np.asarray(product(a[None], b)[..., 0, :])
    if a.shape[-1] == 0:
        return a @ b
    out = a[..., :, 0, None] * b[..., 0, None, :]
    for k in range(1, a.shape[-1]):
        out = out + a[..., :, k, None] * b[..., k, None, :]
    return np.asarray(out)


def turned(m: ArrayLike, v: ArrayLike) -> NDArray[Any]:
    """(..., n) products of (..., n, k) matrices and (..., k) columns; as `product`."""
    return np.asarray(product(m, np.asarray(v)[..., None])[..., 0])


def determinant(m: ArrayLike) -> Floats:
    """(...) determinants of (..., 3, 3) matrices, by the first row."""
    c = _cofactors(np.asarray(m, np.float64))
    first = np.asarray(m, np.float64)[..., 0, :]
    return np.asarray(first[..., 0] * c[..., 0, 0] + first[..., 1] * c[..., 0, 1] + first[..., 2] * c[..., 0, 2])


def inverse(m: ArrayLike) -> Floats:
    """Inverses of (..., 3, 3) matrices, by their cofactors.

    Raises:
        numpy.linalg.LinAlgError: one has none.
    """
    size = determinant(m)
    if not np.all(size != 0):
        raise np.linalg.LinAlgError("Singular matrix")
    return np.asarray(np.swapaxes(_cofactors(np.asarray(m, np.float64)), -1, -2) / size[..., None, None])


def _cofactors(m: Floats) -> Floats:
    """(..., 3, 3): in row i the product of the two other rows, as vectors."""
    out = np.empty(m.shape)
    for i in range(3):
        a, b = m[..., (i + 1) % 3, :], m[..., (i + 2) % 3, :]
        for j in range(3):
            k, l = (j + 1) % 3, (j + 2) % 3
            out[..., i, j] = a[..., k] * b[..., l] - a[..., l] * b[..., k]
    return out


def cholesky(m: ArrayLike) -> Floats:
    """(3, 3) lower triangle whose product with its transpose is a symmetric positive (3, 3) matrix.

    Raises:
        numpy.linalg.LinAlgError: it is not positive.
    """
    m = np.asarray(m, np.float64)
    out = np.zeros((3, 3))
    for i in range(3):
        for j in range(i + 1):
            rest = m[i, j] - sum((out[i, k] * out[j, k] for k in range(j)), 0.0)
            if i == j and not rest > 0:
                raise np.linalg.LinAlgError("Matrix is not positive definite")
            out[i, j] = np.sqrt(rest) if i == j else rest / out[j, j]
    return out


def lengths(rows: ArrayLike) -> Floats:
    """(...) lengths of (..., 3) vectors."""
    x, y, z = np.moveaxis(np.asarray(rows, np.float64), -1, 0)
    return np.asarray(np.sqrt(x * x + y * y + z * z))


def gauss_legendre(count: int) -> tuple[Floats, Floats]:
    """Nodes on -1 to 1, rising, and weights of the rule with `count` nodes.

    Newton's iteration on the Legendre polynomial, from cos(pi (i - 1/4) / (n + 1/2)); NumPy's rule takes the first step
    from eigenvalues, which LAPACK decides. Source: Abramowitz and Stegun (1964), 22.16.6, 25.4.29.
    """
    nodes = cos(np.pi * (np.arange(count, 0, -1) - 0.25) / (count + 0.5))
    slope = np.ones(count)
    for _ in range(6):
        before, now = np.ones(count), nodes
        for k in range(2, count + 1):
            before, now = now, ((2 * k - 1) * nodes * now - (k - 1) * before) / k
        slope = count * (nodes * now - before) / (nodes * nodes - 1.0)
        nodes = nodes - now / slope
    nodes = 0.5 * (nodes - nodes[::-1])  # even, and the middle one exactly 0
    weights = 2.0 / ((1.0 - nodes * nodes) * slope * slope)
    return nodes, 0.5 * (weights + weights[::-1])
