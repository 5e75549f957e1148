"""Tasks done in other processes, a few at a time, by workers that end with their master."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import connection
from typing import Any, Protocol, TypeVar

from powderlens.core.errors import InputError, PowderlensError

T = TypeVar("T")
R = TypeVar("R")


class WorkerDiedError(PowderlensError):
    """A process died.

    Attributes:
        suspects: the tasks that were under way.
    """

    def __init__(self, suspects: list[Any]) -> None:
        super().__init__(
            "a worker process died (killed, or out of memory); what is done is kept: give the same command again"
        )
        self.suspects = suspects


class Mapper(Protocol):
    """Applies a function to tasks somewhere: here, in processes, on other machines.

    Called with a function that can be pickled and tasks that are made as they are needed, it yields the results in any
    order. A task that cannot be done raises; none is left out.
    """

    def __call__(self, function: Callable[[Any], Any], tasks: Iterable[Any], /) -> Iterator[Any]:
        """Results, in any order."""


def here(function: Callable[[Any], Any], tasks: Iterable[Any], /) -> Iterator[Any]:
    """The mapper that works in this process."""
    return map(function, tasks)


def in_processes(workers: int) -> Mapper:
    """A mapper that works in so many processes, with twice as many tasks handed out at a time.

    Args:
        workers: from 1; 1 works in this process.

    Raises:
        InputError: fewer than one worker.
    """
    if workers < 1:
        raise InputError(f"workers {workers}: at least 1 must do the work")
    if workers == 1:
        return here

    def mapped(function: Callable[[Any], Any], tasks: Iterable[Any], /) -> Iterator[Any]:
        return (result for _, result in as_done(function, tasks, workers))

    return mapped


def in_order(function: Callable[[T], R], tasks: Iterable[T], workers: int) -> Iterator[R]:
    """Results in the order of the tasks, of which a few are done ahead of the reader; 1 worker is this process.

    Raises:
        WorkerDiedError: a process died.
    """
    if workers == 1:
        yield from map(function, tasks)
        return
    waiting: deque[Future[R]] = deque()
    with ProcessPoolExecutor(workers, initializer=begin) as pool:
        try:
            for task in tasks:
                waiting.append(pool.submit(function, task))
                if len(waiting) == 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise WorkerDiedError([]) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def as_done(
    function: Callable[[T], R], tasks: Iterable[T], workers: int, *, start: Callable[[], None] | None = None
) -> Iterator[tuple[T, R]]:
    """Tasks with their results as they are done in processes, twice as many handed out at a time as there are workers.

    Args:
        function: can be pickled.
        tasks: made as they are needed.
        workers: processes.
        start: called in each at its beginning; None takes `begin`.

    Raises:
        WorkerDiedError: a process died; it names the tasks that were under way.
    """
    under_way: dict[Future[R], T] = {}
    todo, handed = iter(tasks), []
    pool = ProcessPoolExecutor(workers, initializer=start or begin)
    try:
        while True:
            while len(under_way) < 2 * workers:
                handed = list(islice(todo, 1))
                if not handed:
                    break
                under_way[pool.submit(function, handed[0])] = handed[0]
                handed = []
            if not under_way:
                return
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                result = future.result()
                yield under_way.pop(future), result
    except BrokenProcessPool:
        raise WorkerDiedError([*under_way.values(), *handed]) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def begin() -> None:
    """In a worker: leave Ctrl-C to the master, and go when it has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    master = multiprocessing.parent_process()
    assert master is not None
    threading.Thread(target=_go_with, args=(master.sentinel,), daemon=True).start()


def _go_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
