"""Tables made from made-up records: what stands in which cell, what is said to be missing."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from powderlens.core.errors import InputError
from powderlens.reproduce.tables.formats import as_csv
from powderlens.reproduce.tables.registry import TABLES, make_table
from powderlens.reproduce.tables.table import Row, Table

Make = Callable[..., Path]


def row(table: Table, **wanted: object) -> Row:
    """The one row that has these values."""
    found = [one for one in table.rows if all(one.values.get(key) == value for key, value in wanted.items())]
    assert len(found) == 1
    return found[0]


def note(table: Table, *words: str) -> str:
    """The one note with all these words."""
    found = [one for one in table.notes if all(word in one for word in words)]
    assert len(found) == 1, table.notes
    return found[0]


def change(path: Path, where: str, value: Any) -> None:
    """Another value in a record, its key with dots."""
    content = json.loads(path.read_text())
    part, keys = content, where.split(".")
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_made_of_any_records(name: str, tmp_path: Path, make_record: Make):
    make_record(tmp_path, "cnn5", ("space_group", "crystal_system", "lattice"))
    table = make_table(name, [tmp_path])
    assert table.name == name
    assert table.rows or name == "gemd"
    assert len(next(csv.reader(io.StringIO(as_csv(table))))) == len(table.columns) + 1


def test_both_forms_stand_beside_the_paper(tmp_path: Path, make_record: Make):
    make_record(tmp_path, "cnn5", as_published=True, accuracy=0.25)
    make_record(tmp_path, "cnn5", accuracy=0.5)
    make_record(tmp_path, "cnn9", accuracy=0.75)
    table = make_table("simxrd-table2", [tmp_path])
    cnn5, cnn9 = (row(table, task="space_group", network=name) for name in ("cnn5", "cnn9"))
    assert cnn5.values["paper_accuracy"] == 0.295
    assert (cnn5.values["as_published_accuracy"], cnn5.values["as_meant_accuracy"]) == (0.25, 0.5)
    # 24 crystals of two patterns that are right or wrong together: as 24 single ones.
    assert cnn5.values["as_meant_accuracy_error"] == pytest.approx((0.5 * 0.5 / 23) ** 0.5)
    assert cnn5.values["as_published_time_ms_per_100"] == 50.0
    assert cnn9.values["as_published_accuracy"] == 0.75
    assert cnn9.marks["as_meant_accuracy"] == "same"
    # 13 of the 21 have faults and stand in two forms, in both tasks.
    assert note(table, "Without a record").startswith("Without a record: 65 of 68: cnn1 as published, cnn1 as meant,")


def test_another_network_stands_below_without_a_paper_s_figure(tmp_path: Path, make_record: Make):
    make_record(tmp_path, "resnet10")
    table = make_table("simxrd-table2", [tmp_path])
    last = [one for one in table.rows if one.values["task"] == "space_group"][-1]
    assert last.values["network"] == "resnet10"
    assert "paper_accuracy" not in last.values


def test_seeds_are_averaged_and_spread(tmp_path: Path, make_record: Make):
    for seed, accuracy in ((100, 0.25), (200, 0.5), (300, 0.75)):
        make_record(tmp_path, "cnn9", seed=seed, accuracy=accuracy)
    table = make_table("simxrd-table2", [tmp_path])
    values = row(table, task="space_group", network="cnn9").values
    assert values["as_published_accuracy"] == 0.5
    assert values["as_published_accuracy_error"] == pytest.approx(0.25)
    assert values["as_published_seeds"] == 3
    assert "seeds 100, 200, 300." in note(table, "Ours, small")


def test_the_same_seed_twice_is_refused(tmp_path: Path, make_record: Make):
    make_record(tmp_path, "cnn9", name="one")
    make_record(tmp_path, "cnn9", name="other")
    with pytest.raises(InputError, match=r"one\.json and .*other\.json: the same network, data and seed 100 twice"):
        make_table("simxrd-table2", [tmp_path])


def test_rates_stand_in_rows_of_their_own(tmp_path: Path, make_record: Make):
    make_record(tmp_path, "cnn9", name="one")
    change(make_record(tmp_path, "cnn9", name="other"), "training.recipe.optimiser.learning_rate", 0.01)
    table = make_table("simxrd-table2", [tmp_path])
    rates = [
        one.values["as_published_learning_rate"]
        for one in table.rows
        if one.values["network"] == "cnn9" and one.values["task"] == "space_group"
    ]
    assert rates == [0.001, 0.01]
    assert "Highest learning rate 0.001 to 0.01" in note(table, "learning rate")


def test_other_data_or_limits_make_a_section_of_their_own(tmp_path: Path, make_record: Make):
    make_record(tmp_path, "cnn9")
    make_record(tmp_path, "cnn10")
    change(make_record(tmp_path, "cnn9", name="long"), "training.recipe.limits", {"epochs": 50})
    table = make_table("simxrd-table2", [tmp_path])
    sections = {one.section: one for one in table.rows if one.values["task"] == "space_group"}
    assert list(sections) == ["Space group; small, 2 epochs", "Space group; small, 50 epochs"]
    assert [one.values["network"] for one in table.rows if one.section == "Space group; small, 50 epochs"] == ["cnn9"]


def test_records_of_another_kind_are_counted_not_shown(tmp_path: Path, make_record: Make):
    make_record(tmp_path, "cnn9", loss="focal=1")
    make_record(tmp_path, "cnn9", protocol="out-of-library")
    make_record(tmp_path, "cnn9", ("space_group", "crystal_system"), name="two-heads")
    change(make_record(tmp_path, "cnn10", name="validated"), "tested.part", "validation")
    table = make_table("simxrd-table2", [tmp_path])
    assert not any("as_published_accuracy" in one.values for one in table.rows)
    assert note(table, "stand in other tables").startswith("4 records")
    assert "Ours: no record fits this table." in table.notes


def test_the_order_and_its_swaps_are_told(tmp_path: Path, make_record: Make):
    # Paper: cnn11 0.758, cnn10 0.705, cnn9 0.599.
    for name, accuracy in (("cnn11", 0.25), ("cnn10", 0.75), ("cnn9", 0.5)):
        make_record(tmp_path, name, accuracy=accuracy)
    told = note(make_table("simxrd-table2", [tmp_path]), "Order, space group, as published")
    assert "figures" not in told
    assert "ρ of the paper's and our accuracies is -0.50 over 3 networks; 2 of the 3 pairs" in told
    assert "cnn11 over cnn9 by 0.159 in the paper, under it by 0.250 here; cnn11 over cnn10" in told


def test_pairs_that_the_paper_does_not_tell_apart_are_no_swaps(tmp_path: Path, make_record: Make):
    # Paper: cnn9 0.599, rnn and birnn 0.245.
    for name, accuracy in (("rnn", 0.25), ("cnn9", 0.5)):
        make_record(tmp_path, name, accuracy=accuracy)
    make_record(tmp_path, "birnn", accuracy=0.75, as_published=True)
    told = note(make_table("simxrd-table2", [tmp_path]), "Order, space group, as published")
    assert "1 of the 2 pairs that the paper tells apart" in told


def test_a_record_without_its_predictions_has_no_error(tmp_path: Path, make_record: Make):
    path = make_record(tmp_path, "cnn9")
    path.with_suffix(".parquet").unlink()
    table = make_table("simxrd-table2", [path])
    values = row(table, task="space_group", network="cnn9").values
    assert (values["as_published_accuracy"], values["as_published_accuracy_error"]) == (0.5, None)
    assert "1 figures stand without it" in note(table, "±")


def test_predictions_of_another_run_are_refused(tmp_path: Path, make_record: Make):
    path = make_record(tmp_path, "cnn9")
    make_record(tmp_path, "cnn9", name="other", accuracy=0.25).with_suffix(".parquet").replace(
        path.with_suffix(".parquet")
    )
    with pytest.raises(InputError, match="not the predictions"):
        make_table("simxrd-table2", [path])


def test_silent_patterns_are_told(tmp_path: Path, make_record: Make):
    make_record(tmp_path, "cnn9", crystals=2, truth=[1, 1, 2, 2], predicted=[1, None, 2, None])
    table = make_table("simxrd-table2", [tmp_path])
    assert row(table, task="space_group", network="cnn9").values["as_published_accuracy"] == 0.5
    assert note(table, "without an answer").endswith("s100 2.")


def test_losses_beside_cross_entropy(tmp_path: Path, make_record: Make):
    make_record(tmp_path, "cnn9", accuracy=0.5)
    make_record(tmp_path, "cnn9", loss="smoothed=0.1", accuracy=0.75)
    make_record(tmp_path, "cnn10", accuracy=0.5)
    table = make_table("simxrd-table3", [tmp_path])
    smoothed = row(table, task="space_group", network="cnn9", loss_kind="smoothed")
    assert smoothed.values["paper_macro_f1"] == 0.370
    assert smoothed.values["as_published_accuracy"] == 0.75
    assert row(table, task="space_group", network="cnn9", loss_kind="focal").marks == {}
    assert row(table, task="space_group", network="cnn10", loss_kind="focal").hidden
    effect = note(table, "Space group, label smoothing against cross-entropy")
    assert "ours higher in 1 of 1" in effect
    # cnn9 and all others: Table 3 lies nowhere above Table 2 for space groups.
    assert "paper higher in 0 of 21" in effect


def test_faults_by_the_same_patterns(tmp_path: Path, make_record: Make):
    truth = [1, 1, 2, 2, 3, 3]
    make_record(tmp_path, "mlp", as_published=True, crystals=3, truth=truth, predicted=[1] * 6)
    make_record(tmp_path, "mlp", crystals=3, truth=truth, predicted=[1, 1, 2, 2, 3, 1])
    table = make_table("simxrd-faults", [tmp_path])
    values = row(table, task="space_group", protocol="in-library", network="mlp").values
    assert values["difference_accuracy"] == pytest.approx(0.5)
    # Crystals differ by 0, 2, 1; residual sums -1, 1, 0; sqrt(3 / 2 * 2) / 6.
    assert values["difference_accuracy_error"] == pytest.approx(3**0.5 / 6)
    assert (values["as_published_classes_answered"], values["as_meant_classes_answered"]) == (1, 3)
    assert "as published 1 of 1: mlp; as meant 0 of 1." in note(table, "Space group, in-library, the same answer")


def test_conclusions_in_both_forms(tmp_path: Path, make_record: Make):
    make_record(tmp_path, "rnn", accuracy=0.5)
    make_record(tmp_path, "birnn", accuracy=0.25, as_published=True)
    make_record(tmp_path, "birnn", accuracy=1.0)
    claim = "RNN in both directions above one"
    values = row(make_table("simxrd-conclusions", [tmp_path]), task="space_group", protocol="in-library", claim=claim)
    assert values.values["paper_difference"] == 0.0
    assert values.values["as_published_difference"] == -0.25
    assert values.values["as_meant_difference"] == 0.5
    assert values.values["as_meant_verdict"] == "stands"


def test_graph_distances_by_weight(tmp_path: Path, make_record: Make):
    # 225 to 221 and to 216 is one edge, to 1 several; the same truth throughout.
    truth = [225, 225, 225, 225]
    make_record(tmp_path, "cnn9", crystals=4, per_crystal=1, truth=truth, predicted=[225, 1, 1, None])
    make_record(tmp_path, "cnn9", crystals=4, per_crystal=1, truth=truth, predicted=[225, 216, 216, 216], loss="gemd=1")
    make_record(tmp_path, "cnn10")
    table = make_table("gemd", [tmp_path])
    plain, weighted = (row(table, mu=mu).values for mu in (0.0, 1.0))
    assert [one.values["network"] for one in table.rows] == ["cnn9", "cnn9"]
    assert weighted["mean_edges"] == 0.75
    assert weighted["mean_edges_wrong"] == 1.0
    assert weighted["within_1_edges"] == 1.0
    assert plain["within_1_edges"] == 0.25
    assert weighted["fewer_edges"] == pytest.approx(plain["mean_edges"] - 0.75)
    assert "fewer_edges" not in plain


def test_synthetic_crystals_and_real_ones(tmp_path: Path, make_record: Make):
    path = make_record(tmp_path, "resnet10", protocol="out-of-library", accuracy=0.25)
    change(path, "training.recipe.data", {"kind": "synthetic"})
    make_record(tmp_path, "resnet10", protocol="in-library", name="known")
    table = make_table("ml4pxrds-table1", [tmp_path])
    values = row(table, network="resnet10", paper_parameters=9395025).values
    assert values["paper_gap_percent"] == pytest.approx(13.8)
    assert values["validation_accuracy_percent"] == 40.0  # of the step that the checkpoint is of
    assert values["gap_percent"] == pytest.approx(15.0)
    assert [one.section for one in table.rows if one.values.get("protocol") == "in-library"] == [
        "Not in the paper: in-library; small, 2 epochs"
    ]
    assert "6 of 7" in note(table, "Without a record")


def test_measured_patterns_and_the_naive_answers(tmp_path: Path, make_record: Make):
    path = make_record(tmp_path, "alphadiffract", ("crystal_system", "space_group", "lattice"), "measured")
    lattice = json.loads(path.read_text())["lattice"]
    make_record(tmp_path, "cnn9", protocol="in-library")
    table = make_table("alphadiffract-rruff", [tmp_path])
    ours = [one.values for one in table.rows if one.values["of"] == "ours"]
    assert [values["label"] for values in ours] == [
        "alphadiffract, seed 100",
        "most frequent class of the tested",
        "alphadiffract, seed 100",
        "mean of the training part",
    ]
    assert ours[0]["space_group_percent"] == 50.0
    assert ours[2]["length_mape_percent"] == pytest.approx(sum(lattice["mape_percent"][:3]) / 3)
    assert ours[3]["angle_mae_deg"] == pytest.approx(sum(lattice["naive_mae"][3:]) / 3)
    assert row(table, label="AlphaDiffract, ensemble of ten", space_group_percent=66.21)


def test_a_training_stands_once_however_often_it_was_tested(tmp_path: Path, make_record: Make):
    make_record(tmp_path, "cnn9", protocol="in-library")
    make_record(tmp_path, "cnn9", protocol="out-of-library")
    make_record(tmp_path, "cnn10")
    assert [one.values["network"] for one in make_table("training", [tmp_path]).rows] == ["cnn10", "cnn9"]
    assert len(make_table("records", [tmp_path]).rows) == 3
