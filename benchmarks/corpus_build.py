"""A SimXRD-4M of our own: built in one command, its size, time and memory, and the same bytes wherever it is drawn.

    python benchmarks/corpus_build.py CRYSTALS.parquet --corpus DIR --output results/corpus-build.json

CRYSTALS.parquet comes from `powderlens crystals curate --protocol simxrd`. DIR gets the corpus, and `DIR.run.json` the
wall and processor seconds of the build and the peak of the summed proportional memory (PSS) of its processes; what is
there already is not built again. Then 10,000 patterns, random by a seed, are drawn twice by one worker, by two, and on
Ray (where it is installed), in orders and batches that differ; of each pattern the sha256 of its float32 bytes counts.
Exit code 1 when one differs, or a limit of the target is passed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from curation import measured
from numpy.typing import NDArray

from powderlens.core.files import atomic_write, file_sha256
from powderlens.core.pool import Mapper, in_processes
from powderlens.corpus.store.corpus import Corpus
from powderlens.evaluate.record import write_result

TARGET = {"crystals": 119_000, "bytes": 10**9, "peak_GiB": 2}
COUNT, SEED = 10_000, 20261121
Task = tuple[Path, NDArray[np.int64]]


def sums(task: Task) -> dict[int, str]:
    """sha256 of each pattern by its number."""
    corpus, numbers = Corpus.open(task[0]), task[1]
    drawn = corpus.draw(numbers, dtype=np.float32)
    return {int(n): hashlib.sha256(row.tobytes()).hexdigest() for n, row in zip(numbers, drawn, strict=True)}


def drawn_by(mapper: Mapper, corpus: Path, numbers: NDArray[np.int64], batch: int) -> tuple[dict[int, str], float]:
    start = time.monotonic()
    found: dict[int, str] = {}
    for part in mapper(sums, [(corpus, numbers[i : i + batch]) for i in range(0, len(numbers), batch)]):
        found |= part
    return found, round(time.monotonic() - start, 1)


def same_bytes(corpus: Path) -> dict[str, Any]:
    rng = np.random.default_rng(SEED)
    numbers = rng.choice(len(Corpus.open(corpus)), COUNT, replace=False)
    ways: dict[str, tuple[Mapper, int]] = {
        "one worker": (in_processes(1), 500),
        "one worker again, another order": (in_processes(1), 333),
        "two workers": (in_processes(2), 250),
    }
    if find_spec("ray"):
        from powderlens.corpus.cluster.mapper import on_ray

        ways["Ray, two workers"] = (on_ray(workers=2), 200)
    first: dict[int, str] = {}
    report: dict[str, Any] = {"patterns": COUNT, "seed": SEED, "differ_from_the_first": {}, "seconds": {}}
    for name, (mapper, batch) in ways.items():
        found, seconds = drawn_by(mapper, corpus, numbers if not first else rng.permutation(numbers), batch)
        first = first or found
        report["differ_from_the_first"][name] = sum(found.get(n) != digest for n, digest in first.items())
        report["seconds"][name] = seconds
    ordered = "".join(first[n] for n in sorted(first))
    return report | {"sha256_of_all": hashlib.sha256(ordered.encode()).hexdigest()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crystals", type=Path)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    run = options.corpus.with_name(options.corpus.name + ".run.json")
    program = [sys.executable, "-m", "powderlens.cli.main", "corpus"]
    asked = ["--protocol", "simxrd", "--per-crystal", "33", "--split", "in-library", "--workers", "2"]
    if not (options.corpus.is_dir() and run.is_file()):
        call = [*program, "build", "--crystals", str(options.crystals), *asked, "--output", str(options.corpus)]
        figures = measured(call)
        with atomic_write(run) as aside:
            aside.write_text(json.dumps(figures))
    start = time.monotonic()
    subprocess.run([*program, "verify", str(options.corpus)], check=True, stdout=subprocess.DEVNULL)
    verified_s = round(time.monotonic() - start, 1)
    manifest = Corpus.open(options.corpus).manifest
    size = sum(path.stat().st_size for path in options.corpus.rglob("*") if path.is_file())
    same = same_bytes(options.corpus)
    build = json.loads(run.read_text())
    body = {
        "data": {options.crystals.name: file_sha256(options.crystals)},
        "built_by": manifest["command"],
        **{key: manifest[key] for key in ("crystals_in", "crystals", "patterns", "families", "rejects", "redrawn")},
        "split": manifest["split"],
        "bytes": size,
        "bytes_a_pattern": round(size / manifest["patterns"], 1),
        "files": {name: entry["bytes"] for name, entry in manifest["files"].items()},
        "build": build,
        "verified_s": verified_s,
        "drawn_again": same,
        "target": TARGET,
    }
    command = f"python benchmarks/corpus_build.py CRYSTALS.parquet --corpus DIR --output {options.output}"
    write_result(options.output, command=command, body=body)
    print(json.dumps(body, indent=1))
    good = manifest["crystals"] >= TARGET["crystals"] and size < TARGET["bytes"]
    good = good and build["peak_mib"] < 1024 * TARGET["peak_GiB"] and not any(same["differ_from_the_first"].values())
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
