"""Writing a stored corpus: rows as they come, aside, and the folder's manifest when all are there."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from powderlens import __version__
from powderlens.core.errors import InputError
from powderlens.core.files import make_folder
from powderlens.core.tables import main_reasons
from powderlens.corpus.measured_labels import Labelled
from powderlens.corpus.store.manifest import NAME, Manifest, write_manifest
from powderlens.corpus.store.stored import stored_schema
from powderlens.crystals.columns import lists

ROW_GROUP = 128
"""Rows that are read together; some 7 MB of 3501 points."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredPattern(Labelled):
    """One pattern on its way into a stored corpus; what is not known stays None.

    Attributes:
        id: of its own in the corpus.
        wavelength_A: of the angles, A.
        calculated: drawn from lines of a calculation, in a corpus of measured patterns.
        axis, intensity: (points,).
        record: JSON of what else the source says.
    """

    id: str
    axis: NDArray[np.float64]
    intensity: NDArray[np.float64]
    wavelength_A: float | None = None
    calculated: bool = False
    record: str | None = None


@dataclass(eq=False)
class StoredWriter:
    """Use it as `with StoredWriter(...) as writer: writer.add(item); ...; writer.finish(rejects)`.

    Attributes:
        folder: of the corpus; nothing of it is there before `finish`.
        kind: "stored" or "measured".
        form: the format it comes from.
        axis: name of the axis column.

    Raises:
        InputError: the folder holds a corpus already, or cannot be written to.
    """

    folder: Path
    kind: str
    form: str
    axis: str
    _items: list[StoredPattern] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _patterns: int = 0
    _done: bool = False

    def __enter__(self) -> Self:
        if (self.folder / NAME).exists():
            raise InputError(f"{self.folder}: holds a corpus already; give another folder, or remove it first")
        make_folder(self.folder)
        self._schema = stored_schema(self.axis)
        self._aside = self.folder / ".patterns.parquet"
        try:
            self._parquet = pq.ParquetWriter(self._aside, self._schema, compression="zstd", use_dictionary=False)
        except OSError as error:
            raise _refused(self.folder, error) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._done:
            with suppress(OSError):
                self._parquet.close()
            self._aside.unlink(missing_ok=True)
            if not any(self.folder.iterdir()):
                self.folder.rmdir()

    def add(self, item: StoredPattern) -> None:
        """One more pattern.

        Raises:
            ValueError: there is one of this id; the others go on.
        """
        if item.id in self._seen:
            raise ValueError("another pattern has this id")
        self._seen.add(item.id)
        self._items.append(item)
        self._patterns += 1
        if len(self._items) == ROW_GROUP:
            self._flush()

    def finish(self, rejects: Counter[str], **more: Any) -> Manifest:
        """Close the table, write the manifest, and return it.

        Args:
            rejects: reason -> how many were left out.
            more: further entries of the manifest.

        Raises:
            InputError: not one pattern, or the disk refuses.
        """
        if not self._patterns:
            raise InputError(f"{self.folder}: not one usable pattern: {main_reasons(rejects)}")
        self._flush()
        try:
            self._parquet.close()
            self._aside.replace(self.folder / "patterns.parquet")
        except OSError as error:
            raise _refused(self.folder, error) from None
        manifest = write_manifest(
            self.folder,
            {
                "powderlens": __version__,
                "kind": self.kind,
                "name": self.folder.resolve().name,
                "format": self.form,
                "axis": self.axis,
                "patterns": self._patterns,
                "left_out": rejects.total(),
                "rejects": dict(rejects.most_common()),
                **more,
            },
        )
        self._done = True
        return manifest

    def _flush(self) -> None:
        items, self._items = self._items, []
        if not items:
            return
        columns = []
        for name, kind in zip(self._schema.names, self._schema.types, strict=True):
            values = [getattr(item, "axis" if name == self.axis else name) for item in items]
            if name in (self.axis, "intensity"):
                columns.append(lists(np.concatenate(values).astype(np.float64), [len(curve) for curve in values]))
            else:
                columns.append(pa.array(values, kind))
        try:
            self._parquet.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        except OSError as error:
            raise _refused(self.folder, error) from None


def _refused(folder: Path, error: OSError) -> InputError:
    return InputError(f"{folder}: cannot be written ({error.strerror or error}); make room or choose another place")
