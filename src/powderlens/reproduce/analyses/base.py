"""What every analysis takes and returns: records with their answers, corpora, a table, a figure and sentences.

An analysis draws inside `carry_out`, which sets the style of all figures.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Literal, TypeVar

import matplotlib
import pyarrow as pa
import pyarrow.csv
from matplotlib.figure import Figure

from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write, make_folder
from powderlens.corpus.store.corpus import Corpus
from powderlens.corpus.store.manifest import read_manifest
from powderlens.diffraction.figure import STYLE, check_format, save
from powderlens.evaluate.answers import Answers, read_answers
from powderlens.evaluate.record import CorpusPart, Record, read_records
from powderlens.models.registry import NAMES
from powderlens.reproduce.analyses.registry import Kind

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, eq=False)
class AskedTask:
    """One task of one record.

    Attributes:
        label: short name, see `labels`.
        path: of the record.
        record: what it holds.
        task: the one that is looked at.
    """

    label: str
    path: Path
    record: Record
    task: str

    def answers(self, *more: str) -> Answers:
        """See `read_answers`."""
        return read_answers(self.path, self.record, self.task, *more)

    @property
    def tested(self) -> tuple[str, str]:
        """What tells one tested part from another: sha256 of the corpus, and the part."""
        return self.record.tested.sha256, self.record.tested.part


@dataclass(frozen=True, eq=False)
class Inputs:
    """What the command line gives to an analysis.

    Attributes:
        records: with the files that they are from.
        corpus: of patterns or of training crystals, as the kind needs it.
        runs: folders of runs, or checkpoints.
        patterns: numbers of patterns in the corpus.
        seed: of whatever is drawn at random.
    """

    records: tuple[tuple[Path, Record], ...] = ()
    corpus: Path | None = None
    runs: tuple[Path, ...] = ()
    patterns: tuple[int, ...] = ()
    seed: int = 0

    def asked(self, *tasks: str, seeds: bool = True) -> list[AskedTask]:
        """Every record with each of these tasks that it answers, by task and network.

        Args:
            tasks: names.
            seeds: as for `labels`.

        Raises:
            InputError: no record answers any.
        """
        place = {name: i for i, name in enumerate(NAMES)}
        found = [(path, record, task) for task in tasks for path, record in self.records if task in record.tasks]
        if self.records and not found:
            raise InputError(f"none of {len(self.records)} records answers {' or '.join(tasks)}; give one that does")
        found.sort(key=lambda one: (tasks.index(one[2]), place.get(one[1].network, len(place))))
        named = labels([record for _, record, _ in found], [task for *_, task in found], seeds=seeds)
        return [AskedTask(label, *one) for label, one in zip(named, found, strict=True)]

    def on_corpus(self, role: Literal["tested", "trained"]) -> tuple[Inputs, list[str]]:
        """The records of `--corpus` alone, and a sentence where others are left out.

        Args:
            role: whether networks were tested or trained on it.

        Raises:
            InputError: no record is of it.
        """
        assert self.corpus is not None
        sha256 = read_manifest(self.corpus)["sha256"]
        parts = [one.tested if role == "tested" else one.training.data for _, one in self.records]
        fits = tuple(one for one, part in zip(self.records, parts, strict=True) if part.sha256 == sha256)
        if not fits:
            named = ", ".join(sorted({f"{part.corpus} with {part.sha256[:12]}" for part in parts}))
            raise InputError(
                f"{self.corpus}: its sha256 is {sha256[:12]}, and the records were {role} on {named}; give that one "
                "with --corpus, or other records"
            )
        left = len(self.records) - len(fits)
        note = f"{left} of {len(self.records)} records were {role} on another corpus and are left out."
        return replace(self, records=fits), [note] if left else []


@dataclass(frozen=True, eq=False)
class Result:
    """What an analysis found.

    Attributes:
        rows: the figures behind the plot, with units in their names.
        figure: the plot.
        notes: sentences: what was found, of how many patterns, what it does not say.
    """

    rows: Sequence[Mapping[str, object]]
    figure: Figure
    notes: Sequence[str]

    @cached_property
    def table(self) -> pa.Table:
        """The rows; columns in the order in which they first appear, null where a row has none."""
        names = dict.fromkeys(name for row in self.rows for name in row)
        return pa.table({name: [row.get(name) for row in self.rows] for name in names})


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Items by their keys; both in the order in which they first appear."""
    found: dict[Key, list[Item]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found


def labels(records: Sequence[Record], tasks: Sequence[str] | None = None, *, seeds: bool = True) -> list[str]:
    """A short name for each record: its network, and what else tells it from the others.

    Args:
        records: in the order of the answer.
        tasks: the one that is looked at, of each; None names all of a record.
        seeds: tell seeds apart; without, records that differ in nothing else have the same name.
    """
    asked = tasks or [" + ".join(record.tasks) for record in records]
    told = [
        [str(record.size) for record in records],
        ["as published" if record.as_published else "" for record in records],
        [task.replace("_", " ") for task in asked],
        [_losses(record, tasks[i] if tasks else None) for i, record in enumerate(records)],
        [str(record.protocol) for record in records],
    ]
    only_if_needed = [
        [record.tested.name for record in records],
        [f"trained on {record.training.data.corpus}" for record in records],
        [f"seed {record.seed}" if seeds else "" for record in records],
    ]
    kept = [[record.network for record in records], *(words for words in told if len(set(words)) > 1)]
    for words in only_if_needed:
        if len(set(zip(*kept, words, strict=True))) > len(set(zip(*kept, strict=True))):
            kept.append(words)
    made = [" ".join(filter(None, words)) for words in zip(*kept, strict=True)]
    if not seeds:
        return made
    return [name if made.count(name) == 1 else record.name for name, record in zip(made, records, strict=True)]


def _losses(record: Record, task: str | None) -> str:
    named = list(record.loss.values()) if task is None else [record.loss[task]]
    return ", ".join(dict.fromkeys(named)).replace("_", " ")


def check_corpus(path: Path, wanted: CorpusPart, what: str) -> Corpus:
    """The corpus that a record is of; stored ones without a grid.

    Args:
        path: what the command line gives.
        wanted: what the record names.
        what: "was tested on" or "was trained on", for the message.

    Raises:
        InputError: another corpus, or none.
    """
    opened = Corpus.open(path)
    if (given := opened.manifest["sha256"]) != wanted.sha256:
        raise InputError(
            f"{path}: its sha256 is {given[:12]}, and the record {what} {wanted.corpus} with {wanted.sha256[:12]}; "
            "give that one with --corpus"
        )
    return opened


def read_inputs(
    kind: Kind,
    records: Sequence[Path],
    *,
    corpus: Path | None,
    runs: Sequence[Path],
    patterns: Sequence[int],
    seed: int,
) -> Inputs:
    """Read the records, and check that a kind gets what it needs and nothing that has no effect.

    Raises:
        InputError: something is missing or superfluous; a record that cannot be read.
    """
    given = {
        "records of `powderlens evaluate`": (kind.records, bool(records)),
        "--corpus": (kind.corpus, corpus is not None),
        "--run": (kind.runs, bool(runs)),
        "--pattern": (kind.patterns, bool(patterns)),
    }
    for what, (need, there) in given.items():
        if need == "must" and not there:
            raise InputError(f"{kind.name} needs {what}; see `powderlens analyse --list`")
        if need == "no" and there:
            raise InputError(f"{kind.name} takes no {what}; leave that out")
    found = tuple(read_records(records)) if records else ()
    return Inputs(records=found, corpus=corpus, runs=tuple(runs), patterns=tuple(patterns), seed=seed)


def carry_out(kind: Kind, inputs: Inputs, folder: Path, extension: str) -> tuple[Result, list[Path]]:
    """Run an analysis and write what it found: NAME.csv, NAME.txt with the sentences, and the figure.

    Args:
        kind: which.
        inputs: from `read_inputs`.
        folder: made where it is not there; files of the same names are replaced.
        extension: "png", "svg" or "pdf".

    Returns:
        The result, and the files: figure, table, sentences.

    Raises:
        InputError: from the analysis, or a place that cannot be written to.
    """
    picture = folder / f"{kind.name}.{extension}"
    check_format(picture)
    make_folder(folder)
    table, text = picture.with_suffix(".csv"), picture.with_suffix(".txt")
    with matplotlib.rc_context(STYLE):
        result: Result = import_module(kind.module).analyse(inputs)
        save(result.figure, picture)
    with atomic_write(table) as aside:
        pa.csv.write_csv(result.table, aside)
    with atomic_write(text) as aside:
        aside.write_text("".join(f"{note}\n" for note in result.notes), encoding="utf-8")
    return result, [picture, table, text]
