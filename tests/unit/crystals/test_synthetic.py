"""Tables of synthetic crystals: like any other table, the same with any number of workers."""

import json
from pathlib import Path

import pytest

from powderlens.core.errors import InputError
from powderlens.crystal.label import find_symmetry
from powderlens.crystals.statistics import occupations, table_statistics
from powderlens.crystals.synthetic import SyntheticOptions, build_synthetic
from powderlens.crystals.table import CrystalTable
from powderlens.generate.draw import CrystalGenerator, Limits
from powderlens.generate.statistics import shipped_statistics


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("synthetic") / "crystals.parquet"
    build_synthetic(SyntheticOptions(seed=5), path, count=60, workers=1)
    return path


def test_the_bytes_do_not_depend_on_the_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: Path):
    monkeypatch.setattr("powderlens.crystals.synthetic.CHUNK", 9)
    seen: list[int] = []
    for workers in (1, 2):
        build_synthetic(
            SyntheticOptions(seed=5), tmp_path / f"{workers}.parquet", count=60, workers=workers, progress=seen.append
        )
    assert seen == [9, 18, 27, 36, 45, 54, 60] * 2
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()
    assert CrystalTable.load(tmp_path / "1.parquet").ids == CrystalTable.load(table).ids


def test_the_rows_are_the_crystals_of_the_generator(table: Path):
    crystals, generator = CrystalTable.load(table), CrystalGenerator(shipped_statistics(), seed=5)
    assert crystals.ids[:2] == ["synthetic:5-0", "synthetic:5-1"]
    for i, one in enumerate(occupations(crystals)):
        drawn = generator.crystal(i).occupation
        assert one.space_group == drawn.space_group == find_symmetry(crystals.structure(i)).number
        assert one.volume_A3 == pytest.approx(drawn.volume_A3)
        assert one.atoms == drawn.atoms
        assert sorted(one.elements) == sorted(drawn.elements)
        assert one.atomic_A3 == pytest.approx(drawn.atomic_A3)


def test_the_manifest_says_what_was_drawn_and_from_what(tmp_path: Path):
    options = SyntheticOptions(seed=1, groups=(168, 225), uniform=True, limits=Limits(max_sites=20))
    manifest = build_synthetic(options, tmp_path / "some.parquet", count=20, workers=1)
    assert manifest == json.loads((tmp_path / "some.json").read_text())
    assert manifest["crystals_in"] == 20 == manifest["crystals_kept"] + sum(manifest["rejects"].values())
    assert set(manifest["statistics_of"]) == {"own", shipped_statistics().of_group(168)[1]}
    assert manifest["options"]["limits"]["max_sites"] == 20
    assert manifest["options"]["statistics"]["name"] == "those of powderlens"
    assert len(manifest["options"]["statistics"]["sha256"]) == 64


@pytest.mark.parametrize("what", ["nothing", "coordinates", "lattice", "both"])
def test_a_table_is_drawn_anew(tmp_path: Path, table: Path, what: str):
    options = SyntheticOptions(seed=1, crystals=table, what=what)  # type: ignore[arg-type]
    manifest = build_synthetic(options, tmp_path / "new.parquet", count=30, workers=1)
    before, after = CrystalTable.load(table), CrystalTable.load(tmp_path / "new.parquet")
    assert manifest["crystals_in"] == 30 == len(after) + sum(manifest["rejects"].values())
    names = {identity.partition("-")[2]: row for row, identity in enumerate(after.ids)}
    kept = [(before.ids.index(name), row) for name, row in names.items()]
    assert len(kept) >= 28
    for old, new in kept:
        assert before.space_group[old] == after.space_group[new]
        assert before.column("formula")[old] == after.column("formula")[new]
    same = [before.column("volume_A3")[old] == pytest.approx(after.column("volume_A3")[new]) for old, new in kept]
    assert all(same) if what in ("nothing", "coordinates") else not any(same)


def test_statistics_of_a_table_name_it(table: Path):
    found = table_statistics([table, table])
    assert found.crystals == 120
    assert [source["table"] for source in found.origin] == ["crystals.parquet"] * 2
    assert found.origin[0]["sources"] == [{"id": "synthetic", "crystals": 60}]
    kind = CrystalTable.load(table).column("structure_type")[0]
    assert table_statistics([table], leave_out_types=[kind]).left_out["structure type left out"] >= 1
    assert table_statistics([table], rows=[0, 1, 2]).crystals == 3


def test_contradictory_options_are_refused(table: Path, tmp_path: Path):
    with pytest.raises(InputError, match="give both the table and what"):
        SyntheticOptions(seed=1, what="both")
    with pytest.raises(InputError, match="give both the table and what"):
        SyntheticOptions(seed=1, crystals=table)
    for more in ({"groups": (62,)}, {"elements": ("O",)}, {"uniform": True}, {"limits": Limits(max_sites=3)}):
        with pytest.raises(InputError, match="have no effect there"):
            SyntheticOptions(seed=1, crystals=table, what="both", **more)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"ends in \.parquet"):
        build_synthetic(SyntheticOptions(seed=1), tmp_path / "x.csv", count=3)
    with pytest.raises(InputError, match="give a count"):
        build_synthetic(SyntheticOptions(seed=1), tmp_path / "x.parquet", workers=1)
    with pytest.raises(InputError, match="no such statistics"):
        build_synthetic(SyntheticOptions(seed=1, statistics=tmp_path / "no.json"), tmp_path / "x.parquet", count=1)
    assert list(tmp_path.iterdir()) == []


def test_a_group_without_statistics_leaves_no_file(tmp_path: Path, table: Path):
    few = tmp_path / "few.json"
    table_statistics([table]).save(few)
    with pytest.raises(InputError, match=r"space group 168 \(P6\): no statistics"):
        build_synthetic(SyntheticOptions(seed=1, statistics=few, groups=(168,)), tmp_path / "x.parquet", count=1)
    assert not (tmp_path / "x.parquet").exists()
