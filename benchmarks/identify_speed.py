"""How many patterns a second are identified in one process on one core.

    python benchmarks/identify_speed.py --output results/identify-speed.json

The patterns are in memory before the clock starts: a few structures, drawn with different widths, and noise. Starting
the program (network and library) is timed apart. Seconds of the wall count; seconds of the processor stand beside them,
and where the two differ another program was using the core.
"""

# ruff: noqa: E402
from __future__ import annotations

import os

# Before numpy is loaded, which reads them once.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
import onnxruntime

import powderlens
from powderlens.diffraction.simulate import simulate
from powderlens.identification.candidates import RETRIEVED, axis_of
from powderlens.identification.identify import Identifier
from powderlens.library.shelf import Shelf
from powderlens.pattern.pattern import Pattern
from powderlens.refine.measured import Measured

ROOT = Path(__file__).resolve().parents[1]
TARGETS = {"identify_s": 0.4, "retrieval_ms": 60.0, "cold_start_s": 3.0, "resident_MB": 700.0}
"""At most so much, for all evidence."""
WIDTHS = ((400.0, 0.002), (150.0, 0.005), (60.0, 0.008), (25.0, 0.012))
"""Crystallite size in nm and Caglioti W in degrees^2."""


def make_patterns(count: int, seed: int) -> list[Pattern]:
    """Every structure in every width, then again, each with its own noise."""
    rng = np.random.default_rng(seed)
    files = [ROOT / "examples" / "quartz.cif", *sorted((ROOT / "tests" / "golden" / "cif").glob("*.cif"))]
    clean = [
        simulate(file, "CuKa", step_deg=0.02, crystallite_size_nm=size_nm, caglioti_w_deg2=w)
        for file in files
        for size_nm, w in WIDTHS
    ]
    patterns = []
    for i in range(count):
        base = clean[i % len(clean)]
        counts = rng.poisson(20 + 50 * base.intensity).astype(float)
        patterns.append(replace(base, intensity=counts, source=f"{i}: {base.source}"))
    return patterns


def processor() -> str:
    """What /proc/cpuinfo calls it, where there is one."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def measure(patterns: list[Pattern], evidence: str) -> dict[str, float]:
    start = time.perf_counter()
    identifier = Identifier(evidence, threads=1)  # type: ignore[arg-type]
    list(identifier.identify_many(patterns[:2]))
    ready = time.perf_counter()
    busy = time.process_time()
    answers = list(identifier.identify_many(patterns))
    wall_s, processor_s = time.perf_counter() - ready, time.process_time() - busy
    assert len(answers) == len(patterns)
    return {
        "loading_s": round(ready - start, 3),
        "wall_s": round(wall_s, 3),
        "processor_s": round(processor_s, 3),
        "patterns_per_s": round(len(patterns) / wall_s, 1),
        "patterns_per_processor_s": round(len(patterns) / processor_s, 1),
    }


def retrieval_ms(patterns: list[Pattern]) -> float:
    """Median time of looking through the whole shipped library for one pattern."""
    shelf, taken = Shelf(), []
    for pattern in patterns:
        axis = axis_of(Measured.of(pattern))
        start = time.perf_counter()
        shelf.retrieve(axis, RETRIEVED)
        taken.append(time.perf_counter() - start)
    return round(1e3 * float(np.median(taken[2:])), 1)


def cold_start_s() -> float:
    """From the command line to the first answer and out again."""
    command = [sys.executable, "-m", "powderlens.cli.main", "identify", str(ROOT / "examples" / "quartz.txt"), "--json"]
    start = time.perf_counter()
    subprocess.run([*command, "--wavelength", "CuKa"], check=True, capture_output=True)
    return round(time.perf_counter() - start, 2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    patterns = make_patterns(arguments.count, arguments.seed)
    found = {}
    for evidence in ("all", "library", "network"):
        found[evidence] = measure(patterns, evidence)
        print(f"{evidence:8}", found[evidence])
        if evidence == "all":
            resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cold_start_s()
    reached = {
        "identify_s": round(found["all"]["wall_s"] / len(patterns), 3),
        "retrieval_ms": retrieval_ms(patterns[:42]),
        "cold_start_s": cold_start_s(),
        "resident_MB": round(resident),
    }
    print(reached)
    record: dict[str, Any] = {
        "what": "patterns already read, identified in one process on one core",
        "command": f"python benchmarks/identify_speed.py --output results/{arguments.output.name}",
        "patterns": arguments.count,
        "seed": arguments.seed,
        "points_each": len(patterns[0].two_theta_deg),
        "targets": TARGETS,
        "reached": reached,
        "by_evidence": found,
        "hardware": {"processor": processor(), "cores_used": 1, "machine": platform.machine()},
        "load_average_1_min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": {
            "powderlens": powderlens.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "onnxruntime": onnxruntime.__version__,
            "gemmi": gemmi.__version__,
        },
        "date": datetime.now(UTC).date().isoformat(),
    }
    arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0 if all(reached[name] <= most for name, most in TARGETS.items()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
