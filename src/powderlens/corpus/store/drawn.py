"""`DrawnCorpus`: crystals, reflections and condition seeds on disk, and the patterns that are drawn from them.

Pattern number n is condition n % per_crystal of crystal n // per_crystal. Its conditions, noise and everything else
random have the address (seed, index), where index is n; so the pattern is the same in any batch and in any order, in
any process. Where no line of the crystal falls into the measured range, the index is n + 2^44, n + 2 * 2^44 and so on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import DTypeLike, NDArray

from powderlens.core.errors import InputError
from powderlens.corpus.store.corpus import Corpus, Labels
from powderlens.corpus.store.manifest import Manifest
from powderlens.corpus.store.prepared import point_rotations, protocol_phase, stored_phase
from powderlens.corpus.store.reflection_map import ReflectionMap, map_reflections
from powderlens.crystals.table import CrystalTable
from powderlens.diffraction.draw import pick_impurities, second_phases
from powderlens.diffraction.phase import Phase
from powderlens.diffraction.protocol import Protocol, parse_protocol
from powderlens.diffraction.render import render
from powderlens.pattern.grid import Grid
from powderlens.pattern.spacing import AnyGrid
from powderlens.symmetry.groups import SYSTEM_OF

_SYSTEM_OF = np.array(SYSTEM_OF, np.int8)
MAX_ATTEMPTS, ATTEMPT = 64, 2**44
"""How often a pattern without a line is drawn anew, and how far apart these lie in the numbering."""
PHASES_KEPT = 64
"""Crystals kept ready; one with atoms takes up to some megabytes."""
TOGETHER = 64
"""Patterns that are in memory in double precision at a time."""


class DrawnCorpus(Corpus):
    """A corpus of patterns that are drawn when they are asked for.

    Attributes:
        protocol: how conditions are distributed.
        seed: as it was built.
    """

    def __init__(self, path: Path, manifest: Manifest, grid: AnyGrid | None = None) -> None:
        self.protocol: Protocol = parse_protocol(manifest["protocol"]["text"], manifest["protocol"]["name"])
        super().__init__(path, manifest, self.protocol.grid)
        self.seed: int = manifest["seed"]
        self.made_by, self.parts = self.protocol.name, tuple(manifest["split"]["parts"])
        against_d = self.protocol.axis == "d"
        self.axis_name, self.axis = ("d_A", self.d_A) if against_d else ("two_theta_deg", self.grid.two_theta_deg)
        self._phases: OrderedDict[int, Phase] = OrderedDict()

    def __repr__(self) -> str:
        return f"Corpus({self.path.name!r}: {len(self.crystals):,} crystals x {self.per_crystal})"

    def __len__(self) -> int:
        return int(self.manifest["patterns"])

    @property
    def grid(self) -> Grid:
        """The points of its patterns, those of the protocol."""
        return self.protocol.grid

    @property
    def d_A(self) -> NDArray[np.float64]:
        """(points,) lattice spacings of the grid."""
        return np.asarray(self.grid.wavelength_A / (2 * np.sin(np.radians(self.grid.two_theta_deg / 2))))

    @cached_property
    def crystals(self) -> CrystalTable:
        """The crystals; row i is crystal i."""
        return CrystalTable.load(self.path / "crystals.parquet")

    def numbers(self, part: str) -> NDArray[np.int64]:
        """See `Corpus.numbers`."""
        if part not in self.parts:
            raise InputError(f"{self.path}: no part {part!r}; it has {', '.join(self.parts)}")
        column = self._conditions("part", dictionary=True)
        found = []
        first = 0
        for chunk in column.chunks:
            names = chunk.dictionary.to_pylist()
            if part in names:
                codes = chunk.indices.fill_null(-1).to_numpy()
                found.append(first + np.flatnonzero(codes == names.index(part)))
            first += len(chunk)
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def crystal_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) rows of the crystals of patterns."""
        return np.asarray(self._checked(numbers) // self.per_crystal)

    def ids(self, numbers: NDArray[np.int64]) -> list[str]:
        """See `Corpus.ids`."""
        return [self.crystals.column("id")[row] for row in self.crystal_of(numbers).tolist()]

    def index_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) under which index of the seed patterns are drawn: their number, but where that shows no line."""
        index = self._checked(numbers).copy()
        moved, where = self._moved
        if len(moved):
            at = np.minimum(np.searchsorted(moved, index), len(moved) - 1)
            hit = moved[at] == index
            index[hit] = where[at[hit]]
        return index

    def phase(self, i: int) -> Phase:
        """Crystal i, ready to be drawn; the last few are kept.

        Raises:
            IndexError: no such crystal.
            InputError: its row is damaged.
        """
        if not 0 <= i < len(self.crystals):
            raise IndexError(f"crystal {i}: the corpus has {len(self.crystals)}")
        if i in self._phases:
            self._phases.move_to_end(i)
            return self._phases[i]
        phase = protocol_phase(self.crystals.structure(i), self.protocol) if self._moves else self.at_rest(i)
        self._phases[i] = phase
        if len(self._phases) > PHASES_KEPT:
            self._phases.popitem(last=False)
        return phase

    def at_rest(self, i: int) -> Phase:
        """Crystal i with the reflections that are stored: undisturbed, and without atoms.

        Raises:
            IndexError: no such crystal.
        """
        if not 0 <= i < len(self.crystals):
            raise IndexError(f"crystal {i}: the corpus has {len(self.crystals)}")
        r = self._reflections
        held = slice(int(r.start[i]), int(r.start[i + 1]))
        return stored_phase(
            r.lattice_A[i],
            point_rotations(int(r.space_group[i])),
            r.hkl[held],
            r.strength[held],
            r.mean_mass_u[i],
            r.space_group[i],
            self.crystals.column("name")[i],
            self.crystals.column("id")[i],
        )

    def conditions(self, numbers: NDArray[np.int64]) -> NDArray[np.void]:
        """(n,) records of `diffraction.conditions.RECORD`, what patterns are drawn under."""
        return self.protocol.draw(self.seed, self.index_of(numbers))

    def draw(
        self, numbers: NDArray[np.int64], dtype: DTypeLike = np.float32, records: NDArray[np.void] | None = None
    ) -> NDArray[Any]:
        """See `Corpus.draw`; the strongest point of each pattern is at the protocol's scale.

        Raises:
            InputError: a number that the corpus does not have, or a crystal that shows no line however often it is
                drawn.
        """
        index = self.index_of(numbers)
        records = self.protocol.draw(self.seed, index) if records is None else records
        crystals = self.crystal_of(numbers)
        out = np.empty((len(index), self.grid.points), dtype)
        for first in range(0, len(index), TOGETHER):
            some = slice(first, first + TOGETHER)
            phases = [self.phase(i) for i in crystals[some].tolist()]
            drawn = draw_phases(phases, records[some], self.protocol, self.seed, index[some])
            for at in np.flatnonzero(~drawn.any(axis=1)):
                # The build has looked for these by the places of lines; counting statistics can still lose the last.
                _, drawn[at] = draw_until_seen(phases[at], self.protocol, self.seed, int(index[first + at]))
            out[some] = drawn
        return out

    def labels(self, numbers: NDArray[np.int64]) -> Labels:
        """What patterns are of."""
        rows = self.crystal_of(numbers)
        groups = self.crystals.space_group[rows]
        return Labels(
            space_group=groups,
            crystal_system=_SYSTEM_OF[groups],
            niggli=self.crystals.column("niggli")[rows],
            cell=self.crystals.column("cell")[rows],
            extinction_class=self.crystals.column("extinction_class")[rows],
        )

    @property
    def _moves(self) -> bool:
        return self.protocol.wants_offsets

    @cached_property
    def _reflections(self) -> ReflectionMap:
        name = "reflections.parquet"
        return map_reflections(self.path / name, self.manifest["files"][name]["sha256"])

    @cached_property
    def _moved(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Numbers of the patterns that are not drawn under their number, rising, and the indices of these."""
        if self.manifest["redrawn"] == 0:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        index = self._conditions("index").to_numpy()
        moved = np.flatnonzero(index != np.arange(len(index)))
        return moved, index[moved]

    def _conditions(self, column: str, *, dictionary: bool = False) -> pa.ChunkedArray:
        path = self.path / "conditions.parquet"
        try:
            table = pq.read_table(
                path, columns=[column], memory_map=True, read_dictionary=[column] if dictionary else None
            )
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{path}: cannot be read ({str(error).splitlines()[0]}); see what `powderlens corpus verify` says"
            ) from None
        return table[column]

    def _checked(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        numbers = np.asarray(numbers, np.int64)
        wrong = numbers[(numbers < 0) | (numbers >= len(self))]
        if len(wrong):
            raise InputError(f"pattern {wrong[0]}: the corpus has {len(self):,}, numbered from 0")
        return numbers


def draw_phases(
    phases: Sequence[Phase], records: NDArray[np.void], protocol: Protocol, seed: int, index: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Patterns of prepared crystals, second phases as the protocol has them: as `diffraction.draw.draw_patterns`.

    Args:
        phases: b crystals.
        records: (b,) conditions.
        protocol: the grid and the scale.
        seed: of the random numbers.
        index: (b,) numbers of the patterns under the seed.

    Returns:
        (b, points), the strongest point of each at the protocol's scale; all zeros where no line is in range.
    """
    pool = second_phases(protocol)
    seconds: list[Phase | None] | None = None
    if pool:
        seconds = []
        for at, phase in enumerate(phases):
            seconds += pick_impurities(phase, pool, records[at : at + 1], seed, index[at : at + 1])
    intensity = render(phases, records, protocol.grid, seed=seed, index=index, impurities=seconds)
    top = intensity.max(axis=1, keepdims=True)
    return np.asarray(intensity * (protocol.scale / np.where(top > 0, top, 1.0)))


def draw_until_seen(phase: Phase, protocol: Protocol, seed: int, index: int) -> tuple[int, NDArray[np.float64]]:
    """One pattern, drawn anew under index + `ATTEMPT` and so on while it shows no line.

    Returns:
        The index that showed one, and the (points,) pattern.

    Raises:
        InputError: none of `MAX_ATTEMPTS` shows a line.
    """
    for attempt in range(MAX_ATTEMPTS):
        at = np.array([index + attempt * ATTEMPT], np.int64)
        pattern = draw_phases([phase], protocol.draw(seed, at), protocol, seed, at)[0]
        if pattern.any():
            return int(at[0]), pattern
    raise InputError(
        f"{phase.source}: no line in the measured range under {MAX_ATTEMPTS} conditions of protocol {protocol.name}; "
        "leave this crystal out of the table, or widen the range"
    )
