"""Streams for training: patterns an hour on two cores, how evenly batches come, and memory over time.

Three streams, one after the other:
- lab: patterns of database crystals under fresh conditions of `lab`, from reflection tables;
- ml4pxrds: patterns of synthetic crystals, drawn, checked for their space group and used once, under `ml4pxrds`;
- corpus (where one is given): a corpus in shuffled epochs.
Each is drawn for some minutes by two processes while the reader only takes batches.

    python benchmarks/stream_speed.py --tables mp.parquet oqmd.parquet amcsd.parquet --output results/streams.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import powderlens
from powderlens.core.files import atomic_write, file_sha256
from powderlens.corpus.store.corpus import Corpus
from powderlens.corpus.store.reflection_table import ReflectionTable
from powderlens.corpus.stream.bench import LATE, WARM_BATCHES, measure
from powderlens.corpus.stream.from_corpus import CorpusStream
from powderlens.corpus.stream.from_crystals import CrystalStream
from powderlens.corpus.stream.from_synthetic import SyntheticStream
from powderlens.corpus.stream.stream import Stream
from powderlens.diffraction.protocol import load_protocol

WANTED_PER_HOUR = {"lab": 6_000_000, "ml4pxrds": 1_500_000}
SEED = 20261121


def lab_stream(tables: list[Path], batch: int) -> Stream:
    table = ReflectionTable.load(*tables)
    rows = np.arange(len(table))
    return CrystalStream(table, rows, np.full(len(rows), 1 / len(rows)), load_protocol("lab"), size=batch, seed=SEED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="*", type=Path, default=[], help="reflection tables, for `lab`")
    parser.add_argument("--corpus", type=Path, help="a corpus")
    parser.add_argument("--only", nargs="*", choices=["lab", "ml4pxrds", "corpus"], help="leave out the others")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--note", default="", help="what else the machine did")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    streams: dict[str, Callable[[], Stream]] = {}
    if given.tables:
        streams["lab"] = lambda: lab_stream(given.tables, given.batch)
    streams["ml4pxrds"] = lambda: SyntheticStream(
        load_protocol("ml4pxrds"), size=given.batch, seed=SEED, distances="published"
    )
    if given.corpus:
        streams["corpus"] = lambda: CorpusStream(Corpus.open(given.corpus), size=given.batch, seed=SEED)
    record: dict[str, object] = {
        "what": "patterns drawn for training: rate, evenness of batches, memory",
        "command": "python benchmarks/stream_speed.py --tables TABLES --output results/streams.json",
        "minutes": given.minutes,
        "seed": SEED,
        "late": f"a batch that comes more than {LATE} median gaps after the one before it",
        "warm_batches": WARM_BATCHES,
        "hardware": {"machine": platform.machine(), "cores": os.cpu_count(), "workers": given.workers},
        "versions": {
            "powderlens": powderlens.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
        "data": {path.name: file_sha256(path) for path in given.tables},
        "note": given.note,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "streams": {},
    }
    for name, make in streams.items():
        if given.only and name not in given.only:
            continue
        found = measure(
            make(),
            workers=given.workers,
            seconds=60 * given.minutes,
            progress=lambda text, name=name: print(name, text, file=sys.stderr, flush=True),
        ).record()
        if name in WANTED_PER_HOUR:
            found["wanted_per_hour"] = WANTED_PER_HOUR[name]
        record["streams"][name] = found  # type: ignore[index]
        short = {key: value for key, value in found.items() if key != "memory"}
        print(name, json.dumps(short), flush=True)
    if given.output:
        with atomic_write(given.output) as aside:
            aside.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
