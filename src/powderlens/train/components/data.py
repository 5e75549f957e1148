"""What a run learns from: a corpus drawn once or again and again, or endless streams; and what it is shown besides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from powderlens.core.errors import InputError
from powderlens.core.files import file_sha256
from powderlens.corpus.splits import split_indices
from powderlens.corpus.store.drawn import DrawnCorpus
from powderlens.corpus.store.reflection_table import ReflectionTable
from powderlens.corpus.store.stored import StoredCorpus
from powderlens.corpus.stream.from_corpus import CorpusStream
from powderlens.corpus.stream.from_crystals import CrystalStream, origin, sampling_weights
from powderlens.corpus.stream.from_synthetic import SyntheticStream
from powderlens.corpus.stream.mixture import MixtureStream
from powderlens.corpus.stream.stream import FloorStream, Stream, measured_points, seen_of
from powderlens.corpus.stream.view import View
from powderlens.diffraction.protocol import Protocol, load_protocol
from powderlens.generate.statistics import CrystalStatistics, shipped_statistics
from powderlens.models.task import Task
from powderlens.pattern.spacing import AnyGrid, SpacingGrid
from powderlens.train.components.batches import (
    VALIDATION_FIRST,
    DrawnBatches,
    FixedBatches,
    HeldBatches,
    Item,
    Noise,
)
from powderlens.train.components.drawn import draw_part, draw_stored, size_bytes
from powderlens.train.components.machine import Machine, Report
from powderlens.train.components.targets import class_counts, known, make_tasks, targets
from powderlens.train.recipe import Recipe
from powderlens.train.recipe_parts import CorpusData, CrystalData, MixedData


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What a run learns from.

    Attributes:
        grid: the points of a pattern.
        tasks: what is asked.
        epoch_patterns: patterns between validations.
        batches: from the number of the first step (`first`) and that at which to end (`stop`, None never) to the
            batches.
        validation: fixed batches.
        counts: task -> class -> patterns in training; None where nobody has counted them.
        about: what identifies the data, for `run.json`.
    """

    grid: AnyGrid
    tasks: list[Task]
    epoch_patterns: int
    batches: Callable[..., IterableDataset[Item]]
    validation: FixedBatches
    counts: dict[str, dict[int, int]] | None
    about: dict[str, Any] = field(default_factory=dict)


def open_data(
    recipe: Recipe,
    *,
    corpus: Path | None = None,
    tables: Sequence[Path] = (),
    machine: Machine | None = None,
    report: Report = lambda message: None,
) -> TrainingData:
    """The data of a recipe.

    Args:
        recipe: says which kind.
        corpus: folder, for `kind = "corpus"`.
        tables: reflection tables, for `kind = "crystals"`; for `kind = "synthetic"` at most one file, of statistics.
        machine: how to draw.
        report: is told what is being drawn.

    Raises:
        InputError: data of another kind are given, a part is empty, a batch that the devices cannot share, or patterns
            without the label that a task needs.
    """
    machine = machine or Machine()
    kind = recipe.data.kind
    for wanted, given, option in (
        ("corpus", corpus is not None, "a corpus (--corpus)"),
        ("crystals", bool(tables) and kind != "synthetic", "a reflection table (--data)"),
    ):
        if given != (kind == wanted or (wanted == "crystals" and kind == "mixed")):
            verb = "is given and it takes none" if given else "is needed"
            raise InputError(f"recipe {recipe.name}: its data are {kind}; {option} {verb}")
    if kind == "synthetic" and len(tables) > 1:
        raise InputError(f"recipe {recipe.name}: its data are synthetic; {len(tables)} files of statistics, give one")
    if recipe.batch % machine.devices:
        raise InputError(f"batch {recipe.batch}: {machine.devices} devices cannot share it; give a multiple")
    if corpus is not None:
        return _of_corpus(recipe, corpus, machine, report)
    return _endless(recipe, tables, machine)


def open_measured(recipe: Recipe, folder: Path, data: TrainingData) -> tuple[FixedBatches, dict[str, Any]]:
    """Measured patterns to report on at every validation; they choose nothing.

    Args:
        recipe: of the run.
        folder: of an imported corpus.
        data: of the run.

    Returns:
        The patterns that could be put on the grid, and what identifies them, for `run.json`.

    Raises:
        InputError: not an imported corpus, patterns of which nothing is known that is asked, or a network without mask
            for patterns that do not cover the grid.
    """
    corpus = StoredCorpus.open(folder, data.grid)
    numbers = corpus.numbers()
    good, patterns, masks, missing = draw_stored(corpus, numbers, floor=recipe.data.floor, mask=recipe.network.mask)
    answers = targets(data.tasks, corpus.labels(numbers[good]))
    if not any(known(task, answers[task.name]).any() for task in data.tasks):
        names = " or ".join(task.name for task in data.tasks)
        raise InputError(f"{folder}: none of its patterns has a label for {names} and can be put on the grid")
    about = {
        "corpus": folder.resolve().name,
        "sha256": corpus.manifest["sha256"],
        "patterns": int(good.sum()),
        "missing": missing,
    }
    measured = masks[good] if recipe.network.mask else None
    return FixedBatches(patterns[good], measured, answers, Noise(None, recipe.seed)), about


def _of_corpus(recipe: Recipe, folder: Path, machine: Machine, report: Report) -> TrainingData:
    data, mask = recipe.data, recipe.network.mask
    assert isinstance(data, CorpusData)
    corpus = DrawnCorpus.open(folder)
    stream = CorpusStream(corpus, "train", size=recipe.batch // machine.devices, seed=recipe.seed)
    held_out = corpus.numbers(data.validation)
    if not len(held_out):
        raise InputError(f"{folder}: its part {data.validation!r} holds no patterns; build it with another split")
    if data.noise is not None:
        _check_clean(corpus, stream.chosen)
    labels = corpus.labels(stream.chosen)
    tasks = make_tasks(recipe.tasks, sorted(set(labels.space_group.tolist())))
    answers = targets(tasks, labels)
    for task in tasks:
        missing = int((~known(task, answers[task.name])).sum())
        if missing:
            raise InputError(
                f"{folder}: {missing:,} of {len(stream.chosen):,} training patterns have none of the "
                f"{task.outputs} answers of task {task.name}; widen its classes, or leave such crystals out"
            )
    need = sum(size_bytes(corpus, part, data.precision) for part in ("train", data.validation))
    held = machine.cache is not None or need <= machine.memory_GB * 1e9
    noise = Noise(data.noise, recipe.seed)
    drawing: dict[str, Any] = {"machine": machine, "floor": data.floor, "report": report}

    def measured(numbers: NDArray[np.int64]) -> NDArray[np.int32] | None:
        return measured_points(corpus.conditions(numbers), corpus.grid) if mask else None

    fixed = draw_part(corpus, data.validation, data.precision, **drawing)
    validation = FixedBatches(fixed, measured(held_out), targets(tasks, corpus.labels(held_out)), noise)
    patterns = draw_part(corpus, "train", data.precision, **drawing) if held else None
    where = measured(stream.chosen) if held else None
    how: dict[str, Any] = {"machine": machine, "noise": noise}
    batches: Callable[..., IterableDataset[Item]]
    if patterns is None:
        drawn = FloorStream(stream) if data.floor else stream
        batches = partial(DrawnBatches, stream=drawn, tasks=tasks, mask=mask, precision=data.precision, **how)
    else:
        batches = partial(HeldBatches, stream=stream, patterns=patterns, measured=where, answers=answers, **how)
    return TrainingData(
        grid=corpus.grid,
        tasks=tasks,
        epoch_patterns=stream.epoch_patterns,
        batches=batches,
        validation=validation,
        counts={task.name: class_counts(task, answers[task.name]) for task in tasks if task.kind == "classes"},
        about={
            "corpus": folder.name,
            "sha256": corpus.manifest["sha256"],
            "patterns": {"train": len(stream.chosen), data.validation: len(held_out)},
        },
    )


def _endless(recipe: Recipe, tables: Sequence[Path], machine: Machine) -> TrainingData:
    data, mask = recipe.data, recipe.network.mask
    assert not isinstance(data, CorpusData)
    grid = None if recipe.grid is None or isinstance(data, MixedData) else recipe.grid.grid()
    protocol = load_protocol(data.protocol)
    drawing: dict[str, Any] = {"size": recipe.batch // machine.devices, "seed": recipe.seed, "grid": grid}
    about: dict[str, Any] = {"protocol": protocol.name, "patterns": {"validation": data.validation_patterns}}
    streams: list[Stream]
    if isinstance(data, MixedData):
        streams, groups, found = _mixed(data, recipe, tables, protocol, drawing["size"])
        about |= found
    elif isinstance(data, CrystalData):
        table = ReflectionTable.load(*tables)
        parts = split_indices(table.elements, table.space_group.tolist())
        for part in ("train", "validation"):
            if not len(parts[part]):
                raise InputError(f"none of {len(table)} crystals is in the part {part!r}; give more crystals")
        streams = [
            CrystalStream(table, rows, sampling_weights(table, rows, data.shares), protocol, **drawing)
            for rows in (parts["train"], parts["validation"])
        ]
        groups = sorted({int(table.space_group[row]) for row in parts["train"]})
        about["tables"] = {path.name: file_sha256(path) for path in tables}
        about["crystals"] = {part: len(rows) for part, rows in parts.items()}
    else:
        statistics = CrystalStatistics.load(tables[0]) if tables else shipped_statistics()
        of_crystals: dict[str, Any] = {"per_crystal": data.per_crystal, "distances": data.distances}
        synthetic = SyntheticStream(protocol, statistics=statistics, **of_crystals, **drawing)
        streams = [synthetic, synthetic]
        groups = sorted(statistics.groups)
        about["statistics"] = synthetic.identity()["statistics"]
        about["tables"] = {path.name: file_sha256(path) for path in tables}
    if data.floor and not isinstance(data, MixedData):
        streams = [FloorStream(stream) for stream in streams]
    tasks = make_tasks(recipe.tasks, groups)
    noise = Noise(None, recipe.seed)
    count = -(-data.validation_patterns // streams[1].per_crystal) * streams[1].per_crystal
    fixed = streams[1].draw(VALIDATION_FIRST + np.arange(count, dtype=np.int64))

    how: dict[str, Any] = {"machine": machine, "noise": noise, "precision": "float32"}
    return TrainingData(
        grid=streams[0].grid,
        tasks=tasks,
        epoch_patterns=data.epoch_patterns,
        batches=partial(DrawnBatches, stream=streams[0], tasks=tasks, mask=mask, **how),
        validation=FixedBatches(
            fixed.patterns, seen_of(fixed, streams[1].grid) if mask else None, targets(tasks, fixed), noise
        ),
        counts=None,
        about=about,
    )


def _mixed(
    data: MixedData, recipe: Recipe, tables: Sequence[Path], protocol: Protocol, size: int
) -> tuple[list[Stream], list[int], dict[str, Any]]:
    """Streams of training and validation, the groups in training, and what identifies the data."""
    grid = None if recipe.grid is None else recipe.grid.grid()
    assert isinstance(grid, SpacingGrid)
    table = ReflectionTable.load(*tables)
    how = data.instruments
    view = View(
        grid=grid,
        home=protocol.grid,
        instruments=how.others,
        loosened=how.loosened,
        strain=how.strain,
        jitter=how.jitter,
    )
    parts = split_indices(table.elements, table.space_group.tolist())
    origins = np.array([origin(one) for one in table.ids])
    streams: list[Stream] = []
    prior = np.zeros(231)
    whole = sum(data.shares.values())
    crystals: dict[str, dict[str, int]] = {}
    for part in ("train", "validation"):
        sources = []
        for at, (key, share) in enumerate(data.shares.items()):
            names, first, last = data.names_and_groups(key)
            rows, groups_of = parts[part], table.space_group[parts[part]]
            rows = rows[np.isin(origins[rows], names) & (groups_of >= first) & (groups_of <= last)]
            if not len(rows):
                raise InputError(f"no crystal of {key} in the part {part!r}; give its table, or leave its share out")
            even = np.full(len(rows), 1 / len(rows))
            one = CrystalStream(table, rows, even, protocol, size=size, seed=recipe.seed + at, in_turn=True, view=view)
            sources.append(one)
            crystals.setdefault(part, {})[key] = len(rows)
            if part == "train":
                prior += share / whole * np.bincount(table.space_group[rows], minlength=231) / len(rows)
        shares = list(data.shares.values())
        mixed = len(sources) > 1
        streams.append(MixtureStream(sources, shares, size=size, seed=recipe.seed) if mixed else sources[0])
    groups = np.flatnonzero(prior).tolist()
    about = {
        "tables": {path.name: file_sha256(path) for path in tables},
        "crystals": crystals,
        "left_out": sorted(
            set(origins.tolist()) - {name for key in data.shares for name in data.names_and_groups(key)[0]}
        ),
        "prior": {str(group): round(float(prior[group]), 9) for group in groups},
    }
    return streams, groups, about


def _check_clean(corpus: DrawnCorpus, numbers: NDArray[np.int64]) -> None:
    records = corpus.conditions(numbers[:64])
    if (records["noise_sigma"] > 0).any() or (records["counts_at_max"] > 0).any():
        raise InputError(
            f"{corpus.path}: protocol {corpus.protocol.name} adds noise already; leave data.noise out of the recipe, "
            "or build the corpus without [counting]"
        )
