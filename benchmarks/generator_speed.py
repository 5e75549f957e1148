"""How many synthetic crystals one core draws in a second, the check of their group included.

    python benchmarks/generator_speed.py --output results/generator-speed.json

From the statistics that come with powderlens: as often as the databases have the groups, with distances of atoms as by
default and with none as published; all 230 groups equally often; and rows of the table of crystals ready to be written.
Reading the statistics is timed apart; the first crystals, which fill caches, are drawn before the clock starts.
Processor seconds of one thread; of several runs over the same crystals the quickest. Exit code 1 below the target.
"""

# ruff: noqa: E402
from __future__ import annotations

import os

# Before numpy is loaded, which reads them once.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

from powderlens.crystal.label import find_symmetry
from powderlens.crystals.table import crystal_row
from powderlens.evaluate.record import write_result
from powderlens.generate.draw import CrystalGenerator, Limits
from powderlens.generate.statistics import shipped_statistics

TARGET_PER_S = 300
RUNS = 3


def measure(work: Callable[[int], object], count: int) -> dict[str, float]:
    for i in range(count, count + 200):
        work(i)
    seconds = []
    for _ in range(RUNS):
        each = []
        for i in range(count):
            start = time.process_time()
            work(i)
            each.append(time.process_time() - start)
        seconds.append(each)
    best = min(seconds, key=sum)
    return {
        "crystals_per_s": round(count / sum(best), 1),
        "slowest_run_per_s": round(count / max(map(sum, seconds)), 1),
        "median_ms": round(float(np.median(best)) * 1e3, 3),
        "99_percent_ms": round(float(np.percentile(best, 99)) * 1e3, 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    start = time.process_time()
    statistics = shipped_statistics()
    reading_s = time.process_time() - start
    natural = CrystalGenerator(statistics, seed=options.seed)
    uniform = CrystalGenerator(statistics, seed=options.seed, groups=range(1, 231), uniform=True)
    published = CrystalGenerator(statistics, seed=options.seed, limits=Limits(distances="published"))
    atoms = [natural.crystal(i).occupation.atoms for i in range(options.count)]
    figures = {
        "as_in_the_databases": measure(natural.crystal, options.count),
        "as_in_the_databases_published_distances": measure(published.crystal, options.count),
        "all_230_groups_equally": measure(uniform.crystal, options.count),
        "rows_of_a_table": measure(lambda i: crystal_row(find_symmetry(natural.crystal(i).structure())), options.count),
    }
    body = {
        "seed": options.seed,
        "crystals": options.count,
        "median_atoms_in_cell": float(np.median(atoms)),
        "reading_statistics_s": round(reading_s, 2),
        "one_core": figures,
        "target_per_s": TARGET_PER_S,
        "versions": {name: version(name) for name in ("moyopy", "numpy")},
    }
    write_result(options.output, command=f"python benchmarks/generator_speed.py --output {options.output}", body=body)
    print(figures)
    return 1 if figures["as_in_the_databases"]["crystals_per_s"] < TARGET_PER_S else 0


if __name__ == "__main__":
    raise SystemExit(main())
