"""A reflection table whose numbers lie in files that any number of processes map into memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.corpus.store.reflection_table import ReflectionTable, mean_mass_u
from powderlens.diffraction.phase import Phase

ARRAYS = (
    "space_group", "niggli", "lattice_A", "rotations", "rotation_offset", "hkl", "strength", "family_offset", "mass_u",
    "text", "text_offset",
)  # fmt: skip


class MappedTable:
    """The same crystals as a `ReflectionTable`, read from memory-mapped files; sent to a process as the folder's name.

    Args:
        folder: where `of` wrote them.

    Attributes:
        ids, names: of the crystals.
        space_group, niggli, lattice_A, rotations, rotation_offset, hkl, strength, family_offset: as there.

    Raises:
        InputError: a file is missing or is no array.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            a = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
        except (OSError, ValueError) as error:
            raise InputError(f"{folder}: its tables cannot be mapped ({error}); begin the stream again") from None
        self.space_group, self.niggli, self.lattice_A = a["space_group"], a["niggli"], a["lattice_A"]
        self.rotations, self.rotation_offset = a["rotations"], a["rotation_offset"]
        self.hkl, self.strength, self.family_offset = a["hkl"], a["strength"], a["family_offset"]
        self.mass_u = a["mass_u"]
        n = len(self.space_group)
        self.ids: Sequence[str] = _Texts(a["text"], a["text_offset"][: n + 1])
        self.names: Sequence[str] = _Texts(a["text"], a["text_offset"][n:])

    @classmethod
    def of(cls, table: ReflectionTable, folder: Path) -> MappedTable:
        """Write a table into a folder, and map it."""
        texts = [text.encode() for text in (*table.ids, *table.names)]
        made = {name: getattr(table, name) for name in ARRAYS if hasattr(table, name)}
        made["mass_u"] = np.array([mean_mass_u(formula) for formula in table.formulas])
        made["text"] = np.frombuffer(b"".join(texts), np.uint8)
        made["text_offset"] = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int64)
        for name in ARRAYS:
            np.save(folder / f"{name}.npy", made[name])
        return cls(folder)

    def __reduce__(self) -> tuple[type[MappedTable], tuple[Path]]:
        return MappedTable, (self.folder,)

    def __len__(self) -> int:
        return len(self.space_group)

    def phase(self, i: int) -> Phase:
        """Crystal i, ready to be drawn; without atoms."""
        a, b = self.rotation_offset[i : i + 2]
        c, d = self.family_offset[i : i + 2]
        return Phase(
            np.array(self.lattice_A[i]),
            np.array(self.rotations[a:b], np.int64),
            np.array(self.hkl[c:d], np.int64),
            np.array(self.strength[c:d], np.float64),
            float(self.mass_u[i]),
            int(self.space_group[i]),
            self.names[i],
            self.ids[i],
        )


class _Texts(Sequence[str]):
    """Texts one after the other in one array of bytes."""

    def __init__(self, text: NDArray[np.uint8], offset: NDArray[np.int64]) -> None:
        self._text, self._offset = text, offset

    def __len__(self) -> int:
        return len(self._offset) - 1

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        if not -len(self) <= at < len(self):
            raise IndexError(at)
        at %= len(self)
        return bytes(self._text[self._offset[at] : self._offset[at + 1]]).decode()

    def __iter__(self) -> Iterator[str]:
        return (self[i] for i in range(len(self)))
