"""Patterns for training, drawn when asked for: crystals by weight, conditions fresh, no two alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.corpus.reflection_table import ReflectionTable
from powderlens.diffraction.conditions import Conditions, draw_conditions
from powderlens.diffraction.render import add_background_and_noise, clean_profile
from powderlens.pattern.grid import Grid
from powderlens.pattern.prepare import network_input
from powderlens.symmetry.groups import system_index

DFT_SOURCES = ("mp", "oqmd")
ANIONS = frozenset(["O", "F", "S", "Cl", "Br", "I", "Se", "Te", "As", "N", "P", "C"])


def origin(crystal_id: str) -> str:
    """Database of a crystal: what stands before the colon of its id."""
    return crystal_id.split(":")[0]


def sampling_weights(table: ReflectionTable, rows: NDArray[np.int64], shares: dict[str, float]) -> NDArray[np.float64]:
    """Probability of each row: databases by share; inside one, rare groups and rarely listed phases are raised.

    A crystal weighs 1 / sqrt(crystals of its group) / sqrt(entries of its name), twice as much when it holds an
    anion-forming element (powder samples are oxides and salts far more often than alloys).

    Args:
        table: all crystals.
        rows: the rows to weigh.
        shares: database -> share of the draws.

    Returns:
        (len(rows),) probabilities that sum to 1.
    """
    origins = np.array([origin(table.ids[i]) for i in rows])
    unknown = set(origins) - set(shares)
    if unknown:
        raise InputError(f"no sampling share for {sorted(map(str, unknown))}; shares are given for {sorted(shares)}")
    weights = np.zeros(len(rows))
    for name, share in shares.items():
        mine = np.flatnonzero(origins == name)
        if not len(mine):
            continue
        groups = table.space_group[rows[mine]]
        names = np.array([table.names[i] or table.ids[i] for i in rows[mine]])
        _, inverse, count = np.unique(names, return_inverse=True, return_counts=True)
        anion = np.array([bool(ANIONS & set(table.elements[i].split())) for i in rows[mine]])
        w = (1 + anion) / np.sqrt(np.bincount(groups, minlength=231)[groups]) / np.sqrt(count[inverse])
        weights[mine] = share * w / w.sum()
    return weights / weights.sum()


@dataclass(frozen=True)
class Batch:
    """x (b, 2, points) float32; space_group (b,) 0..229; system (b,) 0..6; niggli (b, 6) A and degrees."""

    x: NDArray[np.float32]
    space_group: NDArray[np.int64]
    system: NDArray[np.int64]
    niggli: NDArray[np.float32]


class PatternStream:
    """Endless patterns of the given crystals.

    Args:
        table: reflections of the crystals.
        rows: which of them.
        probabilities: (len(rows),) how often each is drawn.
        grid: where to draw.
        impurity_share: share of the patterns that hold a second phase of 1 to 6 %.
    """

    def __init__(
        self,
        table: ReflectionTable,
        rows: NDArray[np.int64],
        probabilities: NDArray[np.float64],
        grid: Grid,
        impurity_share: float = 0.12,
    ) -> None:
        self.table, self.rows, self.grid = table, rows, grid
        self.cumulative = np.cumsum(probabilities)
        self.impurity_share = impurity_share

    def pick(self, rng: np.random.Generator) -> int:
        """Row number of one crystal."""
        at = np.searchsorted(self.cumulative, rng.random() * self.cumulative[-1], side="right")
        return int(self.rows[min(at, len(self.rows) - 1)])

    def draw(self, row: int, rng: np.random.Generator) -> NDArray[np.float32] | None:
        """Network input (2, points) of one crystal under fresh conditions; None when nothing falls in range."""
        conditions = draw_conditions(rng, dft_cell=origin(self.table.ids[row]) in DFT_SOURCES)
        profile = self._profile(row, conditions, rng)
        if rng.random() < self.impurity_share:
            profile = profile + (0.01 + 0.05 * rng.random()) * self._profile(self.pick(rng), conditions, rng)
        x = self.grid.two_theta_deg
        low, high = conditions.range_deg
        mask = (x >= low - 1e-6) & (x <= high + 1e-6)
        top = profile[mask].max()
        if top <= 0:
            return None
        noisy = add_background_and_noise(profile / top, conditions, self.grid, rng)
        return network_input(noisy, mask)

    def _profile(self, row: int, conditions: Conditions, rng: np.random.Generator) -> NDArray[np.float64]:
        return clean_profile(*self.table.crystal(row), conditions, self.grid, rng)

    def batch(self, rng: np.random.Generator, size: int, rows: NDArray[np.int64] | None = None) -> Batch:
        """One batch: crystals drawn by weight, or the rows given."""
        x = np.empty((size, 2, self.grid.points), np.float32)
        chosen = np.empty(size, np.int64)
        for i in range(size):
            while True:
                row = self.pick(rng) if rows is None else int(rows[i])
                drawn = self.draw(row, rng)
                if drawn is not None:
                    break
            x[i], chosen[i] = drawn, row
        groups = self.table.space_group[chosen].astype(np.int64)
        return Batch(
            x=x,
            space_group=groups - 1,
            system=np.array([system_index(int(g)) for g in groups], np.int64),
            niggli=self.table.niggli[chosen],
        )
