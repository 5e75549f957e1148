"""Plain tables of the records themselves: all of them, and how each network was trained."""

from __future__ import annotations

from collections.abc import Sequence

from powderlens.evaluate.record import ClassFigures
from powderlens.reproduce.tables.entries import Entry, validated
from powderlens.reproduce.tables.layout import laid_out
from powderlens.reproduce.tables.table import Row, Table, Value

OF_RUN = ("steps", "stopped_by", "checkpoint_step", "seconds", "cpu_seconds", "chosen_by", "hardware")
"""What a row of a training takes from the record as it is."""


def records(entries: Sequence[Entry]) -> Table:
    """A row a record and task: what it is of, and its main figures."""
    rows = [Row({**one.about(), "task": task, **_figures(one, task)}) for one in entries for task in one.record.tasks]
    note = (
        f"{len(entries)} records. Most frequent: accuracy of always answering the most frequent class of the tested "
        "part. Times: forward pass on ready tensors, milliseconds a pattern at a batch of 1 and of 100."
    )
    return laid_out("records", rows, [note])


def training(entries: Sequence[Entry]) -> Table:
    """A row a training: budget, patterns, rate, time, and what chose the checkpoint."""
    rows, seen = [], set()
    for one in entries:
        record, run = one.record, one.record.training
        if not one.trained:
            continue
        key = (record.network, record.size, record.as_published, record.tasks, str(run.recipe), run.data.sha256)
        if key in seen:
            continue
        seen.add(key)
        at = validated(record)
        values: dict[str, Value] = {
            **one.about(),
            "task": " ".join(record.tasks),
            "recipe": run.recipe.get("name"),
            "batch": run.recipe.get("batch"),
            "schedule": run.recipe.get("schedule", {}).get("kind"),
            "crystals": run.data.crystals,
            "patterns": run.data.patterns,
            "validation_accuracy": at.accuracy.get(record.tasks[0]) if at else None,
            "validation_loss": at.validation_loss if at else None,
            "patterns_per_second": run.patterns_seen / run.seconds if run.seconds else None,
            **{name: getattr(run, name) for name in OF_RUN},
        }
        rows.append(Row(values))
    total = sum(float(row.values["seconds"] or 0) for row in rows)
    notes = [
        f"{len(rows)} trainings, {total / 3600:.2f} hours of wall clock in all; a network tested on several corpora is "
        "here once. Rate: the highest of the schedule. Validation: at the step of the checkpoint, first head.",
        "What chose checkpoint and settings of each stands in the formats md, csv and latex.",
        *(f"Trained on: {what}." for what in sorted({one.record.training.hardware for one in entries})),
    ]
    return laid_out("training", rows, notes)


def _figures(entry: Entry, task: str) -> dict[str, Value]:
    record = entry.record
    values: dict[str, Value] = {"loss": record.loss.get(task)}
    if record.inference is not None:
        time = record.inference
        values |= {"batch_1_ms": time.batch_1_ms, "batch_100_ms_per_pattern": time.batch_100_ms}
    of_task = record.lattice if task == "lattice" else record.classes[task]
    if of_task is None:
        return values
    values |= {"patterns": of_task.patterns, "without_answer": of_task.patterns - of_task.answered}
    if isinstance(of_task, ClassFigures):
        names = ("accuracy", "macro_f1", "majority", "mean_edges")
        return values | {name: getattr(of_task, name) for name in names} | {"top_5": of_task.top_k.get("5")}
    return values | {"length_mape_percent": sum(of_task.mape_percent[:3]) / 3}
