"""Tasks done on Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import Any

import ray

from powderlens.core.errors import PowderlensError
from powderlens.core.pool import Mapper
from powderlens.corpus.cluster.connect import Cluster, open_cluster, require_same, versions

RETRIES = 3
"""How often a task is given to another worker after its worker has died."""


def on_cluster(cluster: Cluster) -> Mapper:
    """A mapper that works on Ray, with twice as many tasks handed out at a time as there are workers.

    A task whose worker or machine dies is done again by another. Files that a task names must be there under the same
    path on every machine.
    """
    return partial(_mapped, cluster.workers)


def on_ray(address: str | None = None, *, workers: int | None = None) -> Mapper:
    """A mapper that starts or joins a Ray when the first task comes, and leaves it after the last.

    Args:
        address: as `open_cluster` takes it.
        workers: how many work at a time.
    """

    def mapped(function: Callable[[Any], Any], tasks: Iterable[Any], /) -> Iterator[Any]:
        todo = iter(tasks)
        for first in todo:
            with open_cluster(address, workers=workers) as cluster:
                yield from _mapped(cluster.workers, function, chain([first], todo))

    return mapped


def _mapped(workers: int, function: Callable[[Any], Any], tasks: Iterable[Any], /) -> Iterator[Any]:
    do: Any = ray.remote(num_cpus=1, max_retries=RETRIES, scheduling_strategy="SPREAD")(_do)
    expected, todo = versions(), iter(tasks)
    under_way: list[Any] = []
    try:
        while True:
            while len(under_way) < 2 * workers:
                try:
                    task = next(todo)
                except StopIteration:
                    break
                under_way.append(do.remote(function, task, expected))
            if not under_way:
                return
            done, under_way = ray.wait(under_way, num_returns=1)
            for one in done:
                yield _result(one)
    finally:
        for one in under_way:
            ray.cancel(one)


def _do(function: Callable[[Any], Any], task: Any, expected: dict[str, str]) -> Any:
    """On some machine, perhaps one that has joined since the others were compared."""
    require_same(expected, versions(), f"machine {ray.util.get_node_ip_address()}")
    return function(task)


def _result(of: Any) -> Any:
    try:
        return ray.get(of)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise PowderlensError(
            f"a task was lost {RETRIES + 1} times ({type(error).__name__}: a worker killed, out of memory, or a "
            "machine gone); what is done is kept: give the same command again"
        ) from None
