"""Which phases of a library trials are drawn of, and which of them go when one is not to be known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import cos
from powderlens.core.errors import InputError
from powderlens.crystal.composition import elements_of
from powderlens.crystal.elements import ELEMENTS, NUMBER
from powderlens.crystal.reduce import niggli_of_group
from powderlens.crystal.same_cell import same_lattice
from powderlens.crystal.structure import Cell, lattice_from_cell
from powderlens.library.store import PhaseLibrary
from powderlens.symmetry.settings import operators

Rows = NDArray[np.int64]

SHARES: Mapping[str, float] = {"measured": 0.6, "calculated": 0.4}
"""Of the draws."""
NEAR_LENGTH, NEAR_ANGLE_DEG = 0.03, 3.0
"""Cells of the same elements that are so near are taken for one phase where it is not to be known."""
HYDROGEN = np.uint64(2)
"""Bit of hydrogen and deuterium in the first word of a mask of elements."""


@dataclass(frozen=True, eq=False)
class Pool:
    """The phases of a library that may be drawn, and what is found out about the library once.

    Attributes:
        library: whose rows these are.
        rows: (k,) that may be drawn.
        shares: of "measured" and "calculated" phases among the draws.
    """

    library: PhaseLibrary
    rows: Rows
    shares: Mapping[str, float]

    @classmethod
    def of(
        cls, library: PhaseLibrary, rows: Rows | Sequence[int] | None = None, shares: Mapping[str, float] = SHARES
    ) -> Pool:
        """Rows that may be drawn; None is the whole library.

        Raises:
            InputError: no rows, rows that the library lacks, shares of other kinds or below 0, or no phase of a kind
                that has a share.
        """
        chosen = np.arange(len(library)) if rows is None else np.unique(np.asarray(rows, np.int64))
        if not len(chosen) or chosen[0] < 0 or chosen[-1] >= len(library):
            raise InputError(f"{len(chosen)} rows to draw of: give some from 0 to {len(library) - 1}")
        if set(shares) - set(SHARES) or min(shares.values(), default=0) < 0 or not sum(shares.values()) > 0:
            raise InputError(f"shares {dict(shares)}: give measured and calculated, not negative and not both 0")
        pool = cls(library, chosen, dict(shares))
        for kind, share in shares.items():
            if share > 0 and not pool._votes[kind]:
                raise InputError(f"no {kind} phase among {len(chosen)} rows, but {kind} = {share:g}; make that share 0")
        return pool

    def only(self, kind: str) -> Pool:
        """The same rows, drawn of one kind alone: "measured" or "calculated".

        Raises:
            InputError: there is none of that kind.
        """
        if kind not in self._alone:
            self._alone[kind] = Pool.of(self.library, self.rows, {kind: 1.0})
        return self._alone[kind]

    def pick(self, u: NDArray[np.float64]) -> int:
        """One row: a kind by its share, then a name and space group of that kind, all alike, then one entry of these.

        Args:
            u: three numbers between 0 and 1.
        """
        total, kinds = sum(self.shares.values()), list(self.shares)
        at = int(np.searchsorted(np.cumsum([self.shares[kind] for kind in kinds]), u[0] * total, side="right"))
        votes = self._votes[kinds[min(at, len(kinds) - 1)]]
        entries = votes[int(u[1] * len(votes))]
        return int(entries[int(u[2] * len(entries))])

    def hidden_with(self, row: int) -> Rows:
        """Rows that must go with one: every entry of its name, and every entry with its elements and a cell near it.

        Calculated crystals have no names: they go by the cell.
        """
        library = self.library
        named = self._rows_of_name.get(library.name(row).casefold(), []) if library.measured[row] else []
        masks = library.elements_mask()
        same = np.flatnonzero((masks == masks[row]).all(axis=1))
        volume = self._volumes_A3(same)
        like = same[np.abs(volume / self._volumes_A3(np.array([row])) - 1) <= (1 + NEAR_LENGTH) ** 3 - 1]
        cells = np.array([self.reduced(i) for i in like.tolist()])
        near = like[same_lattice(self.reduced(row), cells, length=NEAR_LENGTH, angle_deg=NEAR_ANGLE_DEG)]
        return np.unique(np.concatenate([np.array(named, np.int64), near]))

    def rows_with(self, elements: Sequence[str], space_group: int) -> Rows:
        """Rows of the whole library with exactly these elements and this space group."""
        mask = np.zeros(2, np.uint64)
        for number in {NUMBER[element] for element in elements}:
            mask[number // 64] |= np.uint64(1) << np.uint64(number % 64)
        same = (self.library.elements_mask() == mask).all(axis=1) & (self.library.space_group == space_group)
        return np.flatnonzero(same)

    def reduced(self, row: int) -> Cell:
        """Niggli cell of an entry."""
        if row not in self._reduced:
            self._reduced[row] = reduced_of(self.library.cell[row], int(self.library.space_group[row]))
        return self._reduced[row]

    def _volumes_A3(self, rows: Rows) -> NDArray[np.float64]:
        """(k,) volumes of primitive cells."""
        cells = self.library.cell[rows].astype(float)
        x, y, z = cos(np.radians(cells[:, 3:])).T
        whole = cells[:, :3].prod(axis=1) * np.sqrt(np.maximum(1 - x * x - y * y - z * z + 2 * x * y * z, 0.0))
        return np.asarray(whole / np.array([centring(int(number)) for number in self.library.space_group[rows]]))

    @cached_property
    def _reduced(self) -> dict[int, Cell]:
        return {}

    @cached_property
    def _alone(self) -> dict[str, Pool]:
        return {}

    @cached_property
    def _votes(self) -> dict[str, list[Rows]]:
        """Kind -> the rows of each name and space group, in the order of these."""
        library = self.library
        found: dict[str, dict[tuple[str, int], list[int]]] = {kind: defaultdict(list) for kind in SHARES}
        for row in self.rows.tolist():
            kind = "measured" if library.measured[row] else "calculated"
            found[kind][library.name(row).casefold(), int(library.space_group[row])].append(row)
        return {kind: [np.array(votes[key], np.int64) for key in sorted(votes)] for kind, votes in found.items()}

    @cached_property
    def _rows_of_name(self) -> dict[str, list[int]]:
        """Name -> measured rows that are called so, or have folded an entry that is."""
        library = self.library
        found: dict[str, list[int]] = defaultdict(list)
        for row in np.flatnonzero(library.measured).tolist():
            for name in {text.casefold() for text in (library.name(row), *library.aliases(row))}:
                found[name].append(row)
        return found


def reduced_of(cell: NDArray[np.floating] | Sequence[float], space_group: int) -> Cell:
    """Niggli cell of a conventional cell in the standard setting, (6,) A and degrees."""
    return niggli_of_group(lattice_from_cell([float(v) for v in cell]), space_group)


@cache
def centring(space_group: int) -> int:
    """Lattice points in the conventional cell of a group."""
    rotations, _ = operators(space_group)
    return int((rotations == np.eye(3, dtype=np.int64)).all(axis=(1, 2)).sum())


def held_out(library: PhaseLibrary) -> Rows:
    """Rows of a library that the shipped network's training did not see, nor any other that splits crystals as it does.

    Training held crystals out by their elements and space group, see `corpus.splits.split_of`.
    """
    # Of the extras, by way of tables on disk; nothing else here needs it.
    from powderlens.corpus.splits import split_of

    masks, groups = library.elements_mask(), library.space_group
    text: dict[tuple[int, int], str] = {}
    out = []
    for row, (first, second) in enumerate(masks.tolist()):
        if first & int(HYDROGEN):
            elements = " ".join(elements_of(library.formula(row)))  # deuterium counts as an element of its own
        else:
            elements = text.get((first, second)) or _symbols(first, second)
            text[first, second] = elements
        if split_of(elements, int(groups[row])) != "train":
            out.append(row)
    return np.array(out, np.int64)


def _symbols(first: int, second: int) -> str:
    bits = first | second << 64
    return " ".join(sorted(symbol for z, symbol in enumerate(ELEMENTS, start=1) if bits >> z & 1))
