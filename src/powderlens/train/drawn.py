"""Patterns of a part of a corpus, drawn once: in memory, or in a file that later runs map into theirs."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
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
from powderlens.corpus.stream.stream import digest
from powderlens.corpus.stream.workers import StreamWorkers

Precision = Literal["float16", "float32"]
Report = Callable[[str], None]

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
    *,
    workers: int = 0,
    cache: Path | None = None,
    report: Report = lambda message: None,
) -> NDArray[Any]:
    """All patterns of a part, in the order of `corpus.numbers(part)`.

    Args:
        corpus: whose patterns are drawn.
        part: of its split.
        precision: to which they are rounded.
        workers: processes; 0 draws in this one.
        cache: a folder where drawn patterns are kept as `.npy`; those of this version, corpus, part and precision are
            mapped from there. Anything in it may be deleted.
        report: is told what is being drawn.

    Returns:
        (n, points) float16 or float32, at the corpus's own scale.
    """
    numbers = corpus.numbers(part)
    if cache is None:
        out = np.empty((len(numbers), corpus.grid.points), precision)
        _fill(out, corpus, part, numbers, workers, report)
        return out
    about = {name: corpus.manifest.get(name) for name in ("files", "seed", "per_crystal", "protocol")}
    path = make_folder(cache) / f"{digest({**about, 'version': __version__})}-{part}-{precision}.npy"
    if not path.exists():
        with atomic_write(path) as aside:
            shape = (len(numbers), corpus.grid.points)
            held = np.lib.format.open_memmap(aside, mode="w+", dtype=precision, shape=shape)
            _fill(held, corpus, part, numbers, workers, report)
            held.flush()
            del held
    return np.load(path, mmap_mode="c")  # copied where it is written to, as torch takes no memory that cannot be


def draw_stored(
    corpus: StoredCorpus, numbers: NDArray[np.int64], *, cache: Path | None = None
) -> tuple[NDArray[np.bool_], NDArray[np.float32], dict[str, int]]:
    """Stored patterns on the grid of their corpus.

    Args:
        corpus: whose patterns are put on its grid.
        numbers: (n,) which.
        cache: as for `draw_part`.

    Returns:
        (n,) whether a pattern could be put there; (n, points) the patterns, 0 where it could not; and why not, counted.
    """
    if cache is not None:
        grid = asdict(corpus.grid)
        about = {"corpus": corpus.manifest["sha256"], "grid": grid, "numbers": numbers.tolist(), "version": __version__}
        path = make_folder(cache) / f"{digest(about)}-stored.npz"
        if not path.exists():
            good, patterns, reasons = draw_stored(corpus, numbers)
            with atomic_write(path) as aside, open(aside, "wb") as handle:
                np.savez(handle, good=good, patterns=patterns, reasons=json.dumps(reasons))
        with np.load(path) as held:
            return held["good"], held["patterns"], json.loads(str(held["reasons"]))
    good = np.ones(len(numbers), bool)
    patterns = np.zeros((len(numbers), corpus.grid.points), np.float32)
    counted: Counter[str] = Counter()
    for row in range(len(numbers)):
        try:
            patterns[row] = corpus.draw(numbers[row : row + 1])[0]
        except PowderlensError as error:
            good[row] = False
            counted[type(error).__name__] += 1
    return good, patterns, dict(counted)


def _fill(
    out: NDArray[Any], corpus: Corpus, part: str, numbers: NDArray[np.int64], workers: int, report: Report
) -> None:
    told = time.monotonic()
    if workers == 0 or len(numbers) <= FEW:
        for first in range(0, len(numbers), PIECE):
            out[first : first + PIECE] = corpus.draw(numbers[first : first + PIECE])
        return
    stream = CorpusStream(corpus, part, size=PIECE, seed=0, shuffle=False)
    with StreamWorkers(stream, workers=workers, stop=-(-len(numbers) // PIECE)) as crew:
        for i, batch in enumerate(crew):
            first = i * PIECE
            out[first : first + PIECE] = batch.patterns[: len(numbers) - first]
            if time.monotonic() > told + 10:
                told = time.monotonic()
                report(f"part {part}: {first + PIECE:,} of {len(numbers):,} patterns drawn")
