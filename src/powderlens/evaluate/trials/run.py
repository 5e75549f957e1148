"""Trials put to `identify`, in processes and in parts, and what became of them: the figures of a record."""

from __future__ import annotations

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from powderlens.core.errors import InputError, PowderlensError
from powderlens.core.pool import as_done
from powderlens.crystal.common import common_minerals
from powderlens.evaluate.calibrate import drawn_of
from powderlens.evaluate.trials.draw import draw_trials
from powderlens.evaluate.trials.of_minerals import SCANS
from powderlens.evaluate.trials.pool import Pool
from powderlens.evaluate.trials.score import SURE, Judge, Named, Verdict, summary
from powderlens.evaluate.trials.trial import FLAGGED, KINDS, Kind, Trial
from powderlens.identification.consistency import contradictions
from powderlens.identification.identify import Identifier, Search
from powderlens.library.shelf import ElementFilter

BLOCK = 10
"""Trials that a worker does at a time, and of which a part is written."""
FEW_LINES = 5
"""With fewer lines in the range, doubt is the right answer."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """Some trials of one kind, for a worker.

    Attributes:
        kind, first, count, seed: which; see `draw_trials`.
        libraries: in place of the one that ships; none takes that.
        model: name of the network.
        calibration: file in place of the one that ships.
        amcsd: the database of AMCSD.
        elements: whether the elements of the true phases are told.
    """

    kind: Kind
    first: int
    count: int
    seed: int
    libraries: tuple[str, ...] = ()
    model: str = "prism-1"
    calibration: str | None = None
    amcsd: str | None = None
    elements: bool = False

    @property
    def key(self) -> str:
        """By which a part is known."""
        return f"{self.kind}:{self.first}:{self.count}"

    @property
    def identifier(self) -> tuple[object, ...]:
        """What decides which identifier answers."""
        return self.libraries, self.model, self.calibration


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One trial, answered.

    Attributes:
        number, setting: of the trial.
        verdict: of the answer.
        reason: why the answer abstains; "" where it does not.
        seconds: that `identify` took, of the wall clock.
        contradictions: in the answer, see `identification.consistency`.
    """

    number: int
    setting: str
    verdict: Verdict
    reason: str
    seconds: float
    contradictions: tuple[str, ...] = ()


def tasks_of(kinds: Sequence[Kind], count: int, **common: Any) -> list[Task]:
    """The trials of a record in blocks; of common minerals as many whole rounds as `count` holds, at least one.

    Args:
        kinds: which.
        count: how many of each.
        common: what every `Task` has.
    """
    everything = len(SCANS) * len(common_minerals())
    sizes = {kind: max(count // everything, 1) * everything if kind == "radiations" else count for kind in kinds}
    return [
        Task(kind=kind, first=first, count=min(BLOCK, size - first), **common)
        for kind, size in sizes.items()
        for first in range(0, size, BLOCK)
    ]


def kinds_of(names: str | None) -> list[Kind]:
    """Kinds by their names, with commas between; None for all.

    Raises:
        InputError: a name that is none.
    """
    if names is None:
        return list(KINDS)
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    unknown = [name for name in wanted if name not in KINDS]
    if unknown or not wanted:
        raise InputError(f"kinds {', '.join(unknown) or names!r}: choose of {', '.join(KINDS)}")
    return [kind for kind in KINDS if kind in wanted]


def run_trials(
    tasks: Sequence[Task], parts: Path, workers: int, progress: Callable[[int], None]
) -> dict[Kind, list[Judged]]:
    """Put trials to `identify`, each block written as soon as it is done; blocks that are written are not done again.

    Args:
        tasks: the blocks.
        parts: file to which a line for each block is added.
        workers: processes.
        progress: told how many trials are done.

    Returns:
        Kind -> trials by number.

    Raises:
        InputError: the parts are of other trials, or of other code.
    """
    made_of = _made_of(tasks)
    done = _read_parts(parts, made_of)
    parts.parent.mkdir(parents=True, exist_ok=True)
    if not parts.exists():
        parts.write_text(json.dumps({"made_of": made_of}) + "\n", encoding="utf-8")
    told = sum(len(done[task.key]) for task in tasks if task.key in done)
    progress(told)
    rest = [task for task in tasks if task.key not in done]
    with parts.open("a", encoding="utf-8") as out:
        for task, judged in _answered(rest, workers):
            out.write(json.dumps({"block": task.key, "trials": [asdict(one) for one in judged]}) + "\n")
            out.flush()
            done[task.key] = judged
            told += len(judged)
            progress(told)
    found: dict[Kind, list[Judged]] = defaultdict(list)
    for task in tasks:
        found[task.kind] += done[task.key]
    return dict(found)


def figures(found: Mapping[Kind, Sequence[Judged]]) -> dict[str, Any]:
    """What a record says of trials.

    Returns:
        `kinds`: of each the figures of `score.summary`, median and 95th percentile of the seconds of an answer, and the
        numbers of trials that went wrong: not flagged, flagged without cause, contradicting themselves; of single
        phases the share flagged of those with five lines or more, too; `settings`: shares flagged by what was varied on
        purpose; `common`: see `_common`.
    """
    figured = summary(one.verdict for trials in found.values() for one in trials)
    kinds: dict[str, Any] = {}
    settings: dict[str, dict[str, float]] = {}
    for kind, trials in found.items():
        seconds = [one.seconds for one in trials]
        wrong = [one.number for one in trials if one.verdict.flagged != (kind in FLAGGED)]
        kinds[kind] = {
            **{name: round(value, 4) for name, value in figured[kind].items()},
            "seconds_median": round(float(np.median(seconds)), 3),
            "seconds_95th": round(float(np.quantile(seconds, 0.95)), 3),
            "contradicting": {one.number: list(one.contradictions) for one in trials if one.contradictions},
        }
        if kind in FLAGGED:
            kinds[kind]["not_flagged"] = wrong
        if kind == "single":
            rest = [one for one in trials if (one.verdict.lines or 0) >= FEW_LINES]
            kinds[kind]["flagged_of_five_lines"] = round(
                float(np.mean([one.verdict.flagged for one in rest] or [False])), 4
            )
            kinds[kind]["flagged_without_cause"] = wrong
        if kind in ("other_anode", "nanometre", "two_percent", "short_range"):
            settings[kind] = {
                setting: round(float(np.mean([one.verdict.flagged for one in trials if one.setting == setting])), 4)
                for setting in sorted({one.setting for one in trials})
            }
    out: dict[str, Any] = {"kinds": kinds, "settings": settings}
    if "radiations" in found:
        out["common"] = _common(found["radiations"])
    return out


def _common(trials: Sequence[Judged]) -> dict[str, Any]:
    """Of the common minerals under each scan: how often the right phase stands first, by its structure type and cell or
    by its name; how often doubt is right, as there are fewer than five lines; those that are neither; and those that
    are wrong and sure, of the group or of the phase.
    """
    minerals = [mineral.name for mineral in common_minerals()]
    out: dict[str, Any] = {}
    for setting in dict.fromkeys(one.setting for one in trials):
        own = [one for one in trials if one.setting == setting]
        right = [one for one in own if one.verdict.first or one.verdict.named_first]
        doubted = [one for one in own if one not in right and (one.verdict.lines or 0) < FEW_LINES and one.reason]
        wrong = [one for one in own if one not in right and one not in doubted]
        sure = [
            one
            for one in own
            if (one.verdict.sure and not one.verdict.group)
            or (one.verdict.first_probability > SURE and one not in right)
        ]
        out[setting] = {
            "patterns": len(own),
            "right_first": len(right),
            "named_first": sum(one.verdict.named_first for one in own),
            "doubt_is_right": len(doubted),
            "wrong": sorted(minerals[one.number % len(minerals)] for one in wrong),
            "wrong_above_0.9": sorted(minerals[one.number % len(minerals)] for one in sure),
        }
    return out


def _answered(tasks: Sequence[Task], workers: int) -> Iterator[tuple[Task, list[Judged]]]:
    if workers == 1:
        yield from ((task, work(task)) for task in tasks)
    else:
        yield from as_done(work, tasks, workers)


_KEPT: dict[tuple[object, ...], tuple[Identifier, Pool, Judge]] = {}


def work(task: Task) -> list[Judged]:
    """Draw a block of trials, ask, and judge; what answers is kept for the next block."""
    if task.identifier not in _KEPT:
        _KEPT.clear()
        _KEPT[task.identifier] = _made(task)
    identifier, pool, judge = _KEPT[task.identifier]
    drawn = draw_trials(pool, task.kind, task.count, task.seed, first=task.first, amcsd=task.amcsd)
    return [_one(identifier, judge, trial, task) for trial in drawn]


def _made(task: Task) -> tuple[Identifier, Pool, Judge]:
    identifier = Identifier(
        "all",
        model=task.model,
        threads=1,
        search=Search(libraries=task.libraries, shipped=not task.libraries),
        calibration=None if task.calibration is None else Path(task.calibration),
    )
    assert identifier.shelf is not None
    library = identifier.shelf.libraries[0]
    return identifier, drawn_of(library), Judge(library)


def _one(identifier: Identifier, judge: Judge, trial: Trial, task: Task) -> Judged:
    if task.elements and trial.phases:
        identifier = identifier.among(ElementFilter(only=trial.elements))
    asking = identifier.without(trial.hidden)
    start = time.perf_counter()
    wrong: list[str] = []
    try:
        said = asking.identify(trial.pattern)
        answer, wrong = said.to_dict(), contradictions(said)
    except PowderlensError as error:
        answer = {"abstains": f"refused: {error}"}
    seconds = time.perf_counter() - start
    verdict = judge.score(answer, trial)
    return Judged(
        number=trial.number,
        setting=trial.setting,
        verdict=verdict,
        reason=str(answer.get("abstains") or ""),
        seconds=round(seconds, 4),
        contradictions=tuple(wrong),
    )


def _made_of(tasks: Sequence[Task]) -> str:
    """Of what parts are made: everything but which trials they are, and the code that answers."""
    digest = hashlib.sha256()
    some = asdict(tasks[0]) if tasks else {}
    digest.update(json.dumps({name: some[name] for name in some if name not in ("kind", "first", "count")}).encode())
    root = Path(str(files("powderlens")))
    for path in sorted(root.rglob("*.py")):
        digest.update(path.read_bytes())
    digest.update((root / "identification" / "data" / "calibration.json").read_bytes())
    return digest.hexdigest()


def _read_parts(parts: Path, made_of: str) -> dict[str, list[Judged]]:
    """Blocks that are written; a last line that was cut off is not."""
    if not parts.exists():
        return {}
    lines = parts.read_text(encoding="utf-8").splitlines()
    if not lines or json.loads(lines[0]).get("made_of") != made_of:
        raise InputError(
            f"{parts}: parts of another run, by its seed, libraries or code; remove them, or give another output"
        )
    out: dict[str, list[Judged]] = {}
    whole = []
    for line in lines[1:]:
        try:
            block = json.loads(line)
        except ValueError:
            break
        whole.append(line)
        out[block["block"]] = [_judged(one) for one in block["trials"]]
    parts.write_text("\n".join([lines[0], *whole]) + "\n", encoding="utf-8")
    return out


def _judged(stored: Mapping[str, Any]) -> Judged:
    verdict = dict(stored["verdict"])
    phases = tuple(Named(**phase) for phase in verdict.pop("phases"))
    return Judged(**{**stored, "verdict": Verdict(phases=phases, **verdict)})
