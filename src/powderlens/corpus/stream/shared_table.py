"""A reflection table whose numbers and texts lie in files that any number of processes map into memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.corpus.store.reflection_table import ReflectionTable

ARRAYS = (
    "space_group", "niggli", "lattice_A", "rotations", "rotation_offset", "hkl", "strength", "family_offset",
)  # fmt: skip
TEXTS = ("ids", "names", "formulas", "elements")


class MappedTable(ReflectionTable):
    """The same crystals, read from memory-mapped files; sent to a process as the folder's name.

    Args:
        folder: where `of` wrote them.

    Raises:
        InputError: a file is missing or is no array.
    """

    def __init__(self, folder: Path) -> None:
        def mapped(name: str) -> NDArray[Any]:
            return np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r"))

        try:
            columns: dict[str, Any] = {name: mapped(name) for name in ARRAYS}
            columns.update({name: _Texts(mapped(name), mapped(f"{name}_offset")) for name in TEXTS})
        except (OSError, ValueError) as error:
            raise InputError(f"{folder}: its tables cannot be mapped ({error}); begin the stream again") from None
        super().__init__(**columns)
        object.__setattr__(self, "folder", folder)

    @classmethod
    def of(cls, table: ReflectionTable, folder: Path) -> MappedTable:
        """Write a table into a folder, and map it."""
        made = {name: getattr(table, name) for name in ARRAYS}
        for name in TEXTS:
            texts = [text.encode() for text in getattr(table, name)]
            made[name] = np.frombuffer(b"".join(texts), np.uint8)
            made[f"{name}_offset"] = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int64)
        for name, values in made.items():
            np.save(folder / f"{name}.npy", values)
        return cls(folder)

    def __reduce__(self) -> tuple[Any, ...]:
        return MappedTable, (vars(self)["folder"],)


class _Texts(Sequence[str]):
    """Texts one after the other in one array of bytes."""

    def __init__(self, text: NDArray[np.uint8], offset: NDArray[np.int64]) -> None:
        self._text, self._offset = text, offset

    def __len__(self) -> int:
        return len(self._offset) - 1

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        if not -len(self) <= at < len(self):
            raise IndexError(at)
        at %= len(self)
        return bytes(self._text[self._offset[at] : self._offset[at + 1]]).decode()
