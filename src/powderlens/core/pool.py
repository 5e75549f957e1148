"""Tasks done in other processes, a few at a time, by workers that end with their master."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import Any, Protocol, TypeVar

from powderlens.core.errors import InputError, PowderlensError

T_contra = TypeVar("T_contra")
R_co = TypeVar("R_co")


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
        return _pooled(function, tasks, workers)

    return mapped


def _pooled(function: Callable[[T_contra], R_co], tasks: Iterable[T_contra], workers: int) -> Iterator[R_co]:
    under_way: set[Future[R_co]] = set()
    todo = iter(tasks)
    pool = ProcessPoolExecutor(workers, initializer=_begin)
    try:
        while True:
            while len(under_way) < 2 * workers:
                try:
                    task = next(todo)
                except StopIteration:
                    break
                under_way.add(pool.submit(function, task))
            if not under_way:
                return
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool:
        raise PowderlensError(
            "a worker process died (killed, or out of memory); what is done is kept: give the same command again"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin() -> None:
    """In a worker: leave Ctrl-C to the master, and go when it has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    master = multiprocessing.parent_process()
    assert master is not None
    threading.Thread(target=_go_with, args=(master.sentinel,), daemon=True).start()


def _go_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
