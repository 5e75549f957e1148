"""A stream on Ray: the rate beside that of plain processes, a drawer that is killed, a trainer that stops, equal bytes.

Patterns of database crystals under fresh conditions of `lab` are drawn in batches:
- by two processes (`StreamWorkers`), and by two drawers on Ray, each for some time: the rates;
- on Ray; in the middle one drawer is killed with kill -9: the rate before, until another has begun, and after, and
  whether every batch came once, in order, with the bytes that the stream gives alone;
- on Ray, while the trainer takes nothing: how many batches lie ready, and Ray's memory.
With a corpus, 10,000 of its patterns are drawn alone, by two processes and on Ray, and their sha256 compared.

    python benchmarks/ray_stream.py --tables amcsd.parquet --corpus CORPUS --output results/ray.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ray

import powderlens
from powderlens.core.files import atomic_write, file_sha256
from powderlens.core.pool import Mapper, here, in_processes
from powderlens.corpus.cluster.connect import Cluster, open_cluster
from powderlens.corpus.cluster.mapper import on_cluster
from powderlens.corpus.cluster.stream import ClusterStream
from powderlens.corpus.store.corpus import Corpus
from powderlens.corpus.store.reflection_table import ReflectionTable
from powderlens.corpus.stream.from_crystals import CrystalStream
from powderlens.corpus.stream.stream import Batch, Stream
from powderlens.corpus.stream.workers import StreamWorkers
from powderlens.diffraction.protocol import load_protocol

SEED, WARM = 20261121, 8
DRAWN, CHUNK = 10_000, 1_000


def digest(batch: Batch) -> str:
    made = hashlib.sha256()
    for array in batch.arrays().values():
        made.update(array.tobytes())
    return made.hexdigest()


def rate(batches: Iterator[Batch], size: int, seconds: float) -> float:
    """Patterns a second, after `WARM` batches."""
    for _ in range(WARM):
        next(batches)
    began, taken = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        next(batches)
        taken += 1
    return taken * size / (time.perf_counter() - began)


def killing(stream: Stream, cluster: Cluster, seconds: float) -> dict[str, Any]:
    """Rates around the death of a drawer, and whether the batches are all there."""
    seen: list[tuple[float, str, int]] = []

    def take(drawn: ClusterStream) -> None:
        batch = next(drawn)
        seen.append((time.perf_counter(), digest(batch), len(drawn.drawers)))
        assert batch.numbers[0] == stream.size * (len(seen) - 1), "out of order"

    with ClusterStream(stream, cluster) as drawn:
        while len(drawn.drawers) < cluster.workers or len(seen) < WARM:
            take(drawn)
        start = len(seen)
        while time.perf_counter() - seen[start - 1][0] < seconds:
            take(drawn)
        victim = drawn.drawers[0]
        os.kill(victim[1], signal.SIGKILL)
        killed_at, killed = time.perf_counter(), len(seen)
        while victim in drawn.drawers or len(drawn.drawers) < cluster.workers:
            take(drawn)
        whole_at, whole = time.perf_counter(), len(seen)
        while time.perf_counter() - whole_at < seconds:
            take(drawn)
        # A trainer that stops: nothing is taken, and soon nothing more is drawn.
        time.sleep(10)
        used = _object_store_MB()
        time.sleep(10)
        waiting = {"outstanding_batches": drawn.outstanding, "store_MB_after_10_s": used}
        waiting["store_MB_after_20_s"] = _object_store_MB()
    gaps = np.diff([at for at, _, _ in seen[start - 1 :]])
    sample = range(0, len(seen), max(len(seen) // 60, 1))
    around = range(max(killed - 2, 0), min(killed + 12, len(seen)))
    compared = sorted({*sample, *around})
    return {
        "batches": len(seen),
        "before_patterns_per_s": (killed - start) * stream.size / (seen[killed - 1][0] - seen[start - 1][0]),
        "with_one_drawer_patterns_per_s": (whole - killed) * stream.size / (whole_at - killed_at),
        "until_another_has_begun_s": whole_at - killed_at,
        "after_patterns_per_s": (len(seen) - whole) * stream.size / (seen[-1][0] - whole_at),
        "longest_gap_s": float(gaps.max()),
        "median_gap_s": float(np.median(gaps)),
        "in_order_none_lost_none_repeated": True,
        "batches_compared": len(compared),
        "equal_to_the_stream_alone": all(digest(stream.batch(i)) == seen[i][1] for i in compared),
        "trainer_stopped": waiting,
    }


def drawn_sha256(mapper: Mapper, corpus: Path) -> str:
    """Of `DRAWN` patterns of a corpus in an order drawn by chance."""
    numbers = np.random.default_rng(SEED).integers(0, len(Corpus.open(corpus)), DRAWN)
    tasks = [(corpus, at, numbers[at : at + CHUNK]) for at in range(0, DRAWN, CHUNK)]
    found = dict(mapper(draw_some, tasks))
    return hashlib.sha256(b"".join(found[at] for at in sorted(found))).hexdigest()


def draw_some(task: tuple[Path, int, np.ndarray]) -> tuple[int, bytes]:
    corpus, at, numbers = task
    return at, Corpus.open(corpus).draw(numbers).tobytes()


def _object_store_MB() -> float:
    """Shared memory that Ray has in use on this machine."""
    total = ray.cluster_resources()["object_store_memory"]
    return (total - ray.available_resources().get("object_store_memory", 0.0)) / 1e6


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    return {name: rounded(one) for name, one in value.items()} if isinstance(value, dict) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", type=Path, required=True, help="reflection tables")
    parser.add_argument("--corpus", type=Path, help="a corpus, for equal bytes")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each measurement")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--note", default="", help="what else the machine did")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    table = ReflectionTable.load(*given.tables)
    rows = np.arange(len(table))
    chances = np.full(len(rows), 1 / len(rows))
    stream = CrystalStream(table, rows, chances, load_protocol("lab"), size=given.batch, seed=SEED)
    found: dict[str, Any] = {"load_at_start": os.getloadavg()[0]}

    def tell(name: str, value: Any) -> None:
        found[name] = value
        print(name, json.dumps(rounded(value)), file=sys.stderr, flush=True)

    with StreamWorkers(stream, workers=given.workers) as crew:
        tell("processes_patterns_per_s", rate(crew, given.batch, given.seconds))
    began = time.perf_counter()
    with open_cluster(workers=given.workers, object_store_MB=500) as cluster:
        tell("ray_begins_s", time.perf_counter() - began)
        began = time.perf_counter()
        with ClusterStream(stream, cluster) as drawn:
            next(drawn)
            tell("first_batch_s", time.perf_counter() - began)
            tell("ray_patterns_per_s", rate(drawn, given.batch, given.seconds))
        tell("killed", killing(stream, cluster, given.seconds))
        if given.corpus:
            ways = {"alone": here, "two_processes": in_processes(2), "ray": on_cluster(cluster)}
            sums = {name: drawn_sha256(mapper, given.corpus) for name, mapper in ways.items()}
            tell("same_bytes", {"patterns": DRAWN, "sha256": sums, "equal": len(set(sums.values())) == 1})
    found["load_at_end"] = os.getloadavg()[0]
    record = {
        "what": "a stream on Ray: rate, a drawer that is killed, a trainer that stops, equal bytes",
        "command": "python benchmarks/ray_stream.py --tables TABLES --corpus CORPUS --output results/ray.json",
        "seed": SEED,
        "seconds": given.seconds,
        "batch": given.batch,
        "protocol": "lab",
        "data": {path.name: file_sha256(path) for path in given.tables},
        "corpus": json.loads((given.corpus / "manifest.json").read_text())["sha256"] if given.corpus else None,
        "hardware": {"machine": platform.machine(), "cores": os.cpu_count(), "workers": given.workers},
        "versions": {
            "powderlens": powderlens.__version__,
            "python": platform.python_version(),
            "ray": ray.__version__,
            "numpy": np.__version__,
        },
        "note": given.note,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "found": rounded(found),
    }
    if given.output:
        with atomic_write(given.output) as aside:
            aside.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
