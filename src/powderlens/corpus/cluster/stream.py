"""Batches of any stream, drawn by actors on Ray; each handed out once, whoever dies."""

from __future__ import annotations

import heapq
import os
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import ray

from powderlens.core.errors import InputError
from powderlens.corpus.cluster.connect import Cluster, require_same, versions
from powderlens.corpus.stream.stream import Batch, DrawnAhead, Stream, in_words
from powderlens.corpus.stream.workers import StreamError

EACH = 3
"""Batches ahead for each drawer: one in its hands, one waiting for it, one waiting for the trainer."""
DEATHS = 3
"""A batch over which so many drawers died is not tried again; nor is a drawer that could not begin so often."""
START_S = 120.0
"""How long no drawer at all may be there."""


class ClusterStream(DrawnAhead):
    """Batches of a stream, drawn on Ray; the same as the stream alone gives, in its order.

    Drawers are actors on one CPU each. At most `ahead` batches are being drawn or lie ready; when the trainer stops
    taking, drawing stops. A drawer that dies (killed, out of memory, its machine gone) is replaced where there is room;
    what it had in hand is drawn by the others. A batch is a pure function of its number, so that nothing is lost and
    nothing comes twice. Tables travel once to each machine and lie there in shared memory; a corpus is opened by each
    drawer under its path, and must be the same one.

    Use it as a context manager, or call `close`.

    Args:
        stream: any.
        cluster: from `open_cluster`; it says how many drawers there are.
        first: number of the first batch.
        stop: number of the batch before which it ends; None never ends.
        ahead: batches that are drawn ahead; None takes `EACH` for each drawer.
        ordered: False hands out whichever batch is ready.
        done: numbers from `first` on that were handed out before; see `state`.
        share: (rank, of): this trainer is one of several, and takes the batches whose number leaves the remainder
            rank when divided by of.

    Attributes:
        next_batch: number of the first batch that was not handed out.
        last: number of the batch that was handed out last; -1 before the first.

    Raises:
        InputError: numbers below their limits.
    """

    def __init__(
        self,
        stream: Stream,
        cluster: Cluster,
        *,
        first: int = 0,
        stop: int | None = None,
        ahead: int | None = None,
        ordered: bool = True,
        done: Sequence[int] = (),
        share: tuple[int, int] = (0, 1),
    ) -> None:
        ahead = EACH * cluster.workers if ahead is None else ahead
        rank, of = share
        if first < 0 or ahead < 1 or not 0 <= rank < of:
            raise InputError(
                f"from batch {first}, {ahead} ahead, trainer {rank} of {of}: at least 0, at least 1, and a rank from 0 "
                "to below the number of trainers"
            )
        if ordered and done:
            raise InputError(f"{len(done)} batches done out of their order: that is for a stream with ordered=False")
        self.stream, self.last = stream, -1
        self._stop, self._ahead, self._ordered, self._of = stop, ahead, ordered, of
        self.next_batch = self._fresh = first + (rank - first) % of
        self._done = {number for number in done if number >= self.next_batch}
        self._again: list[int] = []
        self._ready: dict[int, Batch] = {}
        self._under_way: dict[Any, tuple[int, _Drawer]] = {}
        self._deaths: Counter[int] = Counter()
        self._each = -(-ahead // cluster.workers)
        self._identity = stream.identity()
        self._put: Any = ray.put(stream)
        self._without = time.monotonic()
        self._crew = [_Drawer(self._put, self._identity) for _ in range(cluster.workers)]
        self._skip_done()

    def close(self) -> None:
        """End the drawers and let go of what they have drawn."""
        for drawer in self._crew:
            drawer.end()
        self._crew, self._put = [], None
        self._under_way.clear()
        self._ready.clear()

    @property
    def drawers(self) -> list[tuple[str, int]]:
        """Machine and process number of the drawers that are at work now."""
        return [drawer.place for drawer in self._crew if drawer.place is not None]

    @property
    def outstanding(self) -> int:
        """Batches that are being drawn or lie ready; at most `ahead`."""
        return len(self._again) + len(self._under_way) + len(self._ready)

    def state(self) -> dict[str, Any]:
        """Where it stands, for a checkpoint: give `first` and, if not ordered, `done` to a new one to go on."""
        return {"first": self.next_batch, "done": sorted(self._done)}

    def __next__(self) -> Batch:
        if self._stop is not None and self.next_batch >= self._stop:
            self.close()
            raise StopIteration
        if not self._crew:
            raise InputError("this stream is closed; make a new one")
        try:
            self._hand_out()
            while (number := self._next_ready()) is None:
                self._hear()
                self._hand_out()
        except BaseException:
            self.close()
            raise
        there = self._ready.pop(number)
        # A copy: what lies in Ray's shared memory cannot be written to, and would stay there as long as it is kept.
        batch = there.copy()
        self.last = number
        self._done.add(number)
        self._skip_done()
        self._hand_out()
        return batch

    def _skip_done(self) -> None:
        while self.next_batch in self._done:
            self._done.remove(self.next_batch)
            self.next_batch += self._of

    def _next_ready(self) -> int | None:
        if self._ordered:
            return self.next_batch if self.next_batch in self._ready else None
        return min(self._ready, default=None)

    def _hand_out(self) -> None:
        """Give work to drawers as long as there is room."""
        while free := [one for one in self._crew if self._takes_more(one)]:
            if self._again:
                number = heapq.heappop(self._again)
                if self._deaths[number] and all(one.hands for one in free):
                    heapq.heappush(self._again, number)  # a suspect waits for a drawer that has nothing else in hand
                    return
            elif self.outstanding < self._ahead and (self._stop is None or self._fresh < self._stop):
                number = self._fresh
                self._fresh += self._of
                if number < self.next_batch or number in self._done:
                    continue
            else:
                return
            drawer = min(free, key=lambda one: len(one.hands))
            self._under_way[drawer.draw(number)] = (number, drawer)

    def _takes_more(self, drawer: _Drawer) -> bool:
        """Whether a drawer can be given a batch.

        One over which drawers died has its drawer for itself, so that the next death is blamed on the right one.
        """
        alone = any(self._deaths[number] for number in drawer.hands)
        return drawer.place is not None and len(drawer.hands) < self._each and not alone

    def _hear(self) -> None:
        """Wait for a drawer to begin or for a batch to be done."""
        beginning = {drawer.beginning: drawer for drawer in self._crew if drawer.beginning is not None}
        heard, _ = ray.wait([*self._under_way, *beginning], num_returns=1, timeout=START_S / 10)
        if heard or self.drawers:
            self._without = time.monotonic()
        elif time.monotonic() - self._without > START_S:
            free = ray.available_resources().get("CPU", 0)
            raise StreamError(
                f"no drawer could begin in {START_S:g} s: {free:g} CPUs of this Ray are free and {len(self._crew)} are "
                f"wanted; go on with batch {self.next_batch} when there are some"
            )
        for ref in heard:
            if ref in beginning:
                self._begun(beginning[ref], ref)
            else:
                self._drawn(*self._under_way.pop(ref), ref)

    def _begun(self, drawer: _Drawer, ref: Any) -> None:
        try:
            answer = ray.get(ref)
        except ray.exceptions.RayError as error:
            if drawer.failed + 1 >= DEATHS:
                raise StreamError(f"a drawer died {DEATHS} times before its first batch: {_first(error)}") from None
            self._replace(drawer, failed=drawer.failed + 1)
            return
        if isinstance(answer, str):
            raise StreamError(answer)
        drawer.begun(answer)

    def _drawn(self, number: int, drawer: _Drawer, ref: Any) -> None:
        try:
            answer = ray.get(ref)
        except ray.exceptions.RayTaskError as error:
            raise StreamError(f"batch {number}: {error.cause!r}") from None
        except ray.exceptions.RayError as error:
            # All that it had in hand are suspects: of the first it may have been done, and nobody heard.
            self._deaths[number] += 1
            if self._deaths[number] >= DEATHS:
                raise StreamError(
                    f"batch {number}: {DEATHS} drawers died over it, the last one of: {_first(error)}; batches "
                    f"before {self.next_batch} are whole"
                ) from None
            drawer.hands.remove(number)
            heapq.heappush(self._again, number)
            self._replace(drawer)
            return
        drawer.hands.remove(number)
        if isinstance(answer, str):
            raise StreamError(f"batch {number}: {answer}")
        self._ready[number] = answer
        self._deaths.pop(number, None)

    def _replace(self, drawer: _Drawer, failed: int = 0) -> None:
        """Put another in the place of a dead one; the second and third batch that it had in hand change nothing."""
        if drawer in self._crew:
            drawer.end()
            self._crew[self._crew.index(drawer)] = _Drawer(self._put, self._identity, failed)


class _Drawer:
    """An actor, and what we know of it.

    Attributes:
        place: machine and process number; None while it begins.
        beginning: what is waited for until it has begun.
        hands: numbers of the batches it was given, in their order.
        failed: how many before it, in a row, died while they began.
    """

    def __init__(self, stream: Any, identity: dict[str, Any], failed: int = 0) -> None:
        kind: Any = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD")(_Actor)
        self._actor = kind.remote([stream])
        self.place: tuple[str, int] | None = None
        self.beginning: Any = self._actor.begin.remote(versions(), identity)
        self.hands: deque[int] = deque()
        self.failed = failed

    def begun(self, place: tuple[str, int]) -> None:
        self.place, self.beginning = place, None

    def draw(self, number: int) -> Any:
        self.hands.append(number)
        return self._actor.draw.remote(number)

    def end(self) -> None:
        with suppress(ray.exceptions.RayError):
            ray.kill(self._actor)


class _Actor:
    """On some machine: the stream, and its batches by number."""

    def __init__(self, stream: list[Any]) -> None:
        # Inside a list Ray leaves the reference alone: what goes wrong when it is opened can then be told.
        self._reference = stream[0]

    def begin(self, expected: dict[str, str], identity: dict[str, Any]) -> tuple[str, int] | str:
        """Machine and process number, or why it cannot draw."""
        machine = ray.util.get_node_ip_address()
        try:
            require_same(expected, versions(), "it")
            self._stream: Stream = ray.get(self._reference)
            if self._stream.identity() != identity:
                return f"machine {machine}: holds another corpus or other tables; give it the same files"
        except Exception as error:
            return f"machine {machine}: {_first(error)}"
        return machine, os.getpid()

    def draw(self, number: int) -> Batch | str:
        """A batch, or why it cannot be drawn."""
        try:
            return self._stream.batch(number)
        except Exception as error:
            return in_words(error)


def _first(error: BaseException) -> str:
    """The first lines of a message of Ray's, in one."""
    cause = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return " ".join(lines[:2]) or type(error).__name__
