"""Figures of merit, each against numbers worked out by hand, and against scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score, precision_score, recall_score

from powderlens.core.errors import InputError
from powderlens.evaluate.metrics import (
    ACCURACIES,
    NONE,
    calibration_error,
    class_figures,
    classification,
    lattice,
    lattice_figures,
    list_column,
    log_loss,
    macro_scores,
    top_k,
)

P = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.4, 0.35, 0.25], [0.2, 0.2, 0.6]])
TRUTH = np.array([0, 1, 2, 2])
"""Ranks of the truth: 1, 2, 3, 1."""


@pytest.mark.parametrize(("k", "share"), [(1, 0.5), (2, 0.75), (3, 1.0), (5, 1.0)])
def test_top_k(k: int, share: float) -> None:
    assert top_k(P, TRUTH, k) == share


def test_ties_are_not_all_counted_right() -> None:
    """Of equal candidates the first k count, as an answer lists them."""
    flat = np.full((4, 4), 0.25)
    assert top_k(flat, np.arange(4), 1) == 0.25
    assert top_k(flat, np.arange(4), 2) == 0.5


def test_log_loss() -> None:
    assert log_loss(P, TRUTH) == pytest.approx(-np.log([0.5, 0.2, 0.25, 0.6]).mean())
    assert log_loss(np.full((3, 230), 1 / 230), np.array([0, 7, 229])) == pytest.approx(np.log(230))
    assert log_loss(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(-np.log(1e-9)), "cut, not infinite"


def test_calibration_error_of_two_bins() -> None:
    """Confidences 0.5 and 0.4 (one of two right, mean 0.45), 0.7 and 0.6 (one of two right, mean 0.65)."""
    confidence_low, confidence_high = np.array([[0.55, 0.45], [0.6, 0.4]]), np.array([[0.9, 0.1], [0.8, 0.2]])
    p = np.concatenate([confidence_low, confidence_high])
    truth = np.array([0, 1, 0, 0])
    # Ten bins: 0.55 and right (gap 0.45), 0.6 and wrong (0.6), 0.9 and right (0.1), 0.8 and right (0.2).
    assert calibration_error(p, truth) == pytest.approx((0.45 + 0.6 + 0.1 + 0.2) / 4)
    # Two bins: from 0.5 on, mean confidence 0.7125, three of four right.
    assert calibration_error(p, truth, bins=2) == pytest.approx(0.75 - 0.7125)


def test_calibration_error_of_honest_and_of_boastful_answers() -> None:
    honest = np.tile([0.8, 0.2], (1000, 1))
    truth = (np.arange(1000) % 5 == 0).astype(int)
    assert calibration_error(honest, truth) == pytest.approx(0.0, abs=1e-12)
    assert calibration_error(np.tile([1.0, 0.0], (1000, 1)), truth) == pytest.approx(0.2), (
        "certainty is in the last bin"
    )


def test_the_figures_of_a_record() -> None:
    system = np.eye(7)[[0, 3, 6, 1]] * 0.9 + 0.1 / 7
    group = np.full((4, 230), 0.1 / 229)
    group[np.arange(4), [0, 135, 224, 13]] = 0.9
    found = classification(system, group, np.array([0, 135, 220, 13]), np.array([0, 3, 6, 2]))
    assert found["crystal_system"] == 0.75
    assert found["space_group"] == 0.75
    # 225 for 221: Pm-3m lies one step above Fm-3m, in a cell twice as long.
    assert found["space_group_within_one_edge"] == 1.0
    assert found["space_group_log_loss"] == pytest.approx(-(3 * np.log(0.9) + np.log(0.1 / 229)) / 4, abs=1e-4)
    assert found["crystal_system_calibration_error"] == pytest.approx(0.9 + 0.1 / 7 - 0.75, abs=1e-4)
    assert found["space_group_calibration_error"] == pytest.approx(0.15, abs=1e-4)
    assert set(ACCURACIES) < set(found)
    assert found["space_group_top5"] >= found["space_group"]


def test_lattice_errors_beside_the_naive_ones() -> None:
    true = np.array([[4.0, 5.0, 10.0, 90, 90, 90], [4.0, 5.0, 10.0, 90, 90, 120]])
    mean = true.mean(axis=0)
    ours = true * np.array([1.01, 0.98, 1.0, 1, 1, 1]) + np.array([0, 0, 0, 1.0, -2.0, 0])
    found = lattice(ours, true, mean)
    assert found["length_mean_relative_error"] == pytest.approx(0.01)
    assert found["length_median_relative_error"] == pytest.approx(0.01)
    assert found["angle_mean_error_deg"] == pytest.approx(1.0)
    assert found["naive_length_mean_relative_error"] == 0
    assert found["naive_angle_mean_error_deg"] == pytest.approx(5.0)
    assert lattice(true, true, mean)["angle_mean_error_deg"] == 0


def lists(rows: list[list[float] | None], kind: pa.DataType) -> pa.Array:
    width = len(next(row for row in rows if row is not None))
    return pa.array(rows, pa.list_(kind, width))


def groups(truth: list[int | None], top: list[list[int] | None]) -> pa.Table:
    return pa.table(
        {
            "space_group_true": pa.array(truth, pa.int16()),
            "space_group_predicted": pa.array([None if row is None else row[0] for row in top], pa.int16()),
            "space_group_top": lists(top, pa.int16()),  # type: ignore[arg-type]
        }
    )


def ints(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def test_macro_scores_by_hand() -> None:
    """Class 1: n 2, p 1, t 1. Class 2: n 1, p 2, t 1. Class 3: n 1, p 0. Missing answers count for no class."""
    f1, precision, recall = macro_scores(ints(1, 1, 2, 3), ints(1, 2, 2, NONE))
    assert f1 == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert precision == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert recall == pytest.approx((1 / 2 + 1 + 0) / 3)


def test_a_class_that_is_only_predicted_counts() -> None:
    assert macro_scores(ints(1, 1), ints(1, 4)) == pytest.approx(((2 / 3 + 0) / 2, 1 / 2, 1 / 4))


def test_macro_scores_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    truth, predicted = rng.integers(0, 40, 500), rng.integers(20, 60, 500)
    expected = [score(truth, predicted, average="macro", zero_division=0) for score in (f1_score, precision_score)]
    expected.append(recall_score(truth, predicted, average="macro", zero_division=0))
    assert macro_scores(truth, predicted) == pytest.approx(tuple(expected))


def test_class_figures_by_hand() -> None:
    """225 right; 221 for 225 is one edge away and second; 1 for 2 likewise; no answer; one with unknown truth."""
    table = groups([225, 225, 2, 62, None], [[225, 1], [221, 225], [1, 15], None, [3, 4]])
    figures = class_figures(table, "space_group")
    assert (figures.patterns, figures.answered) == (4, 3)
    assert figures.accuracy == 0.25
    assert figures.top_k == {"1": 0.25, "2": 0.5}
    assert figures.within_edges == {"0": 0.25, **{str(k): 0.75 for k in range(1, 6)}}
    assert figures.mean_edges == pytest.approx(2 / 3)
    assert figures.majority == 0.5
    # 225: n 2, p 1, t 1; 2 and 62: never answered; 221 and 1: answered wrongly
    assert figures.macro_f1 == pytest.approx((2 / 3) / 5)


def test_other_tasks_have_no_edges() -> None:
    table = groups([3, 0], [[3, 0], [1, 0]])
    table = table.rename_columns([name.replace("space_group", "crystal_system") for name in table.column_names])
    figures = class_figures(table, "crystal_system")
    assert (figures.accuracy, figures.within_edges, figures.mean_edges) == (0.5, None, None)


def test_a_network_that_says_nothing() -> None:
    table = groups([225, 2], [[1, 2], None]).slice(1)
    figures = class_figures(table, "space_group")
    assert (figures.answered, figures.accuracy, figures.macro_f1, figures.mean_edges) == (0, 0.0, 0.0, None)
    assert figures.top_k == {"1": 0.0, "2": 0.0}


def test_no_truth_at_all() -> None:
    with pytest.raises(InputError, match="space_group: the truth is known of none of 2 patterns"):
        class_figures(groups([None, None], [[1, 2], [2, 1]]), "space_group")


def cells(true: list[Any], predicted: list[Any]) -> pa.Table:
    return pa.table({"niggli_true": lists(true, pa.float32()), "niggli_predicted": lists(predicted, pa.float32())})


def test_lattice_figures_by_hand() -> None:
    """Of a: true 4 and 6, predicted 5 and 6; naive 5. Two more rows: one unanswered, one unknown."""
    first, second = [4, 4, 4, 90, 90, 90], [6, 6, 6, 90, 90, 120]
    table = cells([first, second, second, None], [[5, 4, 4, 90, 90, 90], second, None, first])
    found = lattice_figures(table, np.array([5.0, 5, 5, 90, 90, 100]), "the training part")
    assert found is not None
    assert (found.patterns, found.answered) == (3, 2)
    assert found.mae == pytest.approx((0.5, 0, 0, 0, 0, 0))
    assert found.mape_percent == pytest.approx((12.5, 0, 0, 0, 0, 0))
    assert found.r2 == (0.5, 1.0, 1.0, None, None, 1.0)  # 1 - 1 / (1 + 1); angles that do not vary have none
    assert found.naive_mae == pytest.approx((1, 1, 1, 0, 0, 15))
    assert found.naive_mape_percent[0] == pytest.approx(100 * (1 / 4 + 1 / 6) / 2)
    assert found.naive_cell == (5, 5, 5, 90, 90, 100)


def test_lattice_without_answers_or_truths() -> None:
    cell = [4, 4, 4, 90, 90, 90]
    assert lattice_figures(cells([cell, None], [None, cell]), np.ones(6), "") is None
    with pytest.raises(InputError, match="the cell is known of none of 1"):
        lattice_figures(cells([None, cell], [cell, cell]).slice(0, 1), np.ones(6), "")


def test_columns_of_lists_keep_their_rows() -> None:
    table = pa.table({"x": lists([[1, 2], None, [3, 4], [5, 6]], pa.int16())})
    assert list_column(table, "x", NONE).tolist() == [[1, 2], [-1, -1], [3, 4], [5, 6]]
    assert list_column(table.slice(2, 1), "x", NONE).tolist() == [[3, 4]]
    both = pa.concat_tables([table, table.slice(3)])
    assert list_column(both, "x", NONE)[-1].tolist() == [5, 6]
