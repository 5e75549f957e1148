"""Whether a build and an export that are killed at random moments leave a trace.

    python benchmarks/corpus_kill.py crystals.parquet --output results/corpus-kill.json

`powderlens corpus build` makes a corpus of some crystals, and `powderlens corpus export` writes a part of it in each
format, with two workers, in processes of their own. Each command is run once undisturbed. Then it is run in a new
place, and its process group killed (SIGKILL) at a moment drawn at random from the time that the undisturbed run spent
after its first file; the same command is given again, and killed again, and so on. Whenever a run ends before its
moment comes, every file of what it made is compared with the undisturbed one by sha256, and the next run begins anew in
an empty place. It ends when so many kills have struck and the last run is through.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from crystal_sample import hardware

import powderlens
from powderlens.core.files import atomic_write, file_sha256
from powderlens.crystals.table import SCHEMA, write_crystals

SEED, KILLS, WORKERS = 20261121, 20, 2
PROTOCOL, PER_CRYSTAL, PART = "simxrd", 6, "train"
FORMATS = ("parquet", "npy", "ase")
POLL_S, GIVE_UP_S = 0.002, 3600.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crystals", type=Path, metavar="CRYSTALS")
    parser.add_argument("--count", type=int, default=1400, help="crystals")
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    rng = np.random.default_rng(SEED)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        table = pq.read_table(given.crystals, columns=SCHEMA.names)
        rows = np.sort(rng.choice(len(table), min(given.count, len(table)), replace=False))
        write_crystals(table.take(rows).cast(SCHEMA), folder / "crystals.parquet")
        build = ["build", "--crystals", "crystals.parquet", "--protocol", PROTOCOL, "--per-crystal", str(PER_CRYSTAL)]
        found = {"build": trial(folder, "corpus", build, given.kills, rng)}
        for form in FORMATS:
            export = ["export", "corpus", "--format", form, "--split", PART]
            found[f"export, {form}"] = trial(folder, f"export-{form}", export, given.kills, rng)
    record = {
        "what": "builds and exports killed at random moments; see benchmarks/corpus_kill.py",
        "command": "python benchmarks/corpus_kill.py crystals.parquet --output results/corpus-kill.json",
        "data": {given.crystals.name: file_sha256(given.crystals)},
        "seed": SEED,
        "crystals": given.count,
        "per_crystal": PER_CRYSTAL,
        "protocol": PROTOCOL,
        "part": PART,
        "workers": WORKERS,
        "versions": {name: version(name) for name in ("numpy", "numba", "pyarrow")}
        | {"powderlens": powderlens.__version__, "python": platform.python_version()},
        "hardware": hardware(),
        "date": datetime.now(UTC).date().isoformat(),
        "all_equal": all(entry["all_equal"] for entry in found.values()),
        "commands": found,
    }
    if given.output:
        with atomic_write(given.output) as aside:
            aside.write_text(json.dumps(record, indent=1) + "\n")
    if not record["all_equal"]:
        sys.exit("what was killed and resumed is not what was not")


def trial(folder: Path, name: str, words: list[str], kills: int, rng: np.random.Generator) -> dict[str, Any]:
    """Run a command undisturbed, leaving its output as `name`, and then as often as it takes to kill it."""
    # The output bears the same name everywhere: a corpus knows its own.
    began = time.monotonic()
    at_work_s = undisturbed(folder, name, words)
    wanted = sums(folder / name)
    print(f"{name}: {len(wanted)} files, {at_work_s:.1f} s after the first", flush=True)
    struck: list[dict[str, Any]] = []
    runs = equal = 0
    place = fresh(folder, name)
    while True:
        after_s = float(rng.uniform(0, at_work_s)) if len(struck) < kills else None
        state = killed(place, name, words, after_s)
        runs += 1
        if state is not None:
            struck.append({"after_s": round(after_s or 0.0, 3), "on_disk": state})
            continue
        same = sums(place / name) == wanted and not (place / f"{name}.parts").exists()
        equal += same
        if not same:
            differing = sorted(set(sums(place / name).items()) ^ set(wanted.items()))
            print(f"{name}: differs: {sorted({path for path, _ in differing})}", flush=True)
        if after_s is None:
            break
        shutil.rmtree(place)
        place = fresh(folder, name)
    shutil.rmtree(place)
    whole = runs - len(struck)
    print(f"{name}: {len(struck)} kills, {equal} of {whole} results equal", flush=True)
    return {
        "command": "powderlens corpus " + " ".join([*words, "--workers", str(WORKERS), "--output", name]),
        "files": len(wanted),
        "undisturbed_s_after_first_file": round(at_work_s, 2),
        "kills": len(struck),
        "results": whole,
        "results_equal": equal,
        "all_equal": equal == whole,
        "seconds": round(time.monotonic() - began, 1),
        "killed": struck,
    }


def fresh(folder: Path, name: str) -> Path:
    """An empty place with the same inputs."""
    place = Path(tempfile.mkdtemp(dir=folder))
    (place / "crystals.parquet").symlink_to(folder / "crystals.parquet")
    if name != "corpus":
        (place / "corpus").symlink_to(folder / "corpus")
    return place


def start(place: Path, name: str, words: list[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "powderlens.cli.main", "corpus", *words]
    command += ["--workers", str(WORKERS), "--output", name]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=place, start_new_session=True, **quiet)  # type: ignore[call-overload, no-any-return]


def undisturbed(folder: Path, name: str, words: list[str]) -> float:
    """Seconds from the first file to the end."""
    process = start(folder, name, words)
    wait_for_work(process, folder, name, frozenset())
    began = time.monotonic()
    end(process)
    return time.monotonic() - began


def killed(place: Path, name: str, words: list[str], after_s: float | None) -> dict[str, int] | None:
    """Run a command and kill its process group. What was on disk then; None where it was through before."""
    before = frozenset(files_of(place, name))
    process = start(place, name, words)
    if after_s is not None:
        wait_for_work(process, place, name, before)
        until = time.monotonic() + after_s
        while time.monotonic() < until and process.poll() is None:
            time.sleep(min(POLL_S, max(until - time.monotonic(), 0)))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.returncode == -signal.SIGKILL:
            assert process.stderr is not None
            process.stderr.close()
            return kinds_of(place, name)
    end(process)
    return None


def end(process: subprocess.Popen[bytes]) -> None:
    _, said = process.communicate(timeout=GIVE_UP_S)
    if process.returncode:
        sys.exit(f"exit code {process.returncode}: {said.decode()}")


def wait_for_work(process: subprocess.Popen[bytes], place: Path, name: str, before: frozenset[str]) -> None:
    """Until it changes a file."""
    while process.poll() is None and frozenset(files_of(place, name)) == before:
        time.sleep(POLL_S)


def files_of(place: Path, name: str) -> list[str]:
    """Files of the output and of its parts."""
    found = []
    for top in (name, f"{name}.parts"):
        for folder, _, names in os.walk(place / top):
            found += [os.path.relpath(os.path.join(folder, file), place) for file in names]
    return found


def kinds_of(place: Path, name: str) -> dict[str, int]:
    """What lies there, files of the same kind counted together."""
    counts: Counter[str] = Counter()
    for path in files_of(place, name):
        parts = Path(path).parts
        if any(part.startswith(".") and part not in (".parts", ".export.json") for part in parts):
            counts["half written"] += 1
        elif parts[-1].startswith(("part-", "patterns-")):
            counts["parts"] += 1
        else:
            counts[Path(path).name] += 1
    return dict(sorted(counts.items()))


def sums(folder: Path) -> dict[str, str]:
    """sha256 of every file, hidden ones as well."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in found}


if __name__ == "__main__":
    main()
