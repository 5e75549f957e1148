"""Whether a corpus is byte for byte as it was written, and draws what it drew: any single flipped bit is found."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.corpus.store.build import probe_numbers
from powderlens.corpus.store.drawn import DrawnCorpus
from powderlens.corpus.store.manifest import (
    BLOCK_BYTES,
    KEPT_DIGITS,
    NAME,
    Manifest,
    blocks_of,
    listed_files,
    load_manifest,
)


@dataclass(frozen=True)
class Damage:
    """One thing that is wrong.

    Attributes:
        file: name in the corpus.
        what: in words.
        mib: which MiB of the file, counted from 0; None where it is not about one.
        holds: what lies there, such as "rows 1,000 to 1,999, column strength"; empty where that is not known.
    """

    file: str
    what: str
    mib: int | None = None
    holds: str = ""

    def __str__(self) -> str:
        where = "" if self.mib is None else f", MiB {self.mib}"
        return f"{self.file}{where}: {self.what}" + (f" ({self.holds})" if self.holds else "")


@dataclass(frozen=True)
class Report:
    """What `verify` found.

    Attributes:
        files, bytes: how many were read.
        damage: everything that is wrong, in the order of the files.
        unlisted: files of the folder that are no part of the corpus.
        drawn: patterns that were drawn twice and compared.
        probe_difference: largest difference, as a share of the scale, of the patterns that were kept when the corpus
            was built from those drawn now; None where that was not looked at.
    """

    files: int
    bytes: int
    damage: tuple[Damage, ...]
    unlisted: tuple[str, ...]
    drawn: int = 0
    probe_difference: float | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.damage


def verify(path: Path, *, draw: int = 0, seed: int = 0) -> Report:
    """Read every byte of a corpus, of whatever kind; on request draw patterns as well.

    Args:
        path: the folder.
        draw: so many patterns are drawn twice, the second time from a corpus opened anew, one by one and from the last
            to the first; and those of `probe.npy` are drawn again.
        seed: which patterns are drawn.

    Returns:
        The report. Where files are damaged nothing is drawn.

    Raises:
        InputError: no corpus, or one of a newer version; patterns are to be drawn and it is of stored ones.
    """
    manifest, damaged = load_manifest(path)
    if damaged:
        return Report(1, (path / NAME).stat().st_size, (Damage(NAME, damaged, 0),), ())
    found: list[Damage] = []
    size = (path / NAME).stat().st_size
    for name, sums in manifest["files"].items():
        if (path / name).is_file():
            size += (path / name).stat().st_size
            found += _damage_of(path / name, name, sums)
        else:
            found.append(Damage(name, "is missing"))
    unlisted = tuple(sorted(listed_files(path).keys() - manifest["files"].keys()))
    report = Report(len(manifest["files"]) + 1, size, tuple(found), unlisted)
    if draw and report.whole:
        damage, difference = _draw_twice(path, manifest, draw, seed)
        return Report(report.files, size, damage, unlisted, draw, difference)
    return report


def _damage_of(path: Path, name: str, sums: dict[str, Any]) -> list[Damage]:
    """What of a file is not as the manifest states it."""
    expected, actual = sums["blocks"], path.stat().st_size
    found = []
    if actual != sums["bytes"]:
        found.append(Damage(name, f"has {actual:,} bytes and should have {sums['bytes']:,}"))
    whole = sha256()
    try:
        for at, block in enumerate(blocks_of(path)):
            whole.update(block)
            if at < len(expected) and sha256(block).hexdigest()[:KEPT_DIGITS] != expected[at]:
                found.append(Damage(name, "was changed", at, _rows_in(path, at)))
    except OSError as error:
        return [*found, Damage(name, f"cannot be read ({error.strerror})")]
    if not found and whole.hexdigest() != sums["sha256"]:
        found.append(Damage(name, "was changed; its sha256 is another"))
    return found


def _rows_in(path: Path, block: int) -> str:
    """Which rows and columns of a Parquet file lie in one of its MiB, where its directory can still be read."""
    if path.suffix != ".parquet":
        return ""
    try:
        metadata = pq.read_metadata(path)
    except (pa.ArrowException, OSError):
        return "its directory cannot be read"
    low, high = block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES
    rows: list[tuple[int, int]] = []
    columns: dict[str, None] = {}
    first = 0
    for at in range(metadata.num_row_groups):
        group = metadata.row_group(at)
        for place in range(group.num_columns):
            column = group.column(place)
            pages = [column.data_page_offset]
            if column.has_dictionary_page:
                pages.append(column.dictionary_page_offset)
            start = min(pages)
            if start < high and start + column.total_compressed_size > low:
                rows.append((first, first + group.num_rows - 1))
                columns[column.path_in_schema.split(".")[0]] = None
        first += group.num_rows
    if not rows:
        return "the directory of the file"
    which = ", ".join(columns) if len(columns) <= 3 else f"{len(columns)} columns"
    return f"rows {min(a for a, _ in rows):,} to {max(b for _, b in rows):,}, {which}"


def _draw_twice(path: Path, manifest: Manifest, count: int, seed: int) -> tuple[tuple[Damage, ...], float]:
    corpus, again = DrawnCorpus.open(path), DrawnCorpus.open(path)
    numbers = np.random.default_rng(seed).integers(0, len(corpus), count)
    found = []
    for some in np.array_split(numbers, -(-count // 256)):
        once = corpus.draw(some)
        back = np.concatenate([again.draw(some[at : at + 1]) for at in reversed(range(len(some)))])[::-1]
        different = np.flatnonzero((once.view(np.uint32) != np.ascontiguousarray(back).view(np.uint32)).any(axis=1))
        found += [
            Damage("patterns", f"number {some[at]} is another when it is drawn again; report this as a fault")
            for at in different
        ]
    return tuple(found), probe_difference(corpus)


def probe_difference(corpus: DrawnCorpus) -> float:
    """Largest difference of the patterns kept at building from those drawn now, as a share of the scale.

    0.0 says that every bit is the same. Other processors may round sums in another order, which shows as some 1e-7; a
    difference that is larger says that this version of powderlens draws other patterns.

    Raises:
        InputError: the kept patterns cannot be read.
    """
    path = corpus.path / "probe.npy"
    try:
        kept: NDArray[np.float32] = np.load(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); copy it again") from None
    drawn = corpus.draw(probe_numbers(len(corpus)))
    return float(np.abs(drawn.astype(np.float64) - kept).max()) / corpus.protocol.scale
