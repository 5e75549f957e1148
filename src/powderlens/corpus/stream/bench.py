"""How quickly, how evenly and in how much memory processes draw a stream."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from powderlens.core.errors import InputError
from powderlens.corpus.stream.stream import Stream
from powderlens.corpus.stream.workers import StreamWorkers

SAMPLE_S = 10.0
WARM_BATCHES = 8
"""Batches before the clock starts: processes begin, compiled code is read, caches fill."""
LATE = 1.5
"""A batch that comes this many medians after the one before it is late."""


@dataclass(frozen=True)
class MemorySample:
    """Memory at one moment.

    Attributes:
        seconds: since the clock started.
        reader_MB: resident memory of this process, 1e6 bytes.
        workers_MB: resident memory of all workers together; what they share counts once for each.
        own_MB: memory of all of them and this process in which what is shared counts once; None where not known.
    """

    seconds: float
    reader_MB: float
    workers_MB: float
    own_MB: float | None


@dataclass(frozen=True)
class StreamSpeed:
    """What a measurement found.

    Attributes:
        workers, batch: processes, and patterns a batch.
        batches, patterns, seconds: drawn in that time.
        patterns_per_s, patterns_per_hour: the rate.
        gap_median_s, gap_largest_s, gap_ratio: seconds between one batch and the next, and largest over median.
        late_batches: how many took more than `LATE` medians.
        worker_cpu_s, patterns_per_cpu_s: processor time of the workers; where the machine has other work, the rate by
            processor time is the one to compare.
        replaced: patterns whose crystal or conditions were replaced.
        memory: a sample at the start, every ten seconds, and at the end.
        load: load average of the machine, one minute, at the start and at the end.
    """

    workers: int
    batch: int
    batches: int
    patterns: int
    seconds: float
    patterns_per_s: float
    patterns_per_hour: float
    gap_median_s: float
    gap_largest_s: float
    gap_ratio: float
    late_batches: int
    worker_cpu_s: float | None
    patterns_per_cpu_s: float | None
    replaced: int
    memory: tuple[MemorySample, ...]
    load: tuple[float, float]

    def record(self) -> dict[str, Any]:
        """As JSON knows it, numbers rounded."""
        return _rounded(asdict(self))


def measure(
    stream: Stream,
    *,
    workers: int = 2,
    seconds: float = 300.0,
    first: int = 0,
    progress: Callable[[str], None] = lambda text: None,
) -> StreamSpeed:
    """Draw a stream as quickly as its processes can, for some time; the reader does nothing but take batches.

    Args:
        stream: any; its batches are taken in their order.
        workers: processes.
        seconds: how long, after the first `WARM_BATCHES` batches.
        first: number of the first batch.
        progress: told how far it is, with every memory sample.

    Raises:
        InputError: a time that is not positive.
    """
    if not seconds > 0:
        raise InputError(f"{seconds:g} seconds: give a time above 0")
    with StreamWorkers(stream, workers=workers, first=first) as crew:
        for _ in range(WARM_BATCHES):
            next(crew)
        load = os.getloadavg()[0]
        began = last = time.perf_counter()
        cpu = _cpu_s(crew.processes)
        gaps: list[float] = []
        replaced = 0
        memory = [_memory(0.0, crew.processes)]
        while last - began < seconds or not gaps:
            batch = next(crew)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now
            replaced += int((batch.replaced > 0).sum())
            if now - began >= memory[-1].seconds + SAMPLE_S:
                memory.append(_memory(now - began, crew.processes))
                rate = len(gaps) * stream.size / (now - began)
                progress(f"{now - began:.0f} s: {rate:.0f} patterns/s, {memory[-1].workers_MB:.0f} MB in the workers")
        took = last - began
        memory.append(_memory(took, crew.processes))
        after = _cpu_s(crew.processes)
        used = None if cpu is None or after is None else after - cpu
    patterns = len(gaps) * stream.size
    median, largest = float(np.median(gaps)), max(gaps)
    return StreamSpeed(
        workers=workers,
        batch=stream.size,
        batches=len(gaps),
        patterns=patterns,
        seconds=took,
        patterns_per_s=patterns / took,
        patterns_per_hour=3600 * patterns / took,
        gap_median_s=median,
        gap_largest_s=largest,
        gap_ratio=largest / median,
        late_batches=sum(gap > LATE * median for gap in gaps),
        worker_cpu_s=used,
        patterns_per_cpu_s=patterns / used if used else None,
        replaced=replaced,
        memory=tuple(memory),
        load=(load, os.getloadavg()[0]),
    )


def _memory(seconds: float, workers: list[int]) -> MemorySample:
    everyone = [os.getpid(), *workers]
    resident, own = (
        [_status_MB(pid, "status", "VmRSS:") for pid in everyone],
        [_status_MB(pid, "smaps_rollup", "Pss:") for pid in everyone],
    )
    return MemorySample(
        seconds=seconds,
        reader_MB=resident[0] or 0.0,
        workers_MB=sum(mb or 0.0 for mb in resident[1:]),
        own_MB=None if None in own else sum(mb or 0.0 for mb in own),
    )


def _status_MB(pid: int, file: str, field: str) -> float | None:
    """A field of a file of /proc, in 1e6 bytes; None where the system has no such file."""
    try:
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    return None


def _cpu_s(workers: list[int]) -> float | None:
    """Processor time of some processes; None where the system does not tell."""
    total = 0
    for pid in workers:
        try:
            words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        total += int(words[11]) + int(words[12])
    return total / os.sysconf("SC_CLK_TCK")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return value
