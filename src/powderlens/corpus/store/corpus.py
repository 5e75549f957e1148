"""`Corpus`: patterns on disk with their labels, drawn when they are asked for or stored as they were imported.

`Corpus.open` opens either kind. What both can do stands here; `store.drawn` and `store.stored` say how each does it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from powderlens.core.errors import InputError
from powderlens.corpus.store.manifest import Manifest, read_manifest
from powderlens.pattern.spacing import AnyGrid

DRAWN, STORED, MEASURED = "drawn", "stored", "measured"
"""Kinds: patterns drawn from crystals, simulated elsewhere, and measured."""


@dataclass(frozen=True, eq=False)
class Labels:
    """What n patterns are of.

    Attributes:
        space_group: (n,) int16, International Tables number.
        crystal_system: (n,) int8, 0 triclinic to 6 cubic, index into `symmetry.groups.SYSTEMS`.
        niggli: (n, 6) Niggli cell, A and degrees, of the crystal at rest.
        cell: (n, 6) conventional cell.
        extinction_class: (n,) int16, id of the class.
    """

    space_group: NDArray[np.int16]
    crystal_system: NDArray[np.int8]
    niggli: NDArray[np.float64]
    cell: NDArray[np.float64]
    extinction_class: NDArray[np.int16]


class Corpus(ABC):
    """A corpus of patterns; open one with `Corpus.open`.

    Attributes:
        path: its folder.
        manifest: what `manifest.json` says.
        given_grid: the points of its patterns; None for stored ones that were opened without.
        per_crystal: patterns of each crystal.
        made_by: the protocol that its patterns are drawn by, "measured", or the format that they were imported from.
        parts: names of the parts of its split.
        axis_name: what patterns are exported against, "two_theta_deg" or "d_A".
        axis: (points,) axis of all patterns as they are exported; None where each has its own.
    """

    made_by: str
    parts: tuple[str, ...]
    axis_name: str
    axis: NDArray[np.float64] | None

    REFUSED: ClassVar[str] = "its patterns are {kind}, not drawn; they cannot be drawn anew"
    """What is said of a corpus that is not of this class."""

    def __init__(self, path: Path, manifest: Manifest, grid: AnyGrid | None = None) -> None:
        self.path, self.manifest, self.given_grid = path, manifest, grid
        self.per_crystal: int = manifest.get("per_crystal", 1)

    @classmethod
    def open(cls, path: str | Path, grid: AnyGrid | None = None) -> Self:
        """Open a corpus; its tables are read when they are needed.

        Args:
            path: its folder.
            grid: on which stored patterns are put; those that are drawn have one of their own.

        Returns:
            A `DrawnCorpus` or a `StoredCorpus`; called on one of these, that one.

        Raises:
            WavelengthError: a grid is given, and not one stored pattern says at which wavelength its angles are meant.
            InputError: no corpus, a newer version, a missing or changed file, or patterns of another kind than asked.
        """
        from powderlens.corpus.store.drawn import DrawnCorpus
        from powderlens.corpus.store.stored import StoredCorpus

        path = Path(path)
        manifest = read_manifest(path)
        kinds: dict[str | None, type[Corpus]] = {DRAWN: DrawnCorpus, STORED: StoredCorpus, MEASURED: StoredCorpus}
        found = kinds.get(kind := manifest.get("kind"))
        if found is None or not issubclass(found, cls):
            raise InputError(f"{path}: {cls.REFUSED.format(kind=kind)}")
        return found(path, manifest, grid)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).open, (self.path, self.given_grid)

    @property
    def kind(self) -> str:
        """One of `DRAWN`, `STORED` and `MEASURED`."""
        return str(self.manifest["kind"])

    @property
    def grid(self) -> AnyGrid:
        """The points of its patterns.

        Raises:
            InputError: stored patterns, and no grid was given.
        """
        if self.given_grid is None:
            raise InputError(f"{self.path}: stored patterns have axes of their own; open the corpus with a grid")
        return self.given_grid

    @abstractmethod
    def __len__(self) -> int:
        """How many patterns."""

    @abstractmethod
    def numbers(self, part: str) -> NDArray[np.int64]:
        """(n,) numbers of the patterns of a part, rising.

        Raises:
            InputError: no such part.
        """

    @abstractmethod
    def crystal_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) numbers of the crystals of patterns."""

    @abstractmethod
    def ids(self, numbers: NDArray[np.int64]) -> list[str]:
        """Ids of the crystals of patterns."""

    @abstractmethod
    def labels(self, numbers: NDArray[np.int64]) -> Labels:
        """What patterns are of; where nothing is known group and class are 0, the system -1 and cells NaN."""

    @abstractmethod
    def conditions(self, numbers: NDArray[np.int64]) -> NDArray[np.void]:
        """(n,) records of `diffraction.conditions.RECORD`: what patterns are drawn under, or where they were measured.

        Raises:
            WavelengthError: a stored pattern against 2theta that states no wavelength.
            InputError: stored patterns, and no grid was given.
        """

    @abstractmethod
    def draw(
        self, numbers: NDArray[np.int64], dtype: DTypeLike = np.float32, records: NDArray[np.void] | None = None
    ) -> NDArray[Any]:
        """Patterns by number, whatever the order and the company.

        Args:
            numbers: (n,).
            dtype: float16, float32 or float64; made in float64, then rounded.
            records: what `conditions` gave for these numbers, to save drawing them again; stored patterns need none.

        Returns:
            (n, points) on `grid`; zero where nothing is measured.

        Raises:
            InputError: a number that the corpus does not have, or a pattern that cannot be drawn.
        """
