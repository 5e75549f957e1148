"""Records with made-up answers whose figures agree with them; tests get `make_record` as a fixture of that name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from powderlens import __version__
from powderlens.core.files import file_sha256
from powderlens.evaluate.record import (
    ClassFigures,
    CorpusPart,
    CurvePoint,
    Inference,
    LatticeFigures,
    Record,
    Training,
    write_record,
)
from powderlens.symmetry.groups import system_index
from powderlens.symmetry.subgroups import distance_matrix

GROUPS = (225, 227, 221, 194, 62, 14, 15, 12, 2, 166, 139, 63)
"""Space groups of the made-up crystals, crystal i has number i mod 12."""
TOP = 10
SHA = "5a" * 32


def make_record(
    folder: Path,
    network: str = "cnn5",
    task: str | Sequence[str] = "space_group",
    protocol: str = "in-library",
    *,
    size: str = "full",
    as_published: bool = False,
    loss: str = "cross_entropy",
    seed: int = 100,
    accuracy: float = 0.5,
    crystals: int = 24,
    per_crystal: int = 2,
    truth: Sequence[int] | None = None,
    predicted: Sequence[int | None] | None = None,
    columns: Mapping[str, Any] | None = None,
    name: str | None = None,
    **changes: Any,
) -> Path:
    """Write NAME.json and NAME.parquet into a folder.

    Args:
        folder: exists already.
        network: any name.
        task: `crystal_system`, `space_group`, `lattice`, or several of them.
        protocol: of the record.
        size: of the network.
        as_published: of the network.
        loss: of every task with classes.
        seed: of the record, and of what is made up.
        accuracy: share of the crystals, all of whose patterns are answered rightly.
        crystals: tested ones, named c0, c1, ...; pattern i is of crystal i // per_crystal.
        per_crystal: patterns of each.
        truth: classes of the (one) task with classes, one a pattern; None makes them up.
        predicted: what the network says; None in it is no answer, and None for all makes them up.
        columns: of the table, to put in the place of those that are made up.
        name: of the files; None makes one.
        changes: fields of the record to replace.

    Returns:
        The path of NAME.json.
    """
    tasks = (task,) if isinstance(task, str) else tuple(task)
    kind = "as-published" if as_published else "as-meant"
    name = name or f"{network}-{size}-{kind}-{'-'.join(tasks)}-{loss}-{protocol}-s{seed}"
    rng = np.random.default_rng(seed)
    n = crystals * per_crystal
    crystal = np.arange(n) // per_crystal
    groups = np.array(GROUPS)[crystal % len(GROUPS)]
    table: dict[str, Any] = {"pattern": np.arange(n), "crystal": pa.array([f"c{i}" for i in crystal], pa.string())}
    classes, lattice = {}, None
    for one in tasks:
        if one == "lattice":
            cells = rng.uniform([3, 3, 3, 80, 80, 80], [9, 9, 9, 100, 100, 100], (crystals, 6))[crystal]
            answers = cells * rng.normal(1.0, 0.05, cells.shape)
            table |= {f"niggli_{what}": _lists(x.astype(np.float32)) for what, x in _pairs(cells, answers)}
            lattice = _lattice(cells, answers)
            continue
        right = np.array([system_index(int(g)) for g in groups]) if one == "crystal_system" else groups
        right = right if truth is None else np.array(truth)
        table |= _class_columns(one, right, predicted, crystal, accuracy, rng)
        classes[one] = _class_figures(one, table)
    table |= dict(columns or {})
    pq.write_table(pa.table(table), folder / f"{name}.parquet")
    silent = sum(figures.patterns - figures.answered for figures in classes.values())
    record = {
        "format": 1,
        "name": name,
        "network": network,
        "size": size,
        "as_published": as_published,
        "parameters": 123456,
        "tasks": tasks,
        "loss": {one: "squared" if one == "lattice" else loss for one in tasks},
        "seed": seed,
        "protocol": protocol,
        "training": _training(protocol),
        "tested": _part("test", crystals, n, protocol),
        "missing": {"answer is no number": silent} if silent else {},
        "passes": 1,
        "classes": classes,
        "lattice": lattice,
        "inference": Inference(batch_1_ms=2.5, batch_100_ms=0.5, threads=1, device="cpu"),
        "predictions_sha256": file_sha256(folder / f"{name}.parquet"),
        "command": f"powderlens evaluate {network} --on small",
        "date": "2026-01-01",
        "powderlens": __version__,
        "python": "3.12.0",
        "hardware": "2 cores",
        **changes,
    }
    write_record(folder / f"{name}.json", Record.model_validate(record))
    return folder / f"{name}.json"


def _pairs(cells: NDArray[Any], answers: NDArray[Any]) -> list[tuple[str, NDArray[Any]]]:
    return [("true", cells), ("predicted", answers)]


def _lists(values: NDArray[Any], mask: NDArray[np.bool_] | None = None) -> pa.Array:
    flat = pa.array(values.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1], mask=None if mask is None else pa.array(mask))


def _class_columns(
    task: str,
    truth: NDArray[Any],
    predicted: Sequence[int | None] | None,
    crystal: NDArray[Any],
    accuracy: float,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """The four columns of a task, as `powderlens.train.predict` writes them."""
    every = np.arange(7) if task == "crystal_system" else np.arange(1, 231)
    if predicted is None:
        wrong = rng.permutation(crystal[-1] + 1)[round(accuracy * (crystal[-1] + 1)) :]
        away = np.where(truth == every[-1], every[0], truth + 1)
        said = np.where(np.isin(crystal, wrong), away, truth)
        silent = np.zeros(len(truth), bool)
    else:
        silent = np.array([one is None for one in predicted])
        said = np.array([every[0] if one is None else one for one in predicted])
    top = min(TOP, len(every))
    likeliest = np.stack([[one, *[c for c in every[: top + 1] if c != one][: top - 1]] for one in said])
    probability = np.full(likeliest.shape, 0.3 / (top - 1), np.float32)
    probability[:, 0] = 0.7
    return {
        f"{task}_true": pa.array(truth.astype(np.int16)),
        f"{task}_predicted": pa.array(said.astype(np.int16), mask=silent),
        f"{task}_top": _lists(likeliest.astype(np.int16), silent),
        f"{task}_probability": _lists(probability, silent),
    }


def _class_figures(task: str, table: Mapping[str, Any]) -> ClassFigures:
    truth = np.array(table[f"{task}_true"].to_pylist())
    said = np.array([-9 if one is None else one for one in table[f"{task}_predicted"].to_pylist()])
    lists = table[f"{task}_top"].to_pylist()
    names = sorted(set(truth.tolist()) | {one for one in said.tolist() if one >= 0})
    hits = {c: int(((truth == c) & (said == c)).sum()) for c in names}
    recall = [hits[c] / max(int((truth == c).sum()), 1) for c in names]
    precision = [hits[c] / max(int((said == c).sum()), 1) for c in names]
    f1 = [2 * hits[c] / (int((truth == c).sum()) + int((said == c).sum())) for c in names]
    there = said >= 0
    edges = distance_matrix()[said[there] - 1, truth[there] - 1] if task == "space_group" else None
    return ClassFigures(
        patterns=len(truth),
        answered=int(there.sum()),
        accuracy=float((truth == said).mean()),
        macro_f1=float(np.mean(f1)),
        macro_precision=float(np.mean(precision)),
        macro_recall=float(np.mean(recall)),
        top_k={
            str(k): float(np.mean([x is not None and t in x[:k] for x, t in zip(lists, truth, strict=True)]))
            for k in range(1, TOP + 1)
        },
        within_edges=None if edges is None else {str(k): float((edges <= k).sum() / len(truth)) for k in range(6)},
        mean_edges=None if edges is None or not len(edges) else float(edges.mean()),
        majority=max(int((truth == c).sum()) for c in names) / len(truth),
    )


def _lattice(truth: NDArray[Any], said: NDArray[Any]) -> LatticeFigures:
    mean = truth.mean(axis=0)
    residual = ((said - truth) ** 2).sum(axis=0)
    return LatticeFigures(
        patterns=len(truth),
        answered=len(truth),
        mae=tuple(np.abs(said - truth).mean(axis=0)),
        mape_percent=tuple(100 * (np.abs(said - truth) / truth).mean(axis=0)),
        r2=tuple(1 - residual / ((truth - mean) ** 2).sum(axis=0)),
        naive_mae=tuple(np.abs(mean - truth).mean(axis=0)),
        naive_mape_percent=tuple(100 * (np.abs(mean - truth) / truth).mean(axis=0)),
    )


def _part(part: str, crystals: int, patterns: int, protocol: str) -> CorpusPart:
    kind = "measured" if protocol == "measured" and part == "test" else "simxrd"
    return CorpusPart(
        corpus="small", sha256=SHA, part=part, protocol_of_patterns=kind, crystals=crystals, patterns=patterns
    )


def _training(protocol: str) -> Training:
    recipe = {
        "name": "simxrd-small",
        "batch": 128,
        "optimiser": {"kind": "adam", "learning_rate": 1e-3},
        "limits": {"epochs": 2},
    }
    points = [
        CurvePoint(
            step=100 * epoch,
            epoch=epoch,
            patterns=12800 * epoch,
            seconds=30.0 * epoch,
            learning_rate=1e-3,
            train_loss=3.0 / epoch,
            validation_loss=3.5 / epoch,
            accuracy={"space_group": 0.2 * epoch},
        )
        for epoch in (1, 2)
    ]
    return Training(
        recipe=recipe,
        data=_part("train", 1000, 30000, protocol),
        validation=_part("validation", 1000, 1000, protocol),
        steps=200,
        patterns_seen=25600,
        seconds=60.0,
        cpu_seconds=55.0,
        stopped_by="steps",
        chosen_by="lowest loss in the validation part of small",
        checkpoint_step=200,
        curve=tuple(points),
        hardware="2 cores",
        torch="2.9.0",
        powderlens=__version__,
    )
