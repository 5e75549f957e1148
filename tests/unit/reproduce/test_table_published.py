"""The papers' figures, held against what the papers say elsewhere and against what any such figure must obey."""

from __future__ import annotations

import math

import pytest

from powderlens.models.registry import NAMES
from powderlens.reproduce.tables.published import figures, published

SIMXRD = published()["simxrd"]
ROUNDED = 0.00101
"""Three figures, each rounded to three digits."""


def lists() -> list[tuple[str, dict[str, dict[str, float | None]]]]:
    """Every list of SimXRD's figures with its place."""
    found = []
    for name in ("table2", "table4", "table5"):
        for task in ("crystal_system", "space_group"):
            found.append((f"{name} {task}", figures(SIMXRD[name], SIMXRD[name][task])))
    for task in ("crystal_system", "space_group"):
        for loss, rows in SIMXRD["table3"][task].items():
            found.append((f"table3 {task} {loss}", figures(SIMXRD["table3"], rows)))
    return found


def test_every_network_of_simxrd_stands_in_every_table():
    assert set(SIMXRD["rows"]) <= set(NAMES)
    assert len(SIMXRD["rows"]) == 21
    for where, rows in lists():
        if "table5" not in where:
            assert list(rows) == SIMXRD["rows"], where


def test_macro_f1_is_not_above_the_mean_of_precision_and_recall():
    # True of every class, as a harmonic mean is not above the arithmetic one, so of their mean.
    # Two figures of the paper break it; they are repeated as printed, and said to be impossible.
    broken = [
        (where, network)
        for where, rows in lists()
        for network, of in rows.items()
        if of["macro_f1"] is not None and of["macro_f1"] > (of["macro_precision"] + of["macro_recall"]) / 2 + ROUNDED
    ]
    assert broken == [("table3 crystal_system focal", "cnn9"), ("table3 space_group focal", "cnn7")]
    assert "cnn9" in SIMXRD["table3"]["remarks"][1]


def test_what_cannot_be_read_is_none():
    assert figures({"columns": ["a", "b"]}, {"x": [math.nan, 2.0]}) == {"x": {"a": None, "b": 2.0}}
    assert figures(SIMXRD["table5"], SIMXRD["table5"]["crystal_system"])["cnn2"]["macro_f1"] is None


def test_figures_that_the_text_of_simxrd_repeats():
    # "the accuracy of most CNNs (i.e., CNN 1-4, 6, and 8) is 0.241"; CNN11 best in nearly all.
    group = figures(SIMXRD["table2"], SIMXRD["table2"]["space_group"])
    assert {group[f"cnn{i}"]["accuracy"] for i in (1, 2, 3, 4, 6, 8)} == {0.241}
    assert max(group, key=lambda name: group[name]["accuracy"]) == "cnn11"
    out = figures(SIMXRD["table4"], SIMXRD["table4"]["space_group"])
    assert max(out, key=lambda name: out[name]["accuracy"]) == "bigru"


def test_gaps_that_ml4pxrds_prints():
    gaps = {
        (row["network"], row["training"]): row["training_accuracy_percent"] - row["test_accuracy_percent"]
        for row in published()["ml4pxrds"]["table1"]["rows"]
    }
    assert gaps["park_cnn_big", "ICSD"] == pytest.approx(31.1)
    assert gaps["park_cnn_big", "synthetic"] == pytest.approx(16.5)
    assert gaps["resnet101", "synthetic"] == pytest.approx(12.3)


def test_alphadiffract_s_cells_are_means_of_its_supplementary_table():
    # Supplementary Table 2, RRUFF: a, b, c and the angles.
    ours = published()["alphadiffract"]["lattice"]["rows"]["AlphaDiffract, ensemble of ten"]
    single = [
        (1.37, 1.76, 3.22), (22.21, 19.87, 28.42), (0.54, 0.39, 0.25),
        (2.95, 2.31, 2.90), (3.14, 2.51, 3.06), (0.33, 0.26, 0.18),
    ]  # fmt: skip
    assert ours == pytest.approx([sum(three) / 3 for three in single], abs=0.011)
