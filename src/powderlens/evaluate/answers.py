"""The answers of a record, and means over patterns that come in crystals, with their standard errors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from powderlens.evaluate.metrics import NONE, class_column
from powderlens.evaluate.record import Record
from powderlens.symmetry.subgroups import distance_matrix

if TYPE_CHECKING:
    import pyarrow as pa

SILENT = NONE
"""In place of an answer that a network did not give; it counts as wrong."""


@dataclass(frozen=True, eq=False)
class Answers:
    """A record's answers to one task with classes, where the truth is known.

    Attributes:
        pattern: (n,) numbers in the corpus.
        crystal: (n,) int64, equal for patterns of one crystal.
        truth: (n,) int64 class.
        predicted: (n,) int64 class, `SILENT` where there is no answer.
        unknown: how many patterns were left out as nothing is known of them.
        columns: the table of predictions that all this was read from, n rows.
    """

    pattern: NDArray[np.int64]
    crystal: NDArray[np.int64]
    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    unknown: int
    columns: pa.Table

    @property
    def right(self) -> NDArray[np.bool_]:
        """(n,) whether the answer is the truth."""
        return np.asarray(self.predicted == self.truth)

    @property
    def edges(self) -> NDArray[np.int64]:
        """(n,) edges from answer to truth, both space groups, `SILENT` where there is no answer."""
        table = distance_matrix().astype(np.int64)
        return np.where(self.predicted == SILENT, SILENT, table[np.maximum(self.predicted, 1) - 1, self.truth - 1])


def read_answers(path: Path, record: Record, task: str, *more: str) -> Answers:
    """The answers of a record to one task.

    Args:
        path: of the record.
        record: what it holds.
        task: `crystal_system`, `space_group` or `extinction_class`, one of the record's.
        more: columns of the task that are wanted besides: "top", "probability".

    Raises:
        InputError: the predictions are missing or not the record's.
    """
    names = [f"{task}_{what}" for what in ("true", "predicted", *more)]
    table = record.answers(path.parent, ["pattern", "crystal", *names])
    known = table.filter(table[names[0]].is_valid())
    _, crystal = np.unique(known["crystal"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    return Answers(
        pattern=known["pattern"].to_numpy(),
        crystal=crystal.astype(np.int64),
        truth=class_column(known, names[0]),
        predicted=class_column(known, names[1]),
        unknown=table.num_rows - known.num_rows,
        columns=known,
    )


def clustered_error(values: ArrayLike, clusters: NDArray[Any]) -> float | None:
    """Standard error of the mean of (n,) values of which those of a cluster are not independent.

    With residual sums r_c = sum over cluster c of (value - mean), it is sqrt(C / (C - 1) sum of r_c^2) / n, C clusters:
    Cameron and Miller, J. Human Resources 50, 317 (2015). With clusters of one value it is the ordinary
    sample standard deviation / sqrt(n).

    Args:
        values: (n,) numbers; for an accuracy 1 where right, 0 where wrong.
        clusters: (n,) whatever tells clusters apart, here crystals.

    Returns:
        None for fewer than two clusters.
    """
    numbers = np.asarray(values, dtype=np.float64)
    _, index = np.unique(clusters, return_inverse=True)
    count = int(index.max()) + 1 if len(index) else 0
    if count < 2:
        return None
    sums = np.bincount(index, weights=numbers - numbers.mean(), minlength=count)
    return float(np.sqrt(count / (count - 1) * (sums**2).sum()) / len(numbers))


def share(values: NDArray[Any], crystal: NDArray[np.int64]) -> tuple[float, float]:
    """A mean and its standard error, where patterns of one crystal are not independent.

    Args:
        values: (n,) truth values, or any numbers whose mean is wanted.
        crystal: (n,) which crystal each is of.

    Returns:
        NaN for a mean of nothing, and for an error of fewer than two crystals.
    """
    if not len(values):
        return float("nan"), float("nan")
    error = clustered_error(values, crystal)
    return float(np.mean(values)), float("nan") if error is None else error


def scored(right: NDArray[np.bool_], crystal: NDArray[np.int64]) -> dict[str, Any]:
    """What tables say of answers: `patterns`, `accuracy` and its `standard_error`.

    Args:
        right: (n,) whether each is right.
        crystal: (n,) which crystal each is of.
    """
    accuracy, error = share(right, crystal)
    return {"patterns": len(right), "accuracy": accuracy, "standard_error": error}
