"""Background under a pattern: whether there is one, its shape, and the pattern without it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.pattern.pattern import Pattern

WINDOW_DEG = 4.0
"""Largest half-window. Features narrower than about twice that, foot to foot, count as peaks."""

_BIN_DEG = 0.1
_LINEAR = 10.0
"""The logarithms start to bend at this many times the upper quartile above the lowest bin: peaks are compressed, but
a slope of the background stays nearly straight. Bent, it would be clipped (7 % of a straight slope at full scale)."""


def noise_sigma(intensity: NDArray[np.float64], lag: int = 1) -> float:
    """Standard deviation of white noise under a smooth or peaked signal.

    The median absolute deviation of the second differences, in which whatever is straight over three points
    cancels. White noise of standard deviation s gives second differences of sqrt(6) s. Data that were smoothed
    or interpolated give less, unless the points that are compared lie so far apart that their noise is independent.

    Args:
        intensity: (n,) equally spaced, any scale.
        lag: distance of the points that are compared.

    Returns:
        The standard deviation in the units of the intensities; 0 for fewer than 2 lag + 1 points or smooth data.
    """
    if len(intensity) < 2 * lag + 1:
        return 0.0
    y = np.asarray(intensity, dtype=float)
    second = y[: len(y) - 2 * lag] - 2 * y[lag:-lag] + y[2 * lag :]
    return float(1.482602 * np.median(np.abs(second - np.median(second))) / np.sqrt(6.0))


def estimate_background(
    two_theta_deg: NDArray[np.float64], intensity: NDArray[np.float64], window_deg: float = WINDOW_DEG
) -> NDArray[np.float64]:
    """The smooth background under peaks by SNIP, running through the middle of the noise.

    The pattern is averaged in bins of 0.1 degree; there every value is clipped to the mean of its neighbours at
    distance p, for p from `window_deg` down to one bin, on the scale log(log(sqrt(y + 1) + 1) + 1). Then the
    average by which noise keeps this clipped curve below the true one is added back.

    Source: C. G. Ryan et al., Nucl. Instrum. Methods B 34, 396 (1988), doi:10.1016/0168-583X(88)90063-8 (SNIP and
    the double logarithm); M. Morhac et al., Nucl. Instrum. Methods A 401, 113 (1997),
    doi:10.1016/S0168-9002(97)01023-1 (square root, decreasing window).

    Args:
        two_theta_deg: (n,) ascending angles, degrees; steps need not be equal.
        intensity: (n,) intensities, any scale.
        window_deg: largest half-window, degrees. A peak is clipped away when it is narrower than about twice
            this from foot to foot; a hump that is wider stays in the background in part.

    Returns:
        (n,) background in the units of the intensities.

    Raises:
        InputError: the window is not positive.
    """
    if not window_deg > 0:
        raise InputError(f"background window {window_deg:g} degrees must be positive; the default is {WINDOW_DEG:g}")
    x, y = np.asarray(two_theta_deg, dtype=float), np.asarray(intensity, dtype=float)
    centre, mean, counted = _bin(x, y)
    half = max(1, min(round(window_deg / ((x[-1] - x[0]) / len(centre))), (len(centre) - 1) // 2))
    floor = float(mean.min())
    scale = max(_LINEAR * (float(np.percentile(mean, 75)) - floor), 1e-4 * float(np.ptp(mean)))
    if scale == 0:
        return np.full_like(y, floor)
    curve = np.log(np.log(np.sqrt((mean - floor) / scale + 1) + 1) + 1)
    for p in range(half, 0, -1):
        curve[p:-p] = np.minimum(curve[p:-p], (curve[2 * p :] + curve[: -2 * p]) / 2)
    clipped = ((np.exp(np.exp(curve) - 1) - 1) ** 2 - 1) * scale + floor
    clipped += _noise_offset(mean - clipped, noise_sigma(y) / np.sqrt(counted))
    base: NDArray[np.float64] = np.interp(x, centre, _smooth(clipped, max(1, half // 4)))
    return base


def subtract_background(pattern: Pattern, window_deg: float = WINDOW_DEG) -> tuple[Pattern, bool]:
    """Subtract the background where there is one.

    There is one when over at least a quarter of the range the estimated background stands higher above zero than
    2.5 times the noise and 0.2 percent of the span of the intensities. A pattern that was subtracted already and
    clipped at zero stands on its own noise, at 0.8 to 1.9 times the noise for RRUFF's processed patterns;
    a count rate of B stands at sqrt(B) times its noise. Such a pattern is handed back as it is.

    Intensities may be negative afterwards (noise about zero); nothing is clipped. Uncertainties are kept. Masked points
    have no say.

    Args:
        pattern: measured or calculated.
        window_deg: see `estimate_background`.

    Returns:
        The pattern without background and True, or the same pattern and False.
    """
    known = pattern.measured_only()
    x, y = known.two_theta_deg, known.intensity
    limit = max(2.5 * noise_sigma(y), 0.002 * float(np.ptp(y)))
    # The background lies under the profile: where the profile itself is low, there is none to look for.
    if float(np.percentile(_bin(x, y)[1], 75)) <= limit:
        return pattern, False
    base = estimate_background(x, y, window_deg)
    if float(np.percentile(base, 75)) <= limit:
        return pattern, False
    note = f"subtracted by SNIP, half-window {window_deg:g} degrees"
    metadata = {**pattern.metadata, "note on background": note}
    if pattern.mask is not None:
        base = np.interp(pattern.two_theta_deg, x, base)
    return replace(pattern, intensity=pattern.intensity - base, metadata=metadata), True


def _bin(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Centres, means and numbers of points of bins of about 0.1 degree that hold at least one point."""
    bins = max(8, min(len(x), int(np.ceil((x[-1] - x[0]) / _BIN_DEG))))
    index = np.minimum(((x - x[0]) * (bins / (x[-1] - x[0]))).astype(int), bins - 1)
    counted = np.bincount(index, minlength=bins).astype(float)
    filled = counted > 0
    counted = np.where(filled, counted, 1)
    centre = np.bincount(index, weights=x, minlength=bins) / counted
    mean = np.bincount(index, weights=y, minlength=bins) / counted
    if not filled.all():
        everywhere = x[0] + (np.arange(bins) + 0.5) * (x[-1] - x[0]) / bins
        mean = np.interp(everywhere, centre[filled], mean[filled])
        centre = np.where(filled, centre, everywhere)
    return centre, mean, counted


def _noise_offset(residual: NDArray[np.float64], sigma: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the clipped curve runs below the mean of the noise: the median over points without a peak."""
    noisy = sigma > 0
    if not noisy.any():
        return np.zeros_like(residual)
    ratio = np.where(noisy, residual / np.where(noisy, sigma, 1.0), 0.0)
    quiet = ratio < 4.0
    for _ in range(5):
        if not quiet.any():
            return np.zeros_like(residual)
        offset = float(np.median(ratio[quiet]))
        quiet = np.abs(ratio - offset) < 2.5
    return max(offset, 0.0) * sigma


def _smooth(curve: NDArray[np.float64], half: int) -> NDArray[np.float64]:
    """Moving mean over 2 half + 1 values; straight lines through as many at both ends."""
    span = 2 * half + 1
    if len(curve) < span:
        return curve
    total = np.concatenate([[0.0], np.cumsum(curve)])
    smooth = curve.copy()
    smooth[half : len(curve) - half] = (total[span:] - total[:-span]) / span
    i = np.arange(span) - half
    for end in (slice(0, span), slice(len(curve) - span, len(curve))):
        line = curve[end].mean() + i * (i @ curve[end]) / (i @ i)
        smooth[end] = np.where(i < 0, line, smooth[end]) if end.start == 0 else np.where(i > 0, line, smooth[end])
    return smooth
