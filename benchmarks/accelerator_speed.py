"""How many patterns of a protocol a device draws in a second, as a training step would ask for them.

    python benchmarks/accelerator_speed.py --output results/accelerator-speed.json
    python benchmarks/accelerator_speed.py --device cpu --batch 128 --output speed-on-this-cpu.json

Some hundred crystals are packed on the device once: from the shipped reflection table, from another (`--table`), or
structures of an ASE database such as OQMD's (`--database`). Every batch holds other crystals, conditions and noise, and
the clock stops when the device has finished. Three figures:

- rendered: conditions drawn before the clock starts.
- conditions: their drawing alone, on one core of the host.
- everything: conditions of the next batches are drawn in threads of the host while the device works.

A few patterns are compared with those of numba first. Exit code 1 when a device other than the CPU renders fewer than
the target.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from crystal_sample import hardware
from numpy.typing import NDArray

import powderlens
from powderlens.core.files import file_sha256
from powderlens.crystal.formats.ase_database import iter_ase_database
from powderlens.crystal.structure import Structure
from powderlens.diffraction.draw import prepare, second_phases
from powderlens.diffraction.phase import Phase
from powderlens.diffraction.protocol import Protocol, load_protocol
from powderlens.diffraction.render import render
from powderlens.diffraction.render_torch import TorchRenderer

ROOT = Path(__file__).resolve().parents[1]
TARGET_PER_S = 100_000
TOLERANCE = 1e-4
COMPARED = 64


class Batch(NamedTuple):
    """What a renderer takes for one batch."""

    rows: NDArray[np.int64]
    records: NDArray[np.void]
    seed: int
    index: NDArray[np.int64]
    impurity_rows: NDArray[np.int64]


class Source:
    """Batches of `size` patterns, by their number."""

    def __init__(self, protocol: Protocol, crystals: int, seconds: int, size: int, seed: int) -> None:
        self.protocol, self.crystals, self.seconds, self.size, self.seed = protocol, crystals, seconds, size, seed

    def batch(self, number: int) -> Batch:
        rng = np.random.default_rng((self.seed, number))
        records = self.protocol.draw(self.seed, self.size, number * self.size)
        second = np.full(self.size, -1)
        if self.seconds:
            drawn = self.crystals + rng.integers(self.seconds, size=self.size)
            second = np.where(records["impurity_share"] > 0, drawn, -1)
        index = number * self.size + np.arange(self.size)
        return Batch(rng.integers(self.crystals, size=self.size), records, self.seed, index, second)


def crystals_of(arguments: argparse.Namespace, protocol: Protocol) -> list[Phase]:
    """So many crystals by chance, those of a table as it holds them."""
    rng = np.random.default_rng(arguments.seed)
    if arguments.database is None:
        from powderlens.corpus.store.reflection_table import ReflectionTable

        table = ReflectionTable.load(arguments.table)
        return [table.phase(int(i)) for i in rng.permutation(len(table))[: arguments.crystals]]
    every = [item for item in iter_ase_database(arguments.database) if isinstance(item, Structure)]
    return [prepare(every[i], protocol) for i in rng.permutation(len(every))[: arguments.crystals]]


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def agreement(renderer: TorchRenderer, phases: Sequence[Phase], batch: Batch) -> dict[str, float]:
    """Largest difference to numba, in units of each pattern's maximum; Poisson counts apart, see `render_torch`."""
    few = Batch(*(part if isinstance(part, int) else part[:COMPARED] for part in batch))
    found = renderer.batch(*few).to(torch.float64).cpu().numpy()
    true = render(
        [phases[i] for i in few.rows], few.records, renderer.grid, seed=few.seed, index=few.index,
        impurities=[None if i < 0 else phases[i] for i in few.impurity_rows],
    )  # fmt: skip
    top = np.maximum(np.abs(true).max(axis=1, keepdims=True), 1e-12)
    off = np.abs(found - true) / top
    return {"patterns": len(true), "largest": float(f"{off.max():.2g}"), "beyond_1e-4": int((off > TOLERANCE).sum())}


def rates(run: Callable[[int], None], size: int, batches: int, repeats: int, device: torch.device) -> dict[str, float]:
    """Patterns a second: median, lowest and highest of some runs of some batches."""
    found = []
    for repeat in range(repeats):
        synchronise(device)
        start = time.perf_counter()
        run(1 + repeat * batches)
        synchronise(device)
        found.append(batches * size / (time.perf_counter() - start))
    return {name: float(f"{f(found):.3g}") for name, f in (("median", np.median), ("lowest", min), ("highest", max))}


def measure(
    renderer: TorchRenderer, source: Source, batches: int, repeats: int, host_threads: int
) -> dict[str, dict[str, float]]:
    ready = {1 + n: source.batch(1 + n) for n in range(batches * repeats)}

    def rendered(first: int) -> None:
        for n in range(first, first + batches):
            renderer.batch(*ready[n])

    def conditions(first: int) -> None:
        for n in range(first, first + batches):
            source.batch(n)

    def everything(first: int) -> None:
        with ThreadPoolExecutor(host_threads) as host:
            ahead = deque(host.submit(source.batch, n) for n in range(first, first + min(host_threads, batches)))
            for n in range(first, first + batches):
                batch = ahead.popleft().result()
                if n + host_threads < first + batches:
                    ahead.append(host.submit(source.batch, n + host_threads))
                renderer.batch(*batch)

    for n in (0, 1):
        renderer.batch(*source.batch(n))
    return {
        run.__name__: rates(run, source.size, batches, repeats, renderer.device)
        for run in (rendered, conditions, everything)
    }


def device_name(device: torch.device) -> dict[str, Any]:
    if device.type != "cuda":
        return {"device": device.type, "threads": torch.get_num_threads()}
    about = torch.cuda.get_device_properties(device)
    return {"device": about.name, "memory_GiB": round(about.total_memory / 2**30, 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, default=8192)
    parser.add_argument("--batches", type=int, default=8, help="in one run of the clock")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--protocol", default="lab")
    parser.add_argument("--crystals", type=int, default=300)
    parser.add_argument("--table", type=Path, default=ROOT / "examples" / "crystals-small.parquet")
    parser.add_argument("--database", type=Path, help="ASE database to take crystals from in place of a table")
    parser.add_argument("--threads", type=int, default=1, help="of torch on the CPU")
    parser.add_argument("--host-threads", type=int, default=4, help="that draw conditions")
    parser.add_argument("--seed", type=int, default=20261121)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    protocol = load_protocol(arguments.protocol)
    crystals, seconds = crystals_of(arguments, protocol), second_phases(protocol)
    start = time.perf_counter()
    renderer = TorchRenderer([*crystals, *seconds], protocol.grid, device=device)
    synchronise(device)
    packing_s = time.perf_counter() - start
    source = Source(protocol, len(crystals), len(seconds), arguments.batch, arguments.seed)
    compared = agreement(renderer, [*crystals, *seconds], source.batch(0))
    print("against numba:", compared)
    found = measure(renderer, source, arguments.batches, arguments.repeats, arguments.host_threads)
    for name, figures in found.items():
        print(f"{name:10}", figures)
    path = arguments.database or arguments.table
    record: dict[str, Any] = {
        "what": f"patterns of `{protocol.name}` drawn on a device, patterns a second",
        "command": f"python benchmarks/accelerator_speed.py --device {arguments.device} --batch {arguments.batch} "
        f"--protocol {protocol.name} --output results/{arguments.output.name}",
        "points_each": protocol.grid.points,
        "batch": arguments.batch,
        "batches_in_a_run": arguments.batches,
        "runs": arguments.repeats,
        "crystals": len(crystals),
        "median_families": float(np.median([len(phase.hkl) for phase in crystals])),
        "mean_families": round(float(np.mean([len(phase.hkl) for phase in crystals])), 1),
        "seed": arguments.seed,
        "host_threads": arguments.host_threads,
        "target_per_s": TARGET_PER_S,
        "per_s": found,
        "packing_s": round(packing_s, 3),
        "against_numba": compared,
        "data": {path.name: file_sha256(path)},
        "hardware": {**hardware(), **device_name(device)},
        "load_average_1_min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": {
            "powderlens": powderlens.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
        },
        "date": datetime.now(UTC).date().isoformat(),
    }
    if device.type == "cuda":
        record["peak_memory_GiB"] = round(torch.cuda.max_memory_allocated(device) / 2**30, 2)
    arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 1 if device.type != "cpu" and found["rendered"]["median"] < TARGET_PER_S else 0


if __name__ == "__main__":
    raise SystemExit(main())
