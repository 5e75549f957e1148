"""Databases in, one table of labelled crystals out; interrupted at any point, it goes on where it stopped.

Blocks of crystals are worked on in processes, and each leaves a part on disk. When all parts are there they are joined:
duplicates are looked for, rejects counted, and table, list of rejects and manifest written, each whole or not at all.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import moyopy
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import powderlens
from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write, file_sha256
from powderlens.core.guarded import work
from powderlens.core.parts import parts_folder
from powderlens.core.tables import check_parquet, commonest_first, main_reasons, write_beside
from powderlens.crystal.curation import Rule, chosen_rules
from powderlens.crystal.duplicates import find_duplicates
from powderlens.crystal.label import SYMPREC_A
from powderlens.crystal.sources import files_of, iter_objects, open_source
from powderlens.crystal.structure import Reject, Structure
from powderlens.crystals.curate_part import BLOCK, CrystalBlock, make_part, part_schema, read_rejects
from powderlens.crystals.table import CALLED, SCHEMA, CrystalTable, write_crystals

REPEATED = "identity: listed before"
EXAMPLES = 5

Progress = Callable[[str], None]


@dataclass(frozen=True)
class CrystalSource:
    """Where crystals come from.

    Attributes:
        name: for the report.
        sha256: of the file; of a folder, of its files' names and sums; None for objects, whose parts are not kept.
        open: makes the iterator, the same crystals each time.
    """

    name: str
    sha256: str | None
    open: Callable[[], Iterator[Structure | Reject]]

    @classmethod
    def of_path(cls, path: str | Path) -> CrystalSource:
        """A database, folder or archive; see `crystal.sources.open_source`.

        Raises:
            InputError: there is nothing of that name, or nothing in it that can be read.
        """
        path = Path(path)
        open_source(path)
        if path.is_dir():
            sums = "".join(f"{name} {file_sha256(path / name)}\n" for name in files_of(path))
            digest = sha256(sums.encode()).hexdigest()
        else:
            digest = file_sha256(path)
        return cls(path.resolve().name, digest, lambda: open_source(path))

    @classmethod
    def of_objects(cls, objects: Sequence[object], name: str = "python") -> CrystalSource:
        """Objects of pymatgen, ASE, gemmi, the mp-api client or powderlens; see `crystal.sources.iter_objects`."""
        return cls(name, None, lambda: iter_objects(objects, name))


def curate(
    sources: Sequence[CrystalSource],
    output: Path,
    *,
    protocol: str,
    without: Collection[str] = (),
    limit: int | None = None,
    workers: int = 2,
    progress: Progress = lambda message: None,
) -> dict[str, Any]:
    """Write the table of all crystals that a protocol keeps; beside it the rejects (`.rejects.csv`) and a manifest.

    Args:
        sources: in this order.
        output: the table, `.parquet`. Until it is there, `OUTPUT.parts` holds what has been done; the same call goes on
            from there.
        protocol: a name of `crystal.curation.PROTOCOLS`.
        without: rules of it that are left out.
        limit: take only the first of each source.
        workers: processes; 0 works in this one, where a crystal that never ends is not noticed.
        progress: called with what is being done.

    Returns:
        The manifest.

    Raises:
        InputError: what is asked for cannot be had; a source is not whole; not one crystal is kept.
    """
    check_parquet(output, CALLED)
    rules = chosen_rules(protocol, without)
    if not output.parent.is_dir():
        raise InputError(f"{output}: no directory {output.parent}; make it first")
    if not sources:
        raise InputError("no source: name at least one database, folder or archive")
    settings = _settings(sources, protocol, rules, without, limit)
    folder = _parts_folder(output, settings, progress)
    work(_blocks(sources, limit, rules, folder), make_part, workers, progress)
    manifest = _join(sources, rules, settings, folder, output, progress)
    shutil.rmtree(folder)
    return manifest


def rejects_path(output: Path) -> Path:
    """Where the list of rejects of a table lies."""
    return output.with_suffix(".rejects.csv")


def _settings(
    sources: Sequence[CrystalSource], protocol: str, rules: Sequence[Rule], without: Collection[str], limit: int | None
) -> dict[str, Any]:
    """What the result depends on, and nothing else."""
    return {
        "protocol": protocol,
        "rules": {rule.name: rule.text for rule in rules},
        "without": sorted(without),
        "limit_per_source": limit,
        "symprec_A": SYMPREC_A,
        "sources": [{"name": source.name, "sha256": source.sha256} for source in sources],
        "versions": {
            "powderlens": powderlens.__version__,
            "moyopy": moyopy.__version__,
            "gemmi": version("gemmi"),
            "numpy": np.__version__,
            "pyarrow": pa.__version__,
        },
    }


def _parts_folder(output: Path, settings: dict[str, Any], progress: Progress) -> Path:
    """The folder of the parts; those made under other settings are thrown away."""
    folder = output.with_name(output.name + ".parts")
    key = json.dumps({**settings, "block": BLOCK, "columns": SCHEMA.names}, indent=2)
    anew = f"{folder.name} was made with other settings or sources: starting anew"
    keep = all(source["sha256"] for source in settings["sources"])
    return parts_folder(folder, key, anew=lambda: progress(anew), keep=keep)


def _blocks(
    sources: Sequence[CrystalSource], limit: int | None, rules: Sequence[Rule], folder: Path
) -> Iterator[CrystalBlock]:
    """The blocks that are still to be done, in order."""
    names = tuple(rule.name for rule in rules if rule.objection is not None)
    number = 0
    for position, source in enumerate(sources):
        crystals = islice(source.open(), limit)
        while items := list(islice(crystals, BLOCK)):
            path = folder / f"part-{number:06d}.parquet"
            yield CrystalBlock(number, position, items, names, path)
            number += 1


@dataclass(frozen=True)
class _Refused:
    """One crystal that is not kept."""

    source: int
    id: str
    rule: str
    detail: str


def _join(
    sources: Sequence[CrystalSource],
    rules: Sequence[Rule],
    settings: dict[str, Any],
    folder: Path,
    output: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Make the table of all parts."""
    paths = sorted(folder.glob("part-*.parquet"))
    schema = part_schema()
    table = pa.concat_tables([pq.read_table(path, schema=schema) for path in paths] or [schema.empty_table()])
    refused = [_Refused(*entry) for path in paths for entry in read_rejects(path)]
    total = Counter(entry.source for entry in refused)
    of_row = table["part_source"].to_numpy()
    total.update(of_row.tolist())
    ids = table["id"].to_pylist()
    failed = table["failed"].to_pylist()
    alone = Counter(entry.rule for entry in refused)
    alone.update(rule for names in failed for rule in {text.split(": ")[0] for text in names})

    seen: set[str] = set()
    open_rows = np.zeros(len(ids), dtype=bool)
    for row, identity in enumerate(ids):
        if identity in seen:
            refused.append(_Refused(int(of_row[row]), identity, REPEATED, ""))
            alone[REPEATED] += 1
        elif failed[row]:
            rule, _, detail = failed[row][0].partition(": ")
            refused.append(_Refused(int(of_row[row]), identity, rule, detail))
        else:
            open_rows[row] = True
        seen.add(identity)
    if any(rule.name == "duplicates" for rule in rules):
        progress(f"looking for duplicates among {len(ids):,} crystals")
        first, alone["duplicates"] = _duplicates(table, open_rows)
        for row in np.flatnonzero(first != np.arange(len(ids))).tolist():
            refused.append(_Refused(int(of_row[row]), ids[row], "duplicates", ids[first[row]]))
            open_rows[row] = False
    kept = table.select(SCHEMA.names).filter(pa.array(open_rows))
    counts = _counts(sources, total, refused)
    if len(kept) == 0:
        raise InputError(f"no crystal of {counts['crystals_in']} is kept: {main_reasons(counts['rejects'])}")
    progress(f"writing {len(kept):,} crystals")
    write_crystals(kept, output)
    _write_rejects(sources, refused, rejects_path(output))
    manifest = {
        **settings,
        **counts,
        "each_rule_alone": {rule.name: alone[rule.name] for rule in rules},
        "examples": _examples(refused),
        "sha256": file_sha256(output),
    }
    write_beside(output, manifest, ensure_ascii=False)
    return manifest


def _duplicates(table: pa.Table, open_rows: NDArray[np.bool_]) -> tuple[NDArray[np.int64], int]:
    """For each row the first open row that it equals, itself where there is none; and how many of all rows would go.

    All rows are searched once. Where a row that is out stood for others, its bucket is searched again without it.
    """
    crystals = CrystalTable.of(table)
    buckets = table["bucket"].to_pylist()
    n = len(buckets)
    everyone = find_duplicates(buckets, crystals.structure)
    follows = everyone != np.arange(n)
    again = {buckets[head] for head in np.unique(everyone[follows]) if not open_rows[head]}
    first = np.where(open_rows, everyone, np.arange(n))
    rows = [row for row in range(n) if open_rows[row] and buckets[row] in again]
    if rows:
        found = find_duplicates([buckets[row] for row in rows], lambda i: crystals.structure(rows[i]))
        first[rows] = np.array(rows)[found]
    return first, int(follows.sum())


def _counts(sources: Sequence[CrystalSource], total: Counter[int], refused: Sequence[_Refused]) -> dict[str, Any]:
    """In, kept and rejects by reason, altogether and by source; they add up."""
    by_source = []
    for position, source in enumerate(sources):
        reasons = Counter(entry.rule for entry in refused if entry.source == position)
        kept = total[position] - reasons.total()
        by_source.append(
            {"name": source.name, "in": total[position], "kept": kept, "rejects": commonest_first(reasons)}
        )
    reasons = Counter(entry.rule for entry in refused)
    return {
        "crystals_in": total.total(),
        "crystals_kept": total.total() - reasons.total(),
        "rejects": commonest_first(reasons),
        "by_source": by_source,
    }


def _examples(refused: Sequence[_Refused]) -> dict[str, list[str]]:
    examples: dict[str, list[str]] = {}
    for entry in refused:
        mine = examples.setdefault(entry.rule, [])
        if len(mine) < EXAMPLES:
            mine.append(f"{entry.id}: {entry.detail}" if entry.detail else entry.id)
    return dict(sorted(examples.items()))


def _write_rejects(sources: Sequence[CrystalSource], refused: Iterable[_Refused], path: Path) -> None:
    with atomic_write(path) as aside, aside.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, ["source", "id", "rule", "detail"], lineterminator="\n")
        writer.writeheader()
        for entry in sorted(refused, key=lambda entry: entry.source):
            writer.writerow({**asdict(entry), "source": sources[entry.source].name})
