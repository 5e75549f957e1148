"""Analyses after ML4pXRDs, on hand-made records whose figures are counted by hand."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")

from powderlens.core.errors import InputError  # noqa: E402
from powderlens.corpus.store.build import build_corpus  # noqa: E402
from powderlens.corpus.store.corpus import Corpus  # noqa: E402
from powderlens.crystal.label import find_symmetry  # noqa: E402
from powderlens.crystals.table import SCHEMA, crystal_row, write_crystals  # noqa: E402
from powderlens.evaluate.record import read_records  # noqa: E402
from powderlens.generate.radii import atomic_volume_A3  # noqa: E402
from powderlens.generate.statistics import shipped_statistics  # noqa: E402
from powderlens.reproduce.analyses import (  # noqa: E402
    descriptor_histograms,
    learning_curve,
    randomised_gap,
    recall_per_group,
    top_k,
    volume_and_sites,
)
from powderlens.reproduce.analyses.base import Inputs  # noqa: E402

if TYPE_CHECKING:
    from powderlens.crystal.structure import Structure

Make = Callable[..., Path]


def given(*records: Path, corpus: Path | None = None) -> Inputs:
    return Inputs(records=tuple(read_records(records)), corpus=corpus, seed=1)


def rows(result: Any, **where: Any) -> list[dict[str, Any]]:
    return [row for row in result.table.to_pylist() if all(row[name] == value for name, value in where.items())]


def part_of(corpus: str, sha256: str = "5a" * 32, *, patterns: int = 4) -> dict[str, Any]:
    shape = {"part": "test", "protocol_of_patterns": "ml4pxrds", "crystals": patterns, "patterns": patterns}
    return {"corpus": corpus, "sha256": sha256, **shape}


def training(record: Path, **changes: Any) -> dict[str, Any]:
    """That of a record, with some fields changed."""
    ((_, found),) = read_records([record])
    return {**found.training.model_dump(), **changes}


def test_ranks_of_truths():
    top = np.array([[5, 3, 1], [3, 5, 1], [1, 3, 5], [-1, -1, -1]])
    assert top_k.truth_ranks(top, np.array([5, 5, 7, 5])).tolist() == [1, 2, 4, 4]


def test_top_k_counts_and_the_most_frequent_classes(tmp_path: Path, make_record: Make):
    # The made-up lists hold the answer first, then 1, 2, 3, ...: of truth 2 answered 225 the rank is 3.
    record = make_record(tmp_path, crystals=4, per_crystal=1, truth=[225, 225, 2, 62], predicted=[225, 14, 225, None])
    result = top_k.analyse(given(record))
    found = [row["accuracy"] for row in rows(result, network="cnn5")]
    assert found == [0.25, 0.25, *[0.5] * 8]
    naive = [row["accuracy"] for row in rows(result, network=top_k.FREQUENT)]
    assert naive[:3] == [0.5, 0.75, 1.0]


def test_the_trend_takes_neighbours_together():
    learnt = np.repeat([100.0, 10.0], recall_per_group.TREND_GROUPS)
    tested_, right = np.full(20, 4), np.repeat([3, 1], 10)
    middle, height = recall_per_group.trend(learnt, right, tested_)
    assert middle.tolist() == pytest.approx([10, 100])
    assert height.tolist() == [0.25, 0.75]


def test_rank_correlation():
    a = np.array([1.0, 2.0, 3.0, 40.0])
    assert recall_per_group.rank_correlation(a, a**2) == pytest.approx(1)
    assert recall_per_group.rank_correlation(a, -a) == pytest.approx(-1)
    # Ranks 1.5, 1.5, 3, 4 against 1, 2, 3, 4: covariance 4.5 of variances 4.5 and 5.
    assert recall_per_group.rank_correlation(np.array([7.0, 7, 8, 9]), a) == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    assert np.isnan(recall_per_group.rank_correlation(a, np.ones(4)))


def test_recall_per_group_of_synthetic_training(tmp_path: Path, make_record: Make):
    first = make_record(tmp_path, crystals=4, per_crystal=1)
    learnt = training(first, data={**part_of("synthetic"), "part": "train", "patterns": 1000})
    record = make_record(
        tmp_path, crystals=4, per_crystal=1, truth=[225, 225, 2, 62], predicted=[225, 14, 2, 1], training=learnt
    )
    result = recall_per_group.analyse(given(record))
    assert {row["space_group"]: row["recall"] for row in result.table.to_pylist()} == {225: 0.5, 2: 1.0, 62: 0.0}
    statistics = shipped_statistics()
    total = sum(statistics.counts[group] for group in statistics.groups)
    (halite,) = rows(result, space_group=225)
    assert halite["training_patterns"] == pytest.approx(1000 * statistics.counts[225] / total)
    assert halite["symbol"] == "Fm-3m"
    assert "1 groups that were learnt are never recognised" in result.notes[0]
    with pytest.raises(InputError, match="has no effect"):
        recall_per_group.analyse(given(record, corpus=tmp_path))


def test_recall_per_group_wants_the_training_corpus(tmp_path: Path, make_record: Make):
    with pytest.raises(InputError, match="have learnt small; give it with --corpus"):
        recall_per_group.analyse(given(make_record(tmp_path)))


def test_a_power_law_is_found_again():
    n = np.array([1e3, 2e3, 4e3, 8e3, 16e3, 32e3, 64e3, 128e3])
    law = learning_curve.fit_power_law(n, 5 * n**-0.3)
    assert law is not None
    assert (law.a, law.b, law.late) == pytest.approx((5, 0.3, 0.3))
    assert law.b_error < 1e-9
    assert law(np.array([1e4])) == pytest.approx(5 * 1e4**-0.3)
    assert (law.first, law.last, law.points) == (1e3, 128e3, 8)
    # Up and down by a factor e^0.1 about a constant: slope and its error by hand.
    x, y = np.array([0.0, 1, 2, 3]), np.array([0.1, -0.1, 0.1, -0.1])
    bent = learning_curve.fit_power_law(np.exp(x), np.exp(y - 1))
    assert bent is not None
    assert bent.b == pytest.approx(0.04)  # -(sum of (x - 1.5) y) / 5
    assert bent.b_error == pytest.approx(np.sqrt((0.04 - 5 * 0.04**2) / 2 / 5))
    assert np.isnan(bent.late)
    assert learning_curve.fit_power_law(n[:3], 1 / n[:3]) is None
    assert learning_curve.fit_power_law(n[:4], np.array([0.5, 0.4, 0.3, 0.0])) is None


def test_records_of_one_run_share_its_curve(tmp_path: Path, make_record: Make):
    first = make_record(tmp_path, crystals=4, per_crystal=1, accuracy=0.5)
    early = make_record(
        tmp_path, crystals=4, per_crystal=1, accuracy=0.25, name="early", training=training(first, checkpoint_step=100)
    )
    result = learning_curve.analyse(given(first, early))
    assert [(row["patterns_seen"], row["error"]) for row in rows(result, of=learning_curve.VALIDATION)] == [
        (12800, pytest.approx(0.8)),
        (25600, pytest.approx(0.6)),
    ]
    assert [(row["patterns_seen"], row["error"]) for row in rows(result, of=learning_curve.TEST)] == [
        (12800, 0.75),
        (25600, 0.5),
    ]
    assert all(row["law_b"] is None for row in result.table.to_pylist())
    assert "too few points" in result.notes[0]


def test_a_run_of_one_point_has_no_curve(tmp_path: Path, make_record: Make):
    record = make_record(tmp_path)
    curve = training(record)["curve"][:1]
    with pytest.raises(InputError, match="each of 1 runs was validated once"):
        learning_curve.analyse(given(make_record(tmp_path, training=training(record, curve=curve))))


def test_where_a_crystal_comes_from():
    assert randomised_gap.origin("coordinates:1-mp:mp-12") == ("coordinates", "mp:mp-12")
    assert randomised_gap.origin("nothing:77-amcsd:0001-2") == ("nothing", "amcsd:0001-2")
    assert randomised_gap.origin("synthetic:5-3") == ("synthetic", "synthetic:5-3")
    assert randomised_gap.origin("mp:mp-12") == ("real", "mp:mp-12")


def again(record: Path, name: str) -> Path:
    """The same record under another name."""
    for extension in (".json", ".parquet"):
        shutil.copy(record.with_suffix(extension), record.with_name(name + extension))
    return record.with_name(f"{name}.json")


def gap_records(folder: Path, make_record: Make) -> list[Path]:
    """Of crystals c0 to c3 and one more: 1 of 4 right as they are, 3 with coordinates drawn anew, all synthetic."""
    made = []
    for what, right in {"nothing": [1, 0, 0, 0], "coordinates": [1, 1, 1, 0], "synthetic": [1, 1, 1, 1]}.items():
        own = "synthetic:3-" if what == "synthetic" else f"{what}:3-mp:c"
        names = [f"{own}{i}" for i in (0, 1, 2, 3)] + ([f"{own}9"] if what == "nothing" else [])
        said = [225 if one else 1 for one in right] + ([225] if what == "nothing" else [])
        made.append(
            make_record(
                folder,
                crystals=len(names),
                per_crystal=1,
                truth=[225] * len(names),
                predicted=said,
                columns={"crystal": pa.array(names)},
                name=what,
                tested=part_of(what, patterns=len(names)),
            )
        )
    return made


def test_the_gap_is_counted_over_the_same_crystals(tmp_path: Path, make_record: Make):
    result = randomised_gap.analyse(given(*gap_records(tmp_path, make_record)))
    (nothing,), (coordinates,), (synthetic,) = (
        rows(result, drawn_anew=what) for what in ("nothing", "coordinates", "synthetic")
    )
    assert (nothing["crystals"], nothing["accuracy"]) == (4, 0.25)
    assert (coordinates["accuracy"], coordinates["gain"]) == (0.75, 0.5)
    # Differences 0, 1, 1, 0: variance 1/3 of one.
    assert coordinates["gain_standard_error"] == pytest.approx(np.sqrt(1 / 3 / 4))
    assert coordinates["share_of_gap"] == pytest.approx(0.5 / 0.75)
    assert coordinates["share_from"] < 0.5 / 0.75 < coordinates["share_to"]
    assert synthetic["gain"] == 0.75
    assert synthetic["share_of_gap"] is None


def test_shares_of_a_gap():
    before, after, synthetic = (np.repeat([0.0, 1.0], counts) for counts in ((100, 100), (80, 120), (40, 160)))
    found = randomised_gap.shares_of_gap(before, after, synthetic, seed=1)
    assert found is not None
    share, low, high = found
    assert share == pytest.approx(0.1 / 0.3)
    # Gain 0.1 +- 0.021, gap 0.3 +- 0.045, and a common part: about 0.09 each way.
    assert 0.15 < low < 0.3 < 0.37 < high < 0.6
    assert randomised_gap.shares_of_gap(before, after, before, seed=1) is None


def test_records_that_do_not_make_a_gap_are_refused(tmp_path: Path, make_record: Make):
    nothing, coordinates, synthetic = gap_records(tmp_path, make_record)
    with pytest.raises(InputError, match="a second record of cnn5 with nothing crystals"):
        randomised_gap.analyse(given(nothing, again(nothing, "second")))
    with pytest.raises(InputError, match="records of coordinates, synthetic crystals only"):
        randomised_gap.analyse(given(coordinates, synthetic))
    mixed = make_record(tmp_path, crystals=2, per_crystal=1, columns={"crystal": pa.array(["a", "synthetic:1-1"])})
    with pytest.raises(InputError, match="tests real and synthetic crystals at once"):
        randomised_gap.analyse(given(mixed, nothing))


@pytest.fixture(scope="module")
def small_corpus(tmp_path_factory: pytest.TempPathFactory, minerals: dict[str, Structure]) -> Path:
    """Seven minerals, one pattern each, all in the part `test`."""
    folder = tmp_path_factory.mktemp("small")
    found = [crystal_row(find_symmetry(mineral)) for mineral in minerals.values()]
    write_crystals(pa.Table.from_pylist(found, schema=SCHEMA), folder / "minerals.parquet")
    (folder / "corpora").mkdir()
    (folder / "split.csv").write_text("id,part\n" + "".join(f"{row['id']},test\n" for row in found))
    build_corpus(
        folder / "minerals.parquet",
        folder / "corpora" / "minerals",
        protocol="ml4pxrds",
        per_crystal=1,
        split=str(folder / "split.csv"),
        seed=1,
        workers=1,
    )
    return folder / "corpora" / "minerals"


def mineral_record(folder: Path, corpus: Path, make_record: Make) -> Path:
    """Only halite is answered rightly."""
    opened = Corpus.open(corpus)
    truth = opened.crystals.space_group.tolist()
    said = [225 if "Halite" in identity else 1 for identity in opened.crystals.ids]
    return make_record(
        folder,
        crystals=len(truth),
        per_crystal=1,
        truth=truth,
        predicted=said,
        columns={"crystal": pa.array(opened.crystals.ids)},
        tested=part_of("minerals", opened.manifest["sha256"], patterns=len(truth)),
    )


def test_error_by_volume_and_sites(tmp_path: Path, small_corpus: Path, make_record: Make):
    record = mineral_record(tmp_path, small_corpus, make_record)
    result = volume_and_sites.analyse(given(record, corpus=small_corpus))
    # Cells: rutile 62, quartz 113, halite 179, fluorite 163, sphalerite 158, corundum 255, calcite 368 A^3; all have
    # two sites but calcite, which has three.
    of_volume = {row["from"]: (row["patterns"], row["error"]) for row in rows(result, by="volume_A3")}
    assert of_volume[50] == (1, 1.0)
    assert of_volume[100] == (4, 0.75)
    assert of_volume[200] == of_volume[300] == (1, 1.0)
    of_sites = {row["from"]: (row["patterns"], row["error"]) for row in rows(result, by="sites")}
    assert of_sites[2] == (6, pytest.approx(5 / 6))
    assert of_sites[3] == (1, 1.0)
    assert rows(result, by="sites")[-1]["below"] == inf
    in_folder = volume_and_sites.analyse(given(record, corpus=small_corpus.parent))
    assert str(in_folder.table.to_pylist()) == str(result.table.to_pylist())


def test_histograms_of_descriptors(tmp_path: Path, small_corpus: Path, make_record: Make):
    record = mineral_record(tmp_path, small_corpus, make_record)
    result = descriptor_histograms.analyse(given(record, corpus=small_corpus))
    for name in descriptor_histograms.AXES:
        found = rows(result, descriptor=name)
        assert sum(row["patterns"] for row in found) == 7
        assert sum(row["wrong"] for row in found) == 6
    factor = 5.6402**3 / 4 / (atomic_volume_A3("Na") + atomic_volume_A3("Cl"))
    (right,) = (row for row in rows(result, descriptor="density_factor") if row["wrong"] < row["patterns"])
    assert right["from"] <= factor <= right["to"]
    with pytest.raises(InputError, match="7 records; give at most 6"):
        descriptor_histograms.analyse(given(*(again(record, f"copy{i}") for i in range(7)), corpus=small_corpus))


def test_records_of_another_corpus_are_left_out(tmp_path: Path, small_corpus: Path, make_record: Make):
    other = make_record(tmp_path, name="other")
    for corpus in (small_corpus, small_corpus.parent):
        with pytest.raises(
            InputError, match="holds no corpus that a record was tested on; these are small with 5a5a5a"
        ):
            volume_and_sites.analyse(given(other, corpus=corpus))
    record = mineral_record(tmp_path, small_corpus, make_record)
    result = volume_and_sites.analyse(given(other, record, corpus=small_corpus.parent))
    assert result.notes[-1] == "1 of 2 records were tested on another corpus and are left out."
