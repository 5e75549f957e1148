"""Finding the known phases that a pattern looks like: square-root profiles compared under small shifts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import csr_array

from powderlens.library.table import ANGLE_STEP_DEG, WAVELENGTH_A, LibraryTable
from powderlens.pattern.grid import Grid, convert_two_theta

Floats = NDArray[np.float32]

COARSE = 4
SHIFTS = (-2, -1, 0, 1, 2)
SMOOTH_DEG = 0.08
LINE_SIGMA_DEG = 0.10
LEAST_INSIDE = 0.3
"""A phase with less of its profile (norm) than this in the measured range is not compared."""


@dataclass(frozen=True, eq=False)
class Matches:
    """Best phases of each pattern, best first.

    Attributes:
        row: (b, k) rows of the library.
        score: (b, k) similarity, 0 to 1: cosine of the square-root profiles over the measured range.
    """

    row: NDArray[np.int64]
    score: Floats


class Search:
    """Compares patterns on one grid with every phase of a library.

    Args:
        table: the library.
        grid: the grid of the patterns, at the wavelength for which the library's intensities hold.
        keep: how many phases are returned.
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
        position = convert_two_theta(t.angle * ANGLE_STEP_DEG, WAVELENGTH_A, self.grid.wavelength_A)
        position = np.nan_to_num(position, nan=-1e3)
        place = (position - self.grid.start_deg) / self.step_deg
        low = np.floor(place).astype(np.int64)
        share = place - low
        intensity = (t.amplitude / 255.0) ** 2
        inside = (low >= 0) & (low < self.points - 1)
        low, share, owner, intensity = low[inside], share[inside], owner[inside], intensity[inside]
        sticks = csr_array(
            (
                np.concatenate([intensity * (1 - share), intensity * share]).astype(np.float32),
                (np.concatenate([owner, owner]), np.concatenate([low, low + 1])),
            ),
            shape=(n, self.points),
        )
        out = np.sqrt(self._broaden(sticks.toarray()))
        out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)
        return np.asarray(out, np.float32)

    def _broaden(self, sticks: Floats) -> Floats:
        """Gaussian lines in place of sticks, along the last axis."""
        return gaussian_filter1d(sticks, LINE_SIGMA_DEG / self.step_deg, axis=1, truncate=3.5, mode="constant")

    def _smooth(self, x: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """(b, points) square roots of the smoothed intensities, floor removed; and the mask, both coarse."""
        sigma = SMOOTH_DEG / self.grid.step_deg
        intensity = gaussian_filter1d(x[:, 0] ** 2, sigma, axis=1, truncate=3.0)[:, ::COARSE]
        mask = x[:, 1, ::COARSE] > 0
        out = np.zeros_like(intensity)
        for i in range(len(x)):
            measured = intensity[i][mask[i]]
            floor = np.partition(measured, int(0.3 * (len(measured) - 1)))[int(0.3 * (len(measured) - 1))]
            out[i][mask[i]] = np.sqrt(np.maximum(measured - floor, 0))
        return out, mask

    def __call__(self, x: Floats) -> Matches:
        """Search for a batch of network inputs.

        Args:
            x: (b, 2, points) as `pattern.prepare.network_input` makes them.

        Returns:
            `keep` matches of each pattern.
        """
        measured, mask = self._smooth(x)
        score = self._similarity(measured, mask)
        row = np.argpartition(-score, self.keep - 1, axis=1)[:, : self.keep]
        best = np.take_along_axis(score, row, 1)
        order = np.argsort(-best, axis=1)
        return Matches(np.take_along_axis(row, order, 1), np.take_along_axis(best, order, 1))

    def _similarity(self, measured: Floats, mask: NDArray[np.bool_]) -> Floats:
        """(b, n) cosine with every phase, the best of a few shifts; over the measured range only."""
        norm = np.linalg.norm(measured, axis=1, keepdims=True)
        best = np.zeros((len(measured), len(self.table)), np.float32)
        for shift in SHIFTS:
            np.maximum(best, np.roll(measured, shift, axis=1) @ self._profiles.T, out=best)
        best /= np.maximum(norm, 1e-9)
        partial = np.flatnonzero(~mask.all(axis=1))
        if len(partial):
            inside = np.sqrt(mask[partial].astype(np.float32) @ self._energy.T)
            best[partial] = np.where(inside > LEAST_INSIDE, best[partial] / np.maximum(inside, 1e-6), 0.0)
        return best

    @cached_property
    def _energy(self) -> Floats:
        """(n, points) squared profiles: with a mask, how much of each phase lies in the measured range."""
        return np.asarray(self._profiles**2)
