"""Splits into parts, each with a sentence that says what it holds apart, and the split of reflection tables.

`powderlens.corpus.audit` checks that sentence against the crystals themselves.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import pairwise
from math import gcd
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.core.files import file_sha256
from powderlens.core.random import check_seed
from powderlens.crystal.duplicates import find_duplicates
from powderlens.crystals.columns import lists
from powderlens.crystals.table import CrystalTable

IN_LIBRARY = {"train": 30, "validation": 1, "test": 2}
"""Conditions of SimXRD's 33 for each part. Source: Cao et al., ICLR 2025, in-library split."""
OUT_OF_LIBRARY = {"train": 70, "validation": 10, "test": 20}
"""Hundredths of the crystals for each part. Source: likewise, out-of-library split."""
STRUCTURE_TYPE = {"train": 70, "test": 30}
"""Hundredths of the structure types. Source: Schopmans et al. (ML4pXRDs), Digital Discovery 2, 1414 (2023)."""

PARTS = ("train", "validation", "test")
HELD_OUT_PERCENT = {"validation": 1, "test": 2}
"""Hundredths of the chemical systems that reflection tables hold out."""

IN = "in-library"
PATTERNS, IDS, CRYSTALS, TYPES, COMPOSITIONS = "patterns", "ids", "crystals", "structure types", "compositions"
"""What a split can promise not to have on two sides; patterns always."""

PART = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_COUNTED = re.compile(r"([A-Z][a-z]?)([\d.]*)")


@dataclass(frozen=True, eq=False)
class Split:
    """Which pattern belongs to which part.

    Attributes:
        name: as `make_split` takes it.
        statement: one sentence: what the parts do not have in common; `promises` of the name says it for the audit.
        names: the parts, the one for training first.
        part_of: (crystals, per_crystal) int8, index into `names`; -1 for a pattern in no part.
    """

    name: str
    statement: str
    names: tuple[str, ...]
    part_of: NDArray[np.int8]

    @property
    def parts(self) -> dict[str, NDArray[np.bool_]]:
        """Part -> (crystals, per_crystal), True for its patterns."""
        return {name: self.part_of == at for at, name in enumerate(self.names)}

    def numbers(self, part: str) -> NDArray[np.int64]:
        """(n,) numbers of a part's patterns, crystal * per_crystal + condition, rising.

        Raises:
            InputError: no such part.
        """
        return np.flatnonzero(self.part_of.ravel() == self._index(part))

    def id_table(self, ids: Sequence[str], part: str) -> pa.Table:
        """A part's id file: a row for each of its crystals, with the `conditions` that belong to the part.

        Args:
            ids: of the crystals, in the order of `part_of`.
            part: one of `names`.

        Returns:
            Columns `id`, `crystal` (row) and `conditions` (list); the schema's metadata hold name and statement.
        """
        chosen = self.part_of == self._index(part)
        rows = np.flatnonzero(chosen.any(axis=1))
        counts = chosen[rows].sum(axis=1)
        conditions = np.nonzero(chosen[rows])[1].astype(np.int16)
        about = {"split": self.name, "part": part, "statement": self.statement}
        return pa.table(
            {
                "id": pa.array([ids[row] for row in rows.tolist()], pa.string()),
                "crystal": pa.array(rows.astype(np.int32)),
                "conditions": lists(conditions, counts),
            }
        ).replace_schema_metadata(about)

    def _index(self, part: str) -> int:
        if part not in self.names:
            raise InputError(f"part {part!r}: split {self.name} has {', '.join(self.names)}")
        return self.names.index(part)


def split_names() -> tuple[str, ...]:
    """The splits that `make_split` knows by name."""
    return IN, *_DEALT


def promises(name: str) -> tuple[str, ...]:
    """What a split holds apart, such as `CRYSTALS`; one that is not known by name, as a list, its crystals."""
    if name == IN:
        return (PATTERNS,)
    return _DEALT[name].promises if name in _DEALT else (PATTERNS, CRYSTALS)


def make_split(name: str, table: CrystalTable, per_crystal: int, seed: int) -> Split:
    """Divide the patterns of a corpus.

    Args:
        name: one of `split_names`, or a csv file with the columns `id` and `part`.
        table: the crystals of the corpus, in its order.
        per_crystal: conditions of each crystal.
        seed: of what is shuffled. The order of the table does not matter: keys are shuffled by their hash.

    Raises:
        InputError: no such split or file, too few crystals or conditions for its parts, or a list that does not fit.
    """
    if per_crystal < 1:
        raise InputError(f"per_crystal {per_crystal}: a crystal has at least 1 pattern")
    if name.endswith(".csv"):
        return _listed(Path(name), table, per_crystal)
    if name not in split_names():
        known = ", ".join(split_names())
        raise InputError(f"split {name!r}: there are {known}, or a .csv file with the columns id and part")
    check_seed(seed)
    if name == IN:
        return _in_library(len(table), per_crystal)
    rule = _DEALT[name]
    keys = rule.keys(table)
    order = rule.order(keys, seed)
    counts = _counts(len(order), rule.shares, "crystals, types or compositions", name)
    part_of_key = dict(zip(order, _repeated(counts).tolist(), strict=True))
    return _of_crystals(name, rule.statement, tuple(counts), [part_of_key[key] for key in keys], per_crystal)


def composition_key(formula: str) -> str:
    """A formula as its elements' shares of all atoms, heavy hydrogen as hydrogen: equal for equal compositions."""
    counts: dict[str, float] = {}
    for element, count in _COUNTED.findall(formula):
        element = "H" if element == "D" else element
        counts[element] = counts.get(element, 0.0) + float(count or 1)
    if all(count == int(count) for count in counts.values()):
        common = reduce(gcd, (int(count) for count in counts.values()), 0)
        return " ".join(f"{element}{int(count) // common}" for element, count in sorted(counts.items()))
    total = sum(counts.values())
    return " ".join(f"{element}{count / total:.3f}" for element, count in sorted(counts.items()))


@dataclass(frozen=True)
class _Dealt:
    """A split that deals the crystals of one key together.

    Attributes:
        statement: see `Split`.
        promises: see `promises`.
        keys: the key of each crystal.
        shares: hundredths of the keys for each part.
        order: the keys in the order in which they are dealt, from the keys and the seed.
    """

    statement: str
    promises: tuple[str, ...]
    keys: Callable[[CrystalTable], list[str]]
    shares: dict[str, int] = field(default_factory=lambda: OUT_OF_LIBRARY)
    order: Callable[[Sequence[str], int], list[str]] = lambda keys, seed: _shuffled(keys, seed)


def _types(table: CrystalTable) -> list[str]:
    return joined(table.column("structure_type"), _kinds(table))


def _compositions(table: CrystalTable) -> list[str]:
    return joined([composition_key(formula) for formula in table.column("formula")], table.column("bucket"))


def _kinds(table: CrystalTable) -> list[str]:
    """For each crystal the smallest id of those that it equals: duplicates are dealt together."""
    first = find_duplicates(list(table.column("bucket")), table.structure)
    return joined(table.ids, [str(row) for row in first.tolist()])


_DEALT = {
    "out-of-library": _Dealt(
        "No crystal is in two parts, under whatever id or setting; crystals were dealt at random (70/10/20), "
        "so compositions and structure types are shared.",
        (PATTERNS, CRYSTALS),
        _kinds,
    ),
    "out-of-library-consecutive": _Dealt(
        "No id is in two parts: the first 70 % of the ids, the next 10 % and the last 20 %; compositions, "
        "structure types and crystals under two ids are shared.",
        (PATTERNS, IDS),
        lambda table: table.ids,
        order=lambda ids, seed: sorted(ids, key=_natural),
    ),
    "structure-type": _Dealt(
        "No structure type (anonymous formula, space group and Wyckoff sequence) is in two parts, and no "
        "crystal under another id: 70 % of the types are in train, 30 % in test.",
        (PATTERNS, CRYSTALS, TYPES),
        _types,
        STRUCTURE_TYPE,
    ),
    "composition": _Dealt(
        "No composition is in two parts, and of crystals with shared or part-filled sites no set of "
        "elements: 70 % of the compositions are in train, 10 % in validation, 20 % in test.",
        (PATTERNS, CRYSTALS, COMPOSITIONS),
        _compositions,
    ),
}


def _in_library(crystals: int, per_crystal: int) -> Split:
    counts = _counts(per_crystal, IN_LIBRARY, "conditions of each crystal", IN)
    shares = "/".join(map(str, counts.values()))
    return Split(
        name=IN,
        statement=f"Every crystal is in every part ({shares} of its {per_crystal} conditions): no pattern is in two "
        "parts, crystals are shared by all.",
        names=tuple(counts),
        part_of=np.broadcast_to(_repeated(counts), (crystals, per_crystal)),
    )


def _listed(path: Path, table: CrystalTable, per_crystal: int) -> Split:
    part_of_id = _read_list(path)
    listed = [part_of_id.get(identity) for identity in table.ids]
    found = {part for part in listed if part is not None}
    if not found:
        raise InputError(f"{path}: not one of its {len(part_of_id)} ids is a crystal of the corpus; compare the ids")
    names = tuple(sorted(found, key=lambda part: (part != "train", part != "validation", part)))
    statement = (
        f"As {path.name} lists the crystals (sha256 {file_sha256(path)[:16]}): no crystal is in two parts; "
        f"{listed.count(None)} crystals of the corpus are in none."
    )
    at = [-1 if part is None else names.index(part) for part in listed]
    return _of_crystals(path.name, statement, names, at, per_crystal)


def _of_crystals(
    name: str, statement: str, names: tuple[str, ...], part_of_crystal: Sequence[int], per_crystal: int
) -> Split:
    """A split that leaves the patterns of a crystal together."""
    part_of = np.array(part_of_crystal, np.int8)[:, None]
    return Split(name, statement, names, np.broadcast_to(part_of, (len(part_of), per_crystal)))


def _read_list(path: Path) -> dict[str, str]:
    parts: dict[str, str] = {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            if not {"id", "part"} <= set(reader.fieldnames or ()):
                raise InputError(f"{path}: a list of parts has the columns id and part, this has {reader.fieldnames}")
            for row in reader:
                identity, part = (row["id"] or "").strip(), (row["part"] or "").strip()
                if not PART.fullmatch(part):
                    raise InputError(
                        f"{path}, line {reader.line_num}: part {part!r}; name it in small letters, digits, - and _, "
                        "such as train"
                    )
                if parts.setdefault(identity, part) != part:
                    raise InputError(
                        f"{path}, line {reader.line_num}: {identity} is in {parts[identity]} and in {part}; "
                        "a crystal is in one part"
                    )
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; a list of parts is a csv file with the columns id and part") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}); give a csv file with the columns id and part") from None
    return parts


def joined(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """One key for each row, the same for rows that share either of two keys, directly or through others."""
    parent = list(range(len(first)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for keys in (first, second):
        members: dict[Hashable, list[int]] = {}
        for row, key in enumerate(keys):
            members.setdefault(key, []).append(row)
        for rows in members.values():
            for one, other in pairwise(rows):
                parent[root(other)] = root(one)
    smallest: dict[int, str] = {}
    roots = [root(row) for row in range(len(first))]
    for at, key in zip(roots, first, strict=True):
        smallest[at] = min(smallest.get(at, key), key)
    return [smallest[at] for at in roots]


def _shuffled(keys: Sequence[str], seed: int) -> list[str]:
    """Each key once, in an order that follows from the seed and the keys alone."""
    return sorted(set(keys), key=lambda key: hashlib.sha256(f"{seed}|{key}".encode()).digest())


def _counts(total: int, shares: dict[str, int], what: str, name: str) -> dict[str, int]:
    """How many of a total each part receives: at least one, the first the rest."""
    if total < len(shares):
        raise InputError(f"{total} {what}: split {name} has {len(shares)} parts and needs at least {len(shares)}")
    whole = sum(shares.values())
    first, *others = shares
    counts = {part: max(1, round(total * shares[part] / whole)) for part in others}
    return {first: total - sum(counts.values()), **counts}


def _repeated(counts: dict[str, int]) -> NDArray[np.int8]:
    """The place of each part, as often as it has a share."""
    return np.repeat(np.arange(len(counts), dtype=np.int8), list(counts.values()))


def _natural(identity: str) -> list[tuple[int, int, str]]:
    """Sorts "mp-9" before "mp-10"."""
    return [
        (0, int(word), "") if word.isdigit() else (1, 0, word) for word in re.split(r"([0-9]+)", identity) if word != ""
    ]


def split_of(elements: str, space_group: int) -> str:
    """Part of all crystals that share their set of elements and their space group, from any database.

    So repeated determinations of a phase stay on one side; a solid solution with one more element is another system,
    and may stand on the other side of its end member. The choice is a hash, so it needs no file and stays when crystals
    are added.
    """
    bucket = int.from_bytes(hashlib.sha256(f"{elements}|{space_group}".encode()).digest()[:4], "big") % 100
    low = 0
    for part, percent in HELD_OUT_PERCENT.items():
        if low <= bucket < low + percent:
            return part
        low += percent
    return "train"


def split_indices(elements: Sequence[str], space_groups: Sequence[int]) -> dict[str, NDArray[np.int64]]:
    """Row numbers of each part."""
    parts = np.array([split_of(e, int(g)) for e, g in zip(elements, space_groups, strict=True)])
    return {part: np.flatnonzero(parts == part) for part in PARTS}
