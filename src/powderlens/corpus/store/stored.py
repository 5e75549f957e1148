"""A corpus whose patterns are stored, not drawn: imported from elsewhere, simulated or measured.

On disk a folder: `manifest.json` with `kind` "stored" or "measured", and `patterns.parquet`, a row a pattern. Put on a
grid it can be read like a corpus that is drawn.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import DTypeLike, NDArray

from powderlens.core.errors import InputError, WavelengthError
from powderlens.corpus.columns import SCHEMAS
from powderlens.corpus.store.corpus import MEASURED, STORED, Corpus, Labels
from powderlens.corpus.store.manifest import Manifest
from powderlens.crystals.columns import flat
from powderlens.diffraction.conditions import Conditions, to_record
from powderlens.pattern.grid import Grid, convert_two_theta
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.prepare import Prepared, prepare
from powderlens.pattern.spacing import COPPER_A, AnyGrid
from powderlens.symmetry.extinction import extinction_class
from powderlens.symmetry.groups import SYSTEMS

AXES = ("two_theta_deg", "d_A")
STORED_LABELS = SCHEMAS["stored"]
"""What is known of a pattern; null where nothing is. `record` holds what else its source says, as JSON."""


def stored_schema(axis: str) -> pa.Schema:
    """Columns of `patterns.parquet`: the labels, the axis under its name, and the intensities."""
    if axis not in AXES:
        raise InputError(f"axis {axis!r}: there are {', '.join(AXES)}")
    values = pa.list_(pa.float64())
    return pa.schema([*STORED_LABELS, (axis, values), ("intensity", values)])


class StoredCorpus(Corpus):
    """Patterns as they were imported, each a crystal of its own, in one part "all"."""

    REFUSED = "its patterns are {kind}, not stored; open it as a Corpus"

    def __init__(self, path: Path, manifest: Manifest, grid: AnyGrid | None = None) -> None:
        super().__init__(path, manifest, grid)
        self.made_by = MEASURED if self.kind == MEASURED else str(manifest.get("format", STORED))
        self.parts, self.axis_name, self.axis = ("all",), str(manifest["axis"]), None
        if grid is not None and self.axis_name != "d_A" and len(self) and not self.with_wavelength:
            raise WavelengthError(
                f"{path}: none of its {len(self):,} patterns states a wavelength; import it again with --wavelength "
                "(angstrom, CuKa, MoKa, ...)"
            )

    @property
    def with_wavelength(self) -> int:
        """How many patterns state a wavelength."""
        column = self._file.read(columns=["wavelength_A"])["wavelength_A"]
        return len(column) - int(column.null_count)

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    def numbers(self, part: str = "all") -> NDArray[np.int64]:
        """See `Corpus.numbers`."""
        if part != "all":
            raise InputError(f"part {part!r}: an imported corpus has one part, all")
        return np.arange(len(self), dtype=np.int64)

    def crystal_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) the numbers themselves."""
        return np.asarray(numbers, dtype=np.int64)

    def ids(self, numbers: NDArray[np.int64]) -> list[str]:
        """See `Corpus.ids`."""
        return list(self.rows(numbers, ["id"])["id"].to_pylist())

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
        """See `Corpus.labels`."""
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
        """(n,) records of `conditions.RECORD` that say where each pattern was measured, and nothing else."""
        records = np.repeat(to_record(Conditions()), len(numbers))
        for record, number in zip(records, np.asarray(numbers).tolist(), strict=True):
            pattern = self._on_angles(number)
            assert pattern.wavelength_A is not None
            assert isinstance(self.grid, Grid)
            ends = convert_two_theta(pattern.two_theta_deg[[0, -1]], pattern.wavelength_A, self.grid.wavelength_A)
            record["first_deg"] = ends[0]
            record["last_deg"] = 180.0 if np.isnan(ends[1]) else ends[1]
        return records

    def curve(self, number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Axis and intensities of a pattern, (points,) each, as they were imported."""
        row = self.rows(np.array([number]), [self.axis_name, "intensity"])
        return flat(row[self.axis_name]), flat(row["intensity"])

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
        x, y = flat(row[self.axis_name]), flat(row["intensity"])
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
        self,
        numbers: NDArray[np.int64],
        dtype: DTypeLike = np.float32,
        records: NDArray[np.void] | None = None,
        *,
        floor: bool = False,
    ) -> NDArray[Any]:
        """See `Corpus.draw`.

        Args:
            numbers: (n,) which.
            dtype: of the result.
            records: of no use here.
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
        return flat(column).reshape(len(numbers), -1).astype(dtype)

    def _on_angles(self, number: int) -> Pattern:
        """A pattern against 2theta of its own wavelength; against that of the grid where its axis is d."""
        wavelength_A = self.grid.wavelength_A if isinstance(self.grid, Grid) else COPPER_A
        pattern = self.pattern(number, wavelength_A if self.axis_name == "d_A" else None)
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


def _six(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """(n, 6) numbers of a column of cells, NaN where there is none."""
    nothing = [float("nan")] * 6
    return np.array([nothing if cell is None else cell for cell in column.to_pylist()]).reshape(-1, 6)
