"""Spans of a pattern: as people write them, and as masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from powderlens.core.errors import InputError, PatternError
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.spans import parse_span, within

X = np.linspace(10.0, 80.0, 701)
PATTERN = Pattern(X, 1 + np.sin(X) ** 2, 1.54, source="a.xy")


@pytest.mark.parametrize(("text", "span"), [("20-80", (20, 80)), (" 5.5 - 90", (5.5, 90)), (".5:3", (0.5, 3))])
def test_a_span_as_it_is_written(text: str, span: tuple[float, float]) -> None:
    assert parse_span(text, "--range") == span


@pytest.mark.parametrize("text", ["", "20", "80-20", "20-20", "20-200", "a-b", "20-30-40", "-5-20", "nan-20"])
def test_a_span_that_is_none(text: str) -> None:
    with pytest.raises(InputError, match="--exclude"):
        parse_span(text, "--exclude")


def test_nothing_left_out_is_the_same_pattern() -> None:
    assert within(PATTERN) is PATTERN
    assert within(PATTERN, (0.0, 90.0), [(1.0, 5.0)]) is PATTERN


@given(st.floats(10, 40), st.floats(45, 80), st.lists(st.tuples(st.floats(10, 80), st.floats(0.1, 4)), max_size=3))
def test_what_is_looked_at(first: float, last: float, holes: list[tuple[float, float]]) -> None:
    spans = [(at - half, at + half) for at, half in holes]
    keep = [first <= x <= last and not any(low <= x <= high for low, high in spans) for x in X.tolist()]
    if sum(keep) < 50:
        with pytest.raises(PatternError, match=r"a\.xy: measured from 10 to 80 degrees"):
            within(PATTERN, (first, last), spans)
        return
    found = within(PATTERN, (first, last), spans)
    assert (np.ones(len(X), bool) if found.mask is None else found.mask).tolist() == keep


def test_a_mask_that_is_there_stays() -> None:
    masked = replace(PATTERN, mask=X > 20)
    found = within(masked, None, [(30.0, 40.0)])
    assert found.mask is not None
    assert found.mask.tolist() == [x > 20 and not 30 <= x <= 40 for x in X.tolist()]
