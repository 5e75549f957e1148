"""What one pattern looks like: simple statistics of noise, background, line widths, intensities and positions.

They are the same for measured and simulated patterns and ask nothing of either but its intensities and where the lines
of its phase are expected. `STATISTICS` says what each one is. Angles inside are in "copper degrees": degrees times the
wavelength over that of copper, so that windows hold the same part of a pattern at any wavelength.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from powderlens.core.constants import ANODES
from powderlens.core.named_files import read_toml
from powderlens.diffraction.phase import Phase
from powderlens.diffraction.reflections import lorentz_polarisation

Floats = NDArray[np.float64]

COPPER = ANODES["Cu"]
STATISTICS: dict[str, str] = read_toml(Path(__file__).with_name("statistics.toml"))
"""Statistic -> what it is."""

TINY = 1e-4
"""Added inside logarithms of heights: a tenth of a thousandth of the maximum."""
BLOCK_DEG, WINDOW_DEG = 0.3, 5.0
QUIET = 0.4
"""Share of the blocks of each fifth of the range, lowest means first, that count as quiet."""
SIXTH = np.array([1.0, -6.0, 15.0, -20.0, 15.0, -6.0, 1.0])
TALL, STRONG = 0.05, 0.3
"""Height of peaks that are looked at, and of those whose tails are."""


@dataclass(frozen=True, eq=False)
class Expected:
    """Where an ideal pattern has its lines, merged where they overlap.

    Attributes:
        two_theta_deg: (k,) centres of groups of lines closer than 0.25 copper degrees, weighted by area.
        area: (k,) integrated intensities under copper radiation, strongest 1.
        low_deg, high_deg: (k,) first and last line of each group.
    """

    two_theta_deg: Floats
    area: Floats
    low_deg: Floats
    high_deg: Floats


def expected_lines(phase: Phase, wavelength_A: float, first_deg: float, last_deg: float) -> Expected:
    """Ideal lines of a phase at one wavelength; their areas are those of a copper tube without monochromator."""
    reciprocal = np.linalg.inv(phase.lattice @ phase.lattice.T)
    inv_d = np.sqrt(np.einsum("mi,ij,mj->m", phase.hkl, reciprocal, phase.hkl))
    seen = (inv_d * wavelength_A / 2 < 0.999) & (inv_d * COPPER.mean_A / 2 < 0.999)
    angle = 2 * np.degrees(np.arcsin(inv_d[seen] * wavelength_A / 2))
    copper = 2 * np.degrees(np.arcsin(inv_d[seen] * COPPER.mean_A / 2))
    area = phase.strength[seen] * lorentz_polarisation(copper)
    inside = (angle > first_deg) & (angle < last_deg)
    angle, area = angle[inside], area[inside]
    order = np.argsort(angle, kind="stable")
    angle, area = angle[order], area[order]
    kept = area > 1e-3 * area.max(initial=0.0)
    angle, area = angle[kept], area[kept]
    if len(angle) == 0:
        return Expected(*(np.zeros(0),) * 4)
    start = np.flatnonzero(np.diff(angle, prepend=-np.inf) > 0.25 * wavelength_A / COPPER.mean_A)
    total = np.add.reduceat(area, start)
    centre = np.add.reduceat(area * angle, start) / total
    return Expected(centre, total / total.max(), angle[start], angle[np.append(start[1:], len(angle)) - 1])


def appearance(two_theta_deg: Floats, intensity: Floats, expected: Expected, wavelength_A: float) -> dict[str, float]:
    """Every statistic of one pattern.

    Args:
        two_theta_deg: (n,) equally spaced, or nearly.
        intensity: (n,) not negative, strongest 1.
        expected: lines of its phase on the same axis.
        wavelength_A: of the axis.

    Returns:
        Name -> value, in the order of `STATISTICS`; NaN where the pattern has nothing to measure it on.
    """
    scale = COPPER.mean_A / wavelength_A
    x, y = two_theta_deg * scale, intensity
    step = float(x[-1] - x[0]) / (len(x) - 1)
    out = dict.fromkeys(STATISTICS, float("nan"))
    blocks, third = _quiet_blocks(y, step)
    sigma = _sigma(blocks)
    out |= _noise(y, blocks, third, sigma)
    floor, windows = _floor(y, step)
    out |= _levels(y, blocks, sigma, windows)
    net = y - floor
    smooth = _mean(net, 0.06 / step)
    peaks = _peaks(smooth, 0.15 / step)
    out |= _widths(x, net, peaks[smooth[peaks] > max(TALL, 8 * sigma)], step)
    for percent in (1, 5, 20):
        out[f"peaks_{percent}"] = float(np.log1p((smooth[peaks] > percent / 100).sum()))
    above = net > 5 * sigma
    out["peak_share"] = float(net[above].sum() / max(y.sum(), TINY))
    out |= _against(x, net, smooth, above, sigma, expected, scale)
    return out


def _quiet_blocks(y: Floats, step: float) -> tuple[Floats, NDArray[np.int64]]:
    """(k, points) the lowest blocks of each fifth of the range, and (k,) the third of the range in which they lie."""
    size = max(8, round(BLOCK_DEG / step))
    count = len(y) // size
    blocks = y[: count * size].reshape(count, size)
    mean = blocks.mean(axis=1)
    fifth = np.arange(count) * 5 // count
    kept = [np.flatnonzero(fifth == k)[np.argsort(mean[fifth == k], kind="stable")] for k in range(5)]
    chosen = np.concatenate([part[: max(2, round(QUIET * len(part)))] for part in kept])
    return blocks[chosen], chosen * 3 // count


def _sigma(blocks: Floats) -> float:
    """Standard deviation of white noise, from second differences inside the blocks."""
    second = np.diff(blocks, n=2, axis=1).ravel()
    return float(1.482602 * np.median(np.abs(second - np.median(second))) / np.sqrt(6.0)) if len(second) else 0.0


def _noise(y: Floats, blocks: Floats, third: NDArray[np.int64], sigma: float) -> dict[str, float]:
    size = blocks.shape[1]
    t = np.linspace(-1, 1, size)
    rest = blocks - blocks.mean(axis=1, keepdims=True)
    rest = rest - (rest @ t)[:, None] / (t @ t) * t
    power = float((rest**2).mean())
    lag = [float((rest[:, k:] * rest[:, :-k]).mean()) / power if power > 0 else float("nan") for k in (1, 2)]
    p5, p50, p95 = np.percentile(rest, [5, 50, 95])
    sixth = np.abs(np.convolve(y, SIXTH, "valid")) / np.sqrt((SIXTH**2).sum())
    strong = _mean(y, 5)[3:-3] > 0.1
    calm = float(np.median(np.abs(np.apply_along_axis(np.convolve, 1, blocks, SIXTH, "valid"))))
    grown = float(np.median(sixth[strong])) if strong.sum() > 5 else float("nan")
    return {
        "noise": float(np.log(sigma + TINY)),
        "noise_by_angle": float(np.log((_sigma(blocks[third == 2]) + TINY) / (_sigma(blocks[third == 0]) + TINY))),
        "noise_lag_1": lag[0],
        "noise_lag_2": lag[1],
        "noise_skew": float((p95 + p5 - 2 * p50) / (p95 - p5)) if p95 > p5 else float("nan"),
        "noise_growth": float(np.log((grown + TINY) / (calm / np.sqrt((SIXTH**2).sum()) + TINY))),
    }


def _floor(y: Floats, step: float) -> tuple[Floats, Floats]:
    """Local 30th percentile, (n,) linear between windows of 5 degrees, and (k,) that of the windows."""
    count = max(3, round(len(y) * step / WINDOW_DEG))
    parts = np.array_split(y, count)
    level = np.array([np.percentile(part, 30) for part in parts])
    centre = np.cumsum([len(part) for part in parts]) - np.array([len(part) / 2 for part in parts])
    return np.interp(np.arange(len(y)), centre, level), level


def _levels(y: Floats, blocks: Floats, sigma: float, windows: Floats) -> dict[str, float]:
    quiet = float(np.median(blocks))
    k = len(windows)
    ends, middle = max(1, k // 5), windows[2 * k // 5 : max(2 * k // 5 + 1, 3 * k // 5)].mean()
    first, last, mean = windows[:ends].mean(), windows[-ends:].mean(), windows.mean() + TINY
    return {
        **{f"level_{p}": float(np.log(np.percentile(y, p) + TINY)) for p in (5, 30, 70)},
        "level_over_noise": float(np.log((quiet + TINY) / (sigma + TINY))),
        "near_zero": float((blocks < 0.1 * quiet).mean()),
        "floor_slope": float((last - first) / mean),
        "floor_bend": float(((first + last) / 2 - middle) / mean),
        "floor_waves": float(np.log((windows.std() + TINY) / mean)),
    }


def _mean(y: Floats, points: float) -> Floats:
    """Moving mean over an odd number of points; the ends are carried on."""
    half = max(0, round((points - 1) / 2))
    padded = np.pad(y, half, mode="edge")
    return np.asarray(np.convolve(padded, np.full(2 * half + 1, 1 / (2 * half + 1)), "valid"))


def _peaks(y: Floats, reach: float) -> NDArray[np.int64]:
    """Points that are the highest within so many points on both sides."""
    half = max(1, round(reach))
    top = maximum_filter1d(y, 2 * half + 1, mode="constant", cval=-np.inf)
    found = np.flatnonzero((y == top) & (y > 0))
    return found[np.diff(found, prepend=-half - 1) > half]


def _widths(x: Floats, net: Floats, peaks: NDArray[np.int64], step: float) -> dict[str, float]:
    """Widths and shapes of peaks; `peaks` are tops of the smoothed profile."""
    found = []
    reach = round(1.5 / step)
    for top in peaks:
        # The smoothed top may stand a few points off the true one.
        near = slice(max(0, top - 3), top + 4)
        i = near.start + int(np.argmax(net[near]))
        crossing = [_crossing(net, i, side, reach) for side in (-1, 1)]
        if None not in crossing and net[i] > 0:
            found.append((i, *crossing, net[i]))
    at, left, right, h = np.array(found, float).reshape(-1, 4).T
    i, a, b = at.astype(int), left * step, right * step
    fwhm = a + b
    middle = (x[0] + x[-1]) / 2
    upper, lower = x[i] > middle, x[i] <= middle
    skew = (a - b) / np.maximum(fwhm, TINY)
    width = np.log(np.maximum(fwhm, TINY))
    out = {
        "width": _median(width),
        "width_by_angle": _median(width[upper]) - _median(width[lower]),
        "width_spread": float(np.subtract(*np.percentile(width, [75, 25]))) if len(width) > 3 else float("nan"),
        "asymmetry": _median(skew[lower]),
    }
    apart = 2 * np.degrees((COPPER.ka2_A - COPPER.ka1_A) / COPPER.mean_A * np.tan(np.radians(x[i] / 2)))
    sides = [np.interp(x[i] + sign * apart, x, net) for sign in (-1, 1)]
    out["doublet"] = _median(((sides[1] - sides[0]) / h)[upper]) if len(i) else float("nan")
    strong = h > STRONG
    for many in (3, 6):
        reached = [_mean_at(x, net, x[i] + sign * many * fwhm, fwhm) for sign in (-1, 1)]
        tail = _median((np.minimum(*reached) / h)[strong]) * 100 if len(i) else float("nan")
        out[f"tail_{many}"] = float(np.sign(tail) * np.sqrt(abs(tail)))
    return out


def _crossing(net: Floats, top: int, side: int, reach: int) -> float | None:
    """Points from a top to half its height on one side; None when it is not reached."""
    way = net[top : top + reach] if side > 0 else net[max(0, top - reach + 1) : top + 1][::-1]
    below = np.flatnonzero(way < net[top] / 2)
    if len(below) == 0:
        return None
    k = int(below[0])
    return k - 1 + float((way[k - 1] - net[top] / 2) / (way[k - 1] - way[k]))


def _mean_at(x: Floats, y: Floats, places: Floats, widths: Floats) -> Floats:
    """Mean over a window of one width about each place."""
    total = np.concatenate([[0.0], np.cumsum(y)])
    low = np.clip(np.searchsorted(x, places - widths / 2), 0, len(x) - 2)
    high = np.maximum(np.clip(np.searchsorted(x, places + widths / 2), 1, len(x)), low + 1)
    return np.asarray((total[high] - total[low]) / (high - low))


def _median(values: Floats) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _against(
    x: Floats, net: Floats, smooth: Floats, above: NDArray[np.bool_], sigma: float, expected: Expected, scale: float
) -> dict[str, float]:
    """Intensities and places against those of the ideal pattern."""
    out: dict[str, float] = {}
    centre, low, high = (v * scale for v in (expected.two_theta_deg, expected.low_deg, expected.high_deg))
    if len(centre) == 0:
        return out
    step = float(x[-1] - x[0]) / (len(x) - 1)
    # Share of peak intensity away from everything expected.
    far = np.ones(len(x), bool)
    for a, b in zip(low, high, strict=True):
        far[np.searchsorted(x, a - 0.5) : np.searchsorted(x, b + 0.5)] = False
    total = float(net[above].sum())
    out["unexplained"] = float(np.sqrt(net[above & far].sum() / total)) if total > 0 else float("nan")
    # Integrated intensities between the halves of the ways to the neighbours, at most 0.4 degrees beyond the group.
    between = np.minimum((low[1:] - high[:-1]) / 2, 0.4)
    edge = np.concatenate([[0.0], np.cumsum(net)])
    first = np.searchsorted(x, low - np.append(0.4, between))
    last = np.searchsorted(x, high + np.append(between, 0.4))
    area = (edge[last] - edge[first]) * step
    strong = expected.area > 0.05
    middle = (x[0] + x[-1]) / 2
    halves = (centre > middle, centre <= middle)
    sums = [float(np.maximum(v[at], 0).sum()) for v in (area, expected.area) for at in halves]
    if min(sums) > 0:
        out["tilt"] = float(np.log(sums[0] / sums[1]) - np.log(sums[2] / sums[3]))
    if strong.sum() >= 3:
        ratio = np.log(np.maximum(area[strong], 0.01 * area.max(initial=TINY)) / expected.area[strong])
        out["intensity_scatter"] = float(np.abs(ratio - np.median(ratio)).mean())
    if len(area) >= 3 and area.std() > 0:
        likeness = float(np.corrcoef(area, expected.area)[0, 1])
        out["intensity_likeness"] = float(-np.log(1 - min(likeness, 0.9999)))
    # Places of strong lines that stand alone.
    gap = np.minimum(np.diff(low, prepend=-np.inf), np.diff(high, append=np.inf))
    alone = (expected.area > 0.1) & (high - low < 0.1) & (gap > 0.6)
    moved = []
    for place in centre[alone]:
        window = slice(int(np.searchsorted(x, place - 0.4)), int(np.searchsorted(x, place + 0.4)))
        if window.stop - window.start < 3:
            continue
        i = window.start + int(np.argmax(smooth[window]))
        if smooth[i] < max(0.03, 8 * sigma):
            continue
        near = slice(max(0, i - round(0.15 / step)), i + round(0.15 / step) + 1)
        weight = np.maximum(net[near] - smooth[i] / 3, 0)
        if weight.sum() > 0:
            moved.append(float((weight @ x[near]) / weight.sum()) - place)
    if len(moved) >= 1:
        out["shift"] = float(np.median(moved))
    if len(moved) >= 3:
        out["shift_spread"] = float(np.log(np.median(np.abs(np.array(moved) - np.median(moved))) + 0.002))
    return out
