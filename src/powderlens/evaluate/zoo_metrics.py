"""The figures of a record, from its table of predictions. No torch.

Null in a column of answers is a missing answer, null in one of truths an unknown truth, see `powderlens.train.predict`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.evaluate.zoo_record import ClassFigures, LatticeFigures
from powderlens.symmetry.subgroups import distances

K_MOST = 10
"""Largest k of top-k."""
EDGES = range(6)
"""Within so many edges of the graph of maximal subgroups."""
NONE = -1
"""Stands for a missing answer or an unknown truth in columns of classes."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def class_figures(answers: pa.Table, task: str) -> ClassFigures:
    """The figures of one task with classes.

    Args:
        answers: with the columns TASK_true, TASK_predicted and TASK_top.
        task: name of the task.

    Raises:
        InputError: no pattern whose truth is known.
    """
    truth = class_column(answers, f"{task}_true")
    rows = truth != NONE
    if not rows.any():
        raise InputError(f"{task}: the truth is known of none of {len(truth)} patterns; take another corpus")
    truth, predicted = truth[rows], class_column(answers, f"{task}_predicted")[rows]
    top = list_column(answers, f"{task}_top", NONE)[rows].astype(np.int64)
    answered = predicted != NONE
    f1, precision, recall = macro_scores(truth, predicted)
    edges = None
    if task == "space_group":
        edges = distances(predicted[answered], truth[answered]) if answered.any() else np.empty(0, np.int8)
    return ClassFigures(
        patterns=len(truth),
        answered=int(answered.sum()),
        accuracy=float((predicted == truth).mean()),
        macro_f1=f1,
        macro_precision=precision,
        macro_recall=recall,
        top_k=top_k(truth, top),
        within_edges=None if edges is None else {str(k): float((edges <= k).sum() / len(truth)) for k in EDGES},
        mean_edges=None if edges is None or not len(edges) else float(edges.mean()),
        majority=float(np.unique(truth, return_counts=True)[1].max() / len(truth)),
    )


def macro_scores(truth: Ints, predicted: Ints) -> tuple[float, float, float]:
    """Macro F1, precision and recall: plain means over the classes that occur in truth or prediction.

    For class c with t right answers, p answers and n patterns: precision t / p, recall t / n, F1 2 t / (p + n); 0 where
    nothing is divided by nothing. Source: SimXRD (Cao et al., ICLR 2025), which takes scikit-learn's macro means.

    Args:
        truth: (n,) classes.
        predicted: (n,) classes, `NONE` for a missing answer: it counts for no class.
    """
    classes, codes = np.unique(np.concatenate([truth, predicted[predicted != NONE]]), return_inverse=True)
    true_codes = codes[: len(truth)]
    many = len(classes)
    n = np.bincount(true_codes, minlength=many)
    p = np.bincount(codes[len(truth) :], minlength=many)
    t = np.bincount(true_codes[predicted == truth], minlength=many)
    f1 = 2 * t / (p + n)  # p + n is above 0: every class occurs
    precision, recall = t / np.maximum(p, 1), t / np.maximum(n, 1)
    return float(f1.mean()), float(precision.mean()), float(recall.mean())


def top_k(truth: Ints, top: Ints) -> dict[str, float]:
    """Share of the (n,) truths among the k likeliest classes, k from 1 to the (n, m) answers kept, `K_MOST` at most."""
    right = np.cumsum(top[:, :K_MOST] == truth[:, None], axis=1) > 0
    return {str(k + 1): float(share) for k, share in enumerate(right.mean(axis=0))}


def lattice_figures(answers: pa.Table, naive_cell: Floats, naive_of: str) -> LatticeFigures | None:
    """Errors of the Niggli cells that were answered, and of always answering one cell for the same patterns.

    Args:
        answers: with the columns niggli_true and niggli_predicted.
        naive_cell: (6,) A and degrees.
        naive_of: whose mean that is, in words.

    Returns:
        None where nothing was answered.

    Raises:
        InputError: no pattern whose cell is known.
    """
    true, predicted = (list_column(answers, f"niggli_{which}", np.nan) for which in ("true", "predicted"))
    known = np.isfinite(true).all(axis=1)
    if not known.any():
        raise InputError(f"lattice: the cell is known of none of {len(true)} patterns; take another corpus")
    answered = known & np.isfinite(predicted).all(axis=1)
    if not answered.any():
        return None
    true, predicted = true[answered], predicted[answered]
    spread = ((true - true.mean(axis=0)) ** 2).sum(axis=0)
    missed = ((predicted - true) ** 2).sum(axis=0)
    return LatticeFigures(
        patterns=int(known.sum()),
        answered=len(true),
        mae=_six(np.abs(predicted - true)),
        mape_percent=_six(100 * np.abs(predicted - true) / true),
        r2=tuple(1 - float(m / s) if s > 0 else None for m, s in zip(missed, spread, strict=True)),
        naive_mae=_six(np.abs(naive_cell - true)),
        naive_mape_percent=_six(100 * np.abs(naive_cell - true) / true),
        naive_cell=tuple(naive_cell.tolist()),
        naive_of=naive_of,
    )


def class_column(answers: pa.Table, name: str) -> Ints:
    """(n,) classes of a column, `NONE` where it is null."""
    return np.asarray(answers[name].fill_null(NONE).to_numpy(), np.int64)


def list_column(answers: pa.Table, name: str, missing: float) -> NDArray[Any]:
    """(n, m) values of a column of lists of one length, rows of `missing` where it is null; its own dtype."""
    column = answers[name].combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # what an empty table gives
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    flat = column.values.slice(column.offset * column.type.list_size, len(column) * column.type.list_size)
    values = flat.to_numpy(zero_copy_only=False).reshape(len(column), column.type.list_size)
    there = column.is_valid().to_numpy(zero_copy_only=False)
    return values if there.all() else np.where(there[:, None], values, np.asarray(missing)).astype(values.dtype)


def _six(errors_n6: Floats) -> tuple[float, ...]:
    return tuple(errors_n6.mean(axis=0, dtype=np.float64).tolist())
