"""`core.elementary` for compiled code: numbers in, numbers out, the same bytes as the functions for arrays."""

from __future__ import annotations

import numpy as np
from numba import njit

from powderlens.core import elementary

compiled = njit(cache=True, nogil=True, error_model="numpy")
"""How all compiled code that is drawn with is made: no fast arithmetic, by which the vector width and the multiply-add
of a processor would decide the last bits."""

_in_any_order = njit(cache=True, nogil=True, error_model="numpy", fastmath={"nnan", "nsz"})

_exp_reduced = compiled(elementary.exp_reduced)
_log_reduced = compiled(elementary.log_reduced)
_sine_reduced = compiled(elementary.sine_reduced)
_cosine_reduced = compiled(elementary.cosine_reduced)
_turn_reduced = compiled(elementary.turn_reduced)
_asin_reduced = compiled(elementary.asin_reduced)
_atan_reduced = compiled(elementary.atan_reduced)
LN2_HIGH, LN2_LOW, PER_LN2 = elementary.LN2_HIGH, elementary.LN2_LOW, elementary.PER_LN2
LARGEST, SMALLEST, ROOT_HALF = elementary.LARGEST, elementary.SMALLEST, elementary.ROOT_HALF
PER_HALF_PI, FARTHEST_TURN = elementary.PER_HALF_PI, elementary.FARTHEST_TURN
HALF_PI_HIGH, HALF_PI_LOW = elementary.HALF_PI_HIGH, elementary.HALF_PI_LOW
HIGH_0, HIGH_1, HIGH_2, HIGH_3 = elementary.ATAN_HIGH
LOW_0, LOW_1, LOW_2, LOW_3 = elementary.ATAN_LOW
ONE_BITS = np.int64(1023)
FRACTION = np.int64(52)
"""Bits of a float64 after the point: a power of two is its exponent, moved by so many."""
FRACTION_MASK = np.int64(2**52 - 1)
ROOT_HALF_BITS = np.float64(ROOT_HALF).view(np.int64)


@compiled
def exp(x):  # type: ignore[no-untyped-def]
    """`elementary.exp` of one number."""
    inside = min(max(x, SMALLEST), LARGEST)
    k = np.rint(inside * PER_LN2)
    y = _exp_reduced(inside - k * LN2_HIGH, k * LN2_LOW)
    whole = np.int64(k)
    first = whole >> np.int64(1)
    y *= np.int64((first + ONE_BITS) << FRACTION).view(np.float64)
    y *= np.int64((whole - first + ONE_BITS) << FRACTION).view(np.float64)
    if x > LARGEST:
        return np.inf
    if x < SMALLEST:
        return 0.0
    return y


@compiled
def log(x):  # type: ignore[no-untyped-def]
    """`elementary.log` of one number."""
    tiny = x < 2.0**-1022
    # The bits of sqrt(1/2) taken away, the exponent is that of a mantissa around 1.
    over = np.float64(x * 2.0**54 if tiny else x).view(np.int64) - ROOT_HALF_BITS
    k = np.float64(over >> FRACTION) - (54.0 if tiny else 0.0)
    m = np.int64((over & FRACTION_MASK) + ROOT_HALF_BITS).view(np.float64)
    y = _log_reduced(m - 1.0, k)
    if not (x > 0.0 and x < np.inf):
        y = x if x > 0.0 else (-np.inf if x == 0.0 else np.nan)
    return y


@compiled
def sin_cos(x):  # type: ignore[no-untyped-def]
    """`elementary.sin_cos` of one number."""
    n = np.rint(x * PER_HALF_PI)
    rest, tail = _turn_reduced(x, n)
    sine, cosine = _sine_reduced(rest, tail), _cosine_reduced(rest, tail)
    quarter = n - 4.0 * np.floor(n * 0.25)
    odd = abs(quarter - 2.0) == 1.0
    s = cosine if odd else sine
    c = sine if odd else cosine
    s = -s if quarter >= 2.0 else s
    c = -c if abs(quarter - 1.5) < 1.0 else c
    close = abs(x) < FARTHEST_TURN
    return (s if close else np.nan), (c if close else np.nan)


@compiled
def arctan(x):  # type: ignore[no-untyped-def]
    """`elementary.arctan` of one number."""
    size = abs(x)
    if size < 0.4375:
        angle = size - _atan_reduced(size)
    elif size < 0.6875:
        top = (2.0 * size - 1.0) / (2.0 + size)
        angle = HIGH_0 - ((_atan_reduced(top) - LOW_0) - top)
    elif size < 1.1875:
        top = (size - 1.0) / (size + 1.0)
        angle = HIGH_1 - ((_atan_reduced(top) - LOW_1) - top)
    elif size < 2.4375:
        top = (size - 1.5) / (1.0 + 1.5 * size)
        angle = HIGH_2 - ((_atan_reduced(top) - LOW_2) - top)
    else:
        top = -1.0 / size
        angle = HIGH_3 - ((_atan_reduced(top) - LOW_3) - top)
    return -angle if x < 0.0 else angle


@compiled
def arcsin(x):  # type: ignore[no-untyped-def]
    """`elementary.arcsin` of one number."""
    size = abs(x)
    if size < 0.5:
        angle = size + size * _asin_reduced(x * x)
    elif size <= 1.0:
        square = 0.5 * (1.0 - size)
        root = np.sqrt(square)
        angle = HALF_PI_HIGH - (2.0 * (root + root * _asin_reduced(square)) - HALF_PI_LOW)
    else:
        angle = np.nan
    return -angle if x < 0.0 else angle


@compiled
def angle_of(sine, cosine):  # type: ignore[no-untyped-def]
    """Angle from 0 to pi of a sine, not negative, and a cosine in any common scale, radians."""
    if abs(cosine) > sine:
        angle = arctan(sine / cosine)
        return angle if cosine > 0.0 else angle + np.pi
    return 0.5 * np.pi - arctan(cosine / sine) if sine > 0.0 else 0.0


@compiled
def exp_array(x, out):  # type: ignore[no-untyped-def]
    """`exp` of each of (n,) numbers into (n,)."""
    for i in range(x.shape[0]):
        out[i] = exp(x[i])


@compiled
def log_array(x, out):  # type: ignore[no-untyped-def]
    """`log` of each of (n,) numbers into (n,)."""
    for i in range(x.shape[0]):
        out[i] = log(x[i])


@compiled
def sin_cos_array(x, sine, cosine):  # type: ignore[no-untyped-def]
    """`sin_cos` of each of (n,) numbers into (n,) and (n,)."""
    for i in range(x.shape[0]):
        sine[i], cosine[i] = sin_cos(x[i])


@_in_any_order
def largest(y):  # type: ignore[no-untyped-def]
    """Largest of (n,) numbers, n above 0, none of them NaN: the same in whatever order they are compared."""
    top = y[0]
    for i in range(y.shape[0]):
        top = max(top, y[i])
    return top


@_in_any_order
def smallest(y):  # type: ignore[no-untyped-def]
    """Smallest of (n,) numbers, as `largest`."""
    low = y[0]
    for i in range(y.shape[0]):
        low = min(low, y[i])
    return low
