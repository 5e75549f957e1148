"""How a pattern is counted, and what is done to it afterwards.

Every random number is addressed (`core.random`), so a pattern is the same in whatever order and on whatever machine
it is made. Poisson counts come from one uniform number each by the inverse distribution.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core import elementary, random
from powderlens.core.random import Purpose
from powderlens.diffraction.conditions import BELOW_ZERO

Floats = NDArray[np.float64]

EXACT_MEAN = 200.0
"""Largest mean for which Poisson counts are found by adding up their probabilities."""


def normal_inverse(u: Floats) -> Floats:
    """Standard normal numbers with cumulative probability u, to a relative 1e-7.

    Source: Wichura, Appl. Stat. 37, 477 (1988), algorithm AS 241, PPND7.

    Args:
        u: between 0 and 1, both excluded.
    """
    q = u - 0.5
    depth = np.sqrt(-elementary.log(np.minimum(u, 1 - u)))
    tail = np.sign(q) * np.where(depth <= 5, near_tail(depth), far_tail(depth))
    return np.asarray(np.where(np.abs(q) <= 0.425, middle(q), tail))


# Arithmetic alone, so that numbers, arrays and tensors take it, compiled or not: the three renderers share it.


def middle(q: Any) -> Any:
    """`normal_inverse` where u - 1/2 is within 0.425."""
    r = 0.180625 - q * q
    return (
        q
        * (((59.109374720 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179)
        / (((67.187563600 * r + 78.757757664) * r + 17.895169469) * r + 1.0)
    )


def near_tail(depth: Any) -> Any:
    """Its size for u and 1 - u down to exp(-25); `depth` is the root of -log of the smaller."""
    r = depth - 1.6
    return (((0.17023821103 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777) / (
        (0.12021132975 * r + 0.73700164250) * r + 1.0
    )


def far_tail(depth: Any) -> Any:
    """Likewise beyond."""
    r = depth - 5.0
    return (((0.017337203997 * r + 0.42868294337) * r + 3.0812263860) * r + 6.6579051150) / (
        (0.012258202635 * r + 0.24197894225) * r + 1.0
    )


def cornish_fisher(mean: Any, root: Any, w: Any) -> Any:
    """The expansion in `poisson_inverse`; `root` is that of the mean."""
    w2 = w * w
    expanded = mean + root * w + (2.0 + w2) / 6.0 - w * (w2 + 2.0) / (72.0 * root)
    return expanded + (w2 * (3.0 * w2 + 7.0) - 16.0) / (810.0 * mean)


def poisson_inverse(mean: Floats, u: Floats) -> Floats:
    """Smallest count k whose cumulative Poisson probability is at least u.

    Up to a mean of `EXACT_MEAN` the probabilities are added until they reach u. Beyond, a Cornish-Fisher expansion in
    the normal number w of u is rounded down:

        mean + sqrt(mean) w + 1/3 + w^2 / 6 - (w^3 + 2 w) / (72 sqrt(mean)) + (3 w^4 + 7 w^2 - 16) / (810 mean)

    Source: Giles, ACM Trans. Math. Softw. 42(1) (2016), algorithm 955. It misses by one count in fewer than one case in
    10,000 for means up to 1e6; beyond, the normal number's own 1e-7 is more.

    Args:
        mean: not negative.
        u: same shape, between 0 and 1, both excluded; an odd multiple of 2^-33 as `core.random.uniform` gives.

    Returns:
        Whole numbers as float64, same shape.
    """
    mean, u = np.broadcast_arrays(np.asarray(mean, float), np.asarray(u, float))
    out = np.zeros(mean.shape)
    exact = mean <= EXACT_MEAN
    out[exact] = _poisson_search(mean[exact], u[exact])
    many, w = mean[~exact], normal_inverse(u[~exact])
    out[~exact] = np.maximum(np.floor(cornish_fisher(many, np.sqrt(many), w)), 0)
    return out


def _poisson_search(mean: Floats, u: Floats) -> Floats:
    """(n,) counts by adding up probabilities from 0 on."""
    out = np.zeros(len(mean))
    open_ = np.arange(len(mean))
    probability = elementary.exp(-mean)
    total = probability.copy()
    k = 0
    # At 1000 a mean of 200 has 1e-300 left; rounding may keep the total below a u next to 1.
    while k < 1000:
        more = u[open_] > total
        open_, probability, total = open_[more], probability[more], total[more]
        if len(open_) == 0:
            break
        k += 1
        probability = probability * mean[open_] / k
        total = total + probability
        out[open_] = k
    return out


def counted(y: Floats, c: NDArray[np.void], seed: int, index: int, measured: NDArray[np.bool_] | None = None) -> Floats:
    """One pattern as it is counted and treated.

    In this order:

    1. Poisson: with N = counts_at_max and m the strongest measured point, y becomes Poisson(N max(y, 0) / m) m / N
       (AlphaDiffract, equation 1).
    2. Rescaling, if asked for: y to 0..1 over what was measured (equation 2).
    3. Gaussian noise of standard deviation noise_sigma sqrt(1 + max(y, 0) / background_share), constant for a share
       of 0: counts under the lines that were subtracted keep their scatter.
    4. A factor 1 + multiplicative_sigma z (ML4pXRDs, SI S4.2, step 7).
    5. A pedestal in units of noise_sigma, then what becomes of negative values: kept, cut at zero, or folded to their
       absolute value, as in the processed patterns of RRUFF.
    6. The mean over raw points, each with its own numbers of 3 and 4.
    7. Rescaling back: to 0..1 anew, then to the range before 2 (equation 3).
    8. Zero outside what was measured.

    Args:
        y: (points,) lines and background, the strongest line 1.
        c: a record of `conditions.RECORD`.
        seed: of the whole set of patterns.
        index: of this pattern in it.
        measured: (points,) True between first_deg and last_deg; None for everywhere.

    Returns:
        (points,) a new array.
    """
    n = len(y)
    inside = np.ones(n, bool) if measured is None else measured
    if not inside.any():
        return np.zeros(n)
    y = np.where(inside, y, 0.0)
    counts, top = float(c["counts_at_max"]), y[inside].max()
    if counts > 0 and top > 0:
        u = random.uniform(seed, index, Purpose.COUNTS, n)
        y = poisson_inverse(counts * np.maximum(y, 0) / top, u) * (top / counts)
    low, span = 0.0, 1.0
    if c["rescale"]:
        y, low, span = _unit_range(y, inside)
    y = _raw_mean(y, c, seed, index)
    if c["rescale"]:
        y = _unit_range(y, inside)[0] * span + low
    return np.where(inside, y, 0.0)


def _unit_range(y: Floats, inside: NDArray[np.bool_]) -> tuple[Floats, float, float]:
    """The pattern on 0..1, with its lowest point and range before; a flat one becomes zero."""
    low = float(y[inside].min())
    span = float(y[inside].max()) - low
    return ((y - low) / span if span > 0 else np.zeros_like(y)), low, span


def _raw_mean(y: Floats, c: NDArray[np.void], seed: int, index: int) -> Floats:
    """Steps 3 to 6 of `counted`."""
    n, raw = len(y), int(c["raw_points"])
    points = np.broadcast_to(y, (raw, n))
    if c["noise_sigma"] > 0:
        z = random.normal(seed, index, Purpose.NOISE, raw * n).reshape(raw, n)
        share = float(c["background_share"])
        grown = np.sqrt(1 + np.maximum(points, 0) / share) if share > 0 else 1.0
        points = points + float(c["noise_sigma"]) * grown * z
    if c["multiplicative_sigma"] > 0:
        z = random.normal(seed, index, Purpose.MULTIPLICATIVE, raw * n).reshape(raw, n)
        points = points * (1 + float(c["multiplicative_sigma"]) * z)
    points = points + float(c["pedestal"]) * float(c["noise_sigma"])
    below = BELOW_ZERO[int(c["below_zero"])]
    if below != "keep":
        points = np.abs(points) if below == "fold" else np.maximum(points, 0)
    return np.asarray(points.mean(axis=0))
