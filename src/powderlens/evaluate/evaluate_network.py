"""From a trained network and a corpus to a record: predictions, figures, and how the network was trained (torch)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.core.files import file_sha256, make_folder
from powderlens.corpus.store.corpus import Corpus
from powderlens.corpus.store.drawn import DrawnCorpus
from powderlens.evaluate.inference_time import inference_time
from powderlens.evaluate.metrics import class_figures, lattice_figures, list_column
from powderlens.evaluate.record import Record, SplitProtocol, made_here, write_record
from powderlens.evaluate.separation import derive_protocol, describe_part, open_trained
from powderlens.evaluate.training_run import TRAIN, Learnt, losses_of, read_run, record_name, training_of
from powderlens.train.components.checkpoint import load_network
from powderlens.train.components.machine import Machine
from powderlens.train.predict import open_corpus, predict_part
from powderlens.train.recipe import Recipe


def evaluate_network(
    checkpoint: Path,
    corpus: Path,
    part: str | None,
    folder: Path,
    *,
    name: str | None = None,
    protocol: str | None = None,
    trained_on: Path | None = None,
    chosen_by: str | None = None,
    passes: int = 1,
    timing: bool = True,
    machine: Machine | None = None,
    command: str | None = None,
) -> Record:
    """Ask a network about a part of a corpus, and write NAME.parquet and NAME.json.

    Args:
        checkpoint: folder of a run that has ended, or a checkpoint in it.
        corpus: drawn, stored or measured.
        part: of its split; None is "test", and "all" of stored and measured patterns.
        folder: for the two files; those of the same name are replaced.
        name: of the files; None makes one, see `training_run.record_name`.
        protocol: None finds out what the tested patterns have in common with the learnt ones, see
            `separation.derive_protocol`; "listed" takes it as it is.
        trained_on: the corpus that was learnt, where it is not the tested one; of synthetic crystals the file of their
            statistics.
        chosen_by: what else chose settings, in words; goes behind what the recipe says.
        passes: above 1, answers are means over so many passes with dropout on.
        timing: measure the time of the forward pass on one thread.
        machine: how patterns are drawn, and what the network works on; None draws in this process, on the processor.
        command: that repeats it; None is that of the program with the names given here.

    Returns:
        The record.

    Raises:
        InputError: see `read_run`, `derive_protocol`, `train.predict.predict_part`.
    """
    _check_protocol(protocol)
    machine = machine or Machine(workers=0)
    device = machine.device()
    run = read_run(checkpoint)
    network, grid, about = load_network(run.checkpoint)
    opened = open_corpus(corpus, grid)
    part = part or default_part(opened)
    tested = describe_part(opened, part)
    source = open_trained(run.learnt, opened, trained_on)
    found = derive_protocol(run.learnt, opened, part, source, protocol)
    trained = source if isinstance(source, DrawnCorpus) else None
    name = name or record_name(run, tested.corpus, part, found, passes)
    table = make_folder(folder) / f"{name}.parquet"
    told = predict_part(network, opened, part, table, machine, floor=about["floor"], passes=passes, device=device)
    answers = pq.read_table(table)
    tasks = tuple(task.name for task in network.tasks)
    truths = {task: "niggli_true" if task == "lattice" else f"{task}_true" for task in tasks}
    judged = [task for task in tasks if answers[truths[task]].null_count < len(answers)]
    lattice = None
    if "lattice" in judged:
        cell, of = _naive(trained, list_column(answers, "niggli_true", np.nan))
        lattice = lattice_figures(answers, cell, of)
    learnt = {} if trained is None else {one: describe_part(trained, one) for one in trained.parts}
    chosen = run.recipe.network
    record = Record(
        format=1,
        name=name,
        network=chosen.name,
        size=chosen.size,
        as_published=chosen.as_published,
        parameters=run.about["network"]["parameters"],
        tasks=tasks,
        loss=losses_of(run.recipe),
        seed=run.recipe.seed,
        protocol=found,
        training=training_of(run, about["step"], learnt, chosen_by),
        tested=tested,
        missing=told["missing"],
        passes=passes,
        classes={task: class_figures(answers, task) for task in judged if task != "lattice"},
        lattice=lattice,
        inference=inference_time(network, device) if timing else None,
        predictions_sha256=file_sha256(table),
        command=command or f"powderlens evaluate {checkpoint.resolve().name} --on {tested.name}",
        **made_here(torch.cuda.get_device_name(device) if device.startswith("cuda") else ""),
    )
    write_record(folder / f"{name}.json", record)
    return record


def check_test(
    recipe: Recipe, corpus: Path, part: str | None, *, protocol: str | None = None, trained_on: Path | None = None
) -> Path | None:
    """Look whether a network can be judged by a corpus before hours are spent on its training.

    Args:
        recipe: that will be followed.
        corpus: that will be tested.
        part: of its split; None as for `evaluate_network`.
        protocol: likewise.
        trained_on: the corpus that will be learnt; None is the tested one.

    Returns:
        The corpus to learn; None for recipes on other data.

    Raises:
        InputError: measured or imported patterns would be learnt, or what `evaluate_network` would refuse.
    """
    _check_protocol(protocol)
    learns = (trained_on or corpus) if recipe.data.kind == "corpus" else None
    if learns is None:
        opened = Corpus.open(corpus)
        learnt = Learnt.by(recipe, None, None)
        if trained_on is not None and trained_on.is_file() and learnt.kind == "synthetic":
            learnt = replace(learnt, files=(file_sha256(trained_on),))
    else:
        first = Corpus.open(learns)
        if not isinstance(first, DrawnCorpus):
            raise InputError(
                f"{learns}: its patterns are {first.kind} and are not learnt; name a drawn corpus, --trained-on"
            )
        opened = open_corpus(corpus, first.grid)
        learnt = Learnt.by(recipe, learns.resolve().name, first.manifest["sha256"])
    part = part or default_part(opened)
    opened.numbers(part)
    derive_protocol(learnt, opened, part, open_trained(learnt, opened, trained_on), protocol)
    return learns


def default_part(corpus: Corpus) -> str:
    """The part that is tested when none is named: "all" of stored and measured patterns, else "test".

    Raises:
        InputError: a split without such a part.
    """
    if not isinstance(corpus, DrawnCorpus):
        return "all"
    if "test" not in corpus.parts:
        raise InputError(f"{corpus.path}: no part test; name one of {', '.join(corpus.parts)} as CORPUS:PART")
    return "test"


def _check_protocol(protocol: str | None) -> None:
    if protocol not in (None, *get_args(SplitProtocol)):
        raise InputError(f"protocol {protocol!r}: there are {', '.join(get_args(SplitProtocol))}")


def _naive(trained: DrawnCorpus | None, true_cells: NDArray[np.float32]) -> tuple[NDArray[np.float64], str]:
    """(6,) mean Niggli cell of the patterns that were learnt, where they are at hand, and whose mean it is."""
    if trained is None:
        known = true_cells[np.isfinite(true_cells).all(axis=1)]
        return known.mean(axis=0, dtype=np.float64), "the tested part: the corpus of the training was not at hand"
    counts = np.bincount(trained.crystal_of(trained.numbers(TRAIN)), minlength=len(trained.crystals))
    cells = np.asarray(trained.crystals.column("niggli"), np.float64)
    weights = counts * np.isfinite(cells).all(axis=1)
    return np.average(np.nan_to_num(cells), axis=0, weights=weights), "the training part"
