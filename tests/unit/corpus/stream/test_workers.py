"""Streams in processes: the same batches in the same order, bounded, and faults that are named."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.corpus.store.reflection_table import ReflectionTable
from powderlens.corpus.stream.bench import _memory, measure
from powderlens.corpus.stream.from_crystals import CrystalStream
from powderlens.corpus.stream.stream import Batch, Stream
from powderlens.corpus.stream.workers import StreamError, StreamWorkers
from powderlens.diffraction.protocol import load_protocol
from powderlens.pattern.grid import Grid

GRID = Grid(start_deg=5.0, step_deg=1.0, points=50, wavelength_A=1.5)
forked = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


class Slow(Stream):
    """Patterns of their own number; batch 3 takes its time, pattern 1000 fails, and each draw leaves a mark."""

    def __init__(self, marks: Path | None = None, size: int = 100, per_crystal: int = 1) -> None:
        super().__init__(size=size, grid=GRID, seed=0, per_crystal=per_crystal)
        self.marks = marks

    def draw(self, numbers: NDArray[np.int64]) -> Batch:
        if 1000 in numbers:
            raise InputError("pattern 1000: no crystal of 64 gives a pattern")
        if numbers[0] == 300:
            time.sleep(0.1)
        if self.marks is not None:
            (self.marks / f"{numbers[0]}-{os.getpid()}").touch()
        out = Batch.zeros(len(numbers), self.shape)
        out.numbers[:], out.patterns[:] = numbers, numbers[:, None]
        return out

    def identity(self) -> dict[str, Any]:
        return self._identity()


def take(crew: StreamWorkers, into: list[Batch]) -> None:
    """All that come, at most 30."""
    for _ in range(30):
        into.append(next(crew))


def equal(one: Batch, other: Batch) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(one.arrays().values(), other.arrays().values(), strict=True))


def test_spawned_processes_give_what_the_stream_alone_gives(small_table: ReflectionTable) -> None:
    lab = load_protocol("lab")
    stream = CrystalStream(small_table, np.arange(600), np.full(600, 1 / 600), lab, size=80, seed=2, grid=GRID)
    with StreamWorkers(stream, workers=2, first=3, stop=6) as crew:
        folder = Path(crew._folder.name)
        assert (folder / "hkl.npy").exists()
        batches = list(crew)
    assert len(batches) == 3
    assert all(equal(batch, stream.batch(3 + i)) for i, batch in enumerate(batches))
    assert not folder.exists()


@forked
@pytest.mark.parametrize("workers", [1, 3])
def test_batches_come_in_order_whichever_is_slow(workers: int, tmp_path: Path) -> None:
    stream = Slow(tmp_path)
    with StreamWorkers(stream, workers=workers, stop=8, start="fork") as crew:
        for i, batch in enumerate(crew):
            assert equal(batch, stream.batch(i))
            assert crew.next_batch == i + 1
    drawn = {mark.name.split("-")[1] for mark in tmp_path.iterdir()} - {str(os.getpid())}
    assert len(drawn) == workers


@forked
def test_patterns_of_a_crystal_are_drawn_by_one_process(tmp_path: Path) -> None:
    with StreamWorkers(Slow(tmp_path, size=99, per_crystal=3), workers=2, stop=2, start="fork") as crew:
        assert len(list(crew)) == 2
    firsts = [int(mark.name.split("-")[0]) for mark in tmp_path.iterdir()]
    assert all(first % 3 == 0 for first in firsts)


@forked
def test_when_the_reader_stops_the_processes_stop(tmp_path: Path) -> None:
    with StreamWorkers(Slow(tmp_path), workers=2, ahead=3, start="fork") as crew:
        next(crew)
        seen: set[int] = set()
        while not seen >= {0, 1, 2, 3}:
            assert seen <= {0, 1, 2, 3}
            seen = {int(mark.name.split("-")[0]) // 100 for mark in tmp_path.iterdir()}
        time.sleep(0.3)
        seen = {int(mark.name.split("-")[0]) // 100 for mark in tmp_path.iterdir()}
        assert seen == {0, 1, 2, 3}, "three batches ahead of the reader"


@forked
def test_a_dead_worker_is_named_and_what_was_handed_out_is_whole() -> None:
    stream = Slow()
    crew = StreamWorkers(stream, workers=2, start="fork")
    assert equal(next(crew), stream.batch(0))
    killed = crew.processes[1]
    os.kill(killed, signal.SIGKILL)
    got: list[Batch] = []
    with pytest.raises(StreamError, match=rf"worker 2 of 2 \(process {killed}\) died \(SIGKILL\)") as caught:
        take(crew, got)
    assert all(equal(batch, stream.batch(1 + i)) for i, batch in enumerate(got))
    assert f"go on with batch {1 + len(got)}" in str(caught.value)
    assert crew.next_batch == 1 + len(got)
    with pytest.raises(InputError, match="these workers are closed"):
        next(crew)
    with StreamWorkers(stream, workers=2, first=crew.next_batch, start="fork") as again:
        assert equal(next(again), stream.batch(1 + len(got)))


@forked
def test_a_pattern_that_cannot_be_drawn_is_named() -> None:
    with StreamWorkers(Slow(), workers=2, start="fork") as crew:
        got: list[Batch] = []
        with pytest.raises(StreamError, match=r"batch 10, patterns 0 to 31 of it: pattern 1000: no crystal of 64"):
            take(crew, got)
    assert [int(batch.numbers[0]) // 100 for batch in got] == list(range(10))[: len(got)]


@forked
def test_processes_and_memory_are_gone_when_it_is_closed() -> None:
    crew = StreamWorkers(Slow(), workers=2, start="fork")
    next(crew)
    name, processes, folder = crew._memory.name, crew.processes, Path(crew._folder.name)
    crew.close()
    crew.close()
    assert not (Path("/dev/shm") / name.lstrip("/")).exists()
    assert not folder.exists()
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_numbers_below_their_limits_are_refused() -> None:
    with pytest.raises(InputError, match="0 workers from batch 0"):
        StreamWorkers(Slow(), workers=0)


@forked
def test_the_measurement_counts_what_was_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()  # a clock that moves on whenever it is asked
    monkeypatch.setattr("powderlens.corpus.stream.bench.time.perf_counter", lambda: next(ticks) / 64)
    monkeypatch.setattr("powderlens.corpus.stream.bench.SAMPLE_S", 0.125)
    monkeypatch.setattr(
        StreamWorkers.__init__, "__kwdefaults__", {**StreamWorkers.__init__.__kwdefaults__, "start": "fork"}
    )
    said: list[str] = []
    found = measure(Slow(size=10), workers=1, seconds=0.5, first=200, progress=said.append)
    assert found.patterns == 10 * found.batches
    assert found.seconds == 0.5
    assert found.batches == 32
    assert found.patterns_per_hour == pytest.approx(3600 * found.patterns / found.seconds)
    assert found.gap_ratio == pytest.approx(found.gap_largest_s / found.gap_median_s)
    assert len(found.memory) == 6
    assert len(said) == len(found.memory) - 2
    assert found.memory[0].workers_MB > 1
    assert found.record()["workers"] == 1
    with pytest.raises(InputError, match="0 seconds"):
        measure(Slow(), seconds=0)


def test_memory_of_the_reader_and_of_the_workers() -> None:
    """This process holds NumPy and numba; one that sleeps holds next to nothing."""
    with subprocess.Popen(["sleep", "600"]) as asleep:
        found = _memory(1.5, [asleep.pid])
        asleep.kill()
    assert found.seconds == 1.5
    assert 0 < found.workers_MB < 20 < found.reader_MB
    assert found.own_MB is None or 20 < found.own_MB < found.reader_MB + found.workers_MB + 1
