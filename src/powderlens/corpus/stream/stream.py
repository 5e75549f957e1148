"""`Stream`: patterns for training without end, each a pure function of its number, and `Batch`, what a stream gives.

The kinds are in modules of their own: `stream_crystals` (crystals under fresh conditions), `stream_corpus` (a corpus in
shuffled epochs), `stream_synthetic` (synthetic crystals) and `stream_mixture` (several streams by weight).
`stream_workers` draws any of them in several processes.
"""

from __future__ import annotations

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError, PowderlensError
from powderlens.core.random import check_seed
from powderlens.pattern.grid import Grid
from powderlens.pattern.prepare import above_floor
from powderlens.pattern.spacing import AnyGrid
from powderlens.symmetry.extinction import extinction_class
from powderlens.symmetry.groups import SYSTEM_OF


class StreamPurpose(IntEnum):
    """What streams draw random numbers for; above all of `core.random.Purpose`."""

    SHUFFLE = 64
    MIXTURE = 65
    BALANCE = 66
    INSTRUMENT = 67
    LOOSENED = 68
    LOOSENED_STRAIN = 69


FIELDS: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
    "numbers": (np.int64, ()),
    "measured": (np.int32, (2,)),
    "wavelength_A": (np.float32, ()),
    "crystal": (np.int64, ()),
    "space_group": (np.int16, ()),
    "crystal_system": (np.int8, ()),
    "extinction_class": (np.int16, ()),
    "cell": (np.float32, (6,)),
    "niggli": (np.float32, (6,)),
    "replaced": (np.int64, ()),
}
"""Type and shape, after the first axis, of everything in a batch but the patterns."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Batch:
    """b patterns with their labels.

    Attributes:
        patterns: (b, *shape) float32, of most streams (b, points) with the strongest point at the protocol's scale.
        numbers: (b,) int64, of the patterns in their stream.
        measured: (b, 2) int32, first point measured and the one after the last; the others are zero.
        wavelength_A: (b,) float32, at which each pattern was measured.
        crystal: (b,) int64, of the crystal: its row in a table, or its number under the seed of the generator.
        space_group: (b,) int16, International Tables number, 1 to 230.
        crystal_system: (b,) int8, index into `symmetry.groups.SYSTEMS`.
        extinction_class: (b,) int16, the id.
        cell: (b, 6) float32, conventional cell as drawn from, A and degrees.
        niggli: (b, 6) float32, the Niggli cell.
        replaced: (b,) int64, how often a crystal or its conditions were replaced because no pattern came of them.
    """

    patterns: NDArray[np.float32]
    numbers: NDArray[np.int64]
    measured: NDArray[np.int32]
    wavelength_A: NDArray[np.float32]
    crystal: NDArray[np.int64]
    space_group: NDArray[np.int16]
    crystal_system: NDArray[np.int8]
    extinction_class: NDArray[np.int16]
    cell: NDArray[np.float32]
    niggli: NDArray[np.float32]
    replaced: NDArray[np.int64]

    @classmethod
    def zeros(cls, count: int, shape: tuple[int, ...]) -> Batch:
        """A batch of zeros, to be filled with `put`."""
        labels: dict[str, Any] = {name: np.zeros((count, *tail), kind) for name, (kind, tail) in FIELDS.items()}
        return cls(patterns=np.zeros((count, *shape), np.float32), **labels)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Every array by its name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def of(self, rows: NDArray[np.intp]) -> Batch:
        """A batch of some rows of this one."""
        return Batch(**{name: array[rows] for name, array in self.arrays().items()})

    def copy(self) -> Batch:
        """The same in memory of its own."""
        return Batch(**{name: array.copy() for name, array in self.arrays().items()})

    def put(self, rows: slice | NDArray[np.intp], other: Batch) -> None:
        """Copy a batch into some rows of this one."""
        for name, array in other.arrays().items():
            getattr(self, name)[rows] = array

    def __len__(self) -> int:
        return len(self.numbers)


class DrawnAhead(Iterator[Batch], ABC):
    """Batches of a stream that others draw, as they are handed out; a context manager that ends those others."""

    @abstractmethod
    def close(self) -> None:
        """End what draws, and give its memory back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def in_words(error: Exception) -> str:
    """What a drawer tells of an error."""
    return str(error) if isinstance(error, PowderlensError) else f"{type(error).__name__}: {error}"


class Stream(ABC):
    """Batches without end; batch i is the same whoever draws it, and whatever was drawn before.

    Args:
        size: patterns a batch.
        grid: the points of a pattern.
        seed: of everything random.
        per_crystal: how many patterns of a crystal follow each other (ML4pXRDs: two).

    Attributes:
        size, grid, seed, per_crystal: as above.
        shape: of one pattern, (points,) unless a kind says otherwise.

    Raises:
        InputError: sizes below 1, a batch that would split the patterns of a crystal, or a seed out of range.
    """

    def __init__(self, *, size: int, grid: AnyGrid, seed: int, per_crystal: int = 1) -> None:
        if size < 1 or per_crystal < 1 or size % per_crystal:
            raise InputError(
                f"batches of {size} with {per_crystal} patterns a crystal: both must be at least 1, and the first a "
                "multiple of the second"
            )
        self.size, self.grid, self.seed, self.per_crystal = size, grid, check_seed(seed), per_crystal
        self.shape: tuple[int, ...] = (grid.points,)

    @abstractmethod
    def draw(self, numbers: NDArray[np.int64]) -> Batch:
        """The patterns of these numbers, in their order; a pattern does not depend on the others.

        Raises:
            InputError: a pattern cannot be drawn, and neither can what replaces it; its number and reason are named.
        """

    def batch(self, i: int) -> Batch:
        """Batch i: the patterns i * size to (i + 1) * size - 1.

        Raises:
            InputError: as `draw`, or i below 0.
        """
        return self.draw(self.numbers(i))

    def numbers(self, i: int) -> NDArray[np.int64]:
        """(size,) numbers of the patterns of batch i."""
        if i < 0:
            raise InputError(f"batch {i}: batches are numbered from 0")
        return i * self.size + np.arange(self.size, dtype=np.int64)

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What decides the patterns, as JSON knows it: two streams of one identity give the same batches."""

    def shared(self, folder: Path) -> Stream:
        """The same stream with its tables in files that processes map into memory: quick to send, held once.

        Args:
            folder: where to write them; they must stay as long as the stream is used.
        """
        return self

    def with_size(self, size: int) -> Self:
        """The same patterns in batches of another size.

        Raises:
            InputError: a size that would split the patterns of a crystal.
        """
        if size < 1 or size % self.per_crystal:
            raise InputError(f"batches of {size}: give a multiple of {self.per_crystal}, the patterns of a crystal")
        other = copy.copy(self)
        other.size = size
        return other

    def _identity(self, **more: Any) -> dict[str, Any]:
        grid = list(asdict(self.grid).values())
        return {
            "kind": type(self).__name__,
            "size": self.size,
            "grid": grid,
            "seed": self.seed,
            "per_crystal": self.per_crystal,
            **more,
        }


class FloorStream(Stream):
    """A stream of patterns above their floor, strongest point 1.

    See `pattern.prepare.above_floor`, through which measured patterns go as well.

    Args:
        inner: a stream of plain patterns.
    """

    def __init__(self, inner: Stream) -> None:
        super().__init__(size=inner.size, grid=inner.grid, seed=inner.seed, per_crystal=inner.per_crystal)
        self.inner = inner

    def draw(self, numbers: NDArray[np.int64]) -> Batch:
        """See `Stream.draw`."""
        drawn = self.inner.draw(numbers)
        mask = np.zeros(self.grid.points, bool)
        for pattern, (first, end) in zip(drawn.patterns, drawn.measured, strict=True):
            mask[:] = False
            mask[first:end] = True
            pattern[:] = above_floor(pattern.astype(np.float64), mask)
        return drawn

    def identity(self) -> dict[str, Any]:
        """See `Stream.identity`."""
        return self._identity(of=self.inner.identity())

    def shared(self, folder: Path) -> FloorStream:
        """See `Stream.shared`."""
        return type(self)(self.inner.shared(folder)).with_size(self.size)


def group_labels(space_group: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Crystal system and extinction class of space groups, as `Batch` holds them.

    Args:
        space_group: (b,) International Tables numbers.
    """
    systems, classes = _by_group()
    return {
        "space_group": space_group.astype(np.int16),
        "crystal_system": systems[space_group],
        "extinction_class": classes[space_group],
    }


def measured_points(records: NDArray[np.void], grid: Grid) -> NDArray[np.int32]:
    """(b, 2) first point that conditions measure, and the one after the last."""
    x = grid.two_theta_deg
    first = np.searchsorted(x, records["first_deg"] - 1e-6, side="left")
    end = np.searchsorted(x, records["last_deg"] + 1e-6, side="right")
    return np.stack([first, np.maximum(first, end)], axis=1).astype(np.int32)


def seen_of(batch: Batch, grid: AnyGrid) -> NDArray[np.bool_] | NDArray[np.float32]:
    """(b, points) what a network reads as the mask of a batch: True, or on a grid of spacings the sine of theta, where
    something was measured.
    """
    at = np.arange(grid.points)
    inside = (at >= batch.measured[:, :1]) & (at < batch.measured[:, 1:])
    return inside if isinstance(grid, Grid) else np.where(inside, grid.sines(batch.wavelength_A), np.float32(0))


def digest(parts: Mapping[str, Any]) -> str:
    """Short sha256 of arrays, texts and numbers by name."""
    made = hashlib.sha256()
    for name, value in parts.items():
        made.update(name.encode())
        made.update(np.ascontiguousarray(value).tobytes() if isinstance(value, np.ndarray) else str(value).encode())
    return made.hexdigest()[:16]


@cache
def _by_group() -> tuple[NDArray[np.int8], NDArray[np.int16]]:
    """Crystal system and extinction class by space-group number; index 0 stands for none."""
    systems = np.array(SYSTEM_OF, np.int8)
    classes = np.array([0, *(extinction_class(number).id for number in range(1, 231))], np.int16)
    return systems, classes
