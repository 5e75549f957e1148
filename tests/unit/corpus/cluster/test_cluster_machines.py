"""A head and two workers, begun by `ray start` as on three machines: the stream, commands, and a machine that goes.

Whatever speaks to them is a process of its own, as they want a token that this one must not be given.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from powderlens.cli.main import main

pytest.importorskip("ray")

pytestmark = pytest.mark.slow
START_S = 1200.0
RAY_START = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]

STREAM = """
import json, os, signal, subprocess, sys, time
from contextlib import redirect_stdout
from pathlib import Path
import numpy as np
import ray
from powderlens.corpus.cluster.connect import open_cluster
from powderlens.corpus.cluster.stream import ClusterStream
from powderlens.corpus.store.reflection_table import ReflectionTable
from powderlens.corpus.stream.from_crystals import CrystalStream
from powderlens.diffraction.protocol import load_protocol
from powderlens.pattern.grid import Grid

address, table, one, command, begun = json.loads(sys.argv[1])
grid = Grid(start_deg=5.0, step_deg=0.1, points=850, wavelength_A=1.5418711)
chances = np.full(600, 1 / 600)
table = ReflectionTable.load(Path(table))
stream = CrystalStream(table, np.arange(600), chances, load_protocol("lab"), size=32, seed=5, grid=grid)
out = sys.stdout  # as the commands do it: Ray tells of dead machines on stdout
with redirect_stdout(sys.stderr), open_cluster(address) as cluster, ClusterStream(stream, cluster) as drawn:
    assert (cluster.workers, cluster.local) == (2, False), cluster

    def draw_until(true):
        while not true():
            got.append(next(drawn))
            time.sleep(0.2)  # nothing depends on it: fewer batches while machines come and go

    got = []
    draw_until(lambda: len(drawn.drawers) == 2)
    os.killpg(one, signal.SIGKILL)
    draw_until(lambda: len(drawn.drawers) == 1)
    got += [next(drawn) for _ in range(5)]
    with open(begun, "wb") as log:
        started = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    print(started.pid, file=out, flush=True)
    draw_until(lambda: len(drawn.drawers) == 2)
    got += [next(drawn) for _ in range(5)]
for i, batch in enumerate(got):
    alone = stream.batch(i)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(alone.arrays().values(), batch.arrays().values()))
print(json.dumps({"batches": len(got)}))
"""


class Machines:
    """Processes that stand for machines, by name; the address of the head, and what must be in the environment."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.folder = folder
        own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16), "OMP_NUM_THREADS": "1"}
        own["RAY_health_check_timeout_ms"] = "60000"  # under load a machine is slow, not dead
        self.environment = {**os.environ, **own}
        self.running: list[subprocess.Popen[bytes]] = []

    def command(self, cpus: int, *options: str) -> list[str]:
        return [*RAY_START, f"--num-cpus={cpus}", "--object-store-memory=100000000", *options]

    def begin(self, name: str, cpus: int, *options: str) -> int:
        with open(self.folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen(
                self.command(cpus, *options), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True, env=self.environment,
            )  # fmt: skip
        self.running.append(process)
        end = time.monotonic() + START_S
        while b"Ray runtime started" not in (self.folder / f"{name}.log").read_bytes():
            assert time.monotonic() < end, (self.folder / f"{name}.log").read_text()
            time.sleep(0.2)
        return process.pid

    def call(self, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *map(str, words)]
        options = {"capture_output": True, "text": True, "timeout": START_S, "env": {**self.environment, **environment}}
        return subprocess.run(command, **options)  # type: ignore[call-overload, no-any-return]

    def end(self) -> None:
        for process in reversed(self.running):
            end_group(process.pid)
            process.wait()


def end_group(leader: int) -> None:
    """End a process with all that it began."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    folder = Path(tempfile.mkdtemp(prefix="plr", dir="/tmp"))  # Ray's sockets want short names
    made = Machines(folder)
    try:
        made.begin("head", 0, "--head", f"--port={made.port}", "--include-dashboard=false", f"--temp-dir={folder}")
        made.begin("two", 1, f"--address={made.address}")
        yield made
    finally:
        made.end()
        shutil.rmtree(folder, ignore_errors=True)


def sums(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_two_machines_one_goes_another_comes_and_is_gone_before_it_is_missed(
    machines: Machines, small_table_path: Path, mineral_table: Path, tmp_path: Path
) -> None:
    one = machines.begin("one", 1, f"--address={machines.address}")
    three = machines.command(1, f"--address={machines.address}")
    told = [machines.address, str(small_table_path), one, three, str(machines.folder / "three.log")]
    done = machines.call("-c", STREAM, json.dumps(told))
    if done.stdout:
        end_group(int(done.stdout.split()[0]))
    command = ["corpus", "build", "--crystals", mineral_table, "--protocol", "ideal", "--output", tmp_path / "m"]
    build = machines.call("-m", "powderlens.cli.main", *command, "--ray-address", machines.address)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["batches"] >= 12
    assert build.returncode == 0, build.stderr


def test_corpus_and_export_by_command(
    machines: Machines, mineral_table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def on_ray(words: list[str]) -> str:
        done = machines.call("-m", "powderlens.cli.main", *words, "--ray-address", machines.address)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def alone(words: list[str]) -> str:
        assert main([*words, "--workers", "1"]) == 0
        return capsys.readouterr().out

    build = ["corpus", "build", "--crystals", str(mineral_table), "--protocol", "ideal", "--per-crystal", "6"]
    for name, run in {"alone": alone, "ray": on_ray}.items():
        corpus = tmp_path / name / "m"
        corpus.parent.mkdir()
        assert json.loads(run([*build, "--output", str(corpus)]))["patterns"] == 150
        export = ["corpus", "export", str(corpus), "--format", "npy", "--split", "train"]
        run([*export, "--output", str(corpus.with_name("npy"))])
    assert sums(tmp_path / "ray") == sums(tmp_path / "alone")


def test_a_wrong_token_is_told(machines: Machines, mineral_table: Path, tmp_path: Path) -> None:
    command = ["corpus", "build", "--crystals", mineral_table, "--protocol", "ideal", "--output", tmp_path / "m"]
    done = machines.call(
        "-m", "powderlens.cli.main", *command, "--ray-address", machines.address, RAY_AUTH_TOKEN="of somebody else"
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"powderlens: Ray at {machines.address} wants its token: set RAY_AUTH_MODE=token, and copy ~/.ray/auth_token "
        "of the head to this machine\n"
    )
    assert not (tmp_path / "m").exists()
