"""Patterns of synthetic crystals that never repeat, drawn from the statistics of a database."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core import random
from powderlens.core.errors import InputError
from powderlens.corpus.store.prepared import MAX_FAMILIES, protocol_phase
from powderlens.corpus.stream.fresh import Crystals, FreshStream
from powderlens.corpus.stream.from_crystals import Balance
from powderlens.corpus.stream.stream import StreamPurpose, digest
from powderlens.corpus.stream.view import View
from powderlens.crystal.reduce import niggli_cell
from powderlens.diffraction.draw import pick_impurities, second_phases
from powderlens.diffraction.phase import Phase
from powderlens.diffraction.protocol import Protocol
from powderlens.generate.distance import Distances, check_distances
from powderlens.generate.draw import CrystalGenerator, Limits
from powderlens.generate.statistics import CrystalStatistics, shipped_statistics
from powderlens.pattern.grid import Grid

LAST_MONOCLINIC = 15
"""Number of the last monoclinic space group; the triclinic ones are before them."""


class SyntheticStream(FreshStream):
    """Endless patterns of synthetic crystals; see `FreshStream` for how they are numbered.

    Crystal c of the stream is crystal c of `generate.draw.CrystalGenerator` under the same seed, whose space group is
    confirmed. With a balance it is crystal c of that generator for its group alone. Second phases are those of the
    protocol.

    Args:
        protocol: how the conditions are distributed.
        size: patterns a batch.
        seed: of crystals, conditions and noise.
        statistics: what crystals are drawn from; None takes the shipped ones.
        grid: where to draw; None takes the protocol's.
        per_crystal: patterns of a crystal that follow each other.
        impurities: False leaves out the second phases that the protocol mixes in.
        balance: draw classes more evenly than the statistics have them.
        distances: of atoms, see `generate.draw.Limits`; "published" draws the crystals of ML4pXRDs.
        oversampled: how much oftener a triclinic or monoclinic group is drawn than the statistics have it.
        view: see `FreshStream`.

    Attributes:
        group_shares: space group -> share of the crystals.

    Raises:
        InputError: as `FreshStream`.
    """

    def __init__(
        self,
        protocol: Protocol,
        *,
        size: int,
        seed: int,
        statistics: CrystalStatistics | None = None,
        grid: Grid | None = None,
        per_crystal: int = 1,
        impurities: bool = True,
        balance: Balance | None = None,
        distances: Distances = "covalent",
        oversampled: float = 1.0,
        view: View | None = None,
    ) -> None:
        super().__init__(
            protocol, size=size, seed=seed, grid=grid, per_crystal=per_crystal, impurities=impurities, view=view
        )
        if not oversampled > 0 or (oversampled != 1 and balance is not None):
            raise InputError(f"oversampled {oversampled:g}: give a number above 0, and no balance with another than 1")
        self.oversampled = oversampled
        self.statistics, self.balance, self.distances = statistics, balance, check_distances(distances)
        self._prepare()

    def _prepare(self) -> None:
        statistics = shipped_statistics() if self.statistics is None else self.statistics
        self._limits = Limits(distances=self.distances)
        self._all = CrystalGenerator(statistics, seed=self.seed, limits=self._limits)
        self._of_group: dict[int, CrystalGenerator] = {}
        self._known = statistics
        groups = np.array(self._all.groups)
        shares = np.array([statistics.counts[group] for group in self._all.groups], float)
        shares[groups <= LAST_MONOCLINIC] *= self.oversampled
        shares /= shares.sum()
        if self.balance is not None:
            shares = self.balance.applied(shares, groups)
        self._by_group = self.balance is not None or self.oversampled != 1
        self._group_ends = np.cumsum(shares)
        self.group_shares = dict(zip(self._all.groups, shares.tolist(), strict=True))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._prepare()

    def _generator(self, address: int) -> CrystalGenerator:
        if not self._by_group:
            return self._all
        u = float(random.uniform(self.seed, address, StreamPurpose.BALANCE, 1)[0])
        at = int(np.searchsorted(self._group_ends, u * self._group_ends[-1], side="right"))
        group = self._all.groups[min(at, len(self._all.groups) - 1)]
        if group not in self._of_group:
            self._of_group[group] = CrystalGenerator(self._known, seed=self.seed, groups=[group], limits=self._limits)
        return self._of_group[group]

    def _crystals(self, addresses: NDArray[np.int64]) -> Crystals:
        n = len(addresses)
        phases: list[Phase | None] = [None] * n
        groups, cell, niggli = np.zeros(n, np.int64), np.zeros((n, 6)), np.zeros((n, 6))
        failure = ""
        for i, address in enumerate(addresses.tolist()):
            if i and address == addresses[i - 1]:
                phases[i], groups[i], cell[i], niggli[i] = phases[i - 1], groups[i - 1], cell[i - 1], niggli[i - 1]
                continue
            try:
                drawn = self._generator(address).crystal(address)
                structure = drawn.structure(source=f"synthetic:{self.seed}:{address}")
                phase = protocol_phase(structure, self.protocol)
                if len(phase.hkl) > MAX_FAMILIES:
                    raise InputError(f"{structure.source}: more than {MAX_FAMILIES} families of reflections")
                niggli[i] = niggli_cell(structure)
            except InputError as error:
                failure = f"crystal {address}: {error}"
                continue
            phases[i], groups[i], cell[i] = phase, drawn.occupation.space_group, drawn.occupation.cell
        return Crystals(phases, addresses, groups, cell, niggli, failure)

    def _seconds(self, phases: list[Phase], records: NDArray[np.void], index: NDArray[np.int64]) -> list[Phase | None]:
        if not (records["impurity_share"] > 0).any():
            return [None] * len(phases)
        return pick_impurities(phases[0], second_phases(self.protocol), records, self.seed, index)

    def identity(self) -> dict[str, Any]:
        """See `Stream.identity`."""
        s = self._known
        seen = digest({"counts": dict(s.counts), "groups": sorted(s.groups), "left out": s.leave_out_types})
        balance = None if self.balance is None else [self.balance.by, self.balance.power]
        often = {} if self.oversampled == 1 else {"oversampled": self.oversampled}
        return self._identity(statistics=seen, balance=balance, distances=self.distances, **often)
