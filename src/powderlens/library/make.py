"""Sources in, one library of phases out; interrupted at any point, it goes on where it stopped.

Blocks of crystals are labelled and packed in processes, and each leaves a part on disk. When all parts are there they
are joined, variants of one phase are folded, and the key lines of those that are left are computed.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import powderlens
from powderlens.core.errors import InputError
from powderlens.core.files import file_sha256
from powderlens.core.guarded import work
from powderlens.core.parts import parts_folder
from powderlens.core.pool import in_order
from powderlens.core.tables import commonest_first, main_reasons
from powderlens.crystal.sources import files_of, open_source
from powderlens.crystal.structure import Reject, Structure
from powderlens.diffraction.phase import phase_of
from powderlens.diffraction.reflections import NoReflectionError
from powderlens.library.container import VERSION, read_container, write_container
from powderlens.library.fold import folded, heads_of
from powderlens.library.keys import D_RANGE_A, key_lines
from powderlens.library.origins import described
from powderlens.library.part import BLOCK, PhaseBlock, make_part
from powderlens.library.rows import UNREFERENCED, Arrays, join, take, with_ragged
from powderlens.library.store import PhaseLibrary, with_displacements

REPEATED = "identity: listed before"
NO_LINES = f"lines: none between {D_RANGE_A[0]:g} and {D_RANGE_A[1]:g} A"

MOST_POINTS = 150_000
"""Points of the reciprocal lattice that are looked at for key lines: of cells beyond some 12,000 A^3 the shortest
spacings are left out, which hold none of the strongest lines."""

ROWS = 400
"""Phases whose key lines one task computes."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class PhaseSource:
    """Where phases come from.

    Attributes:
        name: for the report.
        sha256: of the file; of a folder, of its files' names and sums.
        open: makes the iterator, the same crystals each time.
    """

    name: str
    sha256: str
    open: Callable[[], Iterator[Structure | Reject]]

    @classmethod
    def of_path(cls, path: Path) -> PhaseSource:
        """A database, folder or archive; see `crystal.sources.open_source`.

        Where a folder has an `index.csv` with columns `file` and `reference_status`, only those of its files are taken
        whose reference the source states.

        Raises:
            InputError: there is nothing of that name, or nothing in it that can be read.
        """
        open_source(path)
        if not path.is_dir():
            return cls(path.resolve().name, file_sha256(path), lambda: open_source(path))
        names = files_of(path)
        index = path / "index.csv"
        sums = "".join(f"{name} {file_sha256(path / name)}\n" for name in [*names, *["index.csv"] * index.is_file()])
        stated = _referenced(index)
        return cls(
            path.resolve().name,
            sha256(sums.encode()).hexdigest(),
            lambda: (_if_referenced(item, stated) for item in open_source(path)),
        )


def build(
    sources: Sequence[PhaseSource],
    output: Path,
    *,
    onto: PhaseLibrary | None = None,
    limit: int | None = None,
    workers: int = 2,
    progress: Progress = lambda message: None,
) -> dict[str, Any]:
    """Write a library of all phases of the sources.

    Args:
        sources: in this order; of equally good entries of a phase the first leads.
        output: the file. Until it is there, `OUTPUT.parts` holds what has been done; the same call goes on from there.
        onto: a library to which they are added.
        limit: take only the first of each source.
        workers: processes; 0 works in this one, where a crystal that never ends is not noticed.
        progress: called with what is being done.

    Returns:
        The header without its arrays: counts, rejects by reason, sources, sha256.

    Raises:
        InputError: what is asked for cannot be had; a source is not whole; not one phase is kept.
    """
    if not output.parent.is_dir():
        raise InputError(f"{output}: no directory {output.parent}; make it first")
    if not sources:
        raise InputError("no source: name at least one database, folder or archive")
    made_of = [{"name": source.name, "sha256": source.sha256, "limit": limit} for source in sources]
    programs = {"powderlens": powderlens.__version__, "moyopy": version("moyopy")}
    folder = parts_folder(
        output.with_name(output.name + ".parts"),
        json.dumps({"format": VERSION, "block": BLOCK, "made_of": made_of, **programs}, indent=1),
        anew=lambda: progress("the parts on disk are of other sources or settings: starting anew"),
    )
    work(_blocks(sources, limit, folder), make_part, workers, progress)
    parts = [PhaseLibrary.open(path) for path in sorted(folder.glob("part-*.phases"))]
    if onto is not None:
        parts.insert(0, onto)
    found = _finish(parts, folder, max(workers, 1), 0 if onto is None else len(onto), progress)
    header = {
        **programs,
        "made_of": [*([] if onto is None else onto.header["made_of"]), *made_of],
        "prefixes": found.prefixes,
        "origins": described(found.prefixes),
        **found.counts,
        "rejects": commonest_first(found.rejects),
    }
    write_container(output, header, found.arrays)
    shutil.rmtree(folder)
    written = read_container(output).header
    return {name: value for name, value in written.items() if name != "arrays"}


@dataclass(frozen=True)
class _Found:
    arrays: Arrays
    prefixes: list[str]
    counts: dict[str, Any]
    rejects: Counter[str]


def _finish(
    parts: Sequence[PhaseLibrary], folder: Path, workers: int, folded_already: int, progress: Progress
) -> _Found:
    """Join the parts, leave out what is listed twice, fold, and compute key lines."""
    rejects = Counter(reason for part in parts if "part_of" in part.header for _, reason in part.header["rejects"])
    if not any(map(len, parts)):
        raise InputError(f"no phase of {rejects.total()} is kept: {main_reasons(rejects)}")
    arrays, prefixes = join(parts)
    whole = folder / "joined.phases"
    write_container(whole, {"prefixes": prefixes}, arrays)
    joined = PhaseLibrary.open(whole, check=False)
    once = _first_of_each([joined.identity(i) for i in range(len(joined))])
    rejects[REPEATED] += len(joined) - len(once)
    write_container(whole, {"prefixes": prefixes}, take(joined.arrays, once))
    progress(f"folding {len(once):,} crystals")
    joined = PhaseLibrary.open(whole, check=False)
    arrays = folded(joined, heads_of(whole, workers, folded_already))
    write_container(whole, {"prefixes": prefixes}, arrays)
    progress(f"key lines of {len(arrays['space_group']):,} phases")
    arrays = _with_keys(whole, workers)
    lined = np.flatnonzero(np.diff(arrays["key_start"].astype(np.int64)) > 0)
    rejects[NO_LINES] += len(arrays["space_group"]) - len(lined)
    if not len(lined):
        raise InputError(f"no phase of {rejects.total()} is kept: {main_reasons(rejects)}")
    kept = take(arrays, lined)
    entries = int(kept["determinations"].astype(np.int64).sum()) + rejects.total()
    return _Found(kept, prefixes, {"entries": entries, "phases": len(lined)}, +rejects)


def _blocks(sources: Sequence[PhaseSource], limit: int | None, folder: Path) -> Iterator[PhaseBlock]:
    number = 0
    for position, source in enumerate(sources):
        crystals = islice(source.open(), limit)
        while items := list(islice(crystals, BLOCK)):
            yield PhaseBlock(number, position, items, folder / f"part-{number:06d}.phases")
            number += 1


def _first_of_each(identities: Sequence[str]) -> NDArray[np.int64]:
    """Places where an identity comes for the first time."""
    seen: dict[str, int] = {}
    for place, identity in enumerate(identities):
        seen.setdefault(identity, place)
    return np.array(list(seen.values()), np.int64)


def _with_keys(path: Path, workers: int) -> Arrays:
    """The rows of a library on disk with key lines, computed where they are not there."""
    library = PhaseLibrary.open(path, check=False)
    tasks = [range(first, min(first + ROWS, len(library))) for first in range(0, len(library), ROWS)]
    pairs = [pair for some in in_order(partial(_keys_of, path), tasks, workers) for pair in some]
    columns: dict[str, list[NDArray[Any]]] = {
        "key_log_d": [log_d for log_d, _ in pairs],
        "key_amplitude": [amplitude for _, amplitude in pairs],
    }
    return with_ragged(dict(library.arrays), "key", columns)


def _keys_of(path: Path, rows: range) -> list[tuple[NDArray[np.uint16], NDArray[np.uint8]]]:
    """In a worker: key lines of some rows."""
    library = PhaseLibrary.open(path, check=False)
    start = library.key_start
    out = []
    for i in rows:
        part = slice(int(start[i]), int(start[i + 1]))
        known = library.key_log_d[part], library.key_amplitude[part]
        out.append(known if len(known[0]) else key_lines_of(library, i))
    return out


def key_lines_of(library: PhaseLibrary, i: int) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Spacings and amplitudes of the key lines of a phase, computed; none where it has none in range."""
    structure = with_displacements(library.structure(i))
    d_min_A = max(D_RANGE_A[0], (4 / 3 * np.pi * structure.volume_A3 / MOST_POINTS) ** (1 / 3))
    try:
        return key_lines(phase_of(structure, d_min_A=d_min_A, labelled=True))
    except NoReflectionError:
        return np.empty(0, np.uint16), np.empty(0, np.uint8)


def _referenced(index: Path) -> dict[str, bool] | None:
    """For each file of an index whether the source states its reference; None where there is no such index."""
    if not index.is_file():
        return None
    try:
        with index.open(newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{index}: not a table of text ({error})") from None
    if not rows or not {"file", "reference_status"} <= rows[0].keys():
        return None
    return {row["file"]: (row["reference_status"] or "").strip() == "stated by the source" for row in rows}


def _if_referenced(item: Structure | Reject, stated: dict[str, bool] | None) -> Structure | Reject:
    if stated is None or isinstance(item, Reject):
        return item
    name = item.source.partition(":")[2].partition("#")[0]
    return item if stated.get(name, False) else Reject(item.source, UNREFERENCED)
