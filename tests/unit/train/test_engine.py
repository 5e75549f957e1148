"""A training run: it finishes, it leaves what it promises, it goes on where it stopped, and it repeats."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from powderlens.core.errors import InputError
from powderlens.corpus.store.reflection_table import ReflectionTable
from powderlens.corpus.stream.from_crystals import CrystalStream
from powderlens.corpus.stream.stream import NetworkStream
from powderlens.diffraction.protocol import load_protocol
from powderlens.train.datasets import StreamDataset
from powderlens.train.engine import PrismModule, Tensors, make_streams, tensors
from powderlens.train.recipe import Recipe

Train = Callable[..., Path]


def load(path: Path) -> dict[str, Any]:
    return dict(torch.load(path, map_location="cpu", weights_only=False))


def curve(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_what_a_run_leaves(run: Path, recipe: Recipe, small_table_path: Path) -> None:
    assert sorted(p.name for p in run.iterdir()) == ["best.ckpt", "last.ckpt", "metrics.csv", "run.json"]
    about = json.loads((run / "run.json").read_text())
    assert Recipe.model_validate(about["recipe"]) == recipe
    digest = hashlib.sha256(small_table_path.read_bytes()).hexdigest()
    assert about["tables"] == {"crystals-small.parquet": digest}
    assert about["crystals"] == {"train": 581, "validation": 6, "test": 13}
    assert {"powderlens", "torch"} <= set(about)


def test_checkpoints_are_of_the_steps_they_should_be(run: Path) -> None:
    assert load(run / "last.ckpt")["global_step"] == 6
    validated = [row for row in curve(run) if row["val_loss"]]
    assert [int(row["step"]) for row in validated] == [1, 3, 5]
    best = min(validated, key=lambda row: float(row["val_loss"]))
    assert load(run / "best.ckpt")["global_step"] == int(best["step"]) + 1
    for name, of in {"last": validated, "best": validated[: validated.index(best) + 1]}.items():
        known = [
            state["best_model_score"]
            for state in load(run / f"{name}.ckpt")["callbacks"].values()
            if ("best_model_score" in state and state["monitor"] == "val_loss")
        ]
        assert len(known) == 1
        expected = min(float(row["val_loss"]) for row in of)
        assert float(known[0]) == pytest.approx(expected, rel=1e-6), "a resumed run knows the best so far"


def test_the_last_checkpoint_is_the_newest_also_when_it_is_worse(
    recipe: Recipe, small_table_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, train: Train
) -> None:
    loss = PrismModule._loss

    def rising(self: PrismModule, outputs: Any, batch: Any) -> torch.Tensor:
        return loss(self, outputs, batch) if self.training else torch.tensor(float(self.global_step))

    monkeypatch.setattr(PrismModule, "_loss", rising)
    train(recipe, [small_table_path], tmp_path / "run")
    assert [float(row["val_loss"]) for row in curve(tmp_path / "run") if row["val_loss"]] == [2, 4, 6]
    assert load(tmp_path / "run" / "best.ckpt")["global_step"] == 2
    assert load(tmp_path / "run" / "last.ckpt")["global_step"] == 6


def test_the_figures_of_the_curve(run: Path) -> None:
    for row in curve(run):
        if row["val_loss"]:
            assert 0 < float(row["val_loss"]) < 20
            assert 0 <= float(row["val_group"]) <= float(row["val_group_top5"]) <= 1
            assert 0 <= float(row["val_system"]) <= 1
            assert float(row["val_length_error"]) >= 0


def test_the_checkpoint_holds_the_averaged_weights(run: Path) -> None:
    """What ships is the average, what trains on is the last."""
    checkpoint = load(run / "last.ckpt")
    average, current = checkpoint["state_dict"], checkpoint["current_model_state"]
    name = "network.group.weight"
    assert not torch.equal(average[name], current[name])
    assert all(torch.isfinite(value).all() for value in average.values())


def test_the_same_recipe_gives_the_same_weights(
    run: Path, recipe: Recipe, small_table_path: Path, tmp_path: Path, train: Train
) -> None:
    train(recipe, [small_table_path], tmp_path / "again")
    first, again = load(run / "last.ckpt")["state_dict"], load(tmp_path / "again" / "last.ckpt")["state_dict"]
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = recipe.model_copy(update={"seed": 4})
    train(other, [small_table_path], tmp_path / "other")
    assert not torch.equal(
        load(tmp_path / "other" / "last.ckpt")["state_dict"]["network.group.weight"], first["network.group.weight"]
    )


class Stopped(Exception):
    """What interrupts a run."""


def interrupt(monkeypatch: pytest.MonkeyPatch, at: int) -> list[int]:
    """Stop the training data before batch number `at`; the batches drawn are listed."""
    drawn: list[int] = []
    draw = StreamDataset.__iter__

    def until(self: StreamDataset[Tensors]) -> Iterator[Tensors]:
        for i, batch in enumerate(draw(self), start=self.next_batch):
            if i == at:
                raise Stopped
            drawn.append(i)
            yield batch

    monkeypatch.setattr(StreamDataset, "__iter__", until)
    return drawn


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(
    recipe: Recipe,
    small_table_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    train: Train,
    dropout: float,
) -> None:
    """Stopped before step 5, after the checkpoint of step 4, and gone on: the same weights, bit for bit."""
    recipe = recipe.model_copy(update={"network": recipe.network.model_copy(update={"dropout": dropout})})
    output = tmp_path / "stopped"
    train(recipe, [small_table_path], tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt(patch, at=5)
        with pytest.raises(Stopped):
            train(recipe, [small_table_path], output)
    assert load(output / "last.ckpt")["global_step"] == 4
    with monkeypatch.context() as patch:
        drawn = interrupt(patch, at=99)
        train(recipe, [small_table_path], output, resume=True)
    assert drawn == [4, 5], "it goes on with batch 4"
    resumed, whole = load(output / "last.ckpt"), load(tmp_path / "whole" / "last.ckpt")
    assert resumed["global_step"] == whole["global_step"] == 6
    assert [row["step"] for row in curve(output) if row["val_loss"]] == ["1", "3", "5"]
    assert resumed["lr_schedulers"] == whole["lr_schedulers"]
    for part in ("state_dict", "current_model_state"):
        for name, value in whole[part].items():
            assert torch.equal(resumed[part][name], value), f"{part} {name}"


def test_a_finished_run_resumed_changes_nothing(
    run: Path, recipe: Recipe, small_table_path: Path, tmp_path: Path, train: Train
) -> None:
    import shutil

    copy = shutil.copytree(run, tmp_path / "copy")
    train(recipe, [small_table_path], copy, resume=True)
    first, second = load(run / "last.ckpt"), load(copy / "last.ckpt")
    assert second["global_step"] == 6
    assert all(torch.equal(first["state_dict"][n], second["state_dict"][n]) for n in first["state_dict"])


def test_a_run_is_not_overwritten_and_not_mixed(
    run: Path, recipe: Recipe, small_table_path: Path, tmp_path: Path, train: Train
) -> None:
    import shutil

    copy = shutil.copytree(run, tmp_path / "copy")
    before = {p.name: p.read_bytes() for p in copy.iterdir()}
    with pytest.raises(InputError, match="holds a run already; go on with --resume"):
        train(recipe, [small_table_path], copy)
    with pytest.raises(InputError, match="began with other recipe"):
        train(recipe.model_copy(update={"steps": 8}), [small_table_path], copy, resume=True)
    other = shutil.copy(small_table_path, tmp_path / "other.parquet")
    with pytest.raises(InputError, match="began with other tables"):
        train(recipe, [other], copy, resume=True)
    assert {p.name: p.read_bytes() for p in copy.iterdir()} == before


def test_resuming_nothing_begins(recipe: Recipe, small_table_path: Path, tmp_path: Path, train: Train) -> None:
    short = recipe.model_copy(update={"steps": 2})
    train(short, [small_table_path], tmp_path / "new", resume=True)
    assert load(tmp_path / "new" / "last.ckpt")["global_step"] == 2


def test_data_that_cannot_be_trained_with(recipe: Recipe, small_table_path: Path, tmp_path: Path, train: Train) -> None:
    with pytest.raises(InputError, match="no reflection table is given"):
        train(recipe, [], tmp_path / "a")
    with pytest.raises(InputError, match="no such reflection table"):
        train(recipe, [tmp_path / "none.parquet"], tmp_path / "a")
    import pyarrow.parquet as pq

    pq.write_table(pq.read_table(small_table_path).slice(0, 3), tmp_path / "three.parquet")
    with pytest.raises(InputError, match="none of 3 crystals is in the part 'validation'"):
        train(recipe, [tmp_path / "three.parquet"], tmp_path / "a")
    shares = recipe.data.model_copy(update={"shares": {"mp": 1.0}})
    with pytest.raises(InputError, match=r"no sampling share for \['amcsd'\]"):
        train(recipe.model_copy(update={"data": shares}), [small_table_path], tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_training_and_validation_crystals_are_others(recipe: Recipe, small_table_path: Path) -> None:
    streams = make_streams(recipe, [small_table_path])
    counts = streams[2]
    training, validation = streams[0].inner, streams[1].inner
    assert isinstance(training, CrystalStream)
    assert isinstance(validation, CrystalStream)
    assert not set(training.rows.tolist()) & set(validation.rows.tolist())
    assert (len(training.rows), len(validation.rows)) == (counts["train"], counts["validation"])
    assert training.protocol.name == validation.protocol.name == recipe.data.protocol
    assert training.seed == recipe.seed


def of_all(recipe: Recipe, table: ReflectionTable) -> NetworkStream:
    protocol, grid = load_protocol(recipe.data.protocol), recipe.grid.grid()
    return NetworkStream(
        CrystalStream(table, np.arange(600), np.full(600, 1 / 600), protocol, size=2, seed=3, grid=grid)
    )


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_batch_i_is_the_same_on_any_number_of_workers(recipe: Recipe, small_table: ReflectionTable) -> None:
    """Of a DataLoader, whose processes are forked; `test_datasets` has the dataset's own."""
    stream = of_all(recipe, small_table)

    def batches(first: int, workers: int) -> list[list[torch.Tensor]]:
        data = StreamDataset(stream, first=first, stop=5, convert=tensors)
        return [list(batch) for batch in DataLoader(data, batch_size=None, num_workers=workers)]

    alone, shared, late = batches(0, 0), batches(0, 2), batches(3, 0)
    assert len(alone) == len(shared) == 5
    for one, other in zip(alone + alone[3:], shared + late, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(alone[0][0], alone[1][0])


def test_batches_depend_on_seed_and_number_alone(recipe: Recipe, small_table: ReflectionTable) -> None:
    stream = of_all(recipe, small_table)
    first = next(iter(StreamDataset(stream, first=4, stop=5, convert=tensors)))
    expected = stream.batch(4)
    assert first[0].numpy().tobytes() == expected.patterns.tobytes()
    assert first[1].tolist() == expected.system.tolist()
    assert first[2].tolist() == (expected.space_group - 1).tolist()
    assert first[3].numpy().tolist() == expected.niggli.tolist()
