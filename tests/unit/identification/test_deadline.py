"""A limit of time is noticed once it is over, and not before."""

from __future__ import annotations

import time

import pytest

from powderlens.identification.deadline import Deadline


def test_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    one, none = Deadline(2.0), Deadline()
    now = 101.9
    assert not one.passed()
    assert not one.cut
    now = 102.1
    assert one.passed()
    assert one.cut
    assert not none.passed()
    assert none.limit_s is None
