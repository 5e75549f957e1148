"""Means over patterns that come in crystals, against sums done by hand."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from powderlens.evaluate.answers import clustered_error, share


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
    assert np.isnan(share(np.array([1, 1]), np.zeros(2, int))).tolist() == [False, True]
    assert np.isnan(share(np.array([]), np.zeros(0, int))).all()


def test_a_share_and_its_error_take_a_crystal_as_one_draw():
    right = np.array([1, 1, 0, 0, 1, 1, 0, 0])
    assert share(right, np.arange(8)) == (0.5, pytest.approx(sqrt(0.25 / 7)))
    assert share(right, np.arange(8) // 2) == (0.5, pytest.approx(sqrt(4 / 3 * 4 * 1.0) / 8))
