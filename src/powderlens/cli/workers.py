"""Where work is done: in processes of this machine, or on Ray."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer

from powderlens.cli.extras import need

if TYPE_CHECKING:
    from powderlens.core.pool import Mapper
    from powderlens.corpus.cluster.connect import Cluster

PROCESSES = 2

Workers = Annotated[
    int | None,
    typer.Option(min=1, help=f"Processes; {PROCESSES} if not given, on Ray as many as it has CPUs."),
]
Ray = Annotated[bool, typer.Option("--ray", help="Work on a Ray that is started for this command.")]
RayAddress = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Work on the Ray whose head is there, or auto for this machine's."),
]


def mapper_for(workers: int | None, ray: bool, address: str | None) -> Mapper:
    """What does the work that the options ask for.

    Raises:
        MissingExtraError: Ray is wanted and not installed.
    """
    if not ray and address is None:
        from powderlens.core.pool import in_processes

        return in_processes(workers or PROCESSES)
    _need_ray()
    from powderlens.corpus.cluster.mapper import on_ray

    on = on_ray(address, workers=workers)

    def mapped(function: Callable[[Any], Any], tasks: Iterable[Any], /) -> Iterator[Any]:
        # Of dead workers Ray tells on stdout, where results belong.
        with redirect_stdout(sys.stderr):
            yield from on(function, tasks)

    return mapped


@contextmanager
def ray_cluster(workers: int | None, ray: bool, address: str | None) -> Iterator[Cluster | None]:
    """The Ray that the options ask for; None where they ask for none.

    Raises:
        InputError: it cannot be used.
        MissingExtraError: it is not installed.
    """
    if not ray and address is None:
        yield None
        return
    _need_ray()
    from powderlens.corpus.cluster.connect import open_cluster

    with open_cluster(address, workers=workers) as cluster:
        yield cluster


def _need_ray() -> None:
    need("working on Ray", "ray", "pyarrow", extra="cluster")
