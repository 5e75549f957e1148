"""What the folder of a training run says about how its network came to its weights. No torch."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from powderlens.core.errors import InputError
from powderlens.evaluate.record import CorpusPart, CurvePoint, Training
from powderlens.models.task import TASKS
from powderlens.train.recipe import Recipe, parse_recipe
from powderlens.train.recipe_parts import NUMBER_OF, OwnLoss

TRAIN = "train"
CLASS_TASKS = tuple(name for name in TASKS if name != "lattice")


@dataclass(frozen=True)
class Learnt:
    """Patterns that a network has learnt, or will.

    Attributes:
        kind: of the recipe's data: corpus, crystals, synthetic.
        corpus: name of the corpus; None of the other kinds.
        sha256: of the corpus, likewise.
        parts: of the corpus, the learnt one first; a second one if its loss chose the checkpoint or ended the run.
        files: sha256 of the other files that were given: statistics of synthetic crystals, tables of reflections.
    """

    kind: str
    corpus: str | None
    sha256: str | None
    parts: tuple[str, ...]
    files: tuple[str, ...] = ()

    @classmethod
    def by(cls, recipe: Recipe, corpus: str | None, sha256: str | None, *, keeps: bool = True) -> Learnt:
        """What a recipe learns.

        Args:
            recipe: that is followed.
            corpus: name of its corpus.
            sha256: of its corpus.
            keeps: the checkpoint that it keeps is asked, not another.
        """
        data = recipe.data
        chose = (keeps and recipe.keep == "best") or recipe.patience is not None
        parts = (TRAIN, data.validation) if chose and data.kind == "corpus" else (TRAIN,)
        return cls(data.kind, corpus, sha256, parts)


@dataclass(frozen=True)
class Run:
    """A run that has ended.

    Attributes:
        folder: of the run.
        checkpoint: the one that is asked.
        about: `run.json`.
        outcome: `outcome.json`.
        recipe: of the run.
    """

    folder: Path
    checkpoint: Path
    about: dict[str, Any]
    outcome: dict[str, Any]
    recipe: Recipe

    @property
    def counts(self) -> bool:
        """Whether the checkpoint is the one that the recipe keeps."""
        return self.checkpoint.name == self.outcome["checkpoint"]

    @property
    def corpus(self) -> str | None:
        """Name of the corpus that was learnt; None where patterns were drawn without end."""
        return self.about["data"].get("corpus")

    @property
    def learnt(self) -> Learnt:
        """What it has learnt."""
        sha256 = self.about["data"]["sha256"] if self.corpus else None
        files = tuple(self.about["data"].get("tables", {}).values())
        return replace(Learnt.by(self.recipe, self.corpus, sha256, keeps=self.counts), files=files)


def read_run(path: Path) -> Run:
    """A run by its folder, or by one of the checkpoints in it.

    Raises:
        InputError: no such folder or file, one that is no run, or a run that has not ended.
    """
    if not path.exists():
        raise InputError(f"{path}: no such run or checkpoint; make one with `powderlens train`")
    folder = path if path.is_dir() else path.parent
    about, outcome = _read(folder, "run.json", path), _read(folder, "outcome.json", path)
    if not {"recipe", "data", "network", "machine"} <= about.keys() or "checkpoint" not in outcome:
        raise InputError(f"{folder}: a run of powderlens 0.1, or none; make one with `powderlens train`")
    if path.is_dir() and outcome["checkpoint"] is None:
        raise InputError(f"{folder}: this run ended before its first checkpoint ({outcome['stopped_by']})")
    checkpoint = folder / str(outcome["checkpoint"]) if path.is_dir() else path
    return Run(folder, checkpoint, about, outcome, parse_recipe(about["recipe"], str(folder / "run.json")))


def training_of(run: Run, step: int, parts: Mapping[str, CorpusPart], more: str | None) -> Training:
    """The training part of a record.

    Args:
        run: that has ended.
        step: of its checkpoint.
        parts: those of the corpus that was learnt; empty where it is not at hand.
        more: what else chose settings, in words.
    """
    machine, outcome, data = run.about["machine"], run.outcome, run.recipe.data
    devices = "" if machine["devices"] == 1 else f" x {machine['devices']}"
    validated = data.validation if data.kind == "corpus" else "validation"
    return Training(
        recipe=run.about["recipe"],
        data=parts.get(TRAIN) or _part(run, TRAIN),
        validation=parts.get(validated) or _part(run, validated),
        steps=outcome["steps"],
        patterns_seen=outcome["patterns"],
        seconds=outcome["seconds"],
        cpu_seconds=outcome.get("cpu_seconds"),
        stopped_by=outcome["stopped_by"],
        chosen_by="; ".join(filter(None, (_chosen_by(run), more))),
        checkpoint_step=step,
        curve=tuple(_curve(run.folder / "metrics.csv")),
        hardware=f"{machine['device']}{devices}, {machine['threads']} threads "
        f"({machine['processor']}, {machine['cores']} cores)",
        torch=machine["torch"],
        powderlens=run.about["powderlens"],
    )


def losses_of(recipe: Recipe) -> dict[str, str]:
    """Task -> its loss, with its number where it has one: `gemd=2`."""
    named = {}
    for task, one in recipe.tasks.items():
        if isinstance(one.loss, OwnLoss):
            named[task] = one.loss.name
            continue
        number = NUMBER_OF.get(one.loss.kind)
        named[task] = one.loss.kind if number is None else f"{one.loss.kind}={getattr(one.loss, number):g}"
    return named


def run_name(recipe: Recipe, corpus: str | None) -> str:
    """NETWORK[-small][-as-published][-mask]-TASKS-LOSSES-CORPUS-sSEED, small letters, safe as the name of a file.

    Args:
        recipe: of the run.
        corpus: that is learnt; None where there is none: then the kind of data.
    """
    return safe_name(*_words(recipe), corpus or recipe.data.kind, f"s{recipe.seed}")


def record_name(run: Run, tested: str, part: str, protocol: str, passes: int) -> str:
    """As `run_name` with the protocol before the seed, and with what is unusual behind it.

    Args:
        run: whose network is asked.
        tested: name of the tested corpus.
        part: that is tested.
        protocol: of the record.
        passes: of the record.
    """
    recipe = run.recipe
    where = run.corpus or recipe.data.kind
    more = [] if part in ("test", "all") else [part]
    more += [] if run.counts else [run.checkpoint.stem]
    more += [] if passes == 1 else [f"passes{passes}"]
    corpora = [where] if where == tested else [where, "on", tested]
    return safe_name(*_words(recipe), *corpora, protocol, f"s{recipe.seed}", *more)


def safe_name(*words: str) -> str:
    """Words joined by "-": small letters, digits, dots, "_", "+" and "-"."""
    return re.sub(r"[^a-z0-9._+-]+", "", "-".join(words).lower())


def _words(recipe: Recipe) -> list[str]:
    chosen = recipe.network
    losses = dict.fromkeys(losses_of(recipe).values())
    return [
        chosen.name,
        *(["small"] if chosen.size == "small" else []),
        *(["as-published"] if chosen.as_published else []),
        *(["mask"] if chosen.mask else []),
        "+".join(recipe.tasks),
        "+".join(losses),
    ]


def _chosen_by(run: Run) -> str:
    data, recipe = run.recipe.data, run.recipe
    where = f"in the {data.validation} part of {run.corpus}" if data.kind == "corpus" else "of other fixed patterns"
    patience = f"{recipe.patience} validations without a lower loss {where} end the run" if recipe.patience else ""
    if not run.counts:
        kept = f"the command, which asked for {run.checkpoint.name}"
    elif recipe.keep == "best":
        return f"lowest loss {where}"
    else:
        kept = "the last checkpoint" if patience else "nothing: the last checkpoint of a fixed budget"
    return "; ".join(filter(None, (kept, patience)))


def _part(run: Run, part: str) -> CorpusPart:
    """What `run.json` itself says of a part."""
    data, drawn = run.about["data"], run.corpus is None  # patterns drawn without end have no corpus
    return CorpusPart(
        corpus=run.corpus or run.recipe.data.kind,
        sha256=sha256(json.dumps(data, sort_keys=True).encode()).hexdigest() if drawn else data["sha256"],
        part=part,
        protocol_of_patterns=data["protocol"] if drawn else None,
        crystals=data.get("crystals", {}).get(part) if drawn else None,
        patterns=data["patterns"].get(part, run.outcome["patterns"]),
    )


def _curve(path: Path) -> Iterator[CurvePoint]:
    """The rows of `metrics.csv`; what is no number there was not measured."""
    try:
        with path.open(newline="") as handle:
            rows = list(csv.DictReader(handle))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; the folder of a run holds its curve") from None
    for row in rows:
        found = {name: _number(value) for name, value in row.items()}
        yield CurvePoint(
            step=int(row["step"]),
            epoch=float(row["epoch"]),
            patterns=int(float(row["patterns"])),
            seconds=float(row["seconds"]),
            learning_rate=float(row["learning_rate"]),
            train_loss=found["train_loss"],
            validation_loss=found["val_loss"],
            accuracy={
                name.removeprefix("val_"): value
                for name, value in found.items()
                if name.startswith("val_") and name.removeprefix("val_") in CLASS_TASKS and value is not None
            },
        )


def _number(text: str | None) -> float | None:
    value = float(text) if text else math.nan
    return value if math.isfinite(value) else None


def _read(folder: Path, name: str, given: Path) -> dict[str, Any]:
    """A JSON file of a run.

    Raises:
        InputError: it is not there, or not readable.
    """
    path = folder / name
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        why = "not the folder of a run, or a checkpoint outside of it, and a record says how the network was trained"
        if name == "outcome.json":
            why = "the run has not ended; go on with `powderlens train --resume`"
        raise InputError(f"{given}: {why}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    return dict(content)
