"""All trials, trainings and tests of a plan, in processes beside each other; killed at any moment, it goes on.

In the folder of a benchmark: the two corpora, `trials/` and `runs/` (one folder a training, see `train_zoo`),
`records/` (see `powderlens.evaluate.zoo_record`) and `time.json`. What is there is not done again.
"""

from __future__ import annotations

import json
import math
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write, file_sha256, make_folder
from powderlens.corpus.parallel import in_processes
from powderlens.evaluate.benchmark.corpora import KNOWN, UNSEEN, make_corpora
from powderlens.evaluate.benchmark.plan import Bench, Run, Variant
from powderlens.evaluate.zoo_record import Protocol
from powderlens.train.drawn import Report

PROTOCOLS: dict[str, Protocol] = {KNOWN: "in-library", UNSEEN: "out-of-library"}


@dataclass(frozen=True)
class Work:
    """What a process does: the trials of a variant and the trainings after them."""

    bench: Bench
    folder: Path
    corpora: dict[str, Path]
    variant: Variant
    runs: tuple[Run, ...]
    command: str


@dataclass(frozen=True)
class Done:
    """What came of a `Work`."""

    variant: Variant
    rate: float
    runs: tuple[Run, ...]


def run_benchmark(bench: Bench, crystals: Path, folder: Path, *, workers: int, command: str, report: Report) -> Path:
    """Do the plan.

    Args:
        bench: the plan.
        crystals: table of curated crystals that some are drawn from.
        folder: of the benchmark; one of the same plan goes on.
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
    began = time.monotonic()
    clock = _Clock(folder / "time.json")
    corpora = make_corpora(bench.plan, crystals, folder, workers=workers, report=report)
    clock.add(began)
    mapper = in_processes(workers)
    variants = [Work(bench, folder, corpora, v, tuple(bench.runs_of(v)), command) for v in bench.variants()]
    others = [Work(bench, folder, corpora, run.variant, (run,), command) for run in bench.loss_runs()]
    count = 0
    for stage in (variants, others):
        for done in mapper(work, iter(stage)):
            clock.add(began)
            count += 1
            named = ", ".join(run.name for run in done.runs)
            hours = clock.seconds / 3600
            report(f"{count} of {len(variants) + len(others)}: {named} at {done.rate:g}; {hours:.2f} h in all")
    return folder / "records"


def work(task: Work) -> Done:
    """In a worker: find the rate, train, test."""
    rate = find_rate(task)
    for run in task.runs:
        _train_and_test(task, run, rate)
    return Done(task.variant, rate, task.runs)


def find_rate(task: Work) -> float:
    """The candidate with the lowest validation loss at the end of a short trial.

    Raises:
        InputError: at every rate the loss was no number.
    """
    plan = task.bench.plan
    losses = {rate: _trial(task, rate) for rate in plan.rates.candidates}
    best = min(losses, key=lambda rate: losses[rate])
    if math.isinf(losses[best]):
        raise InputError(f"{task.variant.name}: diverges at every rate of rates.candidates; give lower ones")
    return best


def trial_losses(bench: Bench, folder: Path, variant: Variant) -> dict[float, float]:
    """Validation losses of a variant's trials that have ended; infinite where it diverged."""
    return {
        rate: _loss(path)
        for rate in bench.plan.rates.candidates
        if (path := _trial_folder(folder, variant, rate) / "outcome.json").is_file()
    }


def _trial_folder(folder: Path, variant: Variant, rate: float) -> Path:
    return folder / "trials" / f"{variant.name}-{rate:g}"


def _trial(task: Work, rate: float) -> float:
    plan, output = task.bench.plan, _trial_folder(task.folder, task.variant, rate)
    if not (output / "outcome.json").is_file():
        recipe_patterns = plan.rates.patterns
        _train(task, Run(task.variant, plan.rates.task), rate, recipe_patterns, output)
        for checkpoint in output.glob("*.ckpt"):
            checkpoint.unlink()
    return _loss(output / "outcome.json")


def _loss(outcome: Path) -> float:
    content = json.loads(outcome.read_text())
    value = content["best_val_loss"]
    return math.inf if content["stopped_by"] == "diverged" or value is None else float(value)


def _train(task: Work, run: Run, rate: float, patterns: int, output: Path) -> None:
    from powderlens.train.batches import Machine
    from powderlens.train.quiet import quiet_lightning
    from powderlens.train.zoo_engine import train_zoo
    from powderlens.train.zoo_module import DivergedError

    with quiet_lightning(), suppress(DivergedError):  # its last good checkpoint is there; the record says why it ended
        train_zoo(
            task.bench.recipe_of(run, rate, patterns),
            output,
            corpus=task.corpora[KNOWN],
            resume=True,
            machine=Machine(workers=0, cache=task.folder / "drawn"),
            threads=1,
        )


def _train_and_test(task: Work, run: Run, rate: float) -> None:
    from powderlens.evaluate.evaluate_network import evaluate_network

    records = make_folder(task.folder / "records")
    names = {corpus: f"{run.name}-{PROTOCOLS[corpus]}" for corpus in PROTOCOLS}
    if all((records / f"{name}.json").is_file() for name in names.values()):
        return
    output = task.folder / "runs" / run.name
    if not (output / "outcome.json").is_file():
        _train(task, run, rate, task.bench.plan.budget.patterns, output)
    losses = trial_losses(task.bench, task.folder, run.variant)
    tried = ", ".join(f"{loss:.3f} at {tried:g}" for tried, loss in losses.items())
    rates = task.bench.plan.rates
    chosen_by = (
        f"learning rate {rate:g}: lowest loss in the validation part of {task.corpora[KNOWN].name} after "
        f"{rates.patterns:,} patterns on {rates.task} ({tried})"
    )
    for corpus, name in names.items():
        if not (records / f"{name}.json").is_file():
            evaluate_network(
                output,
                task.corpora[corpus],
                "test",
                records,
                name=name,
                protocol=PROTOCOLS[corpus],
                trained_on=task.corpora[KNOWN],
                chosen_by=chosen_by,
                cache=task.folder / "drawn",
                threads=1,
                command=task.command,
            )


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
        self._before = json.loads(path.read_text())["seconds"] if path.is_file() else 0.0
        self.seconds = self._before

    def add(self, began: float) -> None:
        """Until now."""
        self.seconds = self._before + time.monotonic() - began
        with atomic_write(self.path) as aside:
            aside.write_text(json.dumps({"seconds": round(self.seconds, 1)}) + "\n")
