"""Splits: every pattern in at most one part, shares as published, and what must stay together stays together."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from powderlens.core.errors import InputError
from powderlens.corpus.splits import composition_key, joined, make_split, promises, split_names
from powderlens.crystals.table import CrystalTable


@pytest.fixture(scope="module")
def table(mineral_table: Path) -> CrystalTable:
    return CrystalTable.load(mineral_table)


@pytest.mark.parametrize(
    ("per_crystal", "counts"), [(33, (30, 1, 2)), (66, (60, 2, 4)), (6, (4, 1, 1)), (3, (1, 1, 1))]
)
def test_in_library(table: CrystalTable, per_crystal: int, counts: tuple[int, ...]) -> None:
    split = make_split("in-library", table, per_crystal, 0)
    assert split.names == ("train", "validation", "test")
    assert split.part_of.shape == (len(table), per_crystal)
    for part, count in zip(split.names, counts, strict=True):
        assert (split.parts[part].sum(axis=1) == count).all()
    assert split.numbers("train")[: counts[0] + 1].tolist() == [*range(counts[0]), per_crystal]
    assert f"{counts[0]}/{counts[1]}/{counts[2]}" in split.statement


def test_in_library_needs_a_condition_for_each_part(table: CrystalTable) -> None:
    with pytest.raises(InputError, match=r"2 conditions of each crystal.* at least 3"):
        make_split("in-library", table, 2, 0)


@pytest.mark.parametrize("name", split_names())
def test_every_pattern_is_in_one_part(table: CrystalTable, name: str) -> None:
    split = make_split(name, table, 5, 1)
    together = np.concatenate([split.numbers(part) for part in split.names])
    assert sorted(together.tolist()) == list(range(5 * len(table)))
    assert all(len(split.numbers(part)) for part in split.names)
    assert split.statement.endswith(".")
    assert promises(name)[0] == "patterns"


@pytest.mark.parametrize(
    ("name", "column"), [("structure-type", "structure_type"), ("composition", "formula"), ("out-of-library", "id")]
)
def test_what_is_held_apart(table: CrystalTable, name: str, column: str) -> None:
    split = make_split(name, table, 2, 0)
    values = np.array(table.column(column))
    sides = [set(values[chosen.any(axis=1)]) for chosen in split.parts.values()]
    assert sum(map(len, sides)) == len(set(values))


def test_shares_of_the_crystals(table: CrystalTable) -> None:
    split = make_split("out-of-library", table, 1, 0)
    assert [int(chosen.sum()) for chosen in split.parts.values()] == [18, 2, 5]


def test_duplicates_are_dealt_together(table: CrystalTable) -> None:
    rows = np.repeat(np.arange(len(table)), 2)
    twice = pq.read_table(table.path).take(rows)
    twice = twice.set_column(0, "id", pa.array([f"x:{i}" for i in range(len(twice))]))
    for name in ("out-of-library", "structure-type", "composition"):
        part = make_split(name, CrystalTable.of(twice), 1, 3).part_of[:, 0]
        assert (part[0::2] == part[1::2]).all(), name


def test_consecutive_goes_by_the_number_in_the_id(table: CrystalTable) -> None:
    arrow = pq.read_table(table.path)
    ids = [f"mp:{number}" for number in range(len(arrow), 0, -1)]
    split = make_split("out-of-library-consecutive", CrystalTable.of(arrow.set_column(0, "id", pa.array(ids))), 1, 0)
    order = split.part_of[::-1, 0]
    assert (np.diff(order) >= 0).all()
    assert order.tolist().count(0) == 18


def test_the_seed_and_nothing_else_shuffles(table: CrystalTable) -> None:
    one = make_split("composition", table, 1, 0).part_of[:, 0]
    assert (make_split("composition", table, 1, 0).part_of[:, 0] == one).all()
    assert (make_split("composition", table, 1, 1).part_of[:, 0] != one).any()
    turned = CrystalTable.of(pq.read_table(table.path).take(np.arange(len(table))[::-1]))
    assert (make_split("composition", turned, 1, 0).part_of[::-1, 0] == one).all()


def test_a_list(table: CrystalTable, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    ids = table.ids
    path.write_text("id,part,note\n" + "".join(f"{name},{part},\n" for name, part in zip(ids, "aabb", strict=False)))
    split = make_split(str(path), table, 2, 0)
    assert (split.name, split.names) == ("mine.csv", ("a", "b"))
    assert split.part_of[:5, 0].tolist() == [0, 0, 1, 1, -1]
    assert split.numbers("b").tolist() == [4, 5, 6, 7]
    assert f"{len(ids) - 4} crystals of the corpus are in none" in split.statement
    assert promises("mine.csv") == ("patterns", "crystals")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,part\nx,train\n", "not one of its 1 ids"),
        ("name,part\nx,train\n", "columns id and part"),
        ("id,part\nx,train\nx,test\n", "line 3: x is in train and in test"),
        ("id,part\nx,../../a\n", "line 2: part '../../a'"),
    ],
)
def test_a_bad_list(table: CrystalTable, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        make_split(str(path), table, 2, 0)


def test_unknown_names(table: CrystalTable, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are in-library, out-of-library"):
        make_split("random", table, 2, 0)
    with pytest.raises(InputError, match="no such file"):
        make_split(str(tmp_path / "none.csv"), table, 2, 0)
    with pytest.raises(InputError, match="part 'dev'"):
        make_split("in-library", table, 3, 0).numbers("dev")


def test_an_id_file_explains_itself(table: CrystalTable) -> None:
    split = make_split("in-library", table, 6, 0)
    ids = split.id_table(table.ids, "test")
    assert ids["id"].to_pylist() == table.ids
    assert ids["conditions"].to_pylist() == [[5]] * len(table)
    about = {key.decode(): value.decode() for key, value in ids.schema.metadata.items()}
    assert about == {"split": "in-library", "part": "test", "statement": split.statement}
    assert json.dumps(about)


def test_compositions() -> None:
    assert composition_key("Al2O3") == composition_key("Al4O6") == "Al2 O3"
    assert composition_key("D2O") == "H2 O1"
    assert composition_key("Fe0.5Mg0.5O") == composition_key("Fe0.25Mg0.25O0.5")
    assert composition_key("FeO") != composition_key("Fe2O3")


def test_joined_goes_through_chains() -> None:
    assert joined(list("abcd"), list("xxyz")) == ["a", "a", "c", "d"]
    assert joined(list("aabcc"), list("xyyzw")) == ["a", "a", "a", "c", "c"]
