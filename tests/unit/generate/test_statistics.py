"""Statistics: counted right, read back as written, and refused with the reason when they are not whole."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.generate.extract import extract_statistics
from powderlens.generate.occupation import Occupation
from powderlens.generate.radii import atomic_volume_A3
from powderlens.generate.statistics import CrystalStatistics, pools_of

HALITE = Occupation(225, (5.64, 5.64, 5.64, 90.0, 90.0, 90.0), 179.4, ("a", "b"), ("Na", "Cl"), "AB 225 a b")


@pytest.fixture
def document(examples: list[Occupation], tmp_path: Path) -> dict[str, Any]:
    extract_statistics(examples).save(tmp_path / "whole.json")
    return json.loads((tmp_path / "whole.json").read_text())


def test_a_crystal_is_counted_as_it_is():
    table = extract_statistics([HALITE] * 60)
    one = table.groups[225]
    assert HALITE.atoms == 8
    assert HALITE.atomic_A3 == pytest.approx(4 * (atomic_volume_A3("Na") + atomic_volume_A3("Cl")))
    assert one.crystals == 60
    assert one.number_of_elements == {2: 60}
    assert one.elements["Na"].crystals == {2: 60}
    assert one.elements["Na"].repetitions == {2: {1: 60}}
    assert one.elements["Na"].places == {"a": 60}
    assert one.volumes.factor == pytest.approx(np.full(60, 179.4 / HALITE.atomic_A3))
    assert table.pools["point group m-3m"].elements["Cl"].places == {"0": 60}
    assert table.lattices["cubic"].crystals == 60


def test_groups_with_few_examples_have_a_pool(examples: list[Occupation]):
    table = extract_statistics(examples)
    assert set(table.groups) == {14, 62, 225}
    assert table.counts[48] == 10
    assert table.of_group(62)[1] == "own"
    assert table.of_group(48) == (table.pools["point group mmm"], "point group mmm")
    assert table.of_group(3)[1] == "crystal system monoclinic"
    assert pools_of(48) == ("point group mmm", "crystal system orthorhombic")
    with pytest.raises(InputError, match=r"space group 75 \(P4\): no statistics; its crystal system has 0"):
        table.of_group(75)
    with pytest.raises(InputError, match="no tetragonal cells"):
        table.lattice(75)


def test_what_is_left_out_is_counted(examples: list[Occupation]):
    large = HALITE._replace(volume_A3=7001.0)
    many = HALITE._replace(letters=("a", *"b" * 100), elements=("Na",) * 101)
    table = extract_statistics([*examples, large, many, HALITE], leave_out_types=["AB 225 a b"])
    assert table.left_out == {"structure type left out": 3}
    table = extract_statistics([*examples, large, many])
    assert table.left_out == {"more than 100 sites": 1, "cell larger than 7000 A^3": 1}
    assert table.crystals == len(examples)


def test_types_that_do_not_occur_and_empty_tables_are_refused():
    with pytest.raises(InputError, match="structure type 'AB2 1 a' to be left out: no crystal has it"):
        extract_statistics([HALITE], leave_out_types=["AB2 1 a"])
    with pytest.raises(InputError, match="no crystal is left"):
        extract_statistics([])


@pytest.mark.parametrize("suffix", [".json", ".json.gz"])
def test_written_and_read_statistics_are_the_same(examples: list[Occupation], tmp_path: Path, suffix: str):
    table = extract_statistics(examples, origin=[{"name": "a test"}], leave_out_types=["type 3"])
    table.save(tmp_path / f"one{suffix}")
    again = CrystalStatistics.load(tmp_path / f"one{suffix}")
    again.save(tmp_path / f"two{suffix}")
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
    assert again.counts == table.counts
    assert again.leave_out_types == ("type 3",)
    assert again.groups[62].elements == table.groups[62].elements


def test_the_shipped_statistics_are_small_and_enough(shipped: CrystalStatistics, root: Path):
    path = root / "src" / "powderlens" / "generate" / "data" / "statistics.json.gz"
    assert path.stat().st_size < 10e6
    json.loads(gzip.decompress(path.read_bytes()))
    assert len(shipped.groups) >= 145
    assert all(shipped.of_group(number)[0].crystals >= 50 for number in range(1, 231))
    sources = [source for table in shipped.origin for source in table["sources"]]  # type: ignore[attr-defined]
    assert {source["id"] for source in sources} == {"mp", "oqmd", "amcsd"}
    assert all(source["licence"] and source["citation"] for source in sources)


def damage_group(d: dict[str, Any]) -> None:
    del d["groups"]["62"]


def damage_field(d: dict[str, Any]) -> None:
    del d["groups"]["62"]["volumes"]


def damage_letter(d: dict[str, Any]) -> None:
    element = next(iter(d["groups"]["62"]["elements"].values()))
    element["places"] = "q:3"


def damage_count(d: dict[str, Any]) -> None:
    d["groups"]["62"]["elements"]["Xx"] = {}


def damage_number(d: dict[str, Any]) -> None:
    d["groups"]["62"]["volumes"]["factor"] = "1 -2 3"


def damage_lattice(d: dict[str, Any]) -> None:
    d["lattices"]["monoclinic"]["points"].pop()


def damage_version(d: dict[str, Any]) -> None:
    d["version"] = 99


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (damage_group, "group 62: 120 crystals are counted, but its statistics are missing"),
        (damage_field, "group 62: field 'volumes' is missing"),
        (damage_letter, "group 62: no Wyckoff position 'q'"),
        (damage_count, "group 62: 'Xx' is no element"),
        (damage_number, "group 62: volumes must be rows of positive numbers"),
        (damage_lattice, "lattices of monoclinic: 3 columns"),
        (damage_version, "version 99"),
    ],
)
def test_damaged_statistics_are_refused_with_the_reason(
    document: dict[str, Any], tmp_path: Path, damage: Any, reason: str
):
    damage(document)
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=reason) as caught:
        CrystalStatistics.load(path)
    assert "make it again with `powderlens crystals statistics`" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"format": "another"}', b"\x1f\x8b\x00"])
def test_other_files_are_refused(tmp_path: Path, content: bytes):
    for name in ("other.json", "other.json.gz"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=r"not JSON|holds no crystal statistics"):
            CrystalStatistics.load(tmp_path / name)
    with pytest.raises(InputError, match="no such statistics"):
        CrystalStatistics.load(tmp_path / "absent.json")
