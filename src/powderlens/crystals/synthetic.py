"""Synthetic crystals, and crystals drawn anew from a table, as a table of crystals like any other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import powderlens
from powderlens.core.errors import InputError, StructureError
from powderlens.core.files import file_sha256
from powderlens.core.pool import in_order
from powderlens.core.tables import check_parquet, commonest_first, write_beside
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.structure import Structure
from powderlens.crystals.columns import parquet_writer
from powderlens.crystals.statistics import main_rows, occupations
from powderlens.crystals.table import CALLED, SCHEMA, CrystalTable, crystal_row
from powderlens.generate.draw import CrystalGenerator, Limits
from powderlens.generate.randomise import LATTICE, What, check_what, randomised
from powderlens.generate.statistics import CrystalStatistics, shipped_sha256, shipped_statistics

CHUNK = 500
"""Crystals of one task, and rows of one row group: the bytes of a table do not depend on the number of workers."""

Rows = tuple[list[dict[str, Any]], Counter[str], Counter[str]]


@dataclass(frozen=True, kw_only=True)
class SyntheticOptions:
    """What is drawn, and from what.

    Attributes:
        seed: 0 to 2^63 - 1.
        statistics: the file; None takes those that come with powderlens.
        groups: only these space groups; None takes all that have statistics of their own.
        elements: only these elements; None takes all.
        uniform: every group equally often.
        limits: what every crystal must keep.
        crystals: a table whose crystals are drawn anew; None draws new ones.
        what: of its crystals is drawn anew.
    """

    seed: int
    statistics: Path | None = None
    groups: tuple[int, ...] | None = None
    elements: tuple[str, ...] | None = None
    uniform: bool = False
    limits: Limits = field(default_factory=Limits)
    crystals: Path | None = None
    what: What | None = None

    def __post_init__(self) -> None:
        if (self.crystals is None) != (self.what is None):
            raise InputError("to draw crystals of a table anew, give both the table and what of them is drawn anew")
        if self.what is None:
            return
        check_what(self.what)
        if self.groups is not None or self.elements is not None or self.uniform or self.limits != Limits():
            raise InputError(
                "crystals of a table drawn anew keep their groups and elements: groups, elements, uniform and limits "
                "have no effect there; leave them out"
            )


def build_synthetic(
    options: SyntheticOptions,
    path: Path,
    *,
    count: int | None = None,
    workers: int = 2,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Write the table, and beside it a manifest (`.json`).

    Args:
        options: what is drawn. The same options and count give the same bytes, however many workers there are.
        path: the Parquet file; written aside, then renamed.
        count: how many crystals; of a table, how many from its beginning, None for all.
        workers: processes; 1 works in this one.
        progress: called with the number of crystals seen so far.

    Returns:
        The manifest: counts in, kept and rejects by reason, whose statistics the crystals have, sha256 of the table and
        of what it was made from.

    Raises:
        InputError: a path that does not end in `.parquet` or cannot be written to; statistics or a table that cannot be
            used; a group without statistics; not one crystal is kept.
    """
    check_parquet(path, CALLED)
    worker = _worker(options)
    if worker.length is not None:
        count = worker.length if count is None else min(count, worker.length)
    if count is None or count < 1:
        raise InputError("how many crystals? give a count of at least 1")
    rejects: Counter[str] = Counter()
    owners: Counter[str] = Counter()
    seen = 0
    with parquet_writer(path, SCHEMA) as writer:
        chunks = (range(first, min(first + CHUNK, count)) for first in range(0, count, CHUNK))
        for rows, refused, owned in in_order(partial(_rows_of, options), chunks, workers):
            if rows:
                writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), row_group_size=CHUNK)
            rejects.update(refused)
            owners.update(owned)
            seen = min(seen + CHUNK, count)
            progress(seen)
        if rejects.total() == count:
            raise InputError(f"no crystal of {count} is kept: {rejects.most_common(1)[0][0]}")
    manifest: dict[str, Any] = {
        "origin": "synthetic crystals" if options.what is None else f"crystals with {options.what} drawn anew",
        "powderlens": powderlens.__version__,
        "options": _described(options),
        "crystals_in": count,
        "crystals_kept": count - rejects.total(),
        "rejects": commonest_first(rejects),
        "statistics_of": commonest_first(owners),
        "groups_with_a_pool": worker.pooled,
        "sha256": file_sha256(path),
    }
    write_beside(path, manifest)
    return manifest


def _described(options: SyntheticOptions) -> Mapping[str, object]:
    """The options without what is left as it is; files by name and sha256."""
    described: dict[str, object] = {}
    if options.statistics is None and (options.what is None or options.what in LATTICE):
        described["statistics"] = {"name": "those of powderlens", "sha256": shipped_sha256()}
    for name, value in asdict(options).items():
        if isinstance(value, Path):
            described[name] = {"name": value.name, "sha256": file_sha256(value)}
        elif value is not None:
            described[name] = list(value) if isinstance(value, tuple) else value
    return described


class _Worker:
    """Makes rows; every process has its own."""

    def __init__(self, options: SyntheticOptions) -> None:
        self._options = options
        needed = options.what is None or options.what in LATTICE
        path = options.statistics
        self._statistics: CrystalStatistics | None = None
        if needed or path is not None:
            self._statistics = shipped_statistics() if path is None else CrystalStatistics.load(path)
        self._table = None if options.crystals is None else CrystalTable.load(options.crystals)
        self.length = None if self._table is None else len(self._table)
        self.pooled: dict[str, str] = {}
        self._generator: CrystalGenerator | None = None
        if options.what is None and self._statistics is not None:
            self._generator = CrystalGenerator(
                self._statistics,
                seed=options.seed,
                groups=options.groups,
                elements=options.elements,
                uniform=options.uniform,
                limits=options.limits,
            )
            owners = self._generator.owners
            self.pooled = {str(number): owner for number, owner in owners.items() if owner != "own"}

    def rows(self, indices: Sequence[int]) -> Rows:
        """Rows of the crystals, why others have none, and whose statistics were drawn from."""
        rows: list[dict[str, Any]] = []
        rejects: Counter[str] = Counter()
        owners: Counter[str] = Counter()
        for index in indices:
            structure, owner = self._made(index)
            if structure is None:
                rejects["the group is lost in every try"] += 1
                continue
            try:
                found = find_symmetry(structure)
                if found.number != structure.space_group:
                    raise StructureError("the table's row has another group")
                rows.append(crystal_row(found))
            except StructureError as error:
                rejects[str(error).removeprefix(f"{structure.source}: ")] += 1
                continue
            owners[owner] += 1
        return rows, rejects, owners

    def _made(self, index: int) -> tuple[Structure | None, str]:
        seed, table = self._options.seed, self._table
        if self._generator is not None:
            crystal = self._generator.crystal(index)
            return crystal.structure(source=f"synthetic:{seed}-{index}"), crystal.statistics
        assert table is not None
        assert self._options.what is not None
        whole = table.structure(index)
        main = np.zeros(len(table.column("site_multiplicity")[index]), dtype=bool)
        main[main_rows(table, index)] = True
        atoms = np.repeat(main, table.column("site_multiplicity")[index])
        (given,) = occupations(table, [index])
        statistics = self._statistics or _NOTHING
        made = randomised(given, whole.frac[atoms], self._options.what, statistics, seed=seed, index=index)
        owner = statistics.of_group(given.space_group)[1] if self._options.what in LATTICE else "none"
        if made is None:
            return None, owner
        return replace(made, name=whole.name, source=f"{self._options.what}:{seed}-{whole.source}"), owner


_NOTHING = CrystalStatistics(groups={}, pools={}, lattices={}, counts={})


@lru_cache(maxsize=1)
def _worker(options: SyntheticOptions) -> _Worker:
    return _Worker(options)


def _rows_of(options: SyntheticOptions, chunk: range) -> Rows:
    return _worker(options).rows(chunk)
