"""Where a fit starts: the noise of the data, and a cell near enough for least squares to find the rest."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import nnls

from powderlens.pattern.background import estimate_background
from powderlens.refine.model import Floats, Model, refine, solve_linear

ORDER = 6
"""Of the differences that show the noise: a line at least 10 points wide adds under 0.2 % of its height."""
SEARCH_STRAIN = 0.025
"""The cell is searched within this, relative."""
TRIALS = {1: 0, 2: 120}
"""Cells that are tried besides 41 along the diagonal, by the number of free strains; 260 for more than two."""
KEPT = 4
BLUR_DEG = (0.9, 0.45, 0.22)
"""FWHM that is added to the lines of the pattern, measured and calculated, from the first search to the last; for a
pattern whose middle is at 47.5 degrees. Elsewhere it follows tan(theta), as does the shift of a line with the cell."""
SPACING_DEG = 0.05
WEAK = 0.004
"""Families weaker than this share of the strongest are left out of the search."""
WIDTHS_DEG = (0.012, 0.022, 0.04, 0.07, 0.11, 0.16, 0.23, 0.33, 0.5, 0.8)


def counting_noise(intensity: Floats) -> tuple[float, float]:
    """Noise as counting makes it: variance = floor + gain * intensity, both from the scatter of the data.

    The scatter is that of the sixth differences over neighbouring points: white noise of deviation s gives sixth
    differences of sqrt(924) s, and a line that is ten points wide or wider hardly shows. Their squares, cut at nine
    times what is expected, follow a straight line against the local level, of no negative coefficient, by least squares
    with the weights of squares of normal numbers; it starts from the median absolute deviations of bins of equal level.
    It holds also when a background was subtracted: its counts are the floor.

    Args:
        intensity: (n,) on nearly equal steps, any scale, neither smoothed nor interpolated.

    Returns:
        Variance at intensity 0, and its growth with the intensity. Both 0 when the data show no noise.
    """
    signs = np.array([(-1) ** k * comb(ORDER, k) for k in range(ORDER + 1)], float)
    scatter = np.convolve(intensity, signs, mode="valid") / np.sqrt((signs**2).sum())
    level = np.convolve(intensity, np.ones(ORDER + 1) / (ORDER + 1), mode="valid")
    order = np.argsort(level, kind="stable")
    ends = np.unique((len(order) * np.array([0, 0.2, 0.4, 0.6, 0.75, 0.85, 0.92, 0.96, 0.98, 0.99, 1])).astype(int))
    rows, variances, counts = [], [], []
    for first, last in pairwise(ends):
        inside = order[first:last]
        if len(inside) >= 7:
            rows.append(max(float(np.median(level[inside])), 0.0))
            variances.append(float(1.482602 * np.median(np.abs(scatter[inside]))) ** 2)
            counts.append(len(inside))
    if not max(variances, default=0.0) > 0:
        return 0.0, 0.0
    line = _straight(np.array(rows), np.array(variances), np.sqrt(counts) / max(variances))
    level = np.maximum(level, 0.0)
    for _ in range(8):
        expected = np.maximum(line[0] + line[1] * level, 1e-6 * max(variances))
        line = _straight(level, np.minimum(scatter**2, 9 * expected) / 0.995, 1 / expected)
    return float(line[0]), float(line[1])


def _straight(x: Floats, y: Floats, weight: Floats) -> Floats:
    """Intercept and slope, neither below zero."""
    design = np.stack([np.ones(len(x)), x], axis=1)
    return np.asarray(nnls(design * weight[:, None], y * weight)[0])


def estimate_sigma(intensity: Floats) -> tuple[Floats, float, float]:
    """Standard uncertainties of measured intensities that come without them.

    sigma^2 = floor + gain * max(y, lowest), `counting_noise` gives floor and gain. y is the running mean over 7 points,
    so that a point's own noise does not choose its weight, and `lowest` a level that four fifths of the points exceed.
    Data without noise get sigma^2 proportional to 1 % of the span plus y, a thousandth of the span where y is 0.

    Returns:
        (n,) sigma, and the floor and gain of the variance.
    """
    floor, gain = counting_noise(intensity)
    span = float(np.ptp(intensity))
    smooth = np.convolve(np.pad(intensity, 3, mode="edge"), np.ones(7) / 7, mode="valid")
    lowest = max(float(np.quantile(smooth, 0.2)), 0.0)
    if floor + gain * lowest <= (1e-5 * span) ** 2:
        floor = (1e-3 * span) ** 2
        gain = max(gain, floor / (0.01 * span))
    return np.sqrt(floor + gain * np.maximum(smooth, lowest)), floor, gain


def rough_start(model: Model, intensity: Floats) -> Floats:
    """Cell and zero shift near enough for least squares, by patterns with broadened lines.

    Background and points are simplified, all lines are broadened to about a degree, and the cell is tried at up to 300
    places within 2.5 % of the given one (an additive recurrence spreads them evenly: no random numbers). The best few,
    and the cell as it is, are refined while the broadening falls to a fifth of a degree; the least sum of squares wins.

    Args:
        model: with the cell as it is given.
        intensity: (n,) measured at the model's points.

    Returns:
        (p,) parameters of the model, those of strain and zero shift found.
    """
    x = model.two_theta_deg
    unit = min(max(np.tan(np.radians((x[0] + x[-1]) / 4)) / np.tan(np.radians(47.5 / 2)), 0.1), 2.0)
    bins = max(2, round((x[-1] - x[0]) / (SPACING_DEG * unit)))
    edges = np.linspace(x[0], x[-1], bins + 1)
    centre = (edges[1:] + edges[:-1]) / 2
    above = intensity - estimate_background(x, intensity)
    total = np.concatenate([[0.0], np.cumsum((above[1:] + above[:-1]) / 2 * np.diff(x))])
    mean = np.diff(np.interp(edges, x, total)) / np.diff(edges)
    strong, position = model.strength * _lorentz(model), model.positions(model.start())
    near = (position > x[0] - 2 * unit) & (position < x[-1] + 2 * unit)
    keep = near & (strong > WEAK * strong[near].max())
    wavelength = sum(line * share for line, share in model.emission) / sum(share for _, share in model.emission)
    rough = replace(
        model, two_theta_deg=centre, hkl=model.hkl[keep], strength=model.strength[keep], emission=((wavelength, 1.0),),
        background_terms=2,
    )  # fmt: skip
    size = len(model.basis)
    zero_at, scale_at = rough.at("zero_shift_deg"), rough.at("scale")
    starts = [np.concatenate([s, np.zeros(len(rough.names) - size)]) for s in _trials(size)]
    for i, blur in enumerate(unit * np.array(BLUR_DEG)):
        smooth = gaussian_filter1d(mean, blur / 2.354820 / (centre[1] - centre[0]), mode="nearest")
        sigma = np.sqrt(np.maximum(smooth, max(0.03 * smooth.max(), 1e-6 * np.ptp(intensity))))
        for start in starts:
            start[rough.at("march_r")] = 1.0
            start[rough.at("caglioti_w_deg2")] = blur**2 + 0.02 * unit**2
        if i == 0:
            ranked = sorted((solve_linear(rough, start, smooth, sigma)[::-1] for start in starts), key=_cost)
            starts = [starts[0].copy(), *(values for _, values in ranked[:KEPT])]
        free = np.r_[np.arange(size), [zero_at] if i else [], np.arange(scale_at, len(rough.names))].astype(np.int64)
        results = []
        for start in starts:
            values = solve_linear(rough, start, smooth, sigma)[0]
            values = refine(rough, values, free, smooth, sigma, tolerance=1e-3, most=12)
            results.append((solve_linear(rough, values, smooth, sigma)[1], values))
        results.sort(key=_cost)
        starts = [values.copy() for _, values in results[: KEPT - i]]
    out = model.start()
    out[:size] = results[0][1][:size]
    out[model.at("zero_shift_deg")] = results[0][1][zero_at]
    return out


def rough_width(model: Model, values: Floats, intensity: Floats, sigma: Floats) -> Floats:
    """The line width of a short list that fits best, half of it Gaussian."""
    best: tuple[float, Floats] | None = None
    for width in WIDTHS_DEG:
        trial = values.copy()
        trial[model.at("caglioti_w_deg2")] = (0.6 * width) ** 2
        trial[model.at("lorentz_x_deg")] = 0.6 * width
        trial, cost = solve_linear(model, trial, intensity, sigma)
        if best is None or cost < best[0]:
            best = cost, trial
    assert best is not None
    return best[1]


def _cost(result: tuple[float, Floats]) -> float:
    return result[0]


def _lorentz(model: Model) -> Floats:
    """LP factor of each family in the cell as given; 0 where it is not reached."""
    inverse = np.linalg.inv(model.lattice @ model.lattice.T)
    q = np.einsum("ij,jk,ik->i", model.hkl, inverse, model.hkl)
    sine = np.minimum(0.5 * model.emission[0][0] * np.sqrt(q), 0.9999)
    return np.asarray((1 + (1 - 2 * sine**2) ** 2) / (sine**2 * np.sqrt(1 - sine**2)))


def _trials(size: int) -> NDArray[np.float64]:
    """(n, size) strains: none, the same along every axis, then evenly spread ones.

    Source of the spread: M. Roberts, "The unreasonable effectiveness of quasirandom sequences" (2018): multiples of the
    powers of 1/phi modulo 1, where phi^(size+1) = phi + 1.
    """
    phi = 2.0
    for _ in range(40):
        phi = (1 + phi) ** (1 / (size + 1))
    steps = phi ** -np.arange(1.0, size + 1)
    along = np.linspace(-1, 1, 41)[:, None] * np.ones(size)
    # In a triclinic or monoclinic cell the last strains are shears: a mean of lengths needs none.
    along[:, 3:] = 0.0
    spread = 2 * ((0.5 + np.outer(np.arange(1, TRIALS.get(size, 260) + 1), steps)) % 1.0) - 1
    return SEARCH_STRAIN * np.concatenate([np.zeros((1, size)), along, spread])
