"""Patterns for training, drawn when asked for: crystals by weight, conditions fresh, no two alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from powderlens.core import random
from powderlens.core.errors import InputError
from powderlens.core.random import Purpose
from powderlens.corpus.reflection_table import ReflectionTable
from powderlens.diffraction.phase import Phase
from powderlens.diffraction.protocol import Protocol
from powderlens.diffraction.render import render
from powderlens.pattern.grid import Grid
from powderlens.pattern.prepare import network_input
from powderlens.symmetry.groups import system_index

DFT_SOURCES = ("mp", "oqmd")
DFT_STRAIN, DFT_STRAIN_SIGMA = -0.008, 0.010
"""Cells relaxed with PBE are some 0.8 % too long, with a scatter of 1 % (docs/notes/first-light.md)."""
MAX_ATTEMPTS, ATTEMPT = 64, 2**44
"""How often an empty pattern is drawn anew, and how far apart these lie in the numbering."""
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
    """Endless patterns of the given crystals: pattern `index` of a seed is always the same.

    Args:
        table: reflections of the crystals.
        rows: which of them.
        probabilities: (len(rows),) how often each is drawn.
        grid: where to draw.
        protocol: how the conditions are distributed.
        seed: of crystals, conditions and noise.

    Raises:
        InputError: the protocol moves atoms, of which the table knows nothing.
    """

    def __init__(
        self,
        table: ReflectionTable,
        rows: NDArray[np.int64],
        probabilities: NDArray[np.float64],
        grid: Grid,
        protocol: Protocol,
        seed: int,
    ) -> None:
        if protocol.wants_offsets:
            raise InputError(
                f"protocol {protocol.name}: moves atoms, and a reflection table holds none; take one without offsets"
            )
        self.table, self.rows, self.grid, self.protocol, self.seed = table, rows, grid, protocol, seed
        self.cumulative = np.cumsum(probabilities)
        self.relaxed = np.array([origin(i) in DFT_SOURCES for i in table.ids])

    def pick(self, index: NDArray[np.int64], purpose: Purpose = Purpose.CRYSTAL) -> NDArray[np.int64]:
        """(n,) row numbers of the crystals of patterns `index`, or with `Purpose.IMPURITY` of their second phases."""
        u = random.uniform(self.seed, index, purpose, 1)[:, 0]
        at = np.searchsorted(self.cumulative, u * self.cumulative[-1], side="right")
        return np.asarray(self.rows[np.minimum(at, len(self.rows) - 1)])

    def draw(self, index: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n, points) patterns of the given crystals, intensities with noise; zero where not measured."""
        return self._draw(index, rows)[0]

    def batch(self, first: int, size: int, rows: NDArray[np.int64] | None = None) -> Batch:
        """Patterns `first` to `first + size`: crystals drawn by weight, or the rows given.

        Where no line falls in the measured range, another crystal or other conditions take the place.
        """
        x = np.empty((size, 2, self.grid.points), np.float32)
        chosen = np.empty(size, np.int64)
        index = first + np.arange(size, dtype=np.int64)
        empty = np.arange(size)
        for attempt in range(MAX_ATTEMPTS):
            again = index[empty] + attempt * ATTEMPT
            chosen[empty] = self.pick(again) if rows is None else rows[empty]
            patterns, measured = self._draw(again, chosen[empty])
            for at, pattern, mask in zip(empty, patterns, measured, strict=True):
                x[at] = network_input(pattern, mask) if pattern.any() else 0.0
            empty = empty[x[empty, 0].max(axis=1) <= 0]
            if not len(empty):
                break
        else:
            raise InputError(f"{self.table.ids[chosen[empty[0]]]}: no line falls on the grid; widen it")
        groups = self.table.space_group[chosen].astype(np.int64)
        return Batch(
            x=x,
            space_group=groups - 1,
            system=np.array([system_index(int(g)) for g in groups], np.int64),
            niggli=self.table.niggli[chosen],
        )

    def _draw(self, index: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        records = self.protocol.draw(self.seed, index)
        relaxed = self.relaxed[rows]
        if relaxed.any():
            z = random.normal(self.seed, index[relaxed], Purpose.CELL, 1)
            records["strain"][np.flatnonzero(relaxed)[:, None], [0, 1, 2]] += DFT_STRAIN + DFT_STRAIN_SIGMA * z
        impurities: list[Phase | None] = [None] * len(rows)
        mixed = np.flatnonzero(records["impurity_share"] > 0)
        for at, row in zip(mixed, self.pick(index[mixed], Purpose.IMPURITY) if len(mixed) else (), strict=True):
            impurities[at] = self.table.phase(int(row))
        phases = [self.table.phase(int(row)) for row in rows]
        patterns = render(phases, records, self.grid, seed=self.seed, index=index, impurities=impurities)
        x = self.grid.two_theta_deg
        measured = (x >= records["first_deg"][:, None] - 1e-6) & (x <= records["last_deg"][:, None] + 1e-6)
        return patterns, measured
