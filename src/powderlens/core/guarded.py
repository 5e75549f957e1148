"""Blocks of crystals, a part on disk for each, made in processes; one that a crystal ends or keeps is made anew."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from powderlens.core.errors import PowderlensError
from powderlens.core.pool import WorkerDiedError, as_done, begin

PATIENCE_S = 300
"""Processor time after which a crystal is given up; the slowest of the shared databases takes some seconds."""

REPORT_S = 5.0


class Block(Protocol):
    """Crystals that lie next to each other, and where the part goes that is made of them."""

    @property
    def items(self) -> Sequence[Any]:
        """The crystals."""

    @property
    def path(self) -> Path:
        """Of the part."""


class Maker(Protocol):
    """Makes the part of a block; can be pickled."""

    def __call__(self, block: Any, /, *, stuck: Sequence[int], starting: Callable[[int], None]) -> None:
        """Write the part.

        Args:
            block: what is to be done.
            stuck: places in the block of crystals that have brought an earlier attempt to its end.
            starting: called with the place of each crystal before it is worked on.
        """


def work(blocks: Iterable[Block], make: Maker, workers: int, progress: Callable[[str], None]) -> None:
    """Make the part of every block that has none yet.

    Args:
        blocks: made as they are needed, a few ahead.
        make: what makes a part.
        workers: processes; 0 works in this one.
        progress: told how far it is, every few seconds.
    """
    report = _Report(progress)
    todo = _missing(blocks, report)
    if workers == 0:
        for block in todo:
            make(block, stuck=_stuck(block), starting=lambda index: None)
            report.done(block)
    else:
        _pooled(todo, make, workers, report)
    report.finish()


class _Report:
    """Counts crystals and says so now and then."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say, self.seen, self.found = say, 0, 0
        self.began = self.told = time.monotonic()

    def done(self, block: Block, *, before: bool = False) -> None:
        """A block is done, or was before."""
        self.seen += len(block.items)
        self.found += before * len(block.items)
        if time.monotonic() - self.told > REPORT_S:
            self.told = time.monotonic()
            self._tell()

    def finish(self) -> None:
        """All are done."""
        self._tell()

    def _tell(self) -> None:
        rate = (self.seen - self.found) / max(time.monotonic() - self.began, 1e-3)
        already = f", {self.found:,} of them from before" if self.found else ""
        self.say(f"{self.seen:,} crystals{already}; {rate:.0f} a second")


def _missing(blocks: Iterable[Block], report: _Report) -> Iterator[Block]:
    for block in blocks:
        if block.path.is_file():
            report.done(block, before=True)
        else:
            yield block


def _pooled(todo: Iterator[Block], make: Maker, workers: int, report: _Report) -> None:
    """Work in processes. When one dies, the blocks under way are done one by one, which shows who is to blame."""
    while (suspects := _until_one_dies(todo, make, workers, report)) is not None:
        for block in suspects:
            if block.path.is_file():
                report.done(block)
                continue
            while _until_one_dies(iter([block]), make, 1, report) is not None:
                _note_stuck(block)


def _until_one_dies(todo: Iterator[Block], make: Maker, workers: int, report: _Report) -> list[Block] | None:
    """Work on blocks in processes: None when all are done, or those that were under way when a process died."""
    try:
        for block, _ in as_done(partial(_one, make), todo, workers, start=_begin):
            report.done(block)
    except WorkerDiedError as died:
        return died.suspects
    return None


def _one(make: Maker, block: Block) -> None:
    """In a worker: make a part; the place of the crystal in hand is on disk, should this process die of it."""
    note = _note(block)
    with open(note, "w", encoding="ascii") as handle:

        def starting(index: int) -> None:
            handle.seek(0)
            handle.write(f"{index:<12d}")
            handle.flush()
            signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE_S)

        make(block, stuck=_stuck(block), starting=starting)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    note.unlink(missing_ok=True)


def _begin() -> None:
    """In a worker: the search is compiled code that no Python handler can interrupt, so the signal ends the process."""
    begin()
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)


def _note(block: Block) -> Path:
    return block.path.with_suffix(".now")


def _note_stuck(block: Block) -> None:
    """Add the crystal that a dead worker had in hand to those that are left out.

    Raises:
        PowderlensError: it had none in hand.
    """
    note = _note(block)
    index = note.read_text(encoding="ascii").strip() if note.is_file() else ""
    if not index:
        raise PowderlensError("a worker ended before its first crystal; is there memory enough? Give the command again")
    with open(block.path.with_suffix(".stuck"), "a", encoding="ascii") as handle:
        handle.write(index + "\n")


def _stuck(block: Block) -> list[int]:
    path = block.path.with_suffix(".stuck")
    return [int(line) for line in path.read_text(encoding="ascii").split()] if path.is_file() else []
