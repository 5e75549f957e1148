"""What a trained network says about a part of a corpus: a Parquet table, a row for every pattern."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from powderlens import __version__
from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write, file_sha256
from powderlens.corpus.store.corpus import Corpus, Labels
from powderlens.corpus.store.stored import StoredCorpus
from powderlens.corpus.stream.stream import measured_points
from powderlens.models.network import Network
from powderlens.models.task import Task
from powderlens.pattern.spacing import AnyGrid, SpacingGrid, angles_of, words_of
from powderlens.train.components.batches import Measured, mask_of
from powderlens.train.components.checkpoint import load_network
from powderlens.train.components.drawn import FEW, batches_by, draw_part, draw_stored, part_stream
from powderlens.train.components.machine import Machine
from powderlens.train.components.targets import class_values, known, targets

TOP = 10
"""Classes whose probabilities are kept."""
KEPT_BITS = 14
"""Binary digits of a probability that are kept: 6e-5 of it is the largest change."""
BATCH = 100
NO_LABEL, OTHER_CLASS, NOT_DRAWN, NO_NUMBER = "no label", "class not in the list", "not drawn", "answer is no number"


def predict(
    checkpoint: Path,
    corpus: Path,
    part: str,
    output: Path,
    *,
    passes: int = 1,
    workers: int = 0,
    cache: Path | None = None,
    threads: int = 2,
    device: str = "cpu",
) -> dict[str, Any]:
    """Ask a network about all patterns of a part.

    Columns: `pattern` (number in the corpus) and `crystal` (id); for every task with classes NAME_true, NAME_predicted,
    NAME_top and NAME_probability, classes by their own names (space-group number, index of the crystal system, id of
    the extinction class), the likeliest first, probabilities to four digits; for the lattice niggli_true and
    niggli_predicted (A and degrees). What is not known is null, and so is what the network could not say: no row is
    left out.

    Args:
        checkpoint: of a run, or the folder of the run: then the one that counts there.
        corpus: drawn, stored or measured; patterns of the latter two are put on the network's grid.
        part: of its split; "all" of stored ones.
        output: the table, `.parquet`.
        passes: above 1, dropout stays on and answers are means over so many passes (CNN7 as its authors meant it).
        workers: processes that draw; 0 draws in this one.
        cache: a folder where drawn patterns are kept, see `draw_part`.
        threads: torch threads.
        device: as torch names it.

    Returns:
        `patterns`, `predicted`, `missing` (reason -> patterns), and what the table is of.

    Raises:
        InputError: a checkpoint that cannot be used, a corpus on another grid, or one without a label of any task.
    """
    if checkpoint.is_dir():
        checkpoint = _chosen(checkpoint)
    network, grid, about = load_network(checkpoint)
    opened = open_corpus(corpus, grid)
    machine = Machine(workers=workers, cache=cache, threads=threads)
    told = predict_part(network, opened, part, output, machine, floor=about["floor"], passes=passes, device=device)
    return {
        "powderlens": __version__,
        "checkpoint": {"sha256": file_sha256(checkpoint), "step": about["step"], **about["network"]},
        "corpus": {"name": corpus.name, "sha256": opened.manifest["sha256"], "part": part},
        "passes": passes,
        **told,
    }


def predict_part(
    network: Network,
    corpus: Corpus,
    part: str,
    output: Path,
    machine: Machine,
    *,
    floor: bool,
    passes: int = 1,
    device: str = "cpu",
) -> dict[str, Any]:
    """As `predict`, of a network and a corpus that are open.

    Args:
        network: in evaluation mode; it is moved to the device.
        corpus: on the network's grid.
        part: see `predict`.
        output: the table.
        machine: how patterns are drawn, and threads.
        floor: patterns are asked about above their floor, as the network was trained.
        passes: through dropout.
        device: as torch names it.

    Returns:
        `patterns`, `predicted`, `missing`.

    Raises:
        InputError: an empty part, no label of any task, or not one pattern that can be read.
    """
    torch.set_num_threads(machine.threads)
    numbers = corpus.numbers(part)
    if not len(numbers):
        raise InputError(f"{corpus.path}: its part {part!r} holds no patterns")
    labels = corpus.labels(numbers)
    missing = _missing_labels(network, labels, corpus.path)
    columns = _empty(network, labels, len(numbers))
    network = network.to(device)
    drawn = np.zeros(len(numbers), bool)
    for rows, patterns, measured in _draw(corpus, part, numbers, missing, machine, floor=floor, mask=network.mask):
        drawn[rows] = True
        mask_BL = mask_of(measured, corpus.grid.points) if network.mask else None
        answers = _ask(network, torch.from_numpy(patterns), mask_BL, passes, device)
        _put(columns, network.told, rows, answers)
    if not drawn.any():
        head = f"{NOT_DRAWN}: "
        why = ", ".join(f"{count} {what.removeprefix(head)}" for what, count in missing.items() if head in what)
        raise InputError(
            f"{corpus.path}: not one of its {len(numbers):,} patterns can be read at {_words(corpus.grid)} ({why}); "
            "give patterns that were measured there"
        )
    said = np.ones(len(numbers), bool)
    for task in network.told:
        said &= columns[_answer(task)][1]
    if silent := int((drawn & ~said).sum()):
        missing[NO_NUMBER] = silent
    _write(output, corpus, numbers, columns)
    return {"patterns": len(numbers), "predicted": int(said.sum()), "missing": missing}


def open_corpus(path: Path, grid: AnyGrid) -> Corpus:
    """A corpus whose patterns lie on a network's grid.

    Raises:
        InputError: patterns that are drawn on another one.
    """
    corpus = Corpus.open(path, grid)
    if corpus.grid != grid:
        raise InputError(
            f"{path}: its patterns are drawn at {_words(corpus.grid)}, and the network was trained at {_words(grid)}; "
            "build a corpus on that grid"
        )
    return corpus


def _words(grid: AnyGrid) -> str:
    if isinstance(grid, SpacingGrid):
        return words_of(grid)
    return (
        f"{grid.points} points from {grid.start_deg:g} in steps of {grid.step_deg:g} degrees, {grid.wavelength_A:g} A"
    )


def _chosen(run: Path) -> Path:
    try:
        outcome = json.loads((run / "outcome.json").read_text())
    except OSError:
        raise InputError(f"{run}: no run that has ended; give a checkpoint of it") from None
    if outcome["checkpoint"] is None:
        raise InputError(f"{run}: this run ended before its first checkpoint ({outcome['stopped_by']})")
    return run / str(outcome["checkpoint"])


def _missing_labels(network: Network, labels: Labels, corpus: Path) -> dict[str, int]:
    """What is not known of the patterns, counted."""
    missing: Counter[str] = Counter()
    right = targets(network.tasks, labels)
    labelled_tasks = 0
    for task in network.told:
        has = known(task, right[task.name])
        if task.kind == "lattice":
            missing[f"{task.name}: {NO_LABEL}"] += int((~has).sum())
        else:
            labelled = _labelled(task, class_values(task, labels))
            missing[f"{task.name}: {NO_LABEL}"] += int((~labelled).sum())
            missing[f"{task.name}: {OTHER_CLASS}"] += int((~has.numpy() & labelled).sum())
            if labelled.any() and not has.any():
                raise InputError(
                    f"{corpus}: none of its patterns is of the {task.outputs} classes of {task.name} that the "
                    "checkpoint knows; take another corpus, or train with its classes"
                )
        labelled_tasks += bool(has.any())
    if not labelled_tasks:
        names = " or ".join(task.name for task in network.tasks)
        raise InputError(f"{corpus}: no pattern has a label for {names}; take another corpus or another task")
    return {what: number for what, number in missing.items() if number}


def _labelled(task: Task, values: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.asarray(values > (-1 if task.name == "crystal_system" else 0))


Column = tuple[NDArray[Any], NDArray[np.bool_]]


def _answer(task: Task) -> str:
    return "niggli_predicted" if task.kind == "lattice" else f"{task.name}_predicted"


def _empty(network: Network, labels: Labels, n: int) -> dict[str, Column]:
    """Values and whether they are there, by column; true ones filled in."""
    columns: dict[str, Column] = {}
    for task in network.told:
        if task.kind == "lattice":
            columns["niggli_true"] = (
                labels.niggli.astype(np.float32),
                np.asarray(np.isfinite(labels.niggli).all(axis=1)),
            )
            columns["niggli_predicted"] = np.zeros((n, 6), np.float32), np.zeros(n, bool)
            continue
        values = class_values(task, labels)
        top = min(TOP, task.outputs)
        columns[f"{task.name}_true"] = values.astype(np.int16), _labelled(task, values)
        columns[f"{task.name}_predicted"] = np.zeros(n, np.int16), np.zeros(n, bool)
        columns[f"{task.name}_top"] = np.zeros((n, top), np.int16), np.zeros(n, bool)
        columns[f"{task.name}_probability"] = np.zeros((n, top), np.float32), np.zeros(n, bool)
    return columns


def _draw(
    corpus: Corpus,
    part: str,
    numbers: NDArray[np.int64],
    missing: dict[str, int],
    machine: Machine,
    *,
    floor: bool,
    mask: bool,
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32], Measured]]:
    """Rows, their patterns, and where these are measured; stored ones that cannot be read on the grid are counted."""
    batches = [np.arange(i, min(i + BATCH, len(numbers))) for i in range(0, len(numbers), BATCH)]
    if isinstance(corpus, StoredCorpus):
        for rows in batches:
            good, patterns, masks, reasons = draw_stored(
                corpus, numbers[rows], floor=floor, mask=mask, cache=machine.cache
            )
            for why, count in reasons.items():
                reason = f"{NOT_DRAWN}: {why}"
                missing[reason] = missing.get(reason, 0) + count
            if good.any():
                yield rows[good], patterns[good], masks[good]
        return
    if machine.cache is not None:
        held, grid = draw_part(corpus, part, "float32", machine, floor=floor), angles_of(corpus.grid, str(corpus.path))
        for rows in batches:
            yield (
                rows,
                np.array(held[rows]),
                measured_points(corpus.conditions(numbers[rows]), grid),
            )
        return
    stream = part_stream(corpus, part, size=BATCH, floor=floor)
    if machine.workers and len(numbers) > FEW:
        for rows, batch in zip(batches, batches_by(machine, stream, stop=len(batches)), strict=True):
            yield rows, batch.patterns[: len(rows)], batch.measured[: len(rows)]
        return
    for rows in batches:
        batch = stream.draw(rows)
        yield rows, batch.patterns, batch.measured


def _ask(network: Network, x_BL: Tensor, mask_BL: Tensor | None, passes: int, device: str) -> dict[str, Tensor]:
    """Probabilities or cells by task."""
    x_BL, mask_BL = x_BL.to(device), None if mask_BL is None else mask_BL.to(device)
    if passes > 1:
        return {name: answer.cpu() for name, answer in network.mean_of_passes(x_BL, passes, mask_BL).items()}
    with torch.inference_mode():
        outputs = network(x_BL, mask_BL)
    return {
        task.name: (outputs[task.name] if task.kind == "lattice" else outputs[task.name].softmax(dim=1)).cpu()
        for task in network.told
    }


def _put(
    columns: dict[str, Column], tasks: tuple[Task, ...], rows: NDArray[np.intp], answers: dict[str, Tensor]
) -> None:
    for task in tasks:
        answer = answers[task.name].float()
        good = torch.isfinite(answer).all(dim=1).numpy()
        where = rows[good]
        if task.kind == "lattice":
            made = {"niggli_predicted": answer.numpy()}
        else:
            best = answer.topk(min(TOP, task.outputs), dim=1)
            names = np.array(task.classes, np.int16)[best.indices.numpy()]
            made = {
                f"{task.name}_predicted": names[:, 0],
                f"{task.name}_top": names,
                f"{task.name}_probability": _rounded(best.values.numpy()),
            }
        for name, values in made.items():
            columns[name][0][where] = values[good]
            columns[name][1][where] = True


def _write(output: Path, corpus: Corpus, numbers: NDArray[np.int64], columns: dict[str, Column]) -> None:
    table = {"pattern": pa.array(numbers), "crystal": pa.array(corpus.ids(numbers), pa.string())}
    for name, (values, there) in columns.items():
        mask = ~there
        if values.ndim == 1:
            table[name] = pa.array(values, mask=mask)
        else:
            flat = pa.array(values.reshape(-1))
            table[name] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1], mask=pa.array(mask))
    leaves = {name: f"{name}.list.element" if columns[name][0].ndim > 1 else name for name in columns}
    numbers_in = [leaf for name, leaf in leaves.items() if columns[name][0].dtype == np.float32]
    with atomic_write(output) as aside:
        pq.write_table(
            pa.table(table),
            aside,
            compression="zstd",
            use_dictionary=["crystal", *(leaf for leaf in leaves.values() if leaf not in numbers_in)],
            column_encoding=dict.fromkeys(numbers_in, "BYTE_STREAM_SPLIT"),
        )


def _rounded(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """To `KEPT_BITS` binary digits, so that a table takes half the room; nothing small becomes zero."""
    lost = 24 - KEPT_BITS
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + np.uint32(1 << (lost - 1))) & ~np.uint32((1 << lost) - 1)).view(np.float32)
