"""Finding the known phases that a pattern looks like: a fast look at all, then a fit of the cell for the best.

The first look compares square-root profiles on a coarse grid under small shifts. The second moves the lines of each
candidate by a shift of the zero and by changes of the cell that its symmetry allows, towards the nearest measured
peaks, and compares again. A mineral of another composition, or measured on another day, is found all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import csr_array

from powderlens.library.table import LibraryTable, quadratic
from powderlens.pattern.grid import Grid

Floats = NDArray[np.float32]

COARSE = 4
SHIFTS = (-2, -1, 0, 1, 2)
SMOOTH_DEG = 0.08
FIT_LINES = 40
FIT_ROUNDS = 3
FIT_REACH_DEG = 0.36
MAX_STRAIN = 0.015
LINE_SIGMA_DEG = 0.10


@dataclass(frozen=True, eq=False)
class Matches:
    """Best phases of each pattern, best first.

    Attributes:
        row: (b, k) rows of the library.
        score: (b, k) similarity, 0 to 1, of square-root profiles after the fit of the cell.
        coarse: (b, k) similarity at the first look.
    """

    row: NDArray[np.int64]
    score: Floats
    coarse: Floats


class Search:
    """Compares patterns on one grid with every phase of a library.

    Args:
        table: the library.
        grid: the grid of the patterns, at the wavelength for which the library's intensities hold.
        keep: how many phases are fitted and returned.
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
        q = np.einsum("ij,ij->i", quadratic(t.hkl), t.metric[owner])
        position = self._position(q)
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

    def _position(self, inv_d2: NDArray[np.float64]) -> NDArray[np.float64]:
        """Angles on the grid; those beyond its wavelength's reach end up at 180 degrees."""
        sine = 0.5 * self.grid.wavelength_A * np.sqrt(np.maximum(inv_d2, 0))
        return np.asarray(2 * np.degrees(np.arcsin(np.minimum(sine, 1.0))))

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
        coarse = self._first_look(measured, mask)
        row = np.argpartition(-coarse, self.keep - 1, axis=1)[:, : self.keep]
        score = np.stack([self._fitted(measured[i], mask[i], row[i]) for i in range(len(x))])
        order = np.argsort(-score, axis=1)
        take = np.take_along_axis
        return Matches(take(row, order, 1), take(score, order, 1), take(take(coarse, row, 1), order, 1))

    def _first_look(self, measured: Floats, mask: NDArray[np.bool_]) -> Floats:
        """(b, n) cosine with every phase, the best of a few shifts; over the measured range only."""
        norm = np.linalg.norm(measured, axis=1, keepdims=True)
        best = np.zeros((len(measured), len(self.table)), np.float32)
        for shift in SHIFTS:
            np.maximum(best, np.roll(measured, shift, axis=1) @ self._profiles.T, out=best)
        best /= np.maximum(norm, 1e-9)
        for i in np.flatnonzero(~mask.all(axis=1)):
            inside = np.sqrt(((self._profiles * mask[i]) ** 2).sum(axis=1))
            best[i] = np.where(inside > 0.3, best[i] / np.maximum(inside, 1e-6), 0.0)
        return best

    def _fitted(self, measured: Floats, mask: NDArray[np.bool_], rows: NDArray[np.int64]) -> Floats:
        """(k,) cosine of one pattern with k phases after the fit of shift and cell."""
        t, k = self.table, len(rows)
        count = int(np.diff(t.offset)[rows].max())
        first = t.offset[rows]
        index = first[:, None] + np.arange(count)
        present = index < t.offset[rows + 1][:, None]
        index = np.where(present, index, first[:, None])
        products = quadratic(t.hkl[index].reshape(-1, 3)).reshape(k, count, 6)
        amplitude = np.where(present, t.amplitude[index] / 255.0, 0.0)
        metric = t.metric[rows].astype(float)
        q0 = np.einsum("kli,ki->kl", products, metric)
        slope = np.einsum("kli,kpi->klp", products, t.freedom[rows])
        position0 = self._position(q0)
        # d(2theta)/d(ln q) = tan(theta), in degrees; the last two columns are the zero and the sample's height.
        theta = np.radians(position0) / 2
        tangent = np.degrees(np.tan(np.minimum(theta, 1.5)))
        design = np.concatenate(
            [slope / q0[..., None] * tangent[..., None], np.cos(theta)[..., None]], axis=2
        )[:, :FIT_LINES]
        ridge = np.diag([*(np.full(6, 1e-3 / MAX_STRAIN**2) * 4), 1e-3 / 0.1**2 * 4])
        parameters = np.zeros((k, 7))
        reach = int(round(FIT_REACH_DEG / self.step_deg))
        offsets = np.arange(-reach, reach + 1)
        window = np.exp(-0.5 * (offsets * self.step_deg / (0.5 * FIT_REACH_DEG)) ** 2)
        best = np.zeros(k, np.float32)
        shift = np.zeros((k, count))
        intensity = measured.astype(float) ** 2
        padded = np.concatenate([np.zeros(reach), intensity, np.zeros(reach)])
        full = np.concatenate([slope / q0[..., None] * tangent[..., None], np.cos(theta)[..., None]], axis=2)
        for turn in range(FIT_ROUNDS + 1):
            best = np.maximum(best, self._cosine(measured, mask, position0 + shift, amplitude))
            if turn == FIT_ROUNDS:
                break
            place = (position0 + shift - self.grid.start_deg)[:, :FIT_LINES] / self.step_deg
            centre = np.rint(place).astype(np.int64)
            inside = (centre >= 0) & (centre < self.points)
            around = padded[np.clip(centre, 0, self.points - 1)[..., None] + offsets + reach] * window
            mass = around.sum(axis=2)
            pull = ((around * offsets).sum(axis=2) / np.maximum(mass, 1e-9) + centre - place) * self.step_deg
            weight = np.where(inside, amplitude[:, :FIT_LINES] * np.sqrt(np.maximum(mass, 0)), 0.0)
            weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
            target = shift[:, :FIT_LINES] + pull
            normal = np.einsum("klp,kl,klr->kpr", design, weight, design) + ridge
            right = np.einsum("klp,kl,kl->kp", design, weight, target)
            parameters = np.linalg.solve(normal, right[..., None])[..., 0]
            shift = np.clip(np.einsum("klp,kp->kl", full, parameters), -1.5, 1.5)
        return best

    def _cosine(
        self, measured: Floats, mask: NDArray[np.bool_], position: NDArray[np.float64], amplitude: NDArray[np.float64]
    ) -> Floats:
        """(k,) cosine of the measured profile with profiles of k line lists, over the measured range."""
        k = len(position)
        place = (position - self.grid.start_deg) / self.step_deg
        low = np.floor(place).astype(np.int64)
        share = place - low
        inside = (low >= 0) & (low < self.points - 1)
        low = np.where(inside, low, 0)
        intensity = np.where(inside, amplitude**2, 0.0)
        base = np.arange(k)[:, None] * self.points + low
        flat = np.bincount(base.ravel(), (intensity * (1 - share)).ravel(), k * self.points)
        flat += np.bincount(base.ravel() + 1, (intensity * share).ravel(), k * self.points + 1)[: k * self.points]
        drawn = np.sqrt(self._broaden(flat.reshape(k, self.points).astype(np.float32))) * mask
        norm = np.linalg.norm(drawn, axis=1) * np.linalg.norm(measured)
        return np.asarray(drawn @ measured / np.maximum(norm, 1e-9), dtype=np.float32)
