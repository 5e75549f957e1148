"""Records on disk: found once, refused when they are not what they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from powderlens.core.errors import InputError
from powderlens.evaluate.zoo_record import read_zoo_record, read_zoo_records


def test_a_record_named_twice_is_read_once(make_record: Callable[..., Path], tmp_path: Path) -> None:
    names = {make_record(tmp_path, network=network).stem for network in ("mlp", "cnn5")}
    (tmp_path / "notes.json").write_text("{}")
    one = next(tmp_path.glob("*mlp*.json"))
    found = read_zoo_records([one, tmp_path, tmp_path / "." / one.name])
    assert found[0][1].name == one.stem
    assert sorted(record.name for _, record in found) == sorted(names)


def test_what_is_no_record_is_refused(make_record: Callable[..., Path], tmp_path: Path) -> None:
    path = make_record(tmp_path)
    record = read_zoo_record(path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "colour": "red"}))
    with pytest.raises(InputError, match="no record of `powderlens evaluate`: colour: Extra inputs"):
        read_zoo_record(path)
    with pytest.raises(InputError, match="no records; make them with `powderlens evaluate`"):
        read_zoo_records([])
    (tmp_path / f"{record.name}.parquet").write_bytes(b"other")
    with pytest.raises(InputError, match=r"not the predictions that .* was made from; evaluate again"):
        record.answers(tmp_path)
