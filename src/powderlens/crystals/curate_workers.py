"""Processes for a curation that outlive a crystal on which a search never ends, and that end with their master."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from powderlens.core.errors import PowderlensError
from powderlens.core.pool import WorkerDiedError, as_done, begin
from powderlens.crystals.curate_part import Task, make_part

PATIENCE_S = 300
"""Processor time after which a crystal is given up; the slowest of the shared databases takes some seconds."""

REPORT_S = 5.0


def work(tasks: Iterable[Task], workers: int, progress: Callable[[str], None]) -> None:
    """Make the part of every task that has none yet.

    Args:
        tasks: made as they are needed, a few ahead.
        workers: processes; 0 works in this one.
        progress: told how far it is, every few seconds.
    """
    report = _Report(progress)
    todo = _missing(tasks, report)
    if workers == 0:
        for task in todo:
            make_part(task, stuck=_stuck(task))
            report.done(task)
    else:
        _pooled(todo, workers, report)
    report.finish()


class _Report:
    """Counts crystals and says so now and then."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say, self.seen, self.found = say, 0, 0
        self.began = self.told = time.monotonic()

    def done(self, task: Task, *, before: bool = False) -> None:
        """A task is done, or was before."""
        self.seen += len(task.block.items)
        self.found += before * len(task.block.items)
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


def _missing(tasks: Iterable[Task], report: _Report) -> Iterator[Task]:
    for task in tasks:
        if task.path.is_file():
            report.done(task, before=True)
        else:
            yield task


def _pooled(todo: Iterator[Task], workers: int, report: _Report) -> None:
    """Work in processes. When one dies, the blocks under way are done one by one, which shows who is to blame."""
    while (suspects := _until_one_dies(todo, workers, report)) is not None:
        for task in suspects:
            if task.path.is_file():
                report.done(task)
                continue
            while _until_one_dies(iter([task]), 1, report) is not None:
                _note_stuck(task)


def _until_one_dies(todo: Iterator[Task], workers: int, report: _Report) -> list[Task] | None:
    """Work on tasks in processes: None when all are done, or those that were under way when a process died."""
    try:
        for task, _ in as_done(_one, todo, workers, start=_begin):
            report.done(task)
    except WorkerDiedError as died:
        return died.suspects
    return None


def _one(task: Task) -> None:
    """In a worker: make a part; the place of the crystal in hand is on disk, should this process die of it."""
    note = _note(task)
    with open(note, "w", encoding="ascii") as handle:

        def starting(index: int) -> None:
            handle.seek(0)
            handle.write(f"{index:<12d}")
            handle.flush()
            signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE_S)

        make_part(task, stuck=_stuck(task), starting=starting)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    note.unlink(missing_ok=True)


def _begin() -> None:
    """In a worker: the search is compiled code that no Python handler can interrupt, so the signal ends the process."""
    begin()
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)


def _note(task: Task) -> Path:
    return task.path.with_suffix(".now")


def _note_stuck(task: Task) -> None:
    """Add the crystal that a dead worker had in hand to those that are left out.

    Raises:
        PowderlensError: it had none in hand.
    """
    note = _note(task)
    index = note.read_text(encoding="ascii").strip() if note.is_file() else ""
    if not index:
        raise PowderlensError("a worker ended before its first crystal; is there memory enough? Give the command again")
    with open(task.path.with_suffix(".stuck"), "a", encoding="ascii") as handle:
        handle.write(index + "\n")


def _stuck(task: Task) -> list[int]:
    path = task.path.with_suffix(".stuck")
    return [int(line) for line in path.read_text(encoding="ascii").split()] if path.is_file() else []
