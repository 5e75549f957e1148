"""Patterns of the crystals of a reflection table under fresh conditions, crystals by weight."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from powderlens.core import random
from powderlens.core.errors import InputError
from powderlens.core.random import Purpose
from powderlens.corpus.store.reflection_table import ReflectionTable
from powderlens.corpus.stream.fresh import Crystals, FreshStream
from powderlens.corpus.stream.order import shuffled
from powderlens.corpus.stream.shared_table import MappedTable
from powderlens.corpus.stream.stream import digest, group_labels
from powderlens.corpus.stream.view import View
from powderlens.crystal.structure import cells_from_lattices
from powderlens.diffraction.phase import Phase
from powderlens.diffraction.protocol import Protocol
from powderlens.pattern.grid import Grid

DFT_SOURCES = ("mp", "oqmd")
DFT_STRAIN, DFT_STRAIN_SIGMA = -0.008, 0.010
"""Cells relaxed with PBE are some 0.8 % too long, with a scatter of 1 % (docs/notes/first-light.md)."""
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


@dataclass(frozen=True, kw_only=True)
class Balance:
    """Classes drawn more evenly than they occur.

    Attributes:
        by: what the classes are.
        power: a class that would be drawn with probability p is drawn in proportion to p^(1 - power): 0 changes
            nothing, 1 draws every class equally often.

    Raises:
        InputError: other classes, or a power that is not above 0 and at most 1.
    """

    by: Literal["space_group", "crystal_system"] = "space_group"
    power: float = 1.0

    def __post_init__(self) -> None:
        if self.by not in ("space_group", "crystal_system"):
            raise InputError(f"balance by {self.by!r}: choose space_group or crystal_system")
        if not 0 < self.power <= 1:
            raise InputError(f"balance with power {self.power:g}: give one above 0 and at most 1")

    def applied(self, probabilities: NDArray[np.float64], space_group: NDArray[Any]) -> NDArray[np.float64]:
        """(n,) probabilities of crystals of these groups, balanced; they sum to 1."""
        classes = group_labels(space_group)[self.by].astype(np.int64)
        of_class = np.bincount(classes, weights=probabilities)[classes]
        raised = np.where(probabilities > 0, probabilities / np.maximum(of_class, 1e-300) ** self.power, 0.0)
        return np.asarray(raised / raised.sum())


class CrystalStream(FreshStream):
    """Endless patterns of the given crystals; see `FreshStream` for how they are numbered.

    Second phases are drawn from the same crystals by the same weights. Crystals of the databases in `DFT_SOURCES` are
    drawn with their cell shortened, see `DFT_STRAIN`.

    Args:
        table: reflections of the crystals.
        rows: which of them.
        probabilities: (len(rows),) how often each is drawn.
        protocol: how the conditions are distributed.
        size: patterns a batch.
        seed: of crystals, conditions and noise.
        grid: where to draw; None takes the protocol's.
        per_crystal: patterns of a crystal that follow each other.
        impurities: False leaves out the second phases that the protocol mixes in.
        balance: draw classes more evenly.
        in_turn: every crystal once before any is drawn again, in an order that the seed decides anew each time; the
            probabilities then choose second phases only.
        view: see `FreshStream`.

    Raises:
        InputError: as `FreshStream`; no crystals, probabilities that are none, or a protocol that moves atoms, of which
            the table knows nothing.
    """

    def __init__(
        self,
        table: ReflectionTable,
        rows: NDArray[np.int64],
        probabilities: NDArray[np.float64],
        protocol: Protocol,
        *,
        size: int,
        seed: int,
        grid: Grid | None = None,
        per_crystal: int = 1,
        impurities: bool = True,
        balance: Balance | None = None,
        in_turn: bool = False,
        view: View | None = None,
    ) -> None:
        super().__init__(
            protocol, size=size, seed=seed, grid=grid, per_crystal=per_crystal, impurities=impurities, view=view
        )
        if balance is not None and in_turn:
            raise InputError("crystals in turn cannot be balanced; leave one of the two out")
        if protocol.wants_offsets:
            raise InputError(
                f"protocol {protocol.name}: moves atoms, and a reflection table holds none; take one without offsets"
            )
        if not len(rows) or len(rows) != len(probabilities) or not (np.asarray(probabilities) >= 0).all():
            raise InputError(
                f"{len(rows)} crystals, {len(probabilities)} probabilities: give one for each, none below 0"
            )
        if balance is not None:
            probabilities = balance.applied(probabilities, table.space_group[rows])
        self.table, self.rows = table, np.asarray(rows)
        self.cumulative = np.cumsum(probabilities)
        if not self.cumulative[-1] > 0:
            raise InputError(f"{len(rows)} crystals whose probabilities are all 0: nothing can be drawn")
        self.in_turn = in_turn
        self.relaxed = np.array([origin(one) in DFT_SOURCES for one in table.ids])

    def pick(self, address: NDArray[np.int64], purpose: Purpose = Purpose.CRYSTAL) -> NDArray[np.int64]:
        """(n,) rows of the table of crystals `address`, or with `Purpose.IMPURITY` of the second phases of patterns."""
        if self.in_turn and purpose == Purpose.CRYSTAL:
            turn, place = np.divmod(address, len(self.rows))
            return np.asarray(self.rows[shuffled(self.seed, turn, place, len(self.rows))])
        u = random.uniform(self.seed, address, purpose, 1)[:, 0]
        at = np.searchsorted(self.cumulative, u * self.cumulative[-1], side="right")
        return np.asarray(self.rows[np.minimum(at, len(self.rows) - 1)])

    def _crystals(self, addresses: NDArray[np.int64]) -> Crystals:
        rows = self.pick(addresses)
        return Crystals(
            phases=[self.table.phase(int(row)) for row in rows],
            crystal=rows,
            space_group=self.table.space_group[rows],
            cell=cells_from_lattices(self.table.lattice_A[rows]),
            niggli=self.table.niggli[rows],
        )

    def _seconds(self, phases: list[Phase], records: NDArray[np.void], index: NDArray[np.int64]) -> list[Phase | None]:
        seconds: list[Phase | None] = [None] * len(phases)
        mixed = np.flatnonzero(records["impurity_share"] > 0)
        for at, row in zip(mixed, self.pick(index[mixed], Purpose.IMPURITY) if len(mixed) else (), strict=True):
            seconds[at] = self.table.phase(int(row))
        return seconds

    def _alter(self, records: NDArray[np.void], index: NDArray[np.int64], crystal: NDArray[np.int64]) -> None:
        relaxed = self.relaxed[crystal]
        if relaxed.any():
            z = random.normal(self.seed, index[relaxed], Purpose.CELL, 1)
            records["strain"][np.flatnonzero(relaxed)[:, None], [0, 1, 2]] += DFT_STRAIN + DFT_STRAIN_SIGMA * z

    def identity(self) -> dict[str, Any]:
        """See `Stream.identity`."""
        table = self.table
        crystals = {"ids": "\n".join(table.ids), "families": table.family_offset, "rows": self.rows}
        turns = {"in_turn": True} if self.in_turn else {}
        return self._identity(crystals=digest(crystals), weights=digest({"cumulative": self.cumulative}), **turns)

    def shared(self, folder: Path) -> CrystalStream:
        """See `Stream.shared`."""
        other = copy.copy(self)
        other.table = self.table if isinstance(self.table, MappedTable) else MappedTable.of(self.table, folder)
        return other
