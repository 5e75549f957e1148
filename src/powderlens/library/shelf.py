"""`Shelf`: the libraries that one answer is made of, the shipped one and the user's own, as if they were one."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.crystal.elements import NUMBER, atomic_mass_u
from powderlens.crystal.structure import Structure
from powderlens.diffraction.phase import Phase
from powderlens.library.retrieve import Axis, Retrieval, Retrieved
from powderlens.library.store import PhaseLibrary
from powderlens.symmetry.groups import either_hand


@dataclass(frozen=True, eq=False)
class ElementFilter:
    """Which elements a phase may have.

    Attributes:
        only: no others than these, where there are any.
        required: all of these.
        without: none of these.
    """

    only: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.only or self.required or self.without)

    def keep(self, masks: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """(n,) which phases pass, by (n, 2) masks of `PhaseLibrary.elements_mask`.

        Raises:
            InputError: an element that does not exist.
        """
        out = np.ones(len(masks), bool)
        if self.only:
            out &= ((masks & ~_mask(self.only)) == 0).all(axis=1)
        if self.required:
            needed = _mask(self.required)
            out &= ((masks & needed) == needed).all(axis=1)
        if self.without:
            out &= ((masks & _mask(self.without)) == 0).all(axis=1)
        return out


def _mask(elements: Sequence[str]) -> NDArray[np.uint64]:
    words = [0, 0]
    for element in elements:
        name = element.strip().capitalize()
        number = NUMBER.get(name, 0)
        if not number:
            raise InputError(f"element {element!r} does not exist; give symbols such as Si,O,Al")
        words[number // 64] |= 1 << (number % 64)
    return np.array(words, np.uint64)


NOTHING_LEFT = "the elements that are given exclude every phase of the library; give more, or none"


class Shelf:
    """Several libraries, whose phases are numbered one after the other.

    Args:
        paths: of the user's libraries.
        shipped: begin with the library that ships with powderlens.
        elements: which phases are looked at.
        max_strain: see `Retrieval`.
        given: files of crystals that are known to be there: never retrieved, and numbered after all others.
        standard: a crystal that is known to be there and whose cell is certified; the last of all.

    Attributes:
        sha256: of the libraries, in their order; of what was given, nothing.
        given: rows of the given crystals, the standard among them.
        standard: row of the standard; None without one.

    Raises:
        InputError: a library or a crystal that cannot be read, no library at all, or a filter that leaves nothing.
    """

    def __init__(
        self,
        paths: Sequence[str | Path] = (),
        *,
        shipped: bool = True,
        elements: ElementFilter | None = None,
        max_strain: float = 0.03,
        given: Sequence[str | Path] = (),
        standard: Structure | None = None,
    ) -> None:
        self.libraries = [PhaseLibrary.open()] if shipped else []
        self.libraries += [PhaseLibrary.open(path) for path in paths]
        if not self.libraries:
            raise InputError("no library: give --library FILE, or leave --only-library out")
        self.sha256 = " ".join(library.sha256 for library in self.libraries)
        self.retrievals: list[Retrieval] = []
        chosen = 0
        for library in self.libraries:
            rows = np.flatnonzero(elements.keep(library.elements_mask())) if elements else None
            self.retrievals.append(Retrieval(library, rows, max_strain=max_strain))
            chosen += len(self.retrievals[-1].rows)
        self._hidden: frozenset[int] = frozenset()
        self._names: dict[int, str] = {}
        if not chosen:
            raise InputError(NOTHING_LEFT)
        self._own: Retrieval | None = None
        count = len(given) + (standard is not None)
        if count:
            from powderlens.library.given import given_phases

            self._own = Retrieval(given_phases(given, standard), max_strain=max_strain)
            self.libraries.append(self._own.library)
        self.offset = np.cumsum([0, *(len(one) for one in self.libraries)])
        self.given = tuple(range(len(self) - count, len(self)))
        self.standard = None if standard is None else self.given[-1]

    def __len__(self) -> int:
        return int(self.offset[-1])

    @property
    def searched(self) -> int:
        """How many phases may be found."""
        return sum(len(one.rows) for one in self.retrievals)

    def without(self, rows: NDArray[np.int64]) -> Shelf:
        """The same shelf, on which some phases are not found."""
        out = copy.copy(self)
        out._hidden = self._hidden | frozenset(rows.tolist())
        return out

    def among(self, elements: ElementFilter) -> Shelf:
        """The same shelf, on which phases with certain elements alone are found, of those that it has now.

        Raises:
            InputError: the elements exclude every phase.
        """
        out = copy.copy(self)
        out.retrievals = [one.of_rows(elements.keep(one.library.elements_mask())) for one in self.retrievals]
        if not any(len(one.rows) for one in out.retrievals):
            raise InputError(NOTHING_LEFT)
        return out

    def of_measured(self) -> Shelf:
        """The same shelf, on which measured crystals alone are found; where there is none, the shelf as it is."""
        out = copy.copy(self)
        out.retrievals = [one.of_rows(one.library.measured) for one in self.retrievals]
        return out if any(len(one.rows) for one in out.retrievals) else self

    @cached_property
    def measured(self) -> NDArray[np.bool_]:
        """(n,) whether a crystal was measured, not calculated."""
        return np.concatenate([library.measured for library in self.libraries])

    @cached_property
    def space_group(self) -> NDArray[np.uint8]:
        """(n,) International Tables numbers."""
        return np.concatenate([library.space_group for library in self.libraries])

    @cached_property
    def determinations(self) -> NDArray[np.uint16]:
        """(n,) entries that are this phase."""
        return np.concatenate([library.determinations for library in self.libraries])

    def _of(self, row: int) -> tuple[PhaseLibrary, int]:
        which = int(np.searchsorted(self.offset, row, side="right")) - 1
        return self.libraries[which], int(row - self.offset[which])

    def kind(self, row: int) -> tuple[str, int]:
        """What makes two rows the same phase for a reader: name and space group, mirror images being one."""
        return self.name(row), either_hand(int(self.space_group[row]))

    def name(self, row: int) -> str:
        """What a phase is called."""
        if row not in self._names:
            library, i = self._of(row)
            self._names[row] = library.name(i)
        return self._names[row]

    def formula(self, row: int) -> str:
        """Its formula."""
        library, i = self._of(row)
        return library.formula(i)

    def identity(self, row: int) -> str:
        """Where it came from, as "source:entry"."""
        library, i = self._of(row)
        return library.identity(i)

    def reference(self, row: int) -> str:
        """Who published it."""
        library, i = self._of(row)
        return library.reference(i)

    def structure(self, row: int) -> Structure:
        """Its atoms."""
        library, i = self._of(row)
        return library.structure(i)

    def lines(self, row: int, d_min_A: float) -> Phase:
        """Its reflections."""
        library, i = self._of(row)
        lines = library.lines(i, d_min_A)
        return replace(lines, fixed_cell=True) if row == self.standard else lines

    def cell_mass_u(self, row: int) -> float:
        """Mass of all atoms of the conventional cell, u."""
        structure = self.structure(row)
        masses = np.array([atomic_mass_u(element) for element in structure.elements])
        return float((masses * structure.occupancy).sum())

    def given_scales(self, axis: Axis) -> list[float]:
        """For each phase that was given, spacings of the pattern over its own; 1 where it does not show."""
        out = [1.0] * len(self.given)
        if self._own is not None:
            found = self._own(axis, len(out))
            for row, scale in zip(found.row.tolist(), found.scale.tolist(), strict=True):
                out[row] = scale
        return out

    def retrieve(self, axis: Axis, keep: int) -> Retrieved:
        """The best phases of all libraries, see `Retrieval`."""
        found = []
        for retrieval, first in zip(self.retrievals, self.offset, strict=False):
            if len(retrieval.rows):
                one = retrieval(axis, keep + len(self._hidden))
                found.append((one.row + first, one.score, one.scale, one.worth))
        row, score, scale, worth = (np.concatenate(part) for part in zip(*found, strict=True))
        order = np.argsort(-worth, kind="stable")
        if self._hidden:
            order = order[[row not in self._hidden for row in row[order].tolist()]]
        order = order[:keep]
        return Retrieved(row[order], score[order], scale[order], worth[order])
