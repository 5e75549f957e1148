"""Finding the known phases that a pattern looks like: square-root profiles compared under small shifts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from powderlens.library.table import ANGLE_STEP_DEG, WAVELENGTH_A, LibraryTable
from powderlens.pattern.grid import Grid, convert_two_theta

Floats = NDArray[np.float32]

COARSE = 4
SHIFTS = (-1, 0, 1)
"""First look, in coarse points (0.08 degrees on the usual grid)."""
FINE_SHIFTS = range(-10, 11, 2)
"""Second look at the best, in points of the grid."""
SMOOTH_DEG = 0.08
LINE_SIGMA_DEG = 0.10
FLOOR_QUANTILE = 0.3
MOST_NOISE = 0.6
LEAST_INSIDE = 0.3
"""A phase with less of its profile (norm) than this in the measured range is not compared."""


def blur(rows: Floats, sigma_points: float) -> Floats:
    """Convolve each row of (b, n) with a Gaussian of area 1, cut at 3.5 sigma; zero beyond the ends."""
    reach = int(np.ceil(3.5 * sigma_points))
    weights = np.exp(-0.5 * (np.arange(reach + 1) / sigma_points) ** 2)
    weights /= weights[0] + 2 * weights[1:].sum()
    out = rows * np.float32(weights[0])
    for k in range(1, reach + 1):
        weight = np.float32(weights[k])
        out[:, k:] += weight * rows[:, :-k]
        out[:, :-k] += weight * rows[:, k:]
    return out


def noise_share(intensity: Floats, total: NDArray[np.float64], step_deg: float) -> NDArray[np.float64]:
    """Share of noise in the smoothed intensity above the floor, which no phase can match.

    The noise of single points is read from second differences (where the input is not cut to zero), smoothing by a
    Gaussian of s points divides it by sqrt(2 s sqrt(pi)), and the mean of a normal variate above its 30th percentile
    q is sigma (phi(q) + 0.7 |q|) = 0.714 sigma.

    Args:
        intensity: (b, points) above the floor, strongest 1, on the fine grid.
        total: (b,) sums of the smoothed intensity above its floor, on the fine grid's scale.
        step_deg: of the fine grid.

    Returns:
        (b,) between 0 and `MOST_NOISE`.
    """
    bend = np.abs(intensity[:, 2:] - 2 * intensity[:, 1:-1] + intensity[:, :-2])
    sigma = np.array([np.median(row[row > 0]) if (row > 0).any() else 0.0 for row in bend]) * 1.4826 / np.sqrt(6.0)
    smoothed = sigma / np.sqrt(2 * np.sqrt(np.pi) * SMOOTH_DEG / step_deg)
    return np.clip(0.714 * smoothed * (intensity > 0).sum(axis=1) / np.maximum(total, 1e-9), 0.0, MOST_NOISE)


@dataclass(frozen=True, eq=False)
class Matches:
    """Best phases of each pattern, best first.

    Attributes:
        row: (b, k) rows of the library.
        score: (b, k) similarity, 0 to 1: cosine of the square-root profiles over the measured range, the noise's share
            of the measured one left out.
        group: (b, k) space-group numbers of the phases.
        group_share: (230,) share of each space group in the whole library.
    """

    row: NDArray[np.int64]
    score: Floats
    group: NDArray[np.int64]
    group_share: NDArray[np.float64]

    def take(self, at: NDArray[np.int64]) -> Matches:
        """The matches of some of the patterns."""
        return Matches(self.row[at], self.score[at], self.group[at], self.group_share)


class Search:
    """Compares patterns on one grid with every phase of a library.

    Args:
        table: the library.
        grid: the grid of the patterns, at the wavelength for which the library's intensities hold.
        keep: how many phases are returned; all of a smaller library.
    """

    def __init__(self, table: LibraryTable, grid: Grid, keep: int = 24) -> None:
        self.table, self.grid, self.keep = table, grid, keep
        self.step_deg = grid.step_deg * COARSE
        self.points = -(-grid.points // COARSE)

    @cached_property
    def _profiles(self) -> Floats:
        """(n, points) square-root profiles of norm 1 on the coarse grid."""
        t, n = self.table, len(self.table)
        owner = np.repeat(np.arange(n), np.diff(t.offset))
        position = convert_two_theta(t.angle.astype(np.float64) * ANGLE_STEP_DEG, WAVELENGTH_A, self.grid.wavelength_A)
        position = np.nan_to_num(position, nan=-1e3)
        place = (position - self.grid.start_deg) / self.step_deg
        low = np.floor(place).astype(np.int64)
        share = place - low
        intensity = (t.amplitude / 255.0) ** 2
        inside = (low >= 0) & (low < self.points - 1)
        low, share, owner, intensity = low[inside], share[inside], owner[inside], intensity[inside]
        place_in_all = owner * self.points + low
        size = n * self.points
        sticks = np.bincount(place_in_all, intensity * (1 - share), size)
        sticks += np.bincount(place_in_all + 1, intensity * share, size)
        lines = blur(sticks.astype(np.float32).reshape(n, self.points), LINE_SIGMA_DEG / self.step_deg)
        out = np.sqrt(lines)
        out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)
        return np.asarray(out, np.float32)

    def _smooth(self, x: Floats) -> Floats:
        """(b, fine points) square roots of the smoothed intensities, floor removed, 0 where nothing was measured."""
        intensity = blur(x[:, 0], SMOOTH_DEG / self.grid.step_deg)
        out = np.zeros_like(intensity)
        for i, mask in enumerate(x[:, 1] > 0):
            measured = intensity[i][mask]
            every = measured[::COARSE]
            rank = int(FLOOR_QUANTILE * (len(every) - 1))
            out[i][mask] = np.sqrt(np.maximum(measured - np.partition(every, rank)[rank], 0))
        return out

    def __call__(self, x: Floats) -> Matches:
        """Search for a batch of patterns.

        Args:
            x: (b, 2, points): intensities above the floor, strongest 1, see `pattern.prepare.above_floor`; and the mask
                of what was measured, 0 or 1.

        Returns:
            `keep` matches of each pattern.
        """
        fine = self._smooth(x)
        measured = np.ascontiguousarray(fine[:, ::COARSE])
        inside = self._inside(x[:, 1, ::COARSE] > 0)
        score = self._similarity(measured, inside)
        keep = min(self.keep, len(self.table))
        row = np.argpartition(-score, keep - 1, axis=1)[:, :keep]
        best = np.stack([self._closely(f, m, r, n) for f, m, r, n in zip(fine, measured, row, inside, strict=True)])
        share = noise_share(x[:, 0], COARSE * (measured.astype(float) ** 2).sum(axis=1), self.grid.step_deg)
        best = np.minimum(best / np.sqrt(1 - share, dtype=np.float32)[:, None], 1.0)
        order = np.argsort(-best, axis=1)
        row = np.take_along_axis(row, order, 1)
        group = self.table.space_group[row].astype(np.int64)
        return Matches(row, np.take_along_axis(best, order, 1), group, self._group_share)

    @cached_property
    def _group_share(self) -> NDArray[np.float64]:
        return self.table.group_share()

    def _inside(self, mask: NDArray[np.bool_]) -> list[Floats | None]:
        """For each pattern the norm of every phase's profile in the measured range; None when all was measured."""
        out: list[Floats | None] = [None] * len(mask)
        partial = np.flatnonzero(~mask.all(axis=1))
        if len(partial):
            norm = np.sqrt(mask[partial].astype(np.float32) @ self._energy.T)
            for i, row in zip(partial, norm, strict=True):
                out[i] = row
        return out

    def _similarity(self, measured: Floats, inside: list[Floats | None]) -> Floats:
        """(b, n) cosine with every phase, the best of a few shifts; over the measured range only."""
        best = np.zeros((len(measured), len(self.table)), np.float32)
        for shift in SHIFTS:
            np.maximum(best, np.roll(measured, shift, axis=1) @ self._profiles.T, out=best)
        best /= np.maximum(np.linalg.norm(measured, axis=1, keepdims=True), 1e-9)
        for i, norm in enumerate(inside):
            if norm is not None:
                best[i] = np.where(norm > LEAST_INSIDE, best[i] / np.maximum(norm, 1e-6), 0.0)
        return best

    @cached_property
    def _shifted(self) -> NDArray[np.int64]:
        """(shifts, points) where each coarse point of a shifted pattern stands on the fine grid."""
        return np.arange(0, self.grid.points, COARSE) - np.array(FINE_SHIFTS)[:, None]

    def _closely(self, fine: Floats, measured: Floats, rows: NDArray[np.int64], inside: Floats | None) -> Floats:
        """(k,) cosine of one pattern with k phases under shifts in finer steps."""
        shifted = np.take(fine, self._shifted, mode="wrap")
        best = (self._profiles[rows] @ shifted.T).max(axis=1) / max(float(np.linalg.norm(measured)), 1e-9)
        if inside is not None:
            best = np.where(inside[rows] > LEAST_INSIDE, best / np.maximum(inside[rows], 1e-6), 0.0)
        return np.asarray(best, np.float32)

    @cached_property
    def _energy(self) -> Floats:
        """(n, points) squared profiles: with a mask, how much of each phase lies in the measured range."""
        return np.asarray(self._profiles**2)
