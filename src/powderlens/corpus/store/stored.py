"""A corpus whose patterns are stored, not drawn: imported from elsewhere, simulated or measured.

On disk a folder: `manifest.json` with `kind` "stored" or "measured", and `patterns.parquet`, a row a pattern. Put on a
grid it can be read like a corpus that is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from powderlens.core.errors import InputError, WavelengthError
from powderlens.corpus.store.corpus import Labels
from powderlens.corpus.store.manifest import Manifest, read_manifest
from powderlens.diffraction.conditions import default_record
from powderlens.pattern.grid import Grid, convert_two_theta
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.prepare import Prepared, prepare
from powderlens.symmetry.extinction import extinction_class
from powderlens.symmetry.groups import SYSTEMS

STORED, MEASURED = "stored", "measured"
AXES = ("two_theta_deg", "d_A")
STORED_LABELS = pa.schema(
    [
        ("id", pa.string()),
        ("name", pa.string()),
        ("formula", pa.string()),
        ("space_group", pa.int16()),
        ("crystal_system", pa.string()),
        ("cell", pa.list_(pa.float64(), 6)),
        ("niggli", pa.list_(pa.float64(), 6)),
        ("wavelength_A", pa.float64()),
        ("calculated", pa.bool_()),
        ("record", pa.string()),
    ]
)
"""What is known of a pattern; null where nothing is. `record` holds what else its source says, as JSON."""


def stored_schema(axis: str) -> pa.Schema:
    """Columns of `patterns.parquet`: the labels, the axis under its name, and the intensities."""
    if axis not in AXES:
        raise InputError(f"axis {axis!r}: there are {', '.join(AXES)}")
    values = pa.list_(pa.float64())
    return pa.schema([*STORED_LABELS, (axis, values), ("intensity", values)])


@dataclass(frozen=True, eq=False)
class StoredCorpus:
    """Patterns as they were imported, each a crystal of its own.

    Attributes:
        path: the folder.
        manifest: its `manifest.json`.
        given_grid: the grid on which `draw` puts patterns; None draws them as they are stored.
    """

    path: Path
    manifest: Manifest = field(repr=False)
    given_grid: Grid | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredCorpus.open, (self.path, self.given_grid)

    @classmethod
    def open(cls, path: str | Path, grid: Grid | None = None) -> StoredCorpus:
        """Open an imported corpus.

        Raises:
            WavelengthError: a grid is given, and not one pattern says at which wavelength its angles are meant.
            InputError: not such a folder, a damaged one, or one of a newer version.
        """
        path = Path(path)
        manifest = read_manifest(path)
        if manifest.get("kind") not in (STORED, MEASURED):
            raise InputError(f"{path}: its patterns are drawn, not stored; open it as a Corpus")
        corpus = cls(path, manifest, grid)
        if grid is not None and corpus.axis_name != "d_A" and len(corpus) and not corpus.with_wavelength:
            raise WavelengthError(
                f"{path}: none of its {len(corpus):,} patterns states a wavelength; import it again with --wavelength "
                "(angstrom, CuKa, MoKa, ...)"
            )
        return corpus

    @property
    def kind(self) -> str:
        """Simulated patterns are "stored", the others "measured"."""
        return str(self.manifest["kind"])

    @property
    def axis_name(self) -> str:
        """What the axis is: one of `AXES`."""
        return str(self.manifest["axis"])

    @property
    def grid(self) -> Grid:
        """The grid of what is drawn.

        Raises:
            InputError: none was given.
        """
        if self.given_grid is None:
            raise InputError(f"{self.path}: stored patterns have axes of their own; open the corpus with a grid")
        return self.given_grid

    @property
    def with_wavelength(self) -> int:
        """How many patterns state a wavelength."""
        column = self._file.read(columns=["wavelength_A"])["wavelength_A"]
        return len(column) - int(column.null_count)

    @property
    def per_crystal(self) -> int:
        """Patterns of a crystal: 1."""
        return 1

    @property
    def parts(self) -> tuple[str, ...]:
        """One part: an imported corpus is not split."""
        return ("all",)

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    def numbers(self, part: str = "all") -> NDArray[np.int64]:
        """(n,) numbers of the patterns.

        Raises:
            InputError: another part than "all".
        """
        if part != "all":
            raise InputError(f"part {part!r}: an imported corpus has one part, all")
        return np.arange(len(self), dtype=np.int64)

    def crystal_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) the numbers themselves."""
        return np.asarray(numbers, dtype=np.int64)

    def rows(self, numbers: NDArray[np.int64], columns: list[str] | None = None) -> pa.Table:
        """Rows of `patterns.parquet` in the order asked for.

        Raises:
            IndexError: there is no such pattern.
        """
        numbers = np.asarray(numbers, dtype=np.int64)
        if len(numbers) and not (numbers.min() >= 0 and numbers.max() < len(self)):
            raise IndexError(f"patterns {numbers.min()} to {numbers.max()}: the corpus has {len(self)}")
        group = np.searchsorted(self._starts, numbers, side="right") - 1
        needed = np.unique(group)
        read = self._file.read_row_groups(needed.tolist(), columns=columns)
        begins = np.concatenate([[0], np.cumsum([self._sizes[g] for g in needed.tolist()])])
        at = begins[np.searchsorted(needed, group)] + numbers - self._starts[group]
        return read.take(pa.array(at)).combine_chunks()

    def labels(self, numbers: NDArray[np.int64]) -> Labels:
        """What is known of the patterns: group and class 0, system -1 and cells NaN where nothing is."""
        table = self.rows(numbers, ["space_group", "crystal_system", "cell", "niggli"])
        groups = table["space_group"].fill_null(0).to_numpy().astype(np.int16)
        systems = [-1 if name is None else SYSTEMS.index(name) for name in table["crystal_system"].to_pylist()]
        classes = [extinction_class(group).id if group else 0 for group in groups.tolist()]
        return Labels(
            space_group=groups,
            crystal_system=np.array(systems, dtype=np.int8),
            niggli=_six(table["niggli"]),
            cell=_six(table["cell"]),
            extinction_class=np.array(classes, dtype=np.int16),
        )

    def conditions(self, numbers: NDArray[np.int64]) -> NDArray[np.void]:
        """(n,) records of `conditions.RECORD` that say where each pattern was measured, and nothing else.

        Raises:
            WavelengthError: a pattern against 2theta that states no wavelength.
            InputError: the corpus was opened without a grid.
        """
        records = np.repeat(default_record(), len(numbers))
        for record, number in zip(records, np.asarray(numbers).tolist(), strict=True):
            pattern = self._on_angles(number)
            assert pattern.wavelength_A is not None
            ends = convert_two_theta(pattern.two_theta_deg[[0, -1]], pattern.wavelength_A, self.grid.wavelength_A)
            record["first_deg"] = ends[0]
            record["last_deg"] = 180.0 if np.isnan(ends[1]) else ends[1]
        return records

    def curve(self, number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Axis and intensities of a pattern, (points,) each, as they were imported."""
        row = self.rows(np.array([number]), [self.axis_name, "intensity"])
        return _values(row[self.axis_name]), _values(row["intensity"])

    def pattern(self, number: int, wavelength_A: float | None = None) -> Pattern:
        """A pattern against 2theta.

        Args:
            number: which.
            wavelength_A: for a pattern that states none; none is assumed.

        Raises:
            InputError: no wavelength is known where the axis is d, or it is not a powder pattern.
        """
        row = self.rows(np.array([number]), ["id", "wavelength_A", self.axis_name, "intensity"])
        known = row["wavelength_A"][0].as_py()
        used = wavelength_A if known is None else known
        x, y = _values(row[self.axis_name]), _values(row["intensity"])
        identity = row["id"][0].as_py()
        if self.axis_name == "d_A":
            if used is None:
                raise InputError(f"{identity}: its axis is d and no wavelength is known; give one")
            reached = used <= 2 * x
            x, y = 2 * np.degrees(np.arcsin(used / (2 * x[reached]))), y[reached]
        if len(x) > 1 and x[0] > x[-1]:
            x, y = x[::-1], y[::-1]
        return Pattern(two_theta_deg=x, intensity=y, wavelength_A=used, source=identity)

    def prepared(self, number: int) -> Prepared:
        """A pattern on the grid, as networks read it; measured ones lose their background, as in `identify`.

        Raises:
            WavelengthError: a pattern against 2theta that states no wavelength.
            InputError: the corpus was opened without a grid, or the pattern does not reach it.
        """
        return prepare(self._on_angles(number), self.grid, background=self.kind == MEASURED)

    def draw(
        self, numbers: NDArray[np.int64], dtype: Any = np.float32, *, floor: bool = False
    ) -> NDArray[np.floating[Any]]:
        """Intensities of several patterns.

        Args:
            numbers: (n,) which.
            dtype: of the result.
            floor: above their floor, on a grid.

        Returns:
            (n, points): prepared on the grid, strongest 1, 0 where not measured; or as they are stored where the corpus
            was opened without one.

        Raises:
            WavelengthError: see `prepared`.
            InputError: patterns of different lengths without a grid, or one that does not reach the grid.
        """
        numbers = np.asarray(numbers, dtype=np.int64)
        if self.given_grid is not None:
            drawn = [self.prepared(number).for_network(floor=floor, mask=True) for number in numbers.tolist()]
            return np.array(drawn, dtype=dtype).reshape(len(numbers), self.grid.points)
        column = self.rows(numbers, ["intensity"])["intensity"]
        lengths = np.unique(pc.list_value_length(column).to_numpy())
        if len(lengths) > 1:
            raise InputError(
                f"{self.path}: patterns of {lengths[0]} to {lengths[-1]} points; open the corpus with a grid"
            )
        return _values(column).reshape(len(numbers), -1).astype(dtype)

    def _on_angles(self, number: int) -> Pattern:
        """A pattern against 2theta of its own wavelength; against that of the grid where its axis is d."""
        pattern = self.pattern(number, self.grid.wavelength_A if self.axis_name == "d_A" else None)
        if pattern.wavelength_A is None:
            raise WavelengthError(
                f"{pattern.source}: {self.path} states no wavelength for it; import it again with --wavelength "
                "(angstrom, CuKa, MoKa, ...)"
            )
        return pattern

    @cached_property
    def _file(self) -> pq.ParquetFile:
        path = self.path / "patterns.parquet"
        try:
            return pq.ParquetFile(path, memory_map=True)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path}: damaged ({str(error).splitlines()[0]}); import it again") from None

    @cached_property
    def _sizes(self) -> list[int]:
        metadata = self._file.metadata
        return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(self._sizes)[:-1]]).astype(np.int64)


def is_stored(path: str | Path) -> bool:
    """Whether the patterns of a corpus are stored and not drawn.

    Raises:
        InputError: not a corpus.
    """
    return read_manifest(Path(path)).get("kind") in (STORED, MEASURED)


def _values(column: pa.ChunkedArray) -> NDArray[np.float64]:
    flat = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    return np.concatenate([np.empty(0), *flat]).astype(np.float64)


def _six(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """(n, 6) numbers of a column of cells, NaN where there is none."""
    nothing = [float("nan")] * 6
    return np.array([nothing if cell is None else cell for cell in column.to_pylist()]).reshape(-1, 6)
