"""Orders of networks against sums done by hand."""

from __future__ import annotations

from math import sqrt

import pytest

from powderlens.reproduce.tables.statistics import ranks, spearman, swaps


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
