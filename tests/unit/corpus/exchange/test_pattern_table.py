"""Patterns on disk: whole tables that explain themselves, with what was refused counted and named."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from powderlens.core.errors import InputError
from powderlens.core.files import file_sha256
from powderlens.corpus.exchange.pattern_table import write_patterns
from powderlens.crystal.structure import Reject
from powderlens.diffraction.conditions import FIELDS, from_record
from powderlens.diffraction.draw import draw_patterns
from powderlens.diffraction.protocol import load_protocol, parse_protocol

QUARTZ = "examples/quartz.cif"


def test_a_table_holds_patterns_conditions_and_protocol(tmp_path: Path) -> None:
    protocol = load_protocol("lab")
    drawn = [draw_patterns(QUARTZ, protocol, count=3, seed=5, first=3 * i) for i in range(2)]
    bad = Reject("broken.cif", "no atoms")
    manifest = write_patterns(iter([drawn[0], bad, drawn[1]]), tmp_path / "p.parquet", protocol=protocol, seed=5)
    table = pq.read_table(tmp_path / "p.parquet")
    assert table["index"].to_pylist() == list(range(6))
    assert table["space_group"].to_pylist() == [154] * 6
    stored = np.array(table["intensity"].to_pylist(), np.float32)
    np.testing.assert_array_equal(stored[3:], drawn[1].intensity.astype(np.float32))
    conditions = table["conditions"].to_pylist()
    assert list(conditions[0]) == list(FIELDS)
    expected = from_record(drawn[0].records[2])
    assert conditions[2]["crystallite_size_nm"] == expected.profile.crystallite_size_nm
    assert conditions[2]["texture_axis"] == list(expected.specimen.texture_axis)
    about = json.loads(table.schema.metadata[b"powderlens"])
    assert parse_protocol(about["protocol_text"]).name == "lab"
    assert (about["seed"], about["grid"]["points"]) == (5, protocol.grid.points)
    assert manifest == json.loads((tmp_path / "p.json").read_text())
    assert (manifest["crystals_in"], manifest["crystals_drawn"], manifest["patterns"]) == (3, 2, 6)
    assert manifest["rejects"] == {"no atoms": 1}
    assert manifest["refused"] == [{"source": "broken.cif", "reason": "no atoms"}]
    assert manifest["sha256"] == file_sha256(tmp_path / "p.parquet")


def test_nothing_is_left_of_a_table_without_patterns(tmp_path: Path) -> None:
    protocol = load_protocol("ideal")
    with pytest.raises(InputError, match=r"not one pattern of 1 crystals: no atoms \(1\)"):
        write_patterns([Reject("broken.cif", "no atoms")], tmp_path / "p.parquet", protocol=protocol, seed=5)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_table_leaves_nothing(tmp_path: Path) -> None:
    protocol = load_protocol("ideal")

    def items():
        yield draw_patterns(QUARTZ, protocol, seed=5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_patterns(items(), tmp_path / "p.parquet", protocol=protocol, seed=5)
    assert not list(tmp_path.iterdir())


def test_another_extension_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="patterns are written as a Parquet table"):
        write_patterns([], tmp_path / "p.csv", protocol=load_protocol("ideal"), seed=0)
