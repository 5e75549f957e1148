"""Patterns of a part of a corpus, drawn once: in memory, or in a file that later runs map into theirs."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from powderlens import __version__
from powderlens.core.errors import PowderlensError
from powderlens.core.files import atomic_write, make_folder
from powderlens.corpus.store.corpus import Corpus
from powderlens.corpus.store.stored import StoredCorpus
from powderlens.corpus.stream.from_corpus import CorpusStream
from powderlens.corpus.stream.stream import Batch, FloorStream, Stream, digest, measured_points
from powderlens.pattern.grid import Grid
from powderlens.pattern.prepare import above_floor
from powderlens.pattern.spacing import angles_of
from powderlens.train.components.machine import Machine, Report
from powderlens.train.datasets import StreamDataset, same

Precision = Literal["float16", "float32"]

PIECE = 256
FEW = 2048
"""Patterns that are drawn in this process: starting others takes longer."""


def size_bytes(corpus: Corpus, part: str, precision: Precision) -> int:
    """What the patterns of a part take in memory."""
    return len(corpus.numbers(part)) * corpus.grid.points * np.dtype(precision).itemsize


def draw_part(
    corpus: Corpus,
    part: str,
    precision: Precision,
    machine: Machine,
    *,
    floor: bool = False,
    report: Report = lambda message: None,
) -> NDArray[Any]:
    """All patterns of a part, in the order of `corpus.numbers(part)`.

    Args:
        corpus: whose patterns are drawn.
        part: of its split.
        precision: to which they are rounded.
        machine: draws. In its folder `cache` drawn patterns are kept as `.npy`, and those of this version, corpus, part
            and precision are mapped from there; anything in it may be deleted.
        floor: subtract the floor, see `pattern.prepare.above_floor`.
        report: is told what is being drawn.

    Returns:
        (n, points) float16 or float32, at the corpus's own scale, or with the strongest point 1 above the floor.
    """
    stream = part_stream(corpus, part, size=PIECE, floor=floor)
    shape = (len(corpus.numbers(part)), corpus.grid.points)
    if machine.cache is None:
        out = np.empty(shape, precision)
        _fill(out, stream, part, machine, report)
        return out
    about = {name: corpus.manifest.get(name) for name in ("files", "seed", "per_crystal", "protocol")}
    name = f"{digest({**about, 'version': __version__})}-{part}-{precision}{'-floor' if floor else ''}.npy"
    path = make_folder(machine.cache) / name
    if not path.exists():
        with atomic_write(path) as aside:
            held = np.lib.format.open_memmap(aside, mode="w+", dtype=precision, shape=shape)
            _fill(held, stream, part, machine, report)
            held.flush()
            del held
    return np.load(path, mmap_mode="c")  # copied where it is written to, as torch takes no memory that cannot be


def part_stream(corpus: Corpus, part: str, *, size: int, floor: bool) -> Stream:
    """A part in its own order, in batches of `size`; pattern i of the stream is pattern i of the part."""
    stream = CorpusStream(corpus, part, size=size, seed=0, shuffle=False)
    return FloorStream(stream) if floor else stream


def draw_stored(
    corpus: StoredCorpus,
    numbers: NDArray[np.int64],
    *,
    floor: bool = False,
    mask: bool = True,
    cache: Path | None = None,
) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.bool_] | NDArray[np.float32], dict[str, int]]:
    """Stored patterns on the grid of their corpus, prepared as `identify` does it.

    Args:
        corpus: whose patterns are put on its grid.
        numbers: (n,) which.
        floor: subtract the floor.
        mask: the network reads a mask; else patterns that cover a part of the grid only are left out.
        cache: as for `draw_part`.

    Returns:
        (n,) whether a pattern could be put there; (n, points) the patterns, 0 where it could not; (n, points) what a
        network reads as their mask; and why not, counted.
    """
    if cache is not None:
        grid = asdict(corpus.grid)
        about = {"corpus": corpus.manifest["sha256"], "grid": grid, "numbers": numbers.tolist(), "version": __version__}
        path = make_folder(cache) / f"{digest(about)}-prepared{'-floor' if floor else ''}{'' if mask else '-whole'}.npz"
        if not path.exists():
            good, patterns, masks, reasons = draw_stored(corpus, numbers, floor=floor, mask=mask)
            with atomic_write(path) as aside, open(aside, "wb") as handle:
                np.savez(handle, good=good, patterns=patterns, masks=masks, reasons=json.dumps(reasons))
        with np.load(path) as held:
            return held["good"], held["patterns"], held["masks"], json.loads(str(held["reasons"]))
    good = np.ones(len(numbers), bool)
    patterns = np.zeros((len(numbers), corpus.grid.points), np.float32)
    masks = np.zeros(patterns.shape, bool if isinstance(corpus.grid, Grid) else np.float32)
    counted: Counter[str] = Counter()
    for row, number in enumerate(numbers.tolist()):
        try:
            prepared = corpus.prepared(number)
            patterns[row], masks[row] = prepared.for_network(floor=floor, mask=mask), prepared.seen
        except PowderlensError as error:
            good[row] = False
            counted[type(error).__name__] += 1
    return good, patterns, masks, dict(counted)


def network_reads(
    corpus: Corpus, numbers: NDArray[np.int64], *, floor: bool, mask: bool
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Some patterns as a network reads them.

    Args:
        corpus: on the network's grid.
        numbers: (n,) which.
        floor: above their floor.
        mask: the network reads a mask.

    Returns:
        (n, points) patterns, and (n, points) where they are measured, None for a network without mask.

    Raises:
        InputError: a stored pattern that cannot be put on the grid, or covers too little of it.
    """
    if isinstance(corpus, StoredCorpus):
        prepared = [corpus.prepared(number) for number in numbers.tolist()]
        patterns = np.array([one.for_network(floor=floor, mask=mask) for one in prepared])
        masks = np.array([one.seen for one in prepared])
    else:
        records = corpus.conditions(numbers)
        patterns = corpus.draw(numbers, records=records)
        at, ends = np.arange(corpus.grid.points), measured_points(records, angles_of(corpus.grid, "a drawn corpus"))
        masks = (at >= ends[:, :1]) & (at < ends[:, 1:])
        if floor:
            patterns = np.array(
                [above_floor(y.astype(np.float64), seen) for y, seen in zip(patterns, masks, strict=True)]
            )
    return patterns.astype(np.float32).reshape(len(numbers), -1), masks if mask else None


def batches_by(machine: Machine, stream: Stream, *, first: int = 0, stop: int | None = None) -> StreamDataset[Batch]:
    """The batches of a stream in order, as a machine draws them: here, in other processes, or on a Ray.

    Args:
        machine: draws.
        stream: any.
        first: number of the first batch.
        stop: number of the batch before which it ends; None never ends.
    """
    workers = 0 if machine.cluster is not None else machine.workers
    return StreamDataset(stream, workers=workers, cluster=machine.cluster, first=first, stop=stop, convert=same)


def _fill(out: NDArray[Any], stream: Stream, part: str, machine: Machine, report: Report) -> None:
    told, count = time.monotonic(), len(out)
    if count <= FEW or not (machine.workers or machine.cluster):
        for first in range(0, count, PIECE):
            out[first : first + PIECE] = stream.draw(np.arange(first, min(first + PIECE, count))).patterns
        return
    for i, batch in enumerate(batches_by(machine, stream, stop=-(-count // PIECE))):
        first = i * PIECE
        out[first : first + PIECE] = batch.patterns[: count - first]
        if time.monotonic() > told + 10:
            told = time.monotonic()
            report(f"part {part}: {first + PIECE:,} of {count:,} patterns drawn")
