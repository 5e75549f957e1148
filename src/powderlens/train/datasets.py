"""Torch datasets over streams: batches in order, on any number of processes, resumed exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from powderlens.core.errors import InputError
from powderlens.corpus.stream.stream import Batch, Stream
from powderlens.corpus.stream.workers import AHEAD, Start, StreamWorkers

if TYPE_CHECKING:
    from powderlens.corpus.cluster.connect import Cluster
    from powderlens.corpus.cluster.stream import ClusterStream

T = TypeVar("T")


def as_tensors(batch: Batch) -> dict[str, Tensor]:
    """A batch by name: `patterns` (b, *shape), `space_group` 0..229, `crystal_system` 0..6, and all else of `Batch`."""
    made = {name: torch.from_numpy(array) for name, array in batch.arrays().items()}
    made["space_group"] = torch.from_numpy(batch.space_group.astype(np.int64) - 1)
    made["crystal_system"] = torch.from_numpy(batch.crystal_system.astype(np.int64))
    return made


def same(batch: Batch) -> Batch:
    """A batch as it is, for `convert`."""
    return batch


class StreamDataset(IterableDataset[T]):
    """A stream as torch takes it; give it to a `DataLoader` with `batch_size=None`, or iterate over it as it is.

    It draws in processes of its own (`workers`), and then `state_dict` is exact: it names the first batch that was not
    handed out. Under the worker processes of a `DataLoader` (leave `workers` at 0) the batches are the same in the same
    order, but the loader fetches ahead and does not tell: count the steps, and set `next_batch` to go on.

    Args:
        stream: any.
        workers: processes that draw; 0 draws in this one.
        first: number of the first batch.
        stop: number of the batch before which it ends; None never ends.
        convert: what becomes of each batch; None makes `as_tensors`.
        ahead: batches that are drawn ahead.
        start: how processes begin, see `StreamWorkers`.
        cluster: draw on this Ray instead, see `corpus.cluster.stream.ClusterStream`; it says how many draw and how far
            ahead.

    Attributes:
        next_batch: number of the batch that comes next.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        workers: int = 0,
        first: int = 0,
        stop: int | None = None,
        convert: Callable[[Batch], T] | None = None,
        ahead: int = AHEAD,
        start: Start = "spawn",
        cluster: Cluster | None = None,
    ) -> None:
        if workers < 0 or first < 0:
            raise InputError(f"{workers} workers from batch {first}: neither can be below 0")
        if workers and cluster is not None:
            raise InputError(f"{workers} workers and a Ray of {cluster.workers}: give one or the other")
        self.stream, self.workers, self.next_batch, self.stop = stream, workers, first, stop
        self.convert = cast("Callable[[Batch], T]", as_tensors) if convert is None else convert
        self.ahead, self.start, self.cluster = ahead, start, cluster

    def __iter__(self) -> Iterator[T]:
        info = get_worker_info()
        if info is not None:
            if self.workers or self.cluster is not None:
                own = f"{self.workers} workers" if self.workers else "a Ray"
                raise InputError(
                    f"{own} of the dataset inside {info.num_workers} of a DataLoader; give one or the other"
                )
            yield from self._alone(self.next_batch + info.id, info.num_workers)
        elif self.workers == 0 and self.cluster is None:
            yield from self._alone(self.next_batch, 1)
        else:
            with self._crew() as crew:
                for batch in crew:
                    self.next_batch = crew.next_batch
                    yield self.convert(batch)

    def _crew(self) -> StreamWorkers | ClusterStream:
        """Those that draw."""
        span: dict[str, Any] = {"first": self.next_batch, "stop": self.stop}
        if self.cluster is None:
            return StreamWorkers(self.stream, workers=self.workers, ahead=self.ahead, start=self.start, **span)
        from powderlens.corpus.cluster.stream import ClusterStream

        return ClusterStream(self.stream, self.cluster, **span)

    def _alone(self, first: int, stride: int) -> Iterator[T]:
        i = first
        while self.stop is None or i < self.stop:
            batch = self.stream.batch(i)
            self.next_batch = i + 1
            yield self.convert(batch)
            i += stride

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands and which stream it is, for a checkpoint."""
        return {"next_batch": self.next_batch, "stream": self.stream.identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a checkpoint left off.

        Raises:
            InputError: no such state, or one of another stream; the difference is named.
        """
        try:
            next_batch, identity = int(state["next_batch"]), state["stream"]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"no state of a stream ({type(error).__name__}: {error})") from None
        mine = self.stream.identity()
        if identity != mine:
            other = sorted(name for name in {*mine, *identity} if mine.get(name) != identity.get(name))
            raise InputError(f"the state is of another stream: {', '.join(other)} differ; go on with the same one")
        self.next_batch = next_batch
