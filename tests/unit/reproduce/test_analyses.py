"""Analyses that read records alone or with a corpus, against figures counted by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.figure import Figure

from powderlens.core.errors import InputError
from powderlens.corpus.store.corpus import Corpus
from powderlens.diffraction.conditions import Conditions, to_record
from powderlens.evaluate.answers import SILENT, read_answers
from powderlens.evaluate.record import read_record, read_records
from powderlens.reproduce.analyses import (
    class_distribution,
    class_frequency,
    confusion,
    ensemble_size,
    graph_distance,
    parameter_interval,
    parity,
    registry,
)
from powderlens.reproduce.analyses.base import Inputs, Result, carry_out, labels, read_inputs

Make = Callable[..., Path]


def given(*records: Path, corpus: Path | None = None) -> Inputs:
    return Inputs(records=tuple(read_records(records)), corpus=corpus)


def rows(result: Result, **where: Any) -> list[dict[str, Any]]:
    return [row for row in result.table.to_pylist() if all(row[name] == value for name, value in where.items())]


def test_every_kind_has_its_function() -> None:
    from importlib import import_module

    assert len({kind.name for kind in registry.KINDS}) == len(registry.KINDS)
    for kind in registry.KINDS:
        assert callable(import_module(kind.module).analyse), kind.name
        assert kind.title
        assert registry.kind(kind.name) is kind
    with pytest.raises(InputError, match=r"no analysis 'grad_cams'; near it: grad-cam"):
        registry.kind("grad_cams")


def test_labels_say_what_differs(make_record: Make, tmp_path: Path) -> None:
    def named(*changes: dict[str, Any], seeds: bool = True) -> list[str]:
        made = [read_record(make_record(tmp_path, **{"network": "cnn5", **change})) for change in changes]
        return labels(made, seeds=seeds)

    assert named({}, {"network": "mlp"}) == ["cnn5", "mlp"]
    assert named({}, {"as_published": True}) == ["cnn5", "cnn5 as published"]
    assert named({"loss": "gemd=1"}, {"loss": "gemd=2"}) == ["cnn5 gemd=1", "cnn5 gemd=2"]
    assert named({"seed": 1}, {"seed": 2}) == ["cnn5 seed 1", "cnn5 seed 2"]
    assert named({"seed": 1}, {"seed": 2}, seeds=False) == ["cnn5", "cnn5"]
    assert named({"seed": 1}, {"network": "mlp", "seed": 2}) == ["cnn5", "mlp"], "the network tells them apart"
    assert named({"name": "a"}, {"name": "b"}) == ["a", "b"]


def test_rows_of_different_columns() -> None:
    result = Result([{"a": 1}, {"a": 2, "b": "x"}], Figure(), [])
    assert result.table.to_pydict() == {"a": [1, 2], "b": [None, "x"]}


def test_what_a_kind_needs_and_what_it_does_not_take(make_record: Make, tmp_path: Path) -> None:
    nothing: dict[str, Any] = {"corpus": None, "runs": [], "patterns": [], "seed": 0}
    record = make_record(tmp_path)
    assert len(read_inputs(registry.kind("graph-distance"), [record], **nothing).records) == 1
    for kind, records, more, message in (
        ("graph-distance", [], {}, "needs records"),
        ("parameter-interval", [record], {}, "needs --corpus"),
        ("masked-peaks", [record], {"corpus": tmp_path}, "needs --run"),
        ("graph-distance", [record], {"corpus": tmp_path}, "takes no --corpus"),
        ("parity", [record], {"runs": [tmp_path]}, "takes no --run"),
        ("t-sne", [record], {"corpus": tmp_path, "patterns": [1]}, "takes no --pattern"),
    ):
        with pytest.raises(InputError, match=message):
            read_inputs(registry.kind(kind), records, **{**nothing, **more})


def test_three_files_are_written(make_record: Make, tmp_path: Path) -> None:
    made = make_record(tmp_path, predicted=[225] * 48)
    result, files = carry_out(registry.kind("graph-distance"), given(made), tmp_path / "out", "svg")
    assert [file.name for file in files] == [f"graph-distance.{end}" for end in ("svg", "csv", "txt")]
    assert pa.csv.read_csv(files[1]).num_rows == result.table.num_rows
    assert files[2].read_text().splitlines() == result.notes
    before = files[0].read_bytes()
    carry_out(registry.kind("graph-distance"), given(made), tmp_path / "out", "svg")
    assert files[0].read_bytes() == before, "the same figure is the same file"


def test_edges_of_hand_made_answers(make_record: Make, tmp_path: Path) -> None:
    # Fm-3m contains F-43m and Pm-3m as maximal subgroups; P1 is further; the last pattern has no answer.
    made = make_record(tmp_path, crystals=4, per_crystal=1, truth=[225] * 4, predicted=[225, 216, 221, None])
    result = graph_distance.analyse(given(made))
    assert [(row["edges"], row["percent"], row["percent_within"]) for row in rows(result)] == [
        (0, 25.0, 25.0),
        (1, 50.0, 75.0),
    ]
    assert rows(result)[0]["mean_edges"] == pytest.approx(2 / 3)
    assert rows(result)[0]["percent_without_answer"] == 25.0
    assert read_answers(made, read_record(made), "space_group").edges.tolist() == [0, 1, 1, SILENT]


def test_seeds_of_a_network_are_taken_together(make_record: Make, tmp_path: Path) -> None:
    how: dict[str, Any] = {"crystals": 2, "per_crystal": 1, "truth": [225, 225]}
    first = make_record(tmp_path, seed=1, predicted=[225, 225], **how)
    second = make_record(tmp_path, seed=2, predicted=[225, 216], **how)
    other = make_record(tmp_path, seed=1, loss="gemd=2", predicted=[216, 216], **how)
    result = graph_distance.analyse(given(first, second, other))
    together = rows(result, network="cnn5 cross entropy")
    assert (together[0]["seeds"], together[0]["patterns"], together[0]["percent"]) == (2, 2, 75.0)
    assert rows(result, network="cnn5 gemd=2")[0]["percent"] == 0.0


def test_many_networks_become_a_table(make_record: Make, tmp_path: Path) -> None:
    made = [make_record(tmp_path, network=f"net{i}") for i in range(graph_distance.BARS + 1)]
    assert len({row["network"] for row in rows(graph_distance.analyse(given(*made)))}) == len(made)


def test_fifths_of_space_groups() -> None:
    crystals = np.zeros(231, int)
    crystals[[1, 2, 14, 62, 225, 227]] = [5, 1, 9, 3, 3, 8]
    assert [part.tolist() for part in class_frequency.fifths(crystals)] == [[2, 62], [225], [1], [227], [14]]
    with pytest.raises(InputError, match="4 space groups occur"):
        class_frequency.fifths(np.array([0, 1, 1, 1, 1]))


def test_accuracy_by_frequency(make_record: Make, tmp_path: Path) -> None:
    truth = [225, 225, 14, 62, 2, 194]  # Fm-3m occurs twice, as crystals too
    made = make_record(tmp_path, crystals=6, per_crystal=1, truth=truth, predicted=[225, 1, 14, 1, None, 194])
    result = class_frequency.analyse(given(made))
    assert [row["accuracy"] for row in rows(result, by="frequency")] == [0.0, 1.0, 0.0, 1.0, 0.5]
    assert [row["counted_crystals"] for row in rows(result, by="frequency")] == [1, 1, 1, 1, 2]
    by_system = {row["category"]: row["accuracy"] for row in rows(result, by="system")}
    assert (by_system["cubic"], by_system["monoclinic"], by_system["triclinic"]) == (0.5, 1.0, 0.0)
    assert np.isnan(by_system["tetragonal"])
    other = make_record(tmp_path, "mlp", tested={**read_record(made).tested.model_dump(), "part": "validation"})
    with pytest.raises(InputError, match="several parts"):
        class_frequency.analyse(given(made, other))


def test_frequency_in_the_training_part(make_record: Make, tmp_path: Path, corpora: dict[str, Path]) -> None:
    corpus = Corpus.open(corpora["learnt"])
    training = read_record(make_record(tmp_path)).training.model_dump()
    training["data"]["sha256"] = corpus.manifest["sha256"]
    made = make_record(tmp_path, training=training)
    result = class_frequency.analyse(given(made, corpus=corpora["learnt"]))
    counted = {row["category"]: row["counted_crystals"] for row in rows(result, by="frequency")}
    assert sum(counted.values()) == 9
    assert counted["0: none"] == 0, "groups of the record that the nine minerals have not"
    with pytest.raises(InputError, match="the records were trained on small with"):
        class_frequency.analyse(given(make_record(tmp_path, "mlp"), corpus=corpora["learnt"]))


def test_parameters_as_one_number_each() -> None:
    some = [
        Conditions.of(zero_shift_deg=-1.0, strain=(0.0, 0.0, 0.0, 0.0, 0.0, 0.02), chebyshev=(1.0, 0.5)),
        Conditions.of(zero_shift_deg=0.5, strain=(0.01, -0.03, 0.0, 0.0, 0.0, 0.0), crystallite_size_nm=50.0),
    ]
    found = parameter_interval.parameters(to_record(some))
    assert found["abs_zero_shift_deg"].tolist() == [1.0, 0.5]
    assert found["largest_strain"] == pytest.approx([0.02, 0.03]), "pure shear e has principal strains e and -e"
    assert found["background_span"] == pytest.approx([1.0, 0.0]), "1 + x / 2 from -1 to 1"
    assert found["crystallite_size_nm"].tolist() == [200.0, 50.0]


def test_intervals_and_categories() -> None:
    assert np.array(parameter_interval.intervals(np.arange(11.0))) == pytest.approx(
        np.array([[0, 2], [2, 4], [4, 6], [6, 8], [8, 10]])
    )
    [(low, high), (_, top)] = parameter_interval.intervals(np.array([0.0, 0.0, 0.0, 0.0, 1.0]))
    assert (low, high, top) == (0.0, pytest.approx(0.2), 1.0)
    values = {
        "crystallite_size_nm": np.array([5.0, 45.0, 45.0]),
        "thermal_offset_A": np.array([0.45, 0.05, 0.45]),
        "intensity_perturbation": np.array([0.35, 0.05, 0.05]),
        "abs_zero_shift_deg": np.array([1.1, 0.1, 0.1]),
    }
    assert [where.tolist() for where in parameter_interval.categories(values).values()] == np.eye(
        3, dtype=bool
    ).tolist()
    del values["thermal_offset_A"]
    assert parameter_interval.categories(values) == {}


def test_accuracy_by_parameter(make_record: Make, tmp_path: Path, corpora: dict[str, Path]) -> None:
    corpus = Corpus.open(corpora["learnt"])
    numbers = corpus.numbers("test")
    size = corpus.conditions(numbers)["crystallite_size_nm"]
    tested = {**read_record(make_record(tmp_path)).tested.model_dump(), "sha256": corpus.manifest["sha256"]}
    said = np.where(size > np.median(size), 225, 1)  # right where crystallites are large
    made = make_record(
        tmp_path, crystals=9, per_crystal=1, truth=[225] * 9, predicted=said.tolist(), columns={"pattern": numbers},
        tested=tested,
    )  # fmt: skip
    result = parameter_interval.analyse(given(made, corpus=corpora["learnt"]))
    assert {row["parameter"] for row in rows(result)} == {"crystallite_size_nm"}, "nothing else varies"
    assert sum(row["patterns"] for row in rows(result)) == 9
    assert [row["accuracy"] for row in rows(result)] == [0.0, 0.0, pytest.approx(0.0), 1.0, 1.0]
    with pytest.raises(InputError, match="the records were tested on small with 5a5a5a5a5a5a"):
        parameter_interval.analyse(given(make_record(tmp_path, "mlp"), corpus=corpora["learnt"]))


def test_distribution_of_classes(make_record: Make, tmp_path: Path, corpora: dict[str, Path]) -> None:
    made = make_record(tmp_path, crystals=3, per_crystal=2, truth=[225, 225, 225, 225, 14, 14])
    result = class_distribution.analyse(given(made, corpus=corpora["learnt"]))
    mine = rows(result, set="small, tested test")
    assert [(row["space_group"], row["crystals"], row["patterns"]) for row in mine] == [(14, 1, 2), (225, 2, 4)]
    assert mine[1]["percent_of_patterns"] == pytest.approx(200 / 3)
    assert sum(row["crystals"] for row in rows(result, set="learnt, train")) == 9
    assert sum(row["patterns"] for row in rows(result, set="learnt, train")) == 36
    with pytest.raises(InputError, match="needs --corpus, or records"):
        class_distribution.analyse(Inputs())
    groups = np.zeros(231, int)
    groups[[1, 2, 230]] = [3, 4, 5]
    assert class_distribution.systems(groups).tolist() == [7, 0, 0, 0, 0, 0, 5]


def test_parity_with_a_cell_that_is_known(make_record: Make, tmp_path: Path) -> None:
    truth = np.array([[4, 4, 4, 90, 90, 90], [6, 6, 8, 90, 90, 120.0]])
    said = truth + np.array([1, 0, 0, 0, 0, 0])
    lists = {
        name: pa.FixedSizeListArray.from_arrays(pa.array(cells.reshape(-1).astype(np.float32)), 6)
        for name, cells in (("niggli_true", truth), ("niggli_predicted", said))
    }
    made = make_record(tmp_path, task="lattice", crystals=2, per_crystal=1, columns=lists)
    record = read_record(made)
    assert record.lattice is not None
    naive = record.lattice.model_copy(update={"naive_cell": (5.0, 5.0, 5.0, 90.0, 90.0, 90.0), "naive_of": "all"})
    made = make_record(tmp_path, task="lattice", crystals=2, per_crystal=1, columns=lists, lattice=naive)
    result = parity.analyse(given(made))
    a, b, c, alpha, _, gamma = rows(result)
    assert (a["mae"], a["r2"], a["naive_mae"]) == (1.0, 0.0, 1.0), "1 - 2 / 2"
    assert a["mape_percent"] == pytest.approx(100 * (1 / 4 + 1 / 6) / 2)
    assert (b["mae"], b["r2"]) == (0.0, 1.0)
    assert (c["naive"], c["naive_mae"]) == (5.0, 2.0)
    assert np.isnan(alpha["r2"]), "all the same"
    assert (gamma["naive_mae"], gamma["r2"]) == (15.0, 1.0)


def test_sets_of_members() -> None:
    rng = np.random.default_rng(0)
    assert ensemble_size.subsets(3, 2, rng) == [(0, 1), (0, 2), (1, 2)]
    many = ensemble_size.subsets(10, 5, rng)
    assert len(many) == len(set(many)) == ensemble_size.SUBSETS


def test_mean_of_members_by_hand() -> None:
    top = np.array([[[1, 2]], [[2, 1]], [[3, 2]]])  # three members, one pattern, two classes kept
    probability = np.array([[[0.6, 0.4]], [[0.7, 0.3]], [[0.55, 0.45]]])
    chosen = [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]
    # sums of class 1, 2, 3: 0.6 0.4 0; 0.3 0.7 0; 0 0.45 0.55; 0.9 1.1 0; 0.6 0.85 0.55; 0.3 1.15 0.55; 0.9 1.55 0.55
    found = ensemble_size.accuracies(np.array([2]), top, probability, chosen)
    assert found.tolist() == [0, 1, 0, 1, 1, 1, 1]
    silent = ensemble_size.accuracies(np.array([0]), top, 0 * probability, [(0, 1)])
    assert silent.tolist() == [0], "class 0 is no answer where nobody answers"


def test_an_ensemble_of_identical_members_is_the_member(make_record: Make, tmp_path: Path) -> None:
    how: dict[str, Any] = {"truth": [225, 14] * 4, "predicted": [225] * 7 + [None], "crystals": 4}
    made = [make_record(tmp_path, seed=seed, name=f"s{seed}", **how) for seed in (1, 2, 3)]
    result = ensemble_size.analyse(given(*made))
    assert [(row["members"], row["sets"]) for row in rows(result)] == [(1, 3), (2, 3), (3, 1)]
    assert {row["accuracy"] for row in rows(result)} == {0.5}
    assert [row["standard_deviation"] for row in rows(result)] == [0.0, 0.0, None]
    with pytest.raises(InputError, match="no two records differ in nothing but the seed"):
        ensemble_size.analyse(given(made[0], make_record(tmp_path, "mlp", seed=2)))


def test_confusion_of_systems(make_record: Make, tmp_path: Path) -> None:
    made = make_record(tmp_path, crystals=4, per_crystal=1, truth=[225, 225, 14, 1], predicted=[227, 14, None, 2])
    result = confusion.analyse(given(made))
    seen = {(r["true_system"], r["answered_system"]): r["patterns"] for r in rows(result) if r["patterns"]}
    assert seen == {
        ("cubic", "cubic"): 1,
        ("cubic", "monoclinic"): 1,
        ("monoclinic", "no answer"): 1,
        ("triclinic", "triclinic"): 1,
    }


def test_a_record_without_the_task(make_record: Make, tmp_path: Path) -> None:
    made = make_record(tmp_path, task="crystal_system")
    with pytest.raises(InputError, match="none of 1 records answers space_group"):
        graph_distance.analyse(given(made))
    with pytest.raises(InputError, match="none of 1 records answers lattice"):
        parity.analyse(given(made))
