"""Records on disk: they hold what is needed to trust or repeat them; what is none is refused."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path

import pytest

import powderlens
from powderlens.core.errors import InputError
from powderlens.evaluate.record import read_record, read_records, write_result


def test_a_result(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "record.json"
    write_result(path, command="powderlens evaluate measured set.npz", body={"patterns": 3, "figures": {"a": 0.5}})
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
        write_result(tmp_path / "file" / "record.json", command="", body={})


def test_a_record_named_twice_is_read_once(make_record: Callable[..., Path], tmp_path: Path) -> None:
    names = {make_record(tmp_path, network=network).stem for network in ("mlp", "cnn5")}
    (tmp_path / "notes.json").write_text("{}")
    one = next(tmp_path.glob("*mlp*.json"))
    found = read_records([one, tmp_path, tmp_path / "." / one.name])
    assert found[0][1].name == one.stem
    assert sorted(record.name for _, record in found) == sorted(names)


def test_what_is_no_record_is_refused(make_record: Callable[..., Path], tmp_path: Path) -> None:
    path = make_record(tmp_path)
    record = read_record(path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "colour": "red"}))
    with pytest.raises(InputError, match="no record of `powderlens evaluate`: colour: no such key"):
        read_record(path)
    with pytest.raises(InputError, match="no records; make them with `powderlens evaluate`"):
        read_records([])
    (tmp_path / f"{record.name}.parquet").write_bytes(b"other")
    with pytest.raises(InputError, match=r"not the predictions that .* was made from; evaluate again"):
        record.answers(tmp_path)
