"""Plain tables of the records themselves: all of them, and how each network was trained."""

from __future__ import annotations

from collections.abc import Sequence

from powderlens.reproduce.tables.entries import Entry
from powderlens.reproduce.tables.table import Column, Row, Table, Value


def records(entries: Sequence[Entry]) -> Table:
    """A row a record and task: what it is of, and its main figures."""
    rows = []
    for one in entries:
        for task in one.record.tasks:
            rows.append(Row({**_who(one), "task": task, **_figures(one, task)}))
    shown = [
        Column("record", "record"),
        *_who_columns(),
        Column("task", "task"),
        Column("loss", "loss"),
        Column("protocol", "protocol"),
        Column("tested_on", "tested on", "", "", "", True),
        Column("tested_on_sha256"),
        Column("patterns", "patterns", ",d"),
        Column("without_answer", "no answer", ",d"),
        Column("accuracy", "accuracy", ".3f"),
        Column("macro_f1", "F1", ".3f"),
        Column("majority", "most frequent", ".3f", "", "", True),
        Column("top_5", "in five", ".3f", "", "", True),
        Column("mean_edges", "edges", ".2f", "", "", True),
        Column("length_mape_percent", "lengths, %", ".1f", "", "", True),
        Column("parameters", "parameters", ",d", "", "", True),
        Column("batch_1_ms", "ms at 1", ".2f", "", "", True),
        Column("batch_100_ms_per_pattern", "ms at 100", ".3f", "", "", True),
        Column("passes"),
        Column("powderlens"),
        Column("date"),
        Column("hardware"),
        Column("command"),
    ]
    note = (
        f"{len(entries)} records. Most frequent: accuracy of always answering the most frequent class of the tested "
        "part. Times: forward pass on ready tensors, milliseconds a pattern at a batch of 1 and of 100."
    )
    return Table("records", "Records", tuple(shown), tuple(rows), (note,))


def training(entries: Sequence[Entry]) -> Table:
    """A row a training: budget, patterns, rate, time, and what chose the checkpoint."""
    rows, seen = [], set()
    for one in entries:
        record, run = one.record, one.record.training
        key = (record.network, record.size, record.as_published, record.tasks, str(run.recipe), run.data.sha256)
        if key in seen:
            continue
        seen.add(key)
        at = [point for point in run.curve if point.step == run.checkpoint_step]
        accuracy = at[-1].accuracy.get(record.tasks[0]) if at else None
        values: dict[str, Value] = {
            "record": record.name,
            **_who(one),
            "task": " ".join(record.tasks),
            "loss": " ".join(dict.fromkeys(record.loss.values())),
            "recipe": run.recipe.get("name"),
            "batch": run.recipe.get("batch"),
            "schedule": run.recipe.get("schedule", {}).get("kind"),
            "trained_on": f"{run.data.corpus}:{run.data.part}",
            "trained_on_sha256": run.data.sha256,
            "crystals": run.data.crystals,
            "patterns": run.data.patterns,
            "patterns_seen": run.patterns_seen,
            "steps": run.steps,
            "learning_rate": one.rate,
            "validation_accuracy": accuracy,
            "validation_loss": at[-1].validation_loss if at else None,
            "stopped_by": run.stopped_by,
            "checkpoint_step": run.checkpoint_step,
            "seconds": run.seconds,
            "cpu_seconds": run.cpu_seconds,
            "patterns_per_second": run.patterns_seen / run.seconds if run.seconds else None,
            "chosen_by": run.chosen_by,
            "hardware": run.hardware,
        }
        rows.append(Row(values))
    total = sum(float(row.values["seconds"] or 0) for row in rows)
    shown = [
        Column("record"),
        Column("network", "network"),
        *_who_columns()[1:],
        Column("task", "task"),
        Column("loss", "loss"),
        Column("recipe"),
        Column("batch", "batch", "d", "", "", True),
        Column("schedule"),
        Column("learning_rate", "rate", "g"),
        Column("trained_on"),
        Column("trained_on_sha256"),
        Column("crystals"),
        Column("patterns", "patterns", ",d", "", "", True),
        Column("patterns_seen", "seen", ",d"),
        Column("steps", "steps", ",d", "", "", True),
        Column("checkpoint_step", "checkpoint", ",d", "", "", True),
        Column("validation_loss", "loss", ".3f", "", "validation"),
        Column("validation_accuracy", "accuracy", ".3f", "", "validation"),
        Column("stopped_by", "stopped by"),
        Column("seconds", "s", ",.0f"),
        Column("cpu_seconds", "CPU s", ",.0f"),
        Column("patterns_per_second", "patterns/s", ",.0f", "", "", True),
        Column("chosen_by", "chosen by", "", "", "", True),
        Column("hardware", "trained on", "", "", "", True),
    ]
    notes = [
        f"{len(rows)} trainings, {total / 3600:.2f} hours of wall clock in all; a network tested on several corpora is "
        "here once. Rate: the highest of the schedule. Validation: at the step of the checkpoint, first head.",
        "What chose checkpoint and settings of each stands in the formats md, csv and latex.",
        *(f"Trained on: {what}." for what in sorted({one.record.training.hardware for one in entries})),
    ]
    return Table("training", "How the networks were trained", tuple(shown), tuple(rows), tuple(notes))


def _who(entry: Entry) -> dict[str, Value]:
    record = entry.record
    return {
        "record": record.name,
        "network": record.network,
        "size": record.size,
        "as_published": record.as_published,
        "seed": record.seed,
        "loss": " ".join(dict.fromkeys(record.loss.values())),
        "protocol": record.protocol,
        "tested_on": f"{record.tested.corpus}:{record.tested.part}",
        "tested_on_sha256": record.tested.sha256,
        "parameters": record.parameters,
        "passes": record.passes,
        "powderlens": record.powderlens,
        "date": record.date,
        "hardware": record.hardware,
        "command": record.command,
    }


def _who_columns() -> list[Column]:
    return [
        Column("network"),
        Column("size", "size"),
        Column("as_published", "published"),
        Column("seed", "seed", "d"),
    ]


def _figures(entry: Entry, task: str) -> dict[str, Value]:
    record = entry.record
    values: dict[str, Value] = {}
    if record.inference is not None:
        time = record.inference
        values |= {"batch_1_ms": time.batch_1_ms, "batch_100_ms_per_pattern": time.batch_100_ms}
    if task == "lattice":
        found = record.lattice
        if found is not None:
            values |= {
                "patterns": found.patterns,
                "without_answer": found.patterns - found.answered,
                "length_mape_percent": sum(found.mape_percent[:3]) / 3,
            }
        return values | {"loss": record.loss.get(task)}
    of_task = record.classes[task]
    return values | {
        "loss": record.loss.get(task),
        "patterns": of_task.patterns,
        "without_answer": of_task.patterns - of_task.answered,
        "accuracy": of_task.accuracy,
        "macro_f1": of_task.macro_f1,
        "majority": of_task.majority,
        "top_5": of_task.top_k.get("5"),
        "mean_edges": of_task.mean_edges,
    }
