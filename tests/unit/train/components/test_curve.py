"""The training curve on disk."""

from __future__ import annotations

import csv
from pathlib import Path

import torch

from powderlens.train.components.curve import Curve

COLUMNS = ["step", "seconds", "train_loss", "val_loss"]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_rows_are_on_disk_as_soon_as_they_are_told(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    curve = Curve(path, COLUMNS)
    assert path.read_text().strip() == ",".join(COLUMNS)
    curve.log_metrics({"train_loss": torch.tensor(2.5), "seconds": 4.0, "epoch": 0.0}, step=49)
    curve.log_metrics({"val_loss": 3.0}, step=99)
    first, second = rows(path)
    assert (first["step"], float(first["train_loss"]), float(first["seconds"])) == ("49", 2.5, 4.0)
    assert (second["step"], second["train_loss"], float(second["val_loss"])) == ("99", "", 3.0)


def test_a_resumed_run_keeps_what_is_before_and_repeats_nothing(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    before = Curve(path, COLUMNS)
    for step in (49, 99, 149):
        before.log_metrics({"train_loss": float(step), "seconds": float(step)}, step=step)
    resumed = Curve(path, COLUMNS, first=100)
    resumed.log_metrics({"train_loss": 0.0, "seconds": 10.0}, step=149)
    assert [row["step"] for row in rows(path)] == ["49", "99", "149"]
    assert [float(row["seconds"]) for row in rows(path)] == [49, 99, 10], "what was logged, as it was"
    Curve(path, COLUMNS)
    assert rows(path) == [], "a run from the start begins a new curve"


def test_a_resumed_run_without_a_curve(tmp_path: Path) -> None:
    Curve(tmp_path / "metrics.csv", COLUMNS, first=10).log_metrics({"val_loss": 1.0}, step=19)
    assert [row["step"] for row in rows(tmp_path / "metrics.csv")] == ["19"]
