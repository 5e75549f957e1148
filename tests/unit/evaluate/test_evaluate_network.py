"""From a run and a corpus to a record: figures, names, protocols, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from powderlens.core.errors import InputError, WavelengthError
from powderlens.core.files import file_sha256
from powderlens.corpus.store.corpus import Corpus
from powderlens.corpus.store.manifest import read_manifest, write_manifest
from powderlens.evaluate.evaluate_network import check_test, evaluate_network
from powderlens.evaluate.record import Record, read_records
from powderlens.evaluate.separation import derive_protocol, open_trained, shared_crystals
from powderlens.evaluate.training_run import Learnt, losses_of, read_run, run_name
from powderlens.generate.statistics import shipped_statistics
from powderlens.train.components.data import open_data
from powderlens.train.components.machine import Machine
from powderlens.train.recipe import parse_recipe, with_choices

ALONE = Machine(workers=0, threads=1)
HEADS = ("space_group", "crystal_system", "lattice")


@pytest.fixture(scope="module")
def run(make_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three heads."""
    return make_run(tmp_path_factory.mktemp("runs") / "three", tasks=HEADS)


@pytest.fixture
def evaluate(tmp_path: Path, corpora: dict[str, Path]) -> Callable[..., Record]:
    """Without timing, on one thread; corpora by name."""

    def call(run: Path, on: str, part: str | None = None, **options: Any) -> Record:
        how = {"timing": False, "machine": ALONE, **options}
        return evaluate_network(run, corpora[on], part, tmp_path / "records", **how)

    return call


def test_a_record(run: Path, corpora: dict[str, Path], tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    made = evaluate_network(run, corpora["learnt"], None, tmp_path / "records", machine=ALONE, chosen_by="by trial")
    assert torch.get_num_threads() == 1
    torch.set_num_threads(threads)
    [(path, record)] = read_records([tmp_path / "records"])
    assert record == made
    assert (
        path.stem
        == record.name
        == ("cnn5-small-space_group+crystal_system+lattice-cross_entropy+squared-learnt-in-library-s5")
    )
    assert (record.protocol, record.tested.part, record.tested.crystals, record.tested.patterns) == (
        "in-library", "test", 9, 9
    )  # fmt: skip
    assert record.loss == {"space_group": "cross_entropy", "crystal_system": "cross_entropy", "lattice": "squared"}
    training = record.training
    assert (training.steps, training.patterns_seen, training.seconds, training.cpu_seconds) == (12, 96, 1.5, 2.5)
    assert (training.data.crystals, training.data.patterns, training.data.protocol_of_patterns) == (9, 36, "coarse")
    assert training.validation is not None
    assert training.validation.part == "validation"
    assert training.chosen_by == "lowest loss in the validation part of learnt; by trial"
    assert [point.accuracy for point in training.curve] == [{"space_group": 0.25}, {"space_group": 0.5}]
    assert [point.train_loss for point in training.curve] == [5.5, None]
    assert record.inference is not None
    assert record.inference.batch_1_ms > 0 < record.inference.batch_100_ms
    answers = record.answers(tmp_path / "records").to_pylist()
    for task in HEADS[:2]:
        right = [row[f"{task}_true"] == row[f"{task}_predicted"] for row in answers]
        assert record.classes[task].accuracy == pytest.approx(np.mean(right))
    corpus = Corpus.open(corpora["learnt"])
    assert record.lattice is not None
    assert record.lattice.naive_cell == pytest.approx(corpus.labels(corpus.numbers("train")).niggli.mean(axis=0))
    assert record.lattice.naive_of == "the training part"
    assert str(tmp_path) not in path.read_text(), "a record names no place of this machine"
    assert record.command == "powderlens evaluate three --on learnt:test"


@pytest.mark.parametrize(
    ("changes", "part", "protocol"),
    [
        ({}, "test", "in-library"),
        ({}, "train", "listed"),
        ({}, "validation", "listed"),
        ({"keep": "last"}, "validation", "in-library"),
        ({"keep": "last", "patience": 2}, "validation", "listed"),
    ],
)
def test_parts_of_the_learnt_corpus(
    make_run: Callable[..., Path],
    evaluate: Callable[..., Record],
    tmp_path: Path,
    changes: dict[str, Any],
    part: str,
    protocol: str,
) -> None:
    """What was learnt or chose the checkpoint is no test of the split."""
    record = evaluate(make_run(tmp_path / "run", **changes), "learnt", part)
    assert record.protocol == protocol
    assert record.name.endswith(f"learnt-{protocol}-s5{'' if part == 'test' else '-' + part}")


def test_crystals_of_another_corpus_are_compared(
    run: Path, corpora: dict[str, Path], evaluate: Callable[..., Record]
) -> None:
    record = evaluate(run, "fresh", trained_on=corpora["learnt"])
    assert record.protocol == "out-of-library"
    assert "-learnt-on-fresh-out-of-library-s5" in record.name
    with pytest.raises(InputError, match=r"not the corpus that was learnt \(learnt, .*--trained-on"):
        evaluate(run, "fresh")
    with pytest.raises(InputError, match="leaky: not the corpus that was learnt"):
        evaluate(run, "fresh", trained_on=corpora["leaky"])
    first = Corpus.open(corpora["learnt"]).crystals.ids[0]
    with pytest.raises(
        InputError, match=f"leaky: 1 of 6 crystals of its part test .* of learnt \\({first} = test:copy"
    ):
        evaluate(run, "leaky", trained_on=corpora["learnt"])
    assert evaluate(run, "leaky", trained_on=corpora["learnt"], protocol="listed").protocol == "listed"


def test_the_same_id_is_the_same_crystal(corpora: dict[str, Path]) -> None:
    fresh, leaky = Corpus.open(corpora["fresh"]), Corpus.open(corpora["leaky"])
    rows = np.arange(5)
    assert shared_crystals(fresh, rows, leaky, np.arange(6)) == [(one, one) for one in fresh.crystals.ids]
    assert shared_crystals(fresh, rows[:1], leaky, rows[1:]) == []


def test_a_protocol_must_be_what_is_found(run: Path, evaluate: Callable[..., Record]) -> None:
    assert evaluate(run, "learnt", protocol="in-library").protocol == "in-library"
    with pytest.raises(InputError, match="protocol out-of-library: part test of learnt is in-library for this network"):
        evaluate(run, "learnt", protocol="out-of-library")
    with pytest.raises(InputError, match="protocol 'honest': there are in-library, "):
        evaluate(run, "learnt", protocol="honest")


def test_measured_patterns(run: Path, evaluate: Callable[..., Record]) -> None:
    record = evaluate(run, "measured")
    assert (record.protocol, record.tested.part, record.tested.protocol_of_patterns) == ("measured", "all", "measured")
    assert record.missing["space_group: no label"] == 1
    assert record.classes["space_group"].patterns == 2
    assert (record.training.data.crystals, record.training.data.patterns) == (None, 36), "the corpus is not at hand"
    assert record.lattice is not None
    assert record.lattice.naive_of.startswith("the tested part")
    assert record.lattice.naive_mae == pytest.approx([0] * 6, abs=1e-5)


def changed(folder: Path, to: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of an imported corpus, each of its rows changed."""
    shutil.copytree(folder, to)
    table = pq.read_table(to / "patterns.parquet")
    rows = table.to_pylist()
    for row in rows:
        change(row)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), to / "patterns.parquet")
    write_manifest(to, {name: read_manifest(folder)[name] for name in ("kind", "axis", "format")})
    return to


def test_patterns_without_wavelength(run: Path, corpora: dict[str, Path], tmp_path: Path) -> None:
    """No copper is assumed: one is counted, a corpus of such is refused in one line."""
    one = changed(
        corpora["measured"], tmp_path / "one", lambda row: row.update(wavelength_A=None) if row["id"] == "b" else None
    )
    record = evaluate_network(run, one, None, tmp_path / "records", machine=ALONE, timing=False)
    assert record.missing["not drawn: WavelengthError"] == 1
    assert record.classes["space_group"].answered == 1
    none = changed(corpora["measured"], tmp_path / "none", lambda row: row.update(wavelength_A=None))
    with pytest.raises(WavelengthError, match=r"none of its 3 patterns states a wavelength; import it again with --w"):
        evaluate_network(run, none, None, tmp_path / "records", machine=ALONE)


def test_patterns_of_a_part_of_the_grid(run: Path, corpora: dict[str, Path], tmp_path: Path) -> None:
    """A network without mask is not asked about them, as `identify` does not ask it."""

    def cut(row: dict[str, Any]) -> None:
        row["two_theta_deg"], row["intensity"] = row["two_theta_deg"][:1000], row["intensity"][:1000]

    part = changed(corpora["measured"], tmp_path / "part", cut)
    with pytest.raises(InputError, match=r"part: not one of its 3 patterns can be read at .* \(3 CoverageError\)"):
        evaluate_network(run, part, None, tmp_path / "records", machine=ALONE)


def test_a_head_without_labels_is_left_out(
    run: Path, make_run: Callable[..., Path], evaluate: Callable[..., Record], tmp_path: Path
) -> None:
    record = evaluate(run, "groups")
    assert (set(record.classes), record.lattice) == ({"space_group", "crystal_system"}, None)
    assert record.missing["lattice: no label"] == 3
    with pytest.raises(InputError, match="no pattern has a label for lattice"):
        evaluate(make_run(tmp_path / "cells", tasks=("lattice",)), "groups")


def test_imported_simulations_cannot_be_compared(run: Path, evaluate: Callable[..., Record]) -> None:
    with pytest.raises(InputError, match="an imported corpus has no structures"):
        evaluate(run, "stored")
    record = evaluate(run, "stored", protocol="listed")
    assert record.tested.protocol_of_patterns == "simxrd"


def test_other_checkpoints_and_passes_are_named(run: Path, evaluate: Callable[..., Record]) -> None:
    record = evaluate(run / "last.ckpt", "learnt", passes=2)
    assert record.name.endswith("-s5-last-passes2")
    assert (record.passes, record.training.chosen_by) == (2, "the command, which asked for last.ckpt")


def test_what_is_no_run(run: Path, evaluate: Callable[..., Record], tmp_path: Path) -> None:
    def refused(path: Path, match: str, **options: Any) -> None:
        with pytest.raises(InputError, match=match):
            evaluate(path, "learnt", **options)
        assert not (tmp_path / "records").exists()

    refused(tmp_path / "none", "no such run or checkpoint")
    refused(Path(shutil.copy(run / "best.ckpt", tmp_path / "alone.ckpt")), "not the folder of a run, or a checkpoint")
    refused(run, "no part 'exam'; it has train, validation, test", part="exam")
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    outcome = json.loads((copy / "outcome.json").read_text())
    (copy / "outcome.json").write_text(json.dumps({**outcome, "checkpoint": None, "stopped_by": "diverged"}))
    refused(copy, r"ended before its first checkpoint \(diverged\)")
    (copy / "outcome.json").unlink()
    refused(copy, "the run has not ended")
    (copy / "run.json").write_text("{")
    refused(copy, "run.json: cannot be read")


def test_nothing_measured_or_imported_is_learnt(run: Path, corpora: dict[str, Path]) -> None:
    recipe = read_run(run).recipe
    for name in ("measured", "stored"):
        with pytest.raises(InputError, match=f"its patterns are {name} and are not learnt; name a drawn corpus"):
            check_test(recipe, corpora[name], None)
        with pytest.raises(InputError, match=f"its patterns are {name}, not drawn"):
            open_data(recipe, corpus=corpora[name])
    assert check_test(recipe, corpora["measured"], None, trained_on=corpora["learnt"]) == corpora["learnt"]


def test_a_test_is_refused_before_the_training(run: Path, corpora: dict[str, Path]) -> None:
    recipe = read_run(run).recipe
    assert check_test(recipe, corpora["learnt"], None) == corpora["learnt"]
    with pytest.raises(InputError, match="1 of 6 crystals"):
        check_test(recipe, corpora["leaky"], None, trained_on=corpora["learnt"])
    with pytest.raises(InputError, match="no part 'exam'"):
        check_test(recipe, corpora["learnt"], "exam")
    data = {"kind": "synthetic", "protocol": "ml4pxrds", "epoch_patterns": 64, "validation_patterns": 8}
    endless = parse_recipe({**recipe.model_dump(mode="json"), "data": data}, "endless")
    with pytest.raises(InputError, match="the network has learnt synthetic patterns"):
        check_test(endless, corpora["fresh"], None)
    assert check_test(endless, corpora["fresh"], None, protocol="listed") is None
    assert check_test(endless, corpora["measured"], None) is None
    with pytest.raises(InputError, match="the recipe's data are synthetic, it learns no corpus"):
        check_test(endless, corpora["fresh"], None, trained_on=corpora["learnt"])


def test_names(run: Path) -> None:
    recipe = read_run(run).recipe
    chosen = with_choices(recipe, network="cnn4", as_published=True, tasks=["space_group"], loss="gemd=2", seed=7)
    assert losses_of(chosen) == {"space_group": "gemd=2"}
    assert run_name(chosen, "My Corpus (2)") == "cnn4-small-as-published-space_group-gemd2-mycorpus2-s7"
    full = with_choices(chosen, network="mlp", size="full", tasks=["crystal_system"], loss="smoothed=0.05")
    assert run_name(full, "c").startswith("mlp-as-published-crystal_system-smoothed0.05-c-")


def test_synthetic_training_is_compared_by_structure_type(corpora: dict[str, Path], tmp_path: Path) -> None:
    tested = Corpus.open(corpora["learnt"])
    types = tested.crystals.column("structure_type")
    asked = {types[row] for row in tested.crystal_of(tested.numbers("test")).tolist()}
    path = tmp_path / "statistics.json"
    replace(shipped_statistics(), leave_out_types=tuple(asked)).save(path)
    learnt = Learnt("synthetic", None, None, ("train",), (file_sha256(path),))
    statistics = open_trained(learnt, tested, path)
    assert derive_protocol(learnt, tested, "test", statistics, None) == "structure-type"
    with pytest.raises(InputError, match="learnt synthetic patterns, of crystals that cannot be compared"):
        derive_protocol(learnt, tested, "test", None, None)
    replace(shipped_statistics(), leave_out_types=tuple(sorted(asked)[1:])).save(path)
    with pytest.raises(InputError, match="not the statistics that synthetic crystals were drawn from"):
        open_trained(learnt, tested, path)
    fewer = open_trained(replace(learnt, files=(file_sha256(path),)), tested, path)
    with pytest.raises(InputError, match=f"1 of {len(asked)} structure types of part test were not left out"):
        derive_protocol(learnt, tested, "test", fewer, None)
