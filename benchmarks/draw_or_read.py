"""Is a pattern drawn sooner than read? One core, the same patterns in the same random order, in the same run.

    python benchmarks/draw_or_read.py crystals.parquet --output results/draw-or-read.json

Of CRYSTALS, a table of crystals, some are taken at random, and a corpus of 33 conditions each is built of them for
every protocol. All its patterns are stored as float16 Parquet with zstd, in the order of their numbers, in row groups
of three sizes: 512 patterns, as `powderlens corpus export` writes them; 33, the patterns of a crystal; and 1, the
quickest random access that the format has. The files hold the intensities and nothing else, are mapped into memory and
stay in the page cache, which no disk can match.

A random sample of the patterns is drawn, and read from each file, in batches of 256 as training takes them,
(256, points) float32. As in a corpus of millions, neighbours in a batch have nothing in common: every pattern reads its
row group, and hardly any crystal is kept from the pattern before. What is read is compared with what is drawn. All ways
take turns, several times, and the quickest of each counts. `ratio` is patterns a second drawn over patterns a second
read, of seconds of the core: another program on the machine does not count.

A file knows the place of each of its row groups, and whoever opens it holds them in memory. `opened` says what that
comes to for each million patterns: with a row group a pattern it decides whether a corpus can be opened at all.

For information: the same from an uncompressed float16 .npy, mapped.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from crystal_sample import hardware
from numpy.typing import NDArray

import powderlens
from powderlens.core.files import atomic_write, file_sha256
from powderlens.corpus.store.build import build_corpus
from powderlens.corpus.store.corpus import Corpus
from powderlens.crystals.table import SCHEMA, write_crystals

SEED, PER_CRYSTAL, BATCH = 20261121, 33, 256
ROW_GROUPS = (1, PER_CRYSTAL, 512)
TOGETHER = 4096
"""Patterns that are read together at most; more would only fill the memory."""
PROTOCOLS = ("simxrd", "lab")

Get = Callable[[NDArray[np.int64]], NDArray[np.float32]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crystals", type=Path, metavar="CRYSTALS")
    parser.add_argument("--count", type=int, default=1000, help="crystals")
    parser.add_argument("--patterns", type=int, default=10_240, help="drawn and read each time")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--level", type=int, default=3, help="of zstd")
    parser.add_argument("--note", default="", help="what else the machine did")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    record: dict[str, Any] = {
        "what": "patterns a second, drawn from a corpus and read from files; see benchmarks/draw_or_read.py",
        "command": "python benchmarks/draw_or_read.py crystals.parquet --output results/draw-or-read.json",
        "data": {given.crystals.name: file_sha256(given.crystals)},
        "seed": SEED,
        "crystals": given.count,
        "per_crystal": PER_CRYSTAL,
        "patterns_each_time": given.patterns,
        "repeats": given.repeats,
        "batch": BATCH,
        "zstd_level": given.level,
        "versions": {name: version(name) for name in ("numpy", "numba", "pyarrow")}
        | {"powderlens": powderlens.__version__, "python": platform.python_version()},
        "hardware": hardware(),
        "load_before": round(os.getloadavg()[0], 2),
        "note": given.note,
        "date": datetime.now(UTC).date().isoformat(),
        "protocols": {},
    }
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        sample(given.crystals, given.count, folder / "crystals.parquet")
        for protocol in PROTOCOLS:
            record["protocols"][protocol] = compare(folder, protocol, given.patterns, given.repeats, given.level)
            print(protocol, json.dumps(record["protocols"][protocol]), flush=True)
    record["load_after"] = round(os.getloadavg()[0], 2)
    if given.output:
        with atomic_write(given.output) as aside:
            aside.write_text(json.dumps(record, indent=1) + "\n")


def sample(path: Path, count: int, output: Path) -> None:
    table = pq.read_table(path, columns=SCHEMA.names)
    rows = np.random.default_rng(SEED).choice(len(table), min(count, len(table)), replace=False)
    write_crystals(table.take(np.sort(rows)).cast(SCHEMA), output)


def compare(folder: Path, protocol: str, patterns: int, repeats: int, level: int) -> dict[str, Any]:
    built = folder / protocol
    build_corpus(
        folder / "crystals.parquet",
        built,
        protocol=protocol,
        per_crystal=PER_CRYSTAL,
        split="in-library",
        seed=SEED,
        workers=1,
    )
    corpus = Corpus.open(built)
    sizes = store(corpus, folder, level)
    ways: dict[str, Get] = {"drawn": corpus.draw}
    for rows in ROW_GROUPS:
        ways[f"parquet, {rows} a row group"] = parquet_reader(folder / f"{rows}.parquet", rows)
    ways["npy, not compressed"] = npy_reader(folder / "patterns.npy")
    order = np.random.default_rng(SEED).choice(len(corpus), min(patterns, len(corpus)), replace=False)
    batches = np.array_split(order, -(-len(order) // BATCH))
    for batch in batches[:2]:
        wanted = corpus.draw(batch).astype(np.float16)
        for name, get in ways.items():
            assert np.array_equal(get(batch).astype(np.float16), wanted), f"{name} gives other patterns"
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, get in ways.items():
            wall, core = time.perf_counter(), time.process_time()
            for batch in batches:
                get(batch)
            seconds[name].append((time.perf_counter() - wall, time.process_time() - core))
    rate = {name: len(order) / min(core for _, core in each) for name, each in seconds.items()}
    on_the_wall = {name: len(order) / min(wall for wall, _ in each) for name, each in seconds.items()}
    return {
        "patterns": len(corpus),
        "points": corpus.grid.points,
        "per_core_second": {name: round(value, 1) for name, value in rate.items()},
        "per_second": {name: round(value, 1) for name, value in on_the_wall.items()},
        "ratio": {name: round(rate["drawn"] / rate[name], 3) for name in ways if name != "drawn"},
        "opened_for_each_million_patterns": {
            f"parquet, {rows} a row group": opened(folder / f"{rows}.parquet", folder / "crystals.parquet", len(corpus))
            for rows in ROW_GROUPS
        },
        "bytes": {"corpus": sum(path.stat().st_size for path in built.rglob("*") if path.is_file()), **sizes},
    }


def store(corpus: Corpus, folder: Path, level: int) -> dict[str, int]:
    """Write every pattern to the files; their sizes."""
    points = corpus.grid.points
    schema = pa.schema([("intensity", pa.list_(pa.float16(), points))])
    options: dict[str, Any] = {"compression": "zstd", "compression_level": level, "use_dictionary": False}
    plain = np.lib.format.open_memmap(folder / "patterns.npy", "w+", np.float16, (len(corpus), points))
    for first in range(0, len(corpus), 512):
        numbers = np.arange(first, min(first + 512, len(corpus)))
        plain[numbers] = corpus.draw(numbers).astype(np.float16)
    plain.flush()
    sizes = {"npy, not compressed": (folder / "patterns.npy").stat().st_size}
    for rows in ROW_GROUPS:
        path = folder / f"{rows}.parquet"
        with pq.ParquetWriter(path, schema, write_statistics=False, **options) as writer:
            for first in range(0, len(corpus), rows):
                block = np.ascontiguousarray(plain[first : first + rows])
                column = pa.FixedSizeListArray.from_arrays(pa.array(block.ravel()), points)
                writer.write_table(pa.Table.from_arrays([column], schema=schema))
        sizes[f"parquet, {rows} a row group"] = path.stat().st_size
    return sizes


def parquet_reader(path: Path, rows: int) -> Get:
    file = pq.ParquetFile(path, memory_map=True)
    step = max(TOGETHER // rows, 1)

    def get(numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        out = []
        for first in range(0, len(numbers), step):
            some = numbers[first : first + step]
            groups = (some // rows).tolist()
            read = file.read_row_groups(groups, use_threads=False)["intensity"].combine_chunks()
            block = read.values.to_numpy().reshape(len(read), -1)
            starts = np.concatenate([[0], np.cumsum([file.metadata.row_group(g).num_rows for g in groups])[:-1]])
            out.append(block[starts + some % rows].astype(np.float32))
        return np.concatenate(out)

    return get


def opened(path: Path, small: Path, patterns: int) -> dict[str, float]:
    """What it takes to open a file, for each million patterns, in a process that has opened a small one before."""
    code = (
        "import pyarrow.parquet as pq, sys, time\n"
        "rss = lambda: int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "first = pq.ParquetFile(sys.argv[2], memory_map=True)\n"
        "before, began = rss(), time.process_time()\n"
        "file = pq.ParquetFile(sys.argv[1], memory_map=True)\n"
        "print(file.metadata.serialized_size, rss() - before, time.process_time() - began)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(small)], capture_output=True, text=True, check=True
    )
    size, memory, seconds = map(float, done.stdout.split())
    millions = patterns / 1e6
    return {
        "MB_on_disk": round(size / millions / 1e6, 1),
        "MB_of_memory": round(memory / millions / 1e6, 1),
        "core_seconds": round(seconds / millions, 2),
    }


def npy_reader(path: Path) -> Get:
    plain = np.load(path, mmap_mode="r")
    return lambda numbers: np.asarray(plain[numbers].astype(np.float32))


if __name__ == "__main__":
    main()
