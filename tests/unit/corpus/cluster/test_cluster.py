"""A Ray of our own: the same batches as the stream alone, bounded, and drawers that die; tasks and their faults."""

from __future__ import annotations

import csv
import gc
import hashlib
import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from powderlens.cli.main import main
from powderlens.core.errors import InputError, PowderlensError, StructureError
from powderlens.corpus.store.corpus import Corpus
from powderlens.corpus.store.reflection_table import ReflectionTable
from powderlens.corpus.stream.from_corpus import CorpusStream
from powderlens.corpus.stream.from_crystals import CrystalStream
from powderlens.corpus.stream.stream import Batch, Stream
from powderlens.corpus.stream.workers import StreamError
from powderlens.diffraction.protocol import load_protocol
from powderlens.pattern.grid import Grid

ray = pytest.importorskip("ray")

from powderlens.corpus.cluster import connect  # noqa: E402
from powderlens.corpus.cluster import stream as cluster_stream  # noqa: E402
from powderlens.corpus.cluster.connect import Cluster, open_cluster, require_same, versions  # noqa: E402
from powderlens.corpus.cluster.mapper import on_cluster, on_ray  # noqa: E402
from powderlens.corpus.cluster.stream import ClusterStream  # noqa: E402

# Ray leaves files and sockets to the collector of garbage.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]
GRID = Grid(start_deg=5.0, step_deg=0.1, points=850, wavelength_A=1.5418711)


class Marked(Stream):
    """Patterns of their own number; each draw leaves a mark; one batch fails, or kills whoever draws it (once)."""

    def __init__(self, marks: Path, *, size: int = 10, deadly: int = -1, deadly_once: int = -1, bad: int = -1) -> None:
        super().__init__(size=size, grid=GRID, seed=0)
        self.marks, self.deadly, self.deadly_once, self.bad = marks, deadly, deadly_once, bad

    def draw(self, numbers: NDArray[np.int64]) -> Batch:
        i = int(numbers[0]) // self.size
        (self.marks / f"{i}-{os.getpid()}-{time.monotonic_ns()}").touch()
        if i == self.deadly or (i == self.deadly_once and self.drawn().count(i) == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if i == self.bad:
            raise InputError(f"pattern {numbers[0]}: no crystal of 64 gives a pattern")
        out = Batch.zeros(len(numbers), self.shape)
        out.numbers[:], out.patterns[:] = numbers, numbers[:, None]
        return out

    def identity(self) -> dict[str, Any]:
        return self._identity()

    def drawn(self) -> list[int]:
        return sorted(int(mark.name.split("-")[0]) for mark in self.marks.iterdir())

    def drawers(self, batch: int | None = None) -> set[int]:
        """Processes that began to draw a batch, or any."""
        names = [mark.name.split("-") for mark in self.marks.iterdir()]
        return {int(pid) for i, pid, _ in names if batch is None or int(i) == batch} - {os.getpid()}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    # Workers of Ray cannot import this file, so that what it defines is sent as it is.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with open_cluster(workers=2, object_store_MB=100) as opened:
        yield opened
    assert not ray.is_initialized()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # Ray ends its processes and does not wait for them
        gc.collect()


@pytest.fixture
def single(cluster: Cluster) -> Cluster:
    """The same for one drawer: half the processes to begin."""
    return replace(cluster, workers=1)


def equal(one: Batch, other: Batch) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(one.arrays().values(), other.arrays().values(), strict=True))


def eventually(true: Callable[[], bool], *, within_s: float = 600.0) -> bool:
    end = time.monotonic() + within_s
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()


def test_batches_are_those_of_the_stream_alone_and_can_be_written_to(
    cluster: Cluster, small_table: ReflectionTable
) -> None:
    lab = load_protocol("lab")
    stream = CrystalStream(small_table, np.arange(600), np.full(600, 1 / 600), lab, size=40, seed=2, grid=GRID)
    assert (cluster.workers, cluster.local) == (2, True)
    with ClusterStream(stream, cluster, first=3, stop=9) as drawn:
        batches = list(drawn)
    assert len(batches) == 6
    assert all(equal(batch, stream.batch(3 + i)) for i, batch in enumerate(batches))
    batches[0].patterns[:] = 0
    with pytest.raises(StopIteration):
        next(drawn)


def test_a_corpus_is_opened_by_its_drawers(single: Cluster, built: Callable[[str], Path]) -> None:
    stream = CorpusStream(Corpus.open(built("simxrd")), size=16, seed=1)
    with ClusterStream(stream, single, stop=8) as drawn:
        for i, batch in enumerate(drawn):
            assert equal(batch, stream.batch(i))
            assert drawn.next_batch == i + 1
            assert drawn.outstanding <= 3


def test_when_the_trainer_stops_drawing_stops(cluster: Cluster, tmp_path: Path) -> None:
    stream = Marked(tmp_path)
    with ClusterStream(stream, cluster, ahead=3) as drawn:
        while len(drawn.drawers) < 2:
            next(drawn)
        taken = drawn.next_batch
        assert eventually(lambda: len(stream.drawn()) == taken + 3)
        time.sleep(1)
        assert stream.drawn() == list(range(taken + 3))
        assert drawn.outstanding == 3
        next(drawn)
        assert eventually(lambda: stream.drawn() == list(range(taken + 4)))


def test_a_killed_drawer_loses_and_repeats_nothing(cluster: Cluster, tmp_path: Path) -> None:
    """One drawer is killed with batch 7 in hand; the other goes on, and a third takes its place."""
    stream = Marked(tmp_path, deadly_once=7)
    with ClusterStream(stream, cluster) as drawn:
        got = [next(drawn) for _ in range(8)]
        while len(stream.drawers()) < 3:
            got.append(next(drawn))
        alive = {pid for _, pid in drawn.drawers}
    assert [int(batch.numbers[0]) for batch in got] == [10 * i for i in range(len(got))]
    assert all(equal(batch, stream.batch(i)) for i, batch in enumerate(got))
    assert len(stream.drawers()) == 3
    (killed,) = stream.drawers() - alive
    assert killed in stream.drawers(batch=7)
    assert len(stream.drawers(batch=7)) == 2


def test_a_drawer_killed_from_outside_is_replaced(cluster: Cluster, tmp_path: Path) -> None:
    stream = Marked(tmp_path)
    with ClusterStream(stream, cluster) as drawn:
        got = [next(drawn)]
        while len(drawn.drawers) < 2 or len(stream.drawers()) < 2:
            got.append(next(drawn))
        before = {pid for _, pid in drawn.drawers}
        killed = min(before)
        os.kill(killed, signal.SIGKILL)
        while len(stream.drawers()) < 3:
            got.append(next(drawn))
        alive = {pid for _, pid in drawn.drawers}
    assert stream.drawers() == before | alive
    assert before - alive == {killed}
    assert all(equal(batch, stream.batch(i)) for i, batch in enumerate(got))


def test_in_any_order_and_resumed(cluster: Cluster, tmp_path: Path) -> None:
    stream = Marked(tmp_path)
    with ClusterStream(stream, cluster, stop=20, ordered=False) as drawn:
        first = [(next(drawn), drawn.last)[1] for _ in range(7)]
        state = drawn.state()
    assert state["first"] == next(i for i in range(21) if i not in first)
    assert state["done"] == sorted(i for i in first if i > state["first"])
    with ClusterStream(stream, replace(cluster, workers=1), stop=20, ordered=False, **state) as drawn:
        rest = [drawn.last for _ in drawn]
    assert sorted(first + rest) == list(range(20))
    with ClusterStream(stream, replace(cluster, workers=1), first=4, stop=9, ordered=False, done=[1, 4, 6, 7]) as drawn:
        assert sorted(drawn.last for _ in drawn) == [5, 8]


def test_trainers_share_the_batches(single: Cluster, tmp_path: Path) -> None:
    with (
        ClusterStream(Marked(tmp_path), single, first=3, stop=12, share=(0, 2)) as even,
        ClusterStream(Marked(tmp_path), single, first=3, stop=12, share=(1, 2)) as odd,
    ):
        assert [int(batch.numbers[0]) // 10 for batch in odd] == [3, 5, 7, 9, 11]
        assert [int(batch.numbers[0]) // 10 for batch in even] == [4, 6, 8, 10]


def test_a_pattern_that_cannot_be_drawn_is_named(single: Cluster, tmp_path: Path) -> None:
    with ClusterStream(Marked(tmp_path, bad=4), single) as drawn:
        assert next(drawn).numbers[0] == 0
        with pytest.raises(StreamError, match=r"batch 4: pattern 40: no crystal of 64 gives a pattern"):
            list(drawn)


def test_a_batch_that_kills_its_drawers_is_named(cluster: Cluster, tmp_path: Path) -> None:
    stream = Marked(tmp_path, deadly=3)
    with (
        ClusterStream(stream, cluster, ahead=4) as drawn,
        pytest.raises(StreamError, match="batch 3: 3 drawers died over it"),
    ):
        list(drawn)
    assert stream.drawn().count(3) == 3


def test_other_versions_and_other_files_are_named(
    single: Cluster, built: Callable[[str], Path], own_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = CorpusStream(Corpus.open(own_copy), size=4, seed=0)
    own_copy.rename(tmp_path / "elsewhere")
    with ClusterStream(stream, single) as drawn, pytest.raises(StreamError, match=r"machine .*: no such corpus"):
        next(drawn)
    own_copy.symlink_to(built("ideal"))
    with ClusterStream(stream, single) as drawn, pytest.raises(StreamError, match="holds another corpus"):
        next(drawn)
    monkeypatch.setattr(cluster_stream, "versions", lambda: {**versions(), "numpy": "1.0"})
    with (
        ClusterStream(Marked(tmp_path), single) as drawn,
        pytest.raises(StreamError, match=rf"it has numpy {np.__version__}, here 1\.0: install the same versions"),
    ):
        next(drawn)
    with pytest.raises(InputError, match="there has numba missing, here 9: install"):
        require_same({"numba": "9", "numpy": "1"}, {"numba": "missing", "numpy": "1"}, "there")


def test_no_room_for_a_drawer(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Marked(tmp_path)
    with ClusterStream(stream, cluster) as drawn:
        while len(drawn.drawers) < 2:
            next(drawn)
        assert eventually(lambda: ray.available_resources().get("CPU", 0) == 0)
        monkeypatch.setattr(cluster_stream, "START_S", 2.0)
        with (
            ClusterStream(stream, cluster) as other,
            pytest.raises(StreamError, match=r"no drawer could begin in 2 s: 0 CPUs .* 2 are wanted; go on with batch"),
        ):
            next(other)


def test_limits(single: Cluster, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="trainer 2 of 2"):
        ClusterStream(Marked(tmp_path), single, share=(2, 2))
    with pytest.raises(InputError, match="1 batches done out of their order"):
        ClusterStream(Marked(tmp_path), single, done=[3])
    closed = ClusterStream(Marked(tmp_path), single)
    closed.close()
    with pytest.raises(InputError, match="this stream is closed"):
        next(closed)


def test_tasks_and_their_errors(cluster: Cluster, tmp_path: Path) -> None:
    taken: list[int] = []

    def tasks() -> Iterator[int]:
        for i in range(30):
            taken.append(i)
            yield i

    def dies_once(i: int) -> int:
        mark = tmp_path / f"{i}"
        if i % 10 == 0 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return i * i

    results = on_cluster(cluster)(dies_once, tasks())
    first = next(results)
    assert len(taken) <= 4
    assert sorted([first, *results]) == [i * i for i in range(30)]

    def refuses(i: int) -> int:
        raise StructureError(f"crystal {i}: no atoms")

    with pytest.raises(StructureError, match="crystal 7: no atoms"):
        list(on_cluster(cluster)(refuses, [7]))

    def dies(i: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(PowderlensError, match="a task was lost 4 times"):
        list(on_cluster(cluster)(dies, [1]))


def sums(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_corpus_and_its_export_are_the_same_bytes(
    cluster: Cluster, mineral_table: Path, built: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from powderlens.corpus.exchange.export import export_corpus
    from powderlens.corpus.store import build

    options: dict[str, Any] = {"protocol": "simxrd", "per_crystal": 6, "split": "in-library"}
    monkeypatch.setattr(build, "BLOCK", 4)
    for name, mapper in {"alone": None, "ray": on_cluster(cluster)}.items():
        (tmp_path / name).mkdir()
        build.build_corpus(mineral_table, tmp_path / name / "m", workers=1, mapper=mapper, **options)
    assert sums(tmp_path / "ray") == sums(tmp_path / "alone")
    for form in ("parquet", "npy"):
        wanted: dict[str, Any] = {"form": form, "part": "train", "dtype": "float16", "part_rows": 16}
        export_corpus(tmp_path / "alone" / "m", tmp_path / form, **wanted)
        export_corpus(tmp_path / "alone" / "m", tmp_path / f"{form}-ray", mapper=on_cluster(cluster), **wanted)
        assert sums(tmp_path / f"{form}-ray") == sums(tmp_path / form)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore:.*LeafSpec:FutureWarning")
def test_training_on_a_corpus_comes_to_the_same_curve(
    cluster: Cluster, built: Callable[[str], Path], tmp_path: Path
) -> None:
    """By the program, which uses the connection that is there; tests/cli/test_ray.py has it begin one."""
    from powderlens.train.recipe import RECIPES

    text = (RECIPES / "simxrd-small.toml").read_text().replace("batch = 128", "batch = 8")
    (tmp_path / "simxrd.toml").write_text(text.replace("epochs = 6", "steps = 3"))
    words = f"train {tmp_path}/simxrd.toml --corpus {built('simxrd')} --memory-gb 0 --mask --averaging 0.5".split()
    curves = []
    for name, where in {"alone": "--workers 0", "ray": "--ray --workers 1"}.items():
        command = [*words, *f"--precision bf16 --threads 1 {where} --output {tmp_path}/{name}".split()]
        assert main(command) == 0
        with (tmp_path / name / "metrics.csv").open() as handle:
            curves.append([{**row, "seconds": ""} for row in csv.DictReader(handle)])
    assert curves[0] == curves[1] != []


def test_a_connection_that_is_there_is_used_and_kept(cluster: Cluster) -> None:
    with open_cluster(workers=1) as same:
        assert (same.workers, same.local) == (1, False)
    assert ray.is_initialized()
    assert sorted(on_ray(workers=1)(abs, [-1, -2, -3])) == [1, 2, 3]
    assert list(on_ray("nonsense")(abs, [])) == []


@pytest.mark.parametrize("address", ["nonsense", "ray://10.0.0.1:10001", "10.0.0.1:", ":6379", "host:70000"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(InputError, match=r"give HOST:PORT of the head, as 10.0.0.1:6379, or auto"):
        connect._knock(address)


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "HEALTH_S", 2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        threading.Thread(target=lambda: server.accept()[0].close(), daemon=True).start()
        with pytest.raises(InputError, match=f"what answers at 127.0.0.1:{port} is no healthy Ray"):
            connect._knock(f"127.0.0.1:{port}")
    with pytest.raises(InputError, match=rf"no Ray answers at 127.0.0.1:{port} \(Connection refused\); is it running"):
        connect._knock(f"127.0.0.1:{port}")


def test_numbers_below_their_limits_are_refused() -> None:
    with pytest.raises(InputError, match="workers 0"), open_cluster(workers=0):
        pass
    with pytest.raises(InputError, match="Ray needs at least 80"), open_cluster(object_store_MB=10):
        pass
