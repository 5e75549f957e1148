"""All trainings and tests of a plan, in processes beside each other; killed at any moment, it goes on.

In the folder of a benchmark: the two corpora, `runs/` (one folder a training, see `train`), `records/` (see
`powderlens.evaluate.record`) and `time.json`. What is there is not done again. How long a network takes to answer
is measured last, when nothing else runs.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write, file_sha256, make_folder
from powderlens.core.pool import in_processes
from powderlens.evaluate.record import Inference, SplitProtocol, read_record, write_record
from powderlens.reproduce.benchmark.corpora import KNOWN, UNSEEN, make_corpora
from powderlens.reproduce.benchmark.plan import Bench, Trial
from powderlens.train.components.machine import Machine, Report
from powderlens.train.recipe import parse_recipe

MEASURED = "measured"
PROTOCOLS: dict[str, SplitProtocol] = {KNOWN: "in-library", UNSEEN: "out-of-library", MEASURED: "measured"}


@dataclass(frozen=True)
class Work:
    """What a process does: a trial at several learning rates, and the test of the best."""

    bench: Bench
    folder: Path
    corpora: dict[str, Path]
    trial: Trial
    command: str

    @property
    def machine(self) -> Machine:
        """One thread, and what was drawn is kept for all."""
        return Machine(workers=0, cache=self.folder / "drawn", threads=1)

    def output(self, rate: float) -> Path:
        """Folder of the training at a rate."""
        return self.folder / "runs" / f"{self.trial.name}-{rate:g}"

    def record(self, corpus: str) -> Path:
        """Of the test on a corpus."""
        return self.folder / "records" / f"{self.trial.name}-{PROTOCOLS[corpus]}.json"

    def losses(self) -> dict[float, float]:
        """Rates at which it has been trained, in the order of `searched`, and the losses there."""
        first = self.bench.plan.budget.first_rate
        order = sorted(self.bench.plan.budget.rates, key=lambda rate: (rate < first, abs(rate - first)))
        return {rate: _loss(self.output(rate)) for rate in order if (self.output(rate) / "outcome.json").is_file()}


def run_benchmark(
    bench: Bench,
    crystals: Path,
    folder: Path,
    *,
    measured: Path | None = None,
    workers: int,
    command: str,
    report: Report,
) -> Path:
    """Do the plan.

    Args:
        bench: the plan.
        crystals: table of curated crystals that some are drawn from.
        folder: of the benchmark; one of the same plan goes on.
        measured: corpus of measured patterns that every network is tested on besides.
        workers: processes beside each other, one thread each.
        command: for the records.
        report: is told what is done.

    Returns:
        The folder of the records.

    Raises:
        InputError: the folder holds another plan or other crystals, or the table has too few.
        PowderlensError: a worker died; the same call goes on.
    """
    _check_same(bench, crystals, make_folder(folder))
    clock = _Clock(folder / "time.json")
    corpora = make_corpora(bench.plan, crystals, folder, workers=workers, report=report)
    if measured is not None:
        corpora[MEASURED] = measured
    clock.note()
    stages = [
        [Work(bench, folder, corpora, trial, command) for trial in trials]
        for trials in (bench.trials(), bench.loss_trials())
    ]
    total, count = sum(map(len, stages)), 0
    for stage in stages:
        for name in in_processes(workers)(work, stage):
            clock.note()
            count += 1
            report(f"{count} of {total}: {name}; {clock.seconds / 3600:.2f} h in all")
    for task in chain(*stages):
        _time(task)
    clock.note()
    return folder / "records"


def work(task: Work) -> str:
    """In a worker: train and test.

    Returns:
        What was done, for the report.
    """
    make_folder(task.folder / "records")
    missing = [corpus for corpus in task.corpora if not task.record(corpus).is_file()]
    losses = _train_at_rates(task)
    best = _best(losses)
    if best is None:
        return f"{task.trial.name}, diverged at every rate: no record"
    for corpus in missing:
        _test(task, best, losses, corpus)
    for rate in losses.keys() - {best}:
        for checkpoint in task.output(rate).glob("*.ckpt"):
            checkpoint.unlink()
    return f"{task.trial.name}, loss {losses[best]:.3f} at {best:g}"


def _train_at_rates(task: Work) -> dict[float, float]:
    """Losses by learning rate; with another loss only at the one that the recipe's loss chose."""
    budget = task.bench.plan.budget
    if task.trial.loss is None:
        return searched(budget.rates, budget.first_rate, lambda rate: _train(task, rate))
    best = _best(replace(task, trial=replace(task.trial, loss=None)).losses())
    return {} if best is None else {best: _train(task, best)}


def searched(rates: Sequence[float], first: float, loss_at: Callable[[float], float]) -> dict[float, float]:
    """From one rate upwards as long as the loss does not rise; where that found nothing better, downwards likewise.

    Args:
        rates: rising.
        first: one of them.
        loss_at: trains.

    Returns:
        Losses of the rates that were tried, in their order.
    """
    at = rates.index(first)
    losses = {first: loss_at(first)}
    for way in (rates[at + 1 :], rates[:at][::-1]):
        before = losses[first]
        for rate in way:
            losses[rate] = loss_at(rate)
            if losses[rate] > before:
                break
            before = losses[rate]
        if min(losses.values()) < losses[first]:
            break
    return losses


def _best(losses: dict[float, float]) -> float | None:
    """The rate with the lowest loss, of equal ones that tried first; None where every run diverged."""
    best = min(losses, key=lambda rate: losses[rate], default=None)
    return None if best is None or math.isinf(losses[best]) else best


def _loss(output: Path) -> float:
    """In the validation part, at the end of a training; infinite where it diverged."""
    outcome = json.loads((output / "outcome.json").read_text())
    if outcome["stopped_by"] == "diverged":
        return math.inf
    return float(outcome["last_val_loss"])


def _train(task: Work, rate: float) -> float:
    output = task.output(rate)
    if not (output / "outcome.json").is_file():
        from powderlens.train.engine import train
        from powderlens.train.module import DivergedError
        from powderlens.train.quiet import quiet_lightning

        recipe = task.bench.recipe_of(task.trial, rate)
        with quiet_lightning(), suppress(DivergedError):  # outcome.json says so
            train(recipe, output, corpus=task.corpora[KNOWN], resume=True, machine=task.machine)
    return _loss(output)


def _test(task: Work, rate: float, losses: dict[float, float], corpus: str) -> None:
    from powderlens.evaluate.evaluate_network import evaluate_network

    tried = ", ".join(f"{loss:.3f} at {tried:g}" for tried, loss in losses.items())
    how = f"lowest loss in the validation part of {task.corpora[KNOWN].name} ({tried})"
    evaluate_network(
        task.output(rate),
        task.corpora[corpus],
        None,
        task.folder / "records",
        name=task.record(corpus).stem,
        protocol=PROTOCOLS[corpus],
        trained_on=task.corpora[KNOWN],
        chosen_by=f"learning rate {rate:g}: {how if len(losses) > 1 else 'that of cross-entropy'}",
        machine=task.machine,
        timing=False,
        command=task.command,
    )


def _time(task: Work) -> None:
    """Measure the forward pass when nothing else runs, one network after another, and tell the records."""
    best = _best(task.losses())
    if best is None:
        return
    path = task.output(best) / "inference.json"
    if not path.is_file():
        from powderlens.evaluate.inference_time import inference_time
        from powderlens.train.components.checkpoint import load_network

        network, _, _ = load_network(task.output(best) / "last.ckpt")
        with atomic_write(path) as aside:
            aside.write_text(inference_time(network).model_dump_json() + "\n")
    took = Inference.model_validate_json(path.read_bytes())
    for made in map(task.record, PROTOCOLS):
        if made.is_file() and (record := read_record(made)).inference != took:
            write_record(made, record.model_copy(update={"inference": took}))


def _check_same(bench: Bench, crystals: Path, folder: Path) -> None:
    """A folder belongs to one plan."""
    path = folder / "plan.json"
    content = {
        "plan": bench.plan.model_dump(mode="json"),
        "recipe": bench.recipe.model_dump(mode="json"),
        "crystals": file_sha256(crystals),
    }
    if path.is_file():
        before = json.loads(path.read_text())
        recipe = parse_recipe(before["recipe"], str(path))  # with settings of later versions
        before["recipe"] = recipe.model_dump(mode="json")
        for what, value in content.items():
            if before.get(what) != value:
                raise InputError(f"{folder}: this benchmark began with another {what}; give another folder")
        return
    with atomic_write(path) as aside:
        aside.write_text(json.dumps(content, indent=1) + "\n")


class _Clock:
    """Time of all calls together, written down after each piece of work."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._began = time.monotonic()
        self._before = json.loads(path.read_text())["seconds"] if path.is_file() else 0.0
        self.seconds = self._before

    def note(self) -> None:
        """Until now."""
        self.seconds = self._before + time.monotonic() - self._began
        with atomic_write(self.path) as aside:
            aside.write_text(json.dumps({"seconds": round(self.seconds, 1)}) + "\n")
