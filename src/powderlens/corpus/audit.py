"""What the parts of a split have in common: the same crystals, structure types, compositions.

A split states what it holds apart (`powderlens.corpus.splits`). The audit looks at the crystals and says whether that
is true, and counts what else crosses over, promised or not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.corpus.splits import COMPOSITIONS, CRYSTALS, IDS, PATTERNS, TYPES, composition_key, promises
from powderlens.crystal.duplicates import find_duplicates
from powderlens.crystals.compare import numbered
from powderlens.crystals.table import CrystalTable

if TYPE_CHECKING:
    from powderlens.corpus.store.drawn import DrawnCorpus

MEASURES = {
    "rows": "The same row of the table in two parts",
    "duplicates": "The same crystal under two ids, in whatever setting",
    "types": "The same structure type",
    "compositions": "The same composition",
    "systems": "The same elements in the same space group",
}
BREAKS: dict[str, tuple[str, ...]] = {
    PATTERNS: (),
    IDS: ("rows",),
    CRYSTALS: ("rows", "duplicates"),
    TYPES: ("types",),
    COMPOSITIONS: ("compositions",),
}
"""What may not be shared when a split promises to hold something apart."""
EXAMPLES = 5


@dataclass(frozen=True)
class Shared:
    """What two parts have in common by one measure.

    Attributes:
        measure: one of `MEASURES`.
        a, b: the parts.
        kinds: how many crystals, types or compositions stand in both.
        crystals_a, crystals_b: how many crystals of each part are of these kinds.
        broken: the split says that there are none.
        examples: the first few, each as an id of one part and an id of the other.
    """

    measure: str
    a: str
    b: str
    kinds: int
    crystals_a: int
    crystals_b: int
    broken: bool
    examples: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Audit:
    """The findings.

    Attributes:
        split, statement: of the split.
        crystals: how many each part has.
        patterns_twice: how many patterns are in more than one part.
        shared: each measure for each pair of parts.
    """

    split: str
    statement: str
    crystals: dict[str, int]
    patterns_twice: int
    shared: tuple[Shared, ...]

    @property
    def broken(self) -> bool:
        """Whether the split is not what it says."""
        return self.patterns_twice > 0 or any(entry.broken for entry in self.shared)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"broken": self.broken, **asdict(self)}


def audit_corpus(corpus: DrawnCorpus) -> Audit:
    """Audit the split of a corpus; see `audit`."""
    split = corpus.manifest["split"]
    numbers = {part: corpus.numbers(part) for part in corpus.parts}
    counts = np.bincount(np.concatenate([np.empty(0, np.int64), *numbers.values()]), minlength=1)
    return audit(
        corpus.crystals,
        {part: np.unique(corpus.crystal_of(held)) for part, held in numbers.items()},
        split=split["name"],
        statement=split["statement"],
        patterns_twice=int((counts > 1).sum()),
    )


def audit(
    table: CrystalTable,
    parts: Mapping[str, NDArray[np.int64]],
    *,
    split: str,
    statement: str = "",
    patterns_twice: int = 0,
) -> Audit:
    """Count what every pair of parts has in common.

    Args:
        table: all crystals.
        parts: part -> its crystals, rows of the table.
        split: name of the split, which says what must not be shared.
        statement: its sentence, for the report.
        patterns_twice: how many patterns were found in two parts.

    Raises:
        InputError: a part has a row that the table has not.
    """
    _check_rows(table, parts)
    forbidden = {measure for held in promises(split) for measure in BREAKS[held]}
    kinds = {
        "rows": np.arange(len(table)),
        "duplicates": find_duplicates(list(table.column("bucket")), table.structure),
        "types": numbered(table.column("structure_type")),
        "compositions": numbered(composition_key(formula) for formula in table.column("formula")),
        "systems": numbered(zip(map(_system, table.column("elements")), table.space_group.tolist(), strict=True)),
    }
    ids = table.ids
    return Audit(
        split=split,
        statement=statement,
        crystals={part: len(rows) for part, rows in parts.items()},
        patterns_twice=patterns_twice,
        shared=tuple(
            _shared(measure, kinds[measure], (a, parts[a]), (b, parts[b]), ids, measure in forbidden)
            for measure in MEASURES
            for a, b in combinations(parts, 2)
        ),
    )


def _shared(
    measure: str,
    kinds: NDArray[np.int64],
    a: tuple[str, NDArray[np.int64]],
    b: tuple[str, NDArray[np.int64]],
    ids: Sequence[str],
    forbidden: bool,
) -> Shared:
    """One measure of two parts. But for "rows", a row that is in both parts is not its own like."""
    (name_a, rows_a), (name_b, rows_b) = a, b
    members_a, members_b = _members(kinds, rows_a), _members(kinds, rows_b)
    pairs: list[tuple[int, int]] = []
    in_a = in_b = 0
    for kind in sorted(members_a.keys() & members_b.keys()):
        one, other = members_a[kind], members_b[kind]
        if measure == "rows":
            pairs.append((one[0], other[0]))
        else:
            pair = next(((i, j) for i in one[:2] for j in other[:2] if i != j), None)
            if pair is None:
                continue
            pairs.append(pair)
        in_a += len(one)
        in_b += len(other)
    return Shared(
        measure=measure,
        a=name_a,
        b=name_b,
        kinds=len(pairs),
        crystals_a=in_a,
        crystals_b=in_b,
        broken=forbidden and bool(pairs),
        examples=tuple((ids[i], ids[j]) for i, j in pairs[:EXAMPLES]),
    )


def _members(kinds: NDArray[np.int64], rows: NDArray[np.int64]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for row, kind in zip(rows.tolist(), kinds[rows].tolist(), strict=True):
        found[kind].append(row)
    return found


def _system(elements: Sequence[str]) -> str:
    return " ".join(sorted({"H" if element == "D" else element for element in elements}))


def _check_rows(table: CrystalTable, parts: Mapping[str, NDArray[np.int64]]) -> None:
    for part, rows in parts.items():
        outside = rows[(rows < 0) | (rows >= len(table))]
        if len(outside):
            raise InputError(f"part {part}: crystal {outside[0]}, the table has {len(table)}; build the corpus again")
