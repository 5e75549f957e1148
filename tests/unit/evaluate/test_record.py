"""A record holds what is needed to trust or repeat it."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

import powderlens
from powderlens.core.errors import InputError
from powderlens.evaluate.record import write_record


def test_a_record(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "record.json"
    write_record(path, command="powderlens evaluate measured set.npz", body={"patterns": 3, "figures": {"a": 0.5}})
    record = json.loads(path.read_text())
    assert record["command"] == "powderlens evaluate measured set.npz"
    assert record["powderlens"] == powderlens.__version__
    assert record["patterns"] == 3
    assert record["figures"] == {"a": 0.5}
    assert datetime.date.fromisoformat(record["date"]) <= datetime.date.today()
    assert {"python", "hardware"} <= set(record)
    assert [p.name for p in path.parent.iterdir()] == ["record.json"]


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError):
        write_record(tmp_path / "file" / "record.json", command="", body={})
