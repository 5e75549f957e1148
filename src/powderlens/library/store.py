"""`PhaseLibrary`: known phases in one file that is mapped into memory."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError, StructureError
from powderlens.crystal.composition import written_formula
from powderlens.crystal.structure import Structure
from powderlens.diffraction.phase import Phase, phase_of
from powderlens.library.container import REMEDY, read_container
from powderlens.library.packed import OCCUPANCY_STEPS, SYMBOLS, PackedCell, atomic_numbers, unpack
from powderlens.symmetry.groups import either_hand

UNKNOWN_U_A2 = 0.010
"""Displacement given to atoms whose structure states none: without one, lines at high angle come out too strong."""

CACHED = 1024
"""Phases whose lines are kept for the next who asks."""

MEASURED, CONTENT, SYMMETRY, SITE = 1, 2, 4, 8
"""Bits of `flags`: the crystal was measured, not calculated; the source states of content, symmetry, or sites what the
crystal is not, see `crystal.structure.Doubt`."""

PHASE_COLUMNS: dict[str, tuple[str, tuple[int, ...]]] = {
    "cell": ("<f4", (6,)),
    "space_group": ("|u1", ()),
    "declared": ("|u1", ()),
    "flags": ("|u1", ()),
    "source": ("|u1", ()),
    "determinations": ("<u2", ()),
    "year": ("<u2", ()),
    "temperature_K": ("<f2", ()),
    "pressure_GPa": ("<f2", ()),
}
"""A row for each phase: dtype, and shape of the row."""

SITE_COLUMNS: dict[str, tuple[str, tuple[int, ...]]] = {
    "site_element": ("|u1", ()),
    "site_frac": ("<u2", (3,)),
    "site_multiplicity": ("|u1", ()),
    "site_occupancy": ("|u1", ()),
    "site_u_iso": ("|u1", ()),
}
KEY_COLUMNS: dict[str, tuple[str, tuple[int, ...]]] = {"key_log_d": ("<u2", ()), "key_amplitude": ("|u1", ())}
TEXT_COLUMNS: dict[str, tuple[str, tuple[int, ...]]] = {"text": ("|u1", ())}
RAGGED = {"site": SITE_COLUMNS, "key": KEY_COLUMNS, "text": TEXT_COLUMNS}
"""Columns with several rows to a phase; `NAME_start` (n + 1, uint32) says where each phase begins."""

SEPARATOR, LISTED = "\x1f", "\x1e"
"""Between the parts of a phase's text (name, entry, reference, identities of what was folded into it, other names), and
inside the lists."""


def shipped() -> Path:
    """Where the library lies that ships with powderlens."""
    return Path(str(files("powderlens.library") / "data" / "known.phases"))


@dataclass(frozen=True, eq=False)
class PhaseLibrary:
    """n known phases. Arrays are views of the file and cannot be written to.

    Attributes:
        path: the file.
        header: what it says of itself: sources with what was changed, counts of rejects, sha256.
        arrays: as they are stored, by name; see `PHASE_COLUMNS` and `RAGGED`.
    """

    path: Path
    header: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    _cache: OrderedDict[tuple[int, float], Phase] = field(default_factory=OrderedDict)

    @classmethod
    def open(cls, path: str | Path | None = None, *, check: bool = True) -> PhaseLibrary:
        """Open a library.

        Args:
            path: the file; None is the one that ships with powderlens.
            check: hold its arrays against their checksums.

        Raises:
            InputError: a missing, damaged or truncated file, one of another version, or no library.
        """
        where = shipped() if path is None else Path(path)
        header, arrays = read_container(where, check=check)
        n = len(arrays.get("space_group", ()))
        for name, (dtype, shape) in PHASE_COLUMNS.items():
            _expect(where, arrays, name, dtype, (n, *shape))
        for name, columns in RAGGED.items():
            _expect(where, arrays, f"{name}_start", "<u4", (n + 1,))
            rows = int(arrays[f"{name}_start"][-1])
            for column, (dtype, shape) in columns.items():
                _expect(where, arrays, column, dtype, (rows, *shape))
        return cls(where, header, arrays)

    def __len__(self) -> int:
        return len(self.space_group)

    @property
    def sha256(self) -> str:
        """Of the content, as the header has it; `library info` holds it against the content."""
        return str(self.header["sha256"])

    @property
    def cell(self) -> NDArray[np.float32]:
        """(n, 6) standard conventional cells: a, b, c in A, alpha, beta, gamma in degrees."""
        return self.arrays["cell"]

    @property
    def space_group(self) -> NDArray[np.uint8]:
        """(n,) International Tables numbers of the atoms as they stand."""
        return self.arrays["space_group"]

    @property
    def declared(self) -> NDArray[np.uint8]:
        """(n,) space groups that the sources declare, 0 where they declare none."""
        return self.arrays["declared"]

    @property
    def determinations(self) -> NDArray[np.uint16]:
        """(n,) entries of the sources that are this phase, itself included."""
        return self.arrays["determinations"]

    @property
    def year(self) -> NDArray[np.uint16]:
        """(n,) years of the references, 0 where not known."""
        return self.arrays["year"]

    @property
    def temperature_K(self) -> NDArray[np.float16]:
        """(n,) temperatures, NaN where ambient or not stated."""
        return self.arrays["temperature_K"]

    @property
    def pressure_GPa(self) -> NDArray[np.float16]:
        """(n,) pressures, NaN where ambient or not stated."""
        return self.arrays["pressure_GPa"]

    @cached_property
    def measured(self) -> NDArray[np.bool_]:
        """(n,) whether the crystal was measured, not calculated."""
        return np.asarray((self.arrays["flags"] & MEASURED) > 0)

    @cached_property
    def doubtful(self) -> NDArray[np.bool_]:
        """(n,) whether the source declares another group than the atoms have, of either hand."""
        hand = np.array([0, *(either_hand(number) for number in range(1, 231))], np.uint8)
        return np.asarray((self.declared > 0) & (hand[self.declared] != hand[self.space_group]))

    @property
    def key_start(self) -> NDArray[np.uint32]:
        """(n + 1,) first key line of each phase; see `library.keys`."""
        return self.arrays["key_start"]

    @property
    def key_log_d(self) -> NDArray[np.uint16]:
        """(k,) spacings of the key lines, see `keys.spacing_A`; strongest first inside a phase."""
        return self.arrays["key_log_d"]

    @property
    def key_amplitude(self) -> NDArray[np.uint8]:
        """(k,) amplitudes of the key lines, see `keys.weight`."""
        return self.arrays["key_amplitude"]

    def elements_mask(self) -> NDArray[np.uint64]:
        """(n, 2) bit masks of the elements of each phase: atomic number z is bit z % 64 of word z // 64."""
        return self._masks

    @cached_property
    def _masks(self) -> NDArray[np.uint64]:
        number = atomic_numbers(self.arrays["site_element"])
        bit = np.uint64(1) << (number % np.uint8(64)).astype(np.uint64)
        start = self.arrays["site_start"][:-1].astype(np.int64)
        words = [np.bitwise_or.reduceat(np.where(number // 64 == word, bit, 0), start) for word in (0, 1)]
        return np.stack(words, axis=1).astype(np.uint64)

    def name(self, i: int) -> str:
        """What the source calls phase i; its formula where that is no name."""
        return self.text(i)[0] or self.formula(i)

    def formula(self, i: int) -> str:
        """Its formula as people write it."""
        part = self._sites(i)
        atoms = self.arrays["site_multiplicity"][part] * (self.arrays["site_occupancy"][part] / OCCUPANCY_STEPS)
        counts: dict[str, float] = {}
        for code, count in zip(self.arrays["site_element"][part].tolist(), atoms.tolist(), strict=True):
            counts[SYMBOLS[code]] = counts.get(SYMBOLS[code], 0.0) + count
        return written_formula(counts)

    def identity(self, i: int) -> str:
        """Where it came from, as "source:entry"."""
        return f"{self.source(i)}:{self.text(i)[1]}"

    def source(self, i: int) -> str:
        """The database that it came from, as "amcsd"."""
        return str(self.header["prefixes"][int(self.arrays["source"][i])])

    def reference(self, i: int) -> str:
        """Authors, journal, volume, year and pages; "" where the source states none."""
        return self.text(i)[2]

    def folded(self, i: int) -> list[str]:
        """Identities of the other entries that are this phase, best first."""
        return _listed(self.text(i)[3])

    def aliases(self, i: int) -> list[str]:
        """What these others are called, where it is another name."""
        return _listed(self.text(i)[4])

    def structure(self, i: int) -> Structure:
        """Phase i: every atom of its standard cell, with the operators of the standard setting.

        Raises:
            IndexError: there is no such phase.
            InputError: the entry is damaged: its sites do not make the cell.
        """
        if not 0 <= i < len(self):
            raise IndexError(f"phase {i}: the library has {len(self)}")
        try:
            return unpack(self.packed(i), name=self.name(i), source=self.identity(i))
        except StructureError as error:
            raise InputError(f"{self.path}: {self.identity(i)} is damaged ({error}); {REMEDY}") from None

    def packed(self, i: int) -> PackedCell:
        """Cell and sites as they are stored."""
        part, a = self._sites(i), self.arrays
        return PackedCell(
            cell=self.cell[i],
            space_group=int(self.space_group[i]),
            element=a["site_element"][part],
            frac=a["site_frac"][part],
            multiplicity=a["site_multiplicity"][part],
            occupancy=a["site_occupancy"][part],
            u_iso=a["site_u_iso"][part],
        )

    def lines(self, i: int, d_min_A: float) -> Phase:
        """Families of reflections of phase i: `hkl` (m, 3) and `strength` (m,), multiplicity times |F|^2.

        Atoms whose displacement is not known are given `UNKNOWN_U_A2`. The last `CACHED` are kept.

        Args:
            i: the phase.
            d_min_A: smallest spacing, A.

        Raises:
            InputError: no reflection in range, or a damaged entry.
        """
        key = (int(i), float(d_min_A))
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        phase = phase_of(with_displacements(self.structure(i)), d_min_A=d_min_A, labelled=True)
        self._cache[key] = phase
        if len(self._cache) > CACHED:
            self._cache.popitem(last=False)
        return phase

    def _sites(self, i: int) -> slice:
        start = self.arrays["site_start"]
        return slice(int(start[i]), int(start[i + 1]))

    def text(self, i: int) -> list[str]:
        """Name, entry, reference, folded identities, aliases, as they are stored."""
        start = self.arrays["text_start"]
        inside = self.arrays["text"][int(start[i]) : int(start[i + 1])]
        return inside.tobytes().decode("utf-8").split(SEPARATOR)


def _listed(text: str) -> list[str]:
    return text.split(LISTED) if text else []


def with_displacements(structure: Structure) -> Structure:
    """The structure with `UNKNOWN_U_A2` where no displacement is known."""
    known = np.where(np.isfinite(structure.u_iso_A2), structure.u_iso_A2, UNKNOWN_U_A2)
    return replace(structure, u_iso_A2=known)


def _expect(path: Path, arrays: dict[str, NDArray[Any]], name: str, dtype: str, shape: tuple[int, ...]) -> None:
    """Refuse a file that lacks an array, or has it in another form.

    Raises:
        InputError: it does.
    """
    if name not in arrays:
        raise InputError(f"{path}: not a library of phases, it lacks the array {name}; {REMEDY}")
    found = arrays[name]
    if found.dtype.str != dtype or found.shape != shape:
        raise InputError(
            f"{path}: not a library of phases, its array {name} is {found.dtype.str} {found.shape}; {REMEDY}"
        )
