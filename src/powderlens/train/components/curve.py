"""The training curve: `metrics.csv`, one row a report, kept when a run is resumed."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from lightning.pytorch.loggers import Logger
from torch import Tensor

from powderlens.core.files import atomic_write


class Curve(Logger):
    """Lightning's way to write `metrics.csv`; its own CSV logger deletes what a resumed run had written before.

    Args:
        path: the file.
        columns: of the file; what else is logged is left out.
        first: the step from which the run goes on; rows from there on are dropped, they are repeated.
    """

    def __init__(self, path: Path, columns: Sequence[str], first: int = 0) -> None:
        super().__init__()
        self.path, self.columns = path, columns
        rows: list[Mapping[str, object]] = []
        if first > 0 and path.exists():
            with path.open(newline="") as handle:
                rows = [row for row in csv.DictReader(handle) if int(row["step"]) < first]
        with atomic_write(path) as aside, aside.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, self.columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)

    @property
    def name(self) -> str:
        """None is needed: the folder of the run is the name."""
        return ""

    @property
    def version(self) -> str:
        """None is needed: the folder of the run is the version."""
        return ""

    def log_hyperparams(self, *args: object, **kwargs: object) -> None:
        """Nothing to do: `run.json` holds them."""

    def log_metrics(self, metrics: Mapping[str, float | Tensor], step: int | None = None) -> None:
        """Append one row."""
        row = {name: float(value) for name, value in metrics.items()}
        with self.path.open("a", newline="") as handle:
            csv.DictWriter(handle, self.columns, extrasaction="ignore").writerow({**row, "step": step})
