"""The library on disk: lines of known phases as one compressed, unpickled NumPy file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from powderlens.core.constants import ANODES
from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write, read_arrays

WAVELENGTH_A = ANODES["Cu"].mean_A
RANGE_DEG = (3.0, 92.0)
ANGLE_STEP_DEG = 0.002
WEAKEST = 0.004
MAX_LINES = 90
UNKNOWN_U_A2 = 0.010
"""Displacement given to atoms whose structure states none: without one, lines at high angle come out too strong."""


class LibraryPhase(NamedTuple):
    """What the table keeps of one phase."""

    name: str
    formula: str
    source: str
    space_group: int
    niggli: tuple[float, ...]
    angle_deg: NDArray[np.float64]
    amplitude: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LibraryTable:
    """n phases and their lines.

    Attributes:
        name, formula, source: (n,) strings.
        space_group: (n,) International Tables numbers.
        niggli: (n, 6) A and degrees.
        offset: (n + 1,) first line of each phase.
        angle: (lines,) uint16, 2theta at `WAVELENGTH_A` in units of `ANGLE_STEP_DEG`.
        amplitude: (lines,) uint8, 255 * sqrt(intensity / strongest), copper K-alpha.
    """

    name: NDArray[np.str_]
    formula: NDArray[np.str_]
    source: NDArray[np.str_]
    space_group: NDArray[np.int16]
    niggli: NDArray[np.float32]
    offset: NDArray[np.int32]
    angle: NDArray[np.uint16]
    amplitude: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.name)

    def group_share(self) -> NDArray[np.float64]:
        """(230,) share of each space group among the differently named phases; one added to every count."""
        distinct = {(str(name), int(group)) for name, group in zip(self.name, self.space_group, strict=True)}
        count = 1.0 + np.bincount([group - 1 for _, group in distinct], minlength=230)
        return np.asarray(count / count.sum())

    def lines(self, i: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Spacings in A and intensities (strongest 1) of phase i, longest spacing first."""
        part = slice(self.offset[i], self.offset[i + 1])
        d = WAVELENGTH_A / (2 * np.sin(np.radians(self.angle[part] * ANGLE_STEP_DEG / 2)))
        order = np.argsort(-d)
        return d[order], (self.amplitude[part][order] / 255.0) ** 2

    def save(self, path: Path) -> None:
        """Write the table; aside first, then renamed."""
        with atomic_write(path) as aside, open(aside, "wb") as handle:
            np.savez_compressed(handle, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: Path | None = None) -> LibraryTable:
        """Read a table; None means the minerals that ship with powderlens.

        Raises:
            InputError: a missing or damaged file, or not a library.
        """
        where = path or Path(str(files("powderlens.library") / "data" / "minerals.npz"))
        stored = read_arrays(where)
        missing = [f.name for f in fields(cls) if f.name not in stored]
        if missing:
            raise InputError(f"{where}: not a library of powderlens (without {', '.join(missing)})")
        table = cls(**{f.name: stored[f.name] for f in fields(cls)})
        n, lines = len(table), int(table.offset[-1]) if len(table.offset) else -1
        lengths = {len(c) for c in (table.formula, table.source, table.space_group, table.niggli, table.offset[1:])}
        if lengths != {n} or {len(table.angle), len(table.amplitude)} != {lines}:
            raise InputError(f"{where}: not a library of powderlens (its columns differ in length)")
        return table


def join_entries(entries: Iterable[LibraryPhase]) -> LibraryTable:
    """The table of many entries."""
    rows = list(entries)
    if not rows:
        raise InputError("a library needs at least one phase")
    return LibraryTable(
        name=np.array([e.name for e in rows]),
        formula=np.array([e.formula[:80] for e in rows]),
        source=np.array([e.source for e in rows]),
        space_group=np.array([e.space_group for e in rows], np.int16),
        niggli=np.array([e.niggli for e in rows], np.float32),
        offset=np.cumsum([0, *(len(e.angle_deg) for e in rows)]).astype(np.int32),
        angle=np.concatenate([np.round(e.angle_deg / ANGLE_STEP_DEG) for e in rows]).astype(np.uint16),
        amplitude=np.concatenate([np.round(255 * e.amplitude) for e in rows]).astype(np.uint8),
    )
