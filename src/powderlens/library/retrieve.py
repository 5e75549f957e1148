"""Retrieval: the phases of a library whose key lines a pattern shows, each at the scale of cell that suits it best.

A pattern is laid on an axis uniform in ln d, where a cell that is a little larger is the same picture moved along, and
any wavelength the same axis. Two looks: the strongest lines of every phase under all scales (compiled sums, a few
nanoseconds a line), then the drawn profiles of the best of them. Both give the cosine of square-root profiles: lines
that a phase has and the pattern lacks count against it, and so do strong lines of the pattern that it lacks.
"""

from __future__ import annotations

import copy
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
MEASURED_SD, CALCULATED_SD = 0.003, 0.015
"""Strain of a specimen against the cell of a measured and of a calculated crystal, relative: standard deviations."""
PER_STRAIN, PER_LINE, NOT_MEASURED = 0.027, 0.014, 0.06
"""What is taken off the cosine: for ln(1 + (strain / sd)^2), for the logarithm of the number of lines (a phase with
many fits anything), and for a calculated crystal: as `powderlens calibrate` weighs them. Without it isotypes of a
simple phase, of which there are hundreds within 3 % of its cell, and cells with many lines crowd it out."""
GLANCE_LINES, FIRST_LOOK, SECOND_LOOK = 12, 8_000, 500
"""All phases are compared by so many lines; so many of them by all key lines; and the best of those are drawn."""


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
        worth: (k,) score less what speaks against the phase beforehand; they are in its order.
    """

    row: NDArray[np.int64]
    score: Floats
    scale: Floats
    worth: Floats


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
        self._share = overlapped(library.key_start, library.key_log_d, library.key_amplitude)

    def of_rows(self, keep: NDArray[np.bool_]) -> Retrieval:
        """The same, which looks at some of its phases alone; (phases,) whether a phase of the library may be."""
        out = copy.copy(self)
        out.rows = self.rows[keep[self.rows]]
        return out

    def __call__(self, axis: Axis, keep: int) -> Retrieved:
        """The best phases: those that look most like the pattern, less what speaks against them beforehand.

        Args:
            axis: the pattern.
            keep: how many.
        """
        library = self.library
        factor = np.sqrt(axis.factor).astype(np.float32)
        lines = (
            library.key_start, library.key_log_d, library.key_amplitude, self._share, matched(axis), factor, self.reach
        )  # fmt: skip
        rows, kind = self.rows, np.where(library.measured[self.rows], 0, 1)
        if len(rows) > FIRST_LOOK:
            score, _ = first_look(rows, *lines, GLANCE_LINES, 2, kind, self._penalty(2))
            near = _best(score, FIRST_LOOK)
            rows, kind = rows[near], kind[near]
        score, best = first_look(rows, *lines, 64, 1, kind, self._penalty(1))
        near = _best(score, SECOND_LOOK)
        near = near[score[near] > -1.0]
        rows, kind = rows[near], kind[near]
        shift = best[near].astype(np.int64) - self.reach
        closer, moved = second_look(
            rows,
            shift,
            library.key_start,
            library.key_log_d,
            library.key_amplitude,
            axis.root,
            axis.factor,
            axis.spread,
        )
        size = np.diff(library.key_start.astype(np.int64))[rows]
        worth = closer - against(surprise(np.exp(STEP * moved) - 1, kind == 1), size, kind == 1)
        order = np.argsort(-worth, kind="stable")
        order = order[closer[order] > 0][:keep]
        return Retrieved(rows[order], closer[order], np.exp(STEP * moved[order]), worth[order])

    def _penalty(self, every: int) -> NDArray[np.float32]:
        """(2, scales) of measured and calculated phases at every scale, see `first_look`, which takes off for lines."""
        strain = np.exp(STEP * (every * np.arange((2 * self.reach) // every + 17) - self.reach)) - 1
        kinds = [np.full(len(strain), kind) for kind in (False, True)]
        one_line = np.ones(len(strain), np.int64)
        return np.stack([against(surprise(strain, kind), one_line, kind) for kind in kinds]).astype(np.float32)


def surprise(strain: Floats, calculated: NDArray[np.bool_]) -> Floats:
    """ln(1 + (strain / sd)^2): how unlikely a strain is of a measured or a calculated crystal."""
    return np.asarray(np.log1p((strain / np.where(calculated, CALCULATED_SD, MEASURED_SD)) ** 2))


def against(surprises: Floats, lines: NDArray[np.int64], calculated: NDArray[np.bool_]) -> Floats:
    """What speaks against a phase beforehand, in units of the cosine: a cell that must be strained more than such
    crystals are, many lines, and that it was not measured.

    Args:
        surprises: of its strains, their sum.
        lines: how many it has.
        calculated: whether it is a calculated crystal.
    """
    fits_anything = PER_LINE * np.log(np.maximum(lines, 1))
    return np.asarray(PER_STRAIN * surprises + fits_anything + np.where(calculated, NOT_MEASURED, 0.0))


def _best(score: NDArray[np.floating], count: int) -> NDArray[np.int64]:
    """Places of the highest scores."""
    return np.arange(len(score)) if count >= len(score) else np.argpartition(-score, count - 1)[:count]


def matched(axis: Axis) -> NDArray[np.float32]:
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
def _best_of_16(place, weight, count, matched, first, norm, penalty):  # type: ignore[no-untyped-def]
    """Of the sums over lines of weight * matched[place + first + s] / norm - penalty[first + s], s from 0 to 15, the
    largest, and its s.

    Written out, as sixteen variables stay in two registers where an array of sixteen would go to memory and back.
    """
    a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = np.float32(0.0)
    b0 = b1 = b2 = b3 = b4 = b5 = b6 = b7 = np.float32(0.0)
    for k in range(count):
        w, at = weight[k], place[k] + first
        a0 += w * matched[at + 0]
        a1 += w * matched[at + 1]
        a2 += w * matched[at + 2]
        a3 += w * matched[at + 3]
        a4 += w * matched[at + 4]
        a5 += w * matched[at + 5]
        a6 += w * matched[at + 6]
        a7 += w * matched[at + 7]
        b0 += w * matched[at + 8]
        b1 += w * matched[at + 9]
        b2 += w * matched[at + 10]
        b3 += w * matched[at + 11]
        b4 += w * matched[at + 12]
        b5 += w * matched[at + 13]
        b6 += w * matched[at + 14]
        b7 += w * matched[at + 15]
    top, best = np.float32(-9.0), 0
    for s, total in enumerate((a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7)):
        value = total / norm - penalty[first + s]
        if value > top:
            top, best = value, s
    return top, best


@njit(cache=True, fastmath=True)
def overlapped(start, log_d, amplitude):  # type: ignore[no-untyped-def]
    """Amplitudes of the key lines as parts of the root profile that they make together.

    Lines that stand together add their intensities, not their roots: of a cluster of intensity I a line of intensity
    I_l makes I_l / sqrt(I). Without this phases with crowded lines look like anything.

    Args:
        start: (phases + 1,) first key line of each, with
        log_d: (k,) their spacings and
        amplitude: (k,) their strengths.

    Returns:
        (k,) uint8, in the units of `amplitude`.
    """
    out = np.empty(len(log_d), np.uint8)
    per_bin = LOG_D_UNIT / STEP
    reach = 8
    sigma = BLUR / STEP
    shape = np.empty(reach + 1)
    for i in range(reach + 1):
        shape[i] = np.exp(-(i * i) / (4.0 * sigma * sigma))
    line = np.zeros(BINS + 64)
    for n in range(len(start) - 1):
        first, last = np.int64(start[n]), np.int64(start[n + 1])
        for k in range(first, last):
            line[int(log_d[k] * per_bin + 0.5) + 16] += amplitude[k] * amplitude[k]
        for k in range(first, last):
            at = int(log_d[k] * per_bin + 0.5) + 16
            total = line[at]
            for i in range(1, reach + 1):
                total += shape[i] * (line[at - i] + line[at + i])
            own = np.float64(amplitude[k]) * amplitude[k]
            out[k] = np.uint8(own / np.sqrt(max(total, 1e-9)) + 0.5)
        for k in range(first, last):
            line[int(log_d[k] * per_bin + 0.5) + 16] = 0.0
    return out


@njit(cache=True, fastmath=True)
def first_look(  # type: ignore[no-untyped-def]
    rows, start, log_d, amplitude, share, matched, factor, reach, most, every, kind, penalty
):
    """Cosine of key lines and pattern for every phase at its best scale, less what speaks against it beforehand.

    Args:
        rows: (n,) int64 phases.
        start: (phases + 1,) first key line of each, with
        log_d: (k,) their spacings and
        amplitude: (k,) their strengths, strongest first, see `PhaseLibrary`.
        share: (k,) see `overlapped`.
        matched: (BINS,) float32, the pattern correlated with a line.
        factor: (BINS,) float32 square roots of `Axis.factor`.
        reach: scales to either side, in bins.
        most: so many of a phase's lines are asked for, the strongest in the range.
        every: 1, or 2 for every second scale, where each stands for two.
        kind: (n,) int64 row of `penalty` for each phase.
        penalty: (kinds, at least 2 reach + 17) float32, what is taken off at each scale of `every`.

    Returns:
        (n,) float32 scores, and (n,) int32 the shift in bins, from 0 (smallest) to 2 reach.
    """
    size = 2 * reach + 1
    steps = (size + every - 1) // every
    padded = np.zeros(len(matched) + size + 64, np.float32)
    for i in range(len(matched)):
        padded[reach + i] = matched[i]
    if every == 2:
        # The even places, then the odd ones: neighbours in scale stand side by side.
        half = (len(padded) + 1) // 2
        spread = np.zeros(2 * half + 64, np.float32)
        for i in range(len(padded) - 1):
            spread[i // 2 + (i % 2) * half] = max(padded[i], padded[i + 1])
    else:
        half = 0
        spread = padded
    score, best = np.full(len(rows), np.float32(-9.0)), np.zeros(len(rows), np.int32)
    place, weight = np.empty(64, np.int64), np.empty(64, np.float32)
    per_bin = np.float32(LOG_D_UNIT / STEP)
    last = len(factor)
    for n in range(len(rows)):
        row = rows[n]
        norm, whole = np.float32(0.0), np.float32(0.0)
        count = 0
        for k in range(start[row], start[row + 1]):
            at = int(np.float32(log_d[k]) * per_bin + np.float32(0.5))
            a = np.float32(amplitude[k])
            whole += a * a
            if at >= last:
                continue
            w = a * factor[at]
            if w > np.float32(0.0):
                norm += w * w
                place[count] = at if every == 1 else at // 2 + (at % 2) * half
                weight[count] = np.float32(share[k]) * factor[at]
                count += 1
                if count == most:
                    break
        if norm <= np.float32(LEAST_INSIDE) * whole or norm == np.float32(0.0):
            continue
        top = np.float32(-9.0)
        root = np.sqrt(norm)
        for block in range((steps + 15) // 16):
            found, s = _best_of_16(place, weight, count, spread, 16 * block, root, penalty[kind[n]])
            if found > top and every * (16 * block + s) < size:
                top = found
                best[n] = every * (16 * block + s)
        score[n] = top - np.float32(PER_LINE) * np.log(np.float32(count))
    return score, best


@njit(cache=True, fastmath=True)
def second_look(rows, shift, start, log_d, amplitude, root, factor, spread):  # type: ignore[no-untyped-def]
    """Cosine of the drawn root profiles near the scale of the first look.

    Args:
        rows: (n,) int64 phases.
        shift: (n,) int64 in bins, positive for larger spacings in the pattern.
        start: (phases + 1,) first key line of each, with
        log_d: (k,) their spacings and
        amplitude: (k,) their strengths.
        root: (BINS,) of the pattern's `Axis`, as are
        factor: (BINS,) and
        spread: (BINS,).

    Returns:
        (n,) scores and (n,) shifts in bins, to a half.
    """
    bins = len(root)
    drawn = np.zeros(bins)
    score, where = np.zeros(len(rows)), np.zeros(len(rows))
    per_bin = LOG_D_UNIT / STEP
    for n in range(len(rows)):
        row = rows[n]
        where[n] = shift[n]
        for trial in range(-1, 2):
            move = shift[n] + trial / 2.0
            first, last = bins, 0
            for k in range(start[row], start[row + 1]):
                place = log_d[k] * per_bin + move
                at = int(np.floor(place + 0.5))
                if at < 0 or at >= bins or factor[at] == 0.0:
                    continue
                sigma = spread[at]
                reach = int(2.7 * sigma) + 1
                low, high = max(at - reach, 0), min(at + reach, bins - 1)
                first, last = min(first, low), max(last, high)
                # A Gaussian on equal steps by two products a point.
                u = low - place
                value = (amplitude[k] / AMPLITUDE_STEPS) ** 2 * factor[at] / sigma * np.exp(-0.5 * (u / sigma) ** 2)
                ratio = np.exp(-(2.0 * u + 1.0) / (2.0 * sigma * sigma))
                ratio2 = np.exp(-1.0 / (sigma * sigma))
                for i in range(low, high + 1):
                    drawn[i] += value
                    value *= ratio
                    ratio *= ratio2
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
