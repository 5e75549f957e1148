"""What streams of fresh conditions have in common: a crystal by its number, conditions by the pattern's number."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.corpus.store.drawn import ATTEMPT, MAX_ATTEMPTS
from powderlens.corpus.stream.strained import strained_cells
from powderlens.corpus.stream.stream import Batch, Stream, group_labels, measured_points
from powderlens.corpus.stream.view import View
from powderlens.diffraction.phase import Phase
from powderlens.diffraction.protocol import Protocol
from powderlens.diffraction.render import render
from powderlens.pattern.grid import Grid


@dataclass(frozen=True, eq=False)
class Crystals:
    """n crystals that were asked for by their numbers.

    Attributes:
        phases: ready to be drawn; None where that failed.
        crystal: (n,) int64, see `Batch.crystal`.
        space_group: (n,).
        cell, niggli: (n, 6), A and degrees.
        failure: why one of them failed, empty where none did.
    """

    phases: list[Phase | None]
    crystal: NDArray[np.int64]
    space_group: NDArray[Any]
    cell: NDArray[Any]
    niggli: NDArray[Any]
    failure: str = ""


class FreshStream(Stream):
    """Patterns of crystals under conditions that never repeat.

    Pattern n is of crystal n // per_crystal, under the conditions n of the protocol. Where a crystal cannot be prepared
    or shows no line in the measured range, both are replaced by those 2^44 further on, at most 63 times, and `replaced`
    in the batch counts how often.

    Args:
        protocol: how the conditions are distributed.
        size: patterns a batch.
        seed: of crystals, conditions and noise.
        grid: where to draw; None takes the protocol's.
        per_crystal: patterns of a crystal that follow each other.
        impurities: False leaves out the second phases that the protocol mixes in.
        view: measures patterns on many instruments and puts them on its own grid; `grid` is then left out.

    Raises:
        InputError: as `Stream`; impurities are left out of a protocol that has none.
    """

    def __init__(
        self,
        protocol: Protocol,
        *,
        size: int,
        seed: int,
        grid: Grid | None = None,
        per_crystal: int = 1,
        impurities: bool = True,
        view: View | None = None,
    ) -> None:
        if view is not None and grid is not None:
            raise InputError("a stream of a view has its grid; leave the other out")
        seen = protocol.grid if grid is None else grid
        super().__init__(size=size, grid=seen if view is None else view.grid, seed=seed, per_crystal=per_crystal)
        if not impurities and not protocol.wants_impurity:
            raise InputError(f"protocol {protocol.name}: mixes in no impurities that could be left out")
        self.protocol, self.impurities, self.view = protocol, impurities, view

    def draw(self, numbers: NDArray[np.int64]) -> Batch:
        """See `Stream.draw`."""
        numbers = np.asarray(numbers, np.int64)
        out = Batch.zeros(len(numbers), self.shape)
        out.numbers[:] = numbers
        left, failure = np.arange(len(numbers)), ""
        for attempt in range(MAX_ATTEMPTS):
            failure = self._attempt(out, left, attempt) or failure
            left = left[out.space_group[left] == 0]
            if not len(left):
                return out
        raise InputError(
            f"pattern {numbers[left[0]]}: no crystal of {MAX_ATTEMPTS} gives a pattern ({failure}); widen the grid or "
            "choose other crystals"
        )

    def _attempt(self, out: Batch, left: NDArray[np.intp], attempt: int) -> str:
        """Draw some rows of a batch; those that fail keep space group 0. Why one of them failed, or an empty text."""
        index = out.numbers[left] + attempt * ATTEMPT
        found = self._crystals(out.numbers[left] // self.per_crystal + attempt * ATTEMPT)
        some = np.array([i for i, phase in enumerate(found.phases) if phase is not None], np.intp)
        if not len(some):
            return found.failure
        phases = [phase for phase in found.phases if phase is not None]
        rows, index = left[some], index[some]
        records = self.protocol.draw(self.seed, index)
        if not self.impurities:
            records["impurity_share"] = 0.0
        self._alter(records, index, found.crystal[some])
        if self.view is not None:
            self.view.loosen(records, self.seed, index)
        seconds = self._seconds(phases, records, index)
        patterns, measured, wavelength_A = self._measure(phases, records, index, seconds)
        shown = patterns.max(axis=1) > 0
        cell, niggli = self._labels(found, some[shown], records[shown])
        rows, some = rows[shown], some[shown]
        out.patterns[rows], out.measured[rows], out.wavelength_A[rows] = (
            patterns[shown],
            measured[shown],
            wavelength_A[shown],
        )
        out.crystal[rows], out.replaced[rows] = found.crystal[some], attempt
        out.cell[rows], out.niggli[rows] = cell, niggli
        for name, values in group_labels(np.asarray(found.space_group)[some]).items():
            getattr(out, name)[rows] = values
        if shown.all():
            return found.failure
        hidden = phases[int(np.flatnonzero(~shown)[0])]
        return f"{hidden.source or hidden.name}: no line falls on the grid"

    def _measure(
        self, phases: list[Phase], records: NDArray[np.void], index: NDArray[np.int64], seconds: list[Phase | None]
    ) -> tuple[NDArray[Any], NDArray[np.int32], NDArray[Any]]:
        """(n, points) patterns at the scale of the protocol, what of them is measured, and their wavelengths, A."""
        if self.view is not None:
            return self.view.measure(phases, records, self.seed, index, seconds)
        assert isinstance(self.grid, Grid)
        patterns = render(phases, records, self.grid, seed=self.seed, index=index, impurities=seconds)
        top = patterns.max(axis=1)
        shown = top > 0
        patterns[shown] *= (self.protocol.scale / top[shown])[:, None]
        return patterns, measured_points(records, self.grid), np.full(len(phases), self.grid.wavelength_A)

    def _labels(
        self, found: Crystals, some: NDArray[np.intp], records: NDArray[np.void]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """(n, 6) conventional and Niggli cells of some crystals: at rest, or with a view as their patterns show."""
        cell, niggli = found.cell[some], found.niggli[some]
        if self.view is None:
            return cell, niggli
        phases = [found.phases[at] for at in some.tolist()]
        return strained_cells(phases, cell, niggli, records["strain"])

    @abstractmethod
    def _crystals(self, addresses: NDArray[np.int64]) -> Crystals:
        """The crystals of these numbers."""

    @abstractmethod
    def _seconds(self, phases: list[Phase], records: NDArray[np.void], index: NDArray[np.int64]) -> list[Phase | None]:
        """The impurity of each pattern whose record has a share of one."""

    def _alter(self, records: NDArray[np.void], index: NDArray[np.int64], crystal: NDArray[np.int64]) -> None:
        """Change conditions in place, as some crystals need it."""

    def _identity(self, **more: Any) -> dict[str, Any]:
        protocol = {"name": self.protocol.name, "sha256": hashlib.sha256(self.protocol.text.encode()).hexdigest()}
        view = {} if self.view is None else {"view": self.view.identity()}
        return super()._identity(protocol=protocol, impurities=self.impurities, **view, **more)
