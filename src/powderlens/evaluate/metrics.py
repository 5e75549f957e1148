"""Figures of merit: of ranked, probabilistic answers in arrays, and of a record's table of predictions. No torch.

Null in a column of answers is a missing answer, null in one of truths an unknown truth, see `powderlens.train.predict`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.evaluate.record import ClassFigures, LatticeFigures
from powderlens.symmetry.subgroups import distances, within_edges

if TYPE_CHECKING:
    import pyarrow as pa

ACCURACIES = ("crystal_system", "space_group", "space_group_top5")
"""The figures of `classification` that are shares of right answers."""
K_MOST = 10
"""Largest k of top-k."""
EDGES = range(6)
"""Within so many edges of the graph of maximal subgroups."""
NONE = -1
"""Stands for a missing answer or an unknown truth in columns of classes."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def shares_in_top(top: Ints, truth: Ints) -> list[float]:
    """Shares of the (b,) truths among the first 1, 2, ..., m of (b, m) classes, the likeliest first."""
    right = np.cumsum(top == truth[:, None], axis=1) > 0
    return [float(share) for share in right.mean(axis=0)]


def top_k(probability: Floats, truth: Ints, k: int) -> float:
    """Share of the (b,) truths among the k most probable of (b, n) classes."""
    return shares_in_top(np.argsort(-probability, axis=1, kind="stable")[:, :k], truth)[-1]


def log_loss(probability: Floats, truth: Ints) -> float:
    """Mean of -ln p(truth), nats; probabilities are cut at 1e-9."""
    return float(-np.log(np.maximum(probability[np.arange(len(truth)), truth], 1e-9)).mean())


def calibration_error(probability: Floats, truth: Ints, bins: int = 10) -> float:
    """Expected calibration error: mean gap of confidence and accuracy over equal bins, weighted by count.

    Source: Naeini, Cooper and Hauskrecht, AAAI 2015.
    """
    confidence, right = probability.max(axis=1), probability.argmax(axis=1) == truth
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(float(confidence[which == b].mean()) - float(right[which == b].mean())) * int((which == b).sum())
        for b in range(bins)
        if (which == b).any()
    ]
    return sum(gaps) / len(truth)


def classification(system: Floats, group: Floats, true_group: Ints, true_system: Ints) -> dict[str, float]:
    """The figures of an evaluation, from (b, 7) and (b, 230) probabilities and class indices from 0.

    Within one edge: the first group is the true one or one step away in the graph of maximal subgroups.
    """
    figures = {
        "crystal_system": top_k(system, true_system, 1),
        "space_group": top_k(group, true_group, 1),
        "space_group_top5": top_k(group, true_group, 5),
        "space_group_within_one_edge": within_edges(group.argmax(axis=1) + 1, true_group + 1, 1),
        "space_group_log_loss": log_loss(group, true_group),
        "crystal_system_calibration_error": calibration_error(system, true_system),
        "space_group_calibration_error": calibration_error(group, true_group),
    }
    return {name: round(value, 4) for name, value in figures.items()}


def lattice(predicted: Floats, true: Floats, mean: Floats) -> dict[str, float]:
    """Errors of (b, 6) cells in A and degrees, beside those of always answering the training mean (6,)."""

    def errors(cells: Floats) -> tuple[float, float, float]:
        relative = np.abs(cells[:, :3] / true[:, :3] - 1)
        return float(relative.mean()), float(np.median(relative)), float(np.abs(cells[:, 3:] - true[:, 3:]).mean())

    ours, naive = errors(predicted), errors(np.broadcast_to(mean, true.shape))
    names = ("length_mean_relative_error", "length_median_relative_error", "angle_mean_error_deg")
    out = {name: round(value, 4) for name, value in zip(names, ours, strict=True)}
    return out | {f"naive_{name}": round(value, 4) for name, value in zip(names, naive, strict=True)}


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
        top_k={str(k): share for k, share in enumerate(shares_in_top(top[:, :K_MOST], truth), start=1)},
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
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):  # what an empty table gives
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    flat = column.values.slice(column.offset * column.type.list_size, len(column) * column.type.list_size)
    values = flat.to_numpy(zero_copy_only=False).reshape(len(column), column.type.list_size)
    there = column.is_valid().to_numpy(zero_copy_only=False)
    return values if there.all() else np.where(there[:, None], values, np.asarray(missing)).astype(values.dtype)


def _six(errors_n6: Floats) -> tuple[float, ...]:
    return tuple(errors_n6.mean(axis=0, dtype=np.float64).tolist())
