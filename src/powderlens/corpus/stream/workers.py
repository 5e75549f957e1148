"""Batches of any stream in their order, drawn by several processes."""

from __future__ import annotations

import multiprocessing
import signal
import tempfile
import weakref
from collections import deque
from contextlib import suppress
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError, PowderlensError
from powderlens.corpus.stream.stream import FIELDS, Batch, DrawnAhead, Stream, in_words

PIECE = 32
"""Patterns that a process draws at a time; all work on one batch, so that batches come evenly."""
AHEAD = 4
"""Batches that are drawn ahead of the reader, and no more."""

Start = Literal["spawn", "fork", "forkserver"]


class StreamError(PowderlensError):
    """A process that draws patterns has died, or could not draw one."""


class StreamWorkers(DrawnAhead):
    """Batches `first`, `first + 1` and so on, drawn by processes; the same as the stream alone gives, in its order.

    Every process maps the tables and the finished patterns into its memory. When the reader stops, the processes stop
    as soon as `ahead` batches are ready. A process that dies, and a pattern that cannot be drawn, end the stream with
    their names; what was handed out until then is whole, and `next_batch` says where to go on.

    Use it as a context manager, or call `close`.

    Args:
        stream: any.
        workers: how many processes, at least 1.
        first: number of the first batch.
        stop: number of the batch before which it ends; None never ends.
        ahead: batches that are drawn ahead.
        start: how processes begin, see `multiprocessing`. "fork" is the quickest, and safe only in a program without
            threads.

    Attributes:
        next_batch: number of the batch that comes next.

    Raises:
        InputError: numbers below their limits.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        workers: int = 2,
        first: int = 0,
        stop: int | None = None,
        ahead: int = AHEAD,
        start: Start = "spawn",
    ) -> None:
        if workers < 1 or first < 0 or ahead < 1:
            raise InputError(f"{workers} workers from batch {first}, {ahead} ahead: at least 1, 0 and 1")
        self.stream, self.next_batch, self._stop, self._ahead = stream, first, stop, ahead
        self._folder = tempfile.TemporaryDirectory(prefix="powderlens-stream-")
        size = sum(a.nbytes for a in Batch.zeros(stream.size, stream.shape).arrays().values())
        self._memory = SharedMemory(create=True, size=ahead * size)
        self._slots = _slots(self._memory, stream, ahead)
        self._asked = first
        self._missing: dict[int, int] = {}
        self._crew: list[_Worker] = []
        self._end = weakref.finalize(self, _close, self._crew, self._memory, self._folder)
        context: Any = multiprocessing.get_context(start)
        shared = stream.shared(Path(self._folder.name))
        for number in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_work,
                args=(shared, theirs, self._memory.name, ahead),
                name=f"powderlens-stream-{number}",
                daemon=True,
            )
            process.start()
            theirs.close()
            self._crew.append(_Worker(process, ours))

    def close(self) -> None:
        """End the processes and give the memory back."""
        self._slots = []
        self._end()

    @property
    def processes(self) -> list[int]:
        """Process numbers of the workers."""
        return [worker.process.pid or 0 for worker in self._crew]

    def __next__(self) -> Batch:
        i = self.next_batch
        if self._stop is not None and i >= self._stop:
            self.close()
            raise StopIteration
        if not self._slots:
            raise InputError("these workers are closed; make new ones")
        try:
            self._ask()
            while self._missing[i]:
                self._hear()
        except BaseException:
            self.close()
            raise
        batch = self._slots[i % self._ahead].copy()
        del self._missing[i]
        self.next_batch = i + 1
        with suppress(OSError):  # a process that has died is named when its patterns are wanted
            self._ask()
        return batch

    def _ask(self) -> None:
        """Hand out the pieces of every batch for which there is room."""
        last = self.next_batch + self._ahead
        while self._asked < (last if self._stop is None else min(last, self._stop)):
            step = max(PIECE // self.stream.per_crystal, 1) * self.stream.per_crystal
            pieces = [(self._asked, a, min(a + step, self.stream.size)) for a in range(0, self.stream.size, step)]
            self._missing[self._asked] = len(pieces)
            for piece in pieces:
                worker = min(self._crew, key=lambda one: len(one.under_way))
                worker.under_way.append(piece)
                with suppress(OSError):
                    worker.pipe.send(piece)
            self._asked += 1

    def _hear(self) -> None:
        """Wait for one or several pieces to be done."""
        of = {worker.pipe: worker for worker in self._crew}
        ends = {worker.process.sentinel: worker for worker in self._crew}
        ready = connection.wait([*of, *ends])
        for pipe, worker in of.items():
            if pipe in ready:
                try:
                    error = worker.pipe.recv()
                except (EOFError, OSError):
                    self._name_dead(worker)
                i, a, b = worker.under_way.popleft()
                if error is not None:
                    raise StreamError(f"batch {i}, patterns {a} to {b - 1} of it: {error}")
                self._missing[i] -= 1
        for end, worker in ends.items():
            if end in ready and not worker.pipe.poll():
                self._name_dead(worker)

    def _name_dead(self, worker: _Worker) -> None:
        worker.process.join(5)
        code = worker.process.exitcode
        how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        doing = "waiting"
        if worker.under_way:
            i, a, b = worker.under_way[0]
            doing = f"at patterns {a} to {b - 1} of batch {i}"
        raise StreamError(
            f"worker {self._crew.index(worker) + 1} of {len(self._crew)} (process {worker.process.pid}) died ({how}) "
            f"{doing}; batches up to {self.next_batch - 1} are whole, go on with batch {self.next_batch}"
        )


class _Worker:
    """A process, our end of its pipe, and the pieces it was given, in their order."""

    def __init__(self, process: BaseProcess, pipe: connection.Connection) -> None:
        self.process, self.pipe = process, pipe
        self.under_way: deque[tuple[int, int, int]] = deque()


def _slots(memory: SharedMemory, stream: Stream, ahead: int) -> list[Batch]:
    """Batches whose arrays lie in shared memory."""
    kinds: dict[str, tuple[Any, tuple[int, ...]]] = {"patterns": (np.float32, stream.shape), **FIELDS}
    at, slots = 0, []
    for _ in range(ahead):
        arrays: dict[str, NDArray[Any]] = {}
        # The widest first: every array stays aligned.
        for name, (kind, tail) in sorted(kinds.items(), key=lambda item: -np.dtype(item[1][0]).itemsize):
            arrays[name] = np.ndarray((stream.size, *tail), kind, memory.buf, at)
            at += arrays[name].nbytes
        slots.append(Batch(**arrays))
    return slots


def _work(stream: Stream, pipe: connection.Connection, name: str, ahead: int) -> None:
    """In a process: draw pieces until the reader has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reader = multiprocessing.parent_process()
    assert reader is not None
    memory = SharedMemory(name)
    slots = _slots(memory, stream, ahead)
    while pipe in connection.wait([pipe, reader.sentinel]):
        try:
            i, a, b = pipe.recv()
        except (EOFError, OSError):
            break
        error = None
        try:
            slots[i % ahead].put(slice(a, b), stream.draw(stream.numbers(i)[a:b]))
        except Exception as failure:
            error = in_words(failure)
        try:
            pipe.send(error)
        except OSError:
            break
    slots.clear()
    with suppress(BufferError):
        memory.close()


def _close(crew: list[_Worker], memory: SharedMemory, folder: tempfile.TemporaryDirectory[str]) -> None:
    for worker in crew:
        worker.pipe.close()
        worker.process.kill()  # it holds nothing that could be lost
    for worker in crew:
        worker.process.join()
    with suppress(BufferError):
        memory.close()
    with suppress(FileNotFoundError):
        memory.unlink()
    folder.cleanup()
