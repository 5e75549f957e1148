"""Standard errors and orders against sums done by hand."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from powderlens.evaluate.tables.statistics import clustered_error, ranks, spearman, swaps


def test_patterns_of_different_crystals_have_the_ordinary_error():
    values = [1, 1, 0, 1, 0]
    assert clustered_error(values, np.arange(5)) == pytest.approx(np.std(values, ddof=1) / sqrt(5))


def test_a_pattern_that_is_shown_twice_says_nothing_new():
    once = clustered_error([1, 0, 1, 1], np.arange(4))
    assert clustered_error([1, 0, 1, 1, 1, 0, 1, 1], np.tile(np.arange(4), 2)) == pytest.approx(once)


def test_crystals_of_different_size():
    # Mean 0.5; sums of residuals 0.5 * 3 = 1.5 and -1.5; sqrt(2 / 1 * (2.25 + 2.25)) / 6 = 0.5.
    assert clustered_error([1, 1, 1, 0, 0, 0], np.array(["a", "a", "a", "b", "b", "b"])) == pytest.approx(0.5)


def test_one_crystal_has_no_error():
    assert clustered_error([1, 0, 1], np.zeros(3)) is None
    assert clustered_error([], np.array([])) is None


def test_equal_values_share_the_mean_of_their_ranks():
    assert ranks([0.2, 0.1, 0.2, 0.5]).tolist() == [2.5, 1.0, 2.5, 4.0]


def test_spearman_by_hand():
    assert spearman([1, 2, 3], [30, 20, 10]) == pytest.approx(-1.0)
    assert spearman([1, 2, 2, 3], [1, 3, 2, 4]) == pytest.approx(4.5 / sqrt(4.5 * 5))
    assert spearman([1, 1, 1], [1, 2, 3]) is None


def test_swaps_are_pairs_in_another_order_the_largest_first():
    # Paper a > b > c = d; ours b > a, c > b, d last: (a, b), (a, c), (b, c).
    found = swaps("abcd", [0.9, 0.8, 0.3, 0.3], [0.5, 0.6, 0.9, 0.1])
    assert [(one.better, one.worse) for one in found] == [("a", "c"), ("b", "c"), ("a", "b")]
    assert found[0].paper_gap == pytest.approx(0.6)
    assert found[0].our_gap == pytest.approx(0.4)
    assert found[2].paper_gap == pytest.approx(0.1)
