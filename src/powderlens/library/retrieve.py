"""Retrieval: the phases of a library whose key lines a pattern shows, each at the scale of cell that suits it best.

A pattern is laid on an axis uniform in ln d, where a cell that is a little larger is the same picture moved along, and
any wavelength the same axis. Two looks: the strongest lines of every phase under all scales (compiled sums, a few
nanoseconds a line), then the drawn profiles of the best of them. Both give the cosine of square-root profiles: lines
that a phase has and the pattern lacks count against it, and so do strong lines of the pattern that it lacks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from powderlens.library.keys import AMPLITUDE_STEPS, D_RANGE_A, LOG_STEPS
from powderlens.library.store import PhaseLibrary

Floats = NDArray[np.float64]

LOG_D_MIN = float(np.log(D_RANGE_A[0]))
LOG_D_UNIT = float(np.log(D_RANGE_A[1] / D_RANGE_A[0])) / LOG_STEPS

STEP = 0.002
"""Of the axis, in ln d."""
BINS = 2048
BLUR = 0.0045
"""Standard deviation of a line on the axis, what change of shape retrieval forgives."""
WIDTH_DEG = 0.06
"""Standard deviation of a measured line in 2theta, added to `BLUR`: at low angles it is what widens a line."""
SMOOTH_DEG = 0.05
FLOOR_QUANTILE = 0.3
LEAST_INSIDE = 0.1
"""A phase with less of its strength than this in the measured range is not compared."""
SECOND_LOOK = 1500
"""How many phases of the first look are drawn."""


@dataclass(frozen=True, eq=False)
class Axis:
    """A pattern on the axis of ln d.

    Attributes:
        root: (BINS,) square roots of the intensity in each bin, norm 1; 0 where not measured.
        measured: (BINS,) whether it was.
        factor: (BINS,) (1 + cos^2 2theta) / cos theta there, what `keys` leaves out of LP; 0 where not measured.
        spread: (BINS,) standard deviation of a line there, in bins.
    """

    root: Floats
    measured: NDArray[np.bool_]
    factor: Floats
    spread: Floats


def on_axis(two_theta_deg: Floats, intensity: Floats, mask: NDArray[np.bool_], wavelength_A: float) -> Axis:
    """Lay a pattern on the axis.

    Args:
        two_theta_deg: (n,) ascending.
        intensity: (n,) without background, noise about zero or on its floor, any scale.
        mask: (n,) True where measured.
        wavelength_A: A; of a doublet the mean.
    """
    low = LOG_D_MIN + STEP * (np.arange(BINS + 1) - 0.5)
    sine = np.minimum(0.5 * wavelength_A * np.exp(-low), 1.0)
    edge_deg = 2 * np.degrees(np.arcsin(sine))
    keep = mask & np.isfinite(intensity)
    x, y = two_theta_deg[keep], _smoothed(two_theta_deg[keep], intensity[keep])
    y = np.maximum(y - np.quantile(y, FLOOR_QUANTILE), 0.0)
    total = np.concatenate([[0.0], np.cumsum(np.diff(x) * (y[1:] + y[:-1]) / 2)])
    part = -np.diff(np.interp(edge_deg, x, total))
    seen = np.interp(edge_deg, two_theta_deg, np.concatenate([[0.0], np.cumsum(np.diff(two_theta_deg) * mask[1:])]))
    width = -np.diff(edge_deg)
    measured = (-np.diff(seen) > 0.5 * width) & (width > 0)
    part = np.where(measured, np.maximum(part, 0.0), 0.0)
    theta = np.arcsin(np.minimum(0.5 * wavelength_A * np.exp(-(low[1:] + low[:-1]) / 2), 0.9999))
    factor = np.where(measured, (1 + np.cos(2 * theta) ** 2) / np.cos(theta), 0.0)
    spread = np.hypot(BLUR, np.radians(WIDTH_DEG) / 2 / np.tan(theta)) / STEP
    root = np.sqrt(part)
    return Axis(root / max(float(np.linalg.norm(root)), 1e-12), measured, factor, spread)


def _smoothed(x: Floats, y: Floats) -> Floats:
    """A running mean over about twice `SMOOTH_DEG`, by sums: steps need not be equal."""
    total = np.concatenate([[0.0], np.cumsum(np.diff(x) * (y[1:] + y[:-1]) / 2)])
    low, high = np.maximum(x - SMOOTH_DEG, x[0]), np.minimum(x + SMOOTH_DEG, x[-1])
    out: Floats = (np.interp(high, x, total) - np.interp(low, x, total)) / (high - low)
    return out


@dataclass(frozen=True, eq=False)
class Retrieved:
    """The phases that a pattern looks like, best first.

    Attributes:
        row: (k,) rows of the library.
        score: (k,) cosine of square-root profiles at the best scale.
        scale: (k,) that scale: spacings of the pattern over those of the phase.
    """

    row: NDArray[np.int64]
    score: Floats
    scale: Floats


class Retrieval:
    """Looks through one library.

    Args:
        library: it.
        rows: the phases that are looked at, for example those with certain elements; None: all.
        max_strain: how far spacings may be from those of the library, relative.
    """

    def __init__(
        self, library: PhaseLibrary, rows: NDArray[np.int64] | None = None, *, max_strain: float = 0.03
    ) -> None:
        self.library = library
        self.rows = np.arange(len(library)) if rows is None else np.asarray(rows, np.int64)
        self.reach = max(1, round(max_strain / STEP))

    def __call__(self, axis: Axis, keep: int, *, allowance: NDArray[np.float32] | None = None) -> Retrieved:
        """The best phases.

        Args:
            axis: the pattern.
            keep: how many.
            allowance: (phases of the library,) added to the score before the best are taken: what is known of a phase
                before it is looked at; None: nothing.
        """
        matched = _matched(axis)
        library = self.library
        score, best = first_look(
            self.rows, library.key_start, library.key_log_d, library.key_amplitude, matched,
            np.sqrt(axis.factor).astype(np.float32), self.reach,
        )  # fmt: skip
        extra = 0.0 if allowance is None else allowance[self.rows]
        some = min(SECOND_LOOK, len(self.rows))
        ranked = score + extra
        near = np.argpartition(-ranked, some - 1)[:some]
        near = near[score[near] > 0]
        closer, scale = second_look(
            self.rows[near], best[near].astype(np.int64) - self.reach, library.key_start, library.key_log_d,
            library.key_amplitude, axis.root, axis.factor, axis.spread,
        )  # fmt: skip
        order = np.argsort(-(closer + (0.0 if allowance is None else allowance[self.rows[near]])), kind="stable")
        order = order[closer[order] > 0][:keep]
        return Retrieved(self.rows[near][order], closer[order], np.exp(STEP * scale[order]))


def _matched(axis: Axis) -> NDArray[np.float32]:
    """(BINS,) the root profile correlated with a line of norm 1: a Gaussian's root is one sqrt 2 times as wide."""
    return _correlated(axis.root, axis.spread * np.sqrt(2.0)).astype(np.float32)


@njit(cache=True)
def _correlated(root, sigma):  # type: ignore[no-untyped-def]
    out = np.zeros(len(root))
    for i in range(len(root)):
        s = sigma[i]
        reach = min(int(3 * s) + 1, 60)
        norm = 0.0
        total = 0.0
        for k in range(-reach, reach + 1):
            w = np.exp(-0.5 * (k / s) ** 2)
            norm += w * w
            if 0 <= i + k < len(root):
                total += w * root[i + k]
        out[i] = total / np.sqrt(norm)
    return out


@njit(cache=True, fastmath=True)
def first_look(rows, start, log_d, amplitude, matched, factor, reach):  # type: ignore[no-untyped-def]
    """Cosine of key lines and pattern for every phase at its best scale.

    Args:
        rows: (n,) int64 phases.
        start, log_d, amplitude: key lines, see `PhaseLibrary`.
        matched: (BINS,) float32, the pattern correlated with a line.
        factor: (BINS,) float32 square roots of `Axis.factor`.
        reach: scales to either side, in bins.

    Returns:
        (n,) float32 scores, and (n,) int32 the shift in bins, from 0 (smallest) to 2 reach.
    """
    size = 2 * reach + 1
    padded = np.zeros(len(matched) + 2 * reach + 1, np.float32)
    padded[reach : reach + len(matched)] = matched
    score, best = np.zeros(len(rows), np.float32), np.zeros(len(rows), np.int32)
    total = np.zeros(size, np.float32)
    per_bin = np.float32(LOG_D_UNIT / STEP)
    for n in range(len(rows)):
        row = rows[n]
        total[:] = np.float32(0.0)
        norm, whole = np.float32(0.0), np.float32(0.0)
        for k in range(start[row], start[row + 1]):
            at = int(np.float32(log_d[k]) * per_bin + np.float32(0.5))
            if at >= len(factor):
                continue
            a = np.float32(amplitude[k])
            whole += a * a
            w = a * factor[at]
            if w == np.float32(0.0):
                continue
            norm += w * w
            part = padded[at : at + size]
            for s in range(size):
                total[s] += w * part[s]
        if norm <= np.float32(LEAST_INSIDE) * whole or norm == np.float32(0.0):
            continue
        top = np.float32(0.0)
        for s in range(size):
            if total[s] > top:
                top = total[s]
                best[n] = s
        score[n] = top / np.sqrt(norm)
    return score, best


@njit(cache=True)
def second_look(rows, shift, start, log_d, amplitude, root, factor, spread):  # type: ignore[no-untyped-def]
    """Cosine of the drawn root profiles near the scale of the first look.

    Args:
        rows: (n,) int64 phases.
        shift: (n,) int64 in bins, positive for larger spacings in the pattern.
        start, log_d, amplitude: key lines.
        root, factor, spread: of the pattern's `Axis`.

    Returns:
        (n,) scores and (n,) shifts in bins, to a third.
    """
    bins = len(root)
    drawn = np.zeros(bins)
    score, where = np.zeros(len(rows)), np.zeros(len(rows))
    per_bin = LOG_D_UNIT / STEP
    for n in range(len(rows)):
        row = rows[n]
        where[n] = shift[n]
        for trial in range(-2, 3):
            move = shift[n] + trial / 2.0
            first, last = bins, 0
            for k in range(start[row], start[row + 1]):
                place = log_d[k] * per_bin + move
                at = int(np.floor(place + 0.5))
                if at < 0 or at >= bins or factor[at] == 0.0:
                    continue
                strength = (amplitude[k] / AMPLITUDE_STEPS) ** 2 * factor[at] / spread[at]
                reach = int(3.0 * spread[at]) + 1
                low, high = max(at - reach, 0), min(at + reach, bins - 1)
                first, last = min(first, low), max(last, high)
                for i in range(low, high + 1):
                    drawn[i] += strength * np.exp(-0.5 * ((i - place) / spread[at]) ** 2)
            product, norm = 0.0, 0.0
            for i in range(first, last + 1):
                if factor[i] > 0.0:
                    product += np.sqrt(drawn[i]) * root[i]
                    norm += drawn[i]
                drawn[i] = 0.0
            if norm > 0.0 and product / np.sqrt(norm) > score[n]:
                score[n] = product / np.sqrt(norm)
                where[n] = move
    return score, where
