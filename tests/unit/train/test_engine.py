"""A run: what it leaves, where it stops, what it averages, and that killed and resumed it ends where it would have."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from powderlens.core.errors import InputError
from powderlens.corpus.splits import split_indices
from powderlens.corpus.store.corpus import Corpus
from powderlens.corpus.store.reflection_table import ReflectionTable
from powderlens.corpus.stream.from_crystals import CrystalStream, sampling_weights
from powderlens.corpus.stream.stream import FloorStream
from powderlens.diffraction.protocol import load_protocol
from powderlens.train.components.batches import VALIDATION_FIRST
from powderlens.train.components.callbacks import Stops
from powderlens.train.components.checkpoint import load_network
from powderlens.train.components.data import open_data
from powderlens.train.components.losses import TaskLoss
from powderlens.train.components.machine import Machine
from powderlens.train.module import DivergedError, RunModule
from powderlens.train.recipe import Recipe, load_recipe, parse_recipe, with_choices
from powderlens.train.recipe_parts import OneCycle

Train = Callable[..., Path]


def load(path: Path) -> dict[str, Any]:
    return dict(torch.load(path, map_location="cpu", weights_only=True))


def curve(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def outcome(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "outcome.json").read_text()))


def changed(recipe: Recipe, **changes: Any) -> Recipe:
    return parse_recipe({**recipe.model_dump(mode="json"), **changes}, "changed")


def assert_same_end(one: Path, other: Path) -> None:
    """Weights, optimiser, schedule and random state, bit for bit."""
    a, b = load(one / "last.ckpt"), load(other / "last.ckpt")
    assert a["global_step"] == b["global_step"]
    assert a["lr_schedulers"] == b["lr_schedulers"]
    assert torch.equal(a["random_state"]["cpu"], b["random_state"]["cpu"])
    assert a.keys() == b.keys()
    for part in {"state_dict", "current_model_state", "averaging_state"} & a.keys():
        assert a[part].keys() == b[part].keys()
        assert all(torch.equal(a[part][name], b[part][name]) for name in a[part]), part
    moments = [state["optimizer_states"][0]["state"] for state in (a, b)]
    assert all(torch.equal(moments[0][i][k], moments[1][i][k]) for i in moments[0] for k in moments[0][i])
    rows = [[{k: v for k, v in row.items() if k != "seconds"} for row in curve(run)] for run in (one, other)]
    assert rows[0] == rows[1], "and the same curve"


LEFT = {"best.ckpt", "last.ckpt", "metrics.csv", "run.json", "outcome.json"}


def test_what_a_run_leaves(cnn_run: Path, cnn_recipe: Recipe) -> None:
    assert {path.name for path in cnn_run.iterdir()} == LEFT
    about = json.loads((cnn_run / "run.json").read_text())
    assert parse_recipe(about["recipe"], "run.json") == cnn_recipe
    assert about["data"]["patterns"] == {"train": 100, "validation": 25}
    assert about["grid"]["points"] == 701
    assert about["network"]["parameters"] > 1000
    ended = outcome(cnn_run)
    assert (ended["stopped_by"], ended["steps"], ended["epochs"], ended["patterns"]) == ("steps", 26, 2.0, 208)
    rows = curve(cnn_run)
    assert [row["step"] for row in rows] == ["13", "26"]
    assert ended["best_val_loss"] == pytest.approx(min(float(row["val_loss"]) for row in rows))
    assert 0 < float(rows[0]["seconds"]) < float(rows[1]["seconds"])
    assert all(0 <= float(row["val_crystal_system"]) <= 1 for row in rows)
    assert load(cnn_run / "best.ckpt")["global_step"] == ended["best_step"]


def test_what_a_run_on_crystals_leaves(run: Path, recipe: Recipe, small_table_path: Path) -> None:
    assert {path.name for path in run.iterdir()} == LEFT
    about = json.loads((run / "run.json").read_text())
    assert parse_recipe(about["recipe"], "run.json") == recipe
    digest = hashlib.sha256(small_table_path.read_bytes()).hexdigest()
    assert about["data"]["tables"] == {"crystals-small.parquet": digest}
    assert about["data"]["crystals"] == {"train": 581, "validation": 6, "test": 13}
    assert {"torch", "device", "threads"} <= about["machine"].keys()
    rows = curve(run)
    assert [row["step"] for row in rows] == ["2", "4", "6"]
    for row in rows:
        assert 0 < float(row["val_loss"]) < 20
        assert 0 <= float(row["val_space_group"]) <= float(row["val_space_group_top5"]) <= 1
        assert 0 <= float(row["val_crystal_system"]) <= float(row["val_crystal_system_top5"]) <= 1
        assert float(row["val_length_A"]) > 0
    best = min(rows, key=lambda row: float(row["val_loss"]))
    assert load(run / "last.ckpt")["global_step"] == 6
    assert load(run / "best.ckpt")["global_step"] == int(best["step"])
    for name, of in {"last": rows, "best": rows[: rows.index(best) + 1]}.items():
        known = [
            state["best_model_score"]
            for state in load(run / f"{name}.ckpt")["callbacks"].values()
            if "best_model_score" in state
        ]
        assert len(known) == 1
        expected = min(float(row["val_loss"]) for row in of)
        assert float(known[0]) == pytest.approx(expected, rel=1e-6), "a resumed run knows the best so far"


def test_the_last_checkpoint_is_the_newest_also_when_it_is_worse(
    recipe: Recipe, small_table_path: Path, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = RunModule._loss

    def rising(self: RunModule, outputs: Any, answers: Any) -> torch.Tensor:
        return loss(self, outputs, answers) if self.training else torch.tensor(float(self.global_step))

    monkeypatch.setattr(RunModule, "_loss", rising)
    train(recipe, tmp_path / "run", tables=[small_table_path])
    assert [float(row["val_loss"]) for row in curve(tmp_path / "run")] == [2, 4, 6]
    assert load(tmp_path / "run" / "best.ckpt")["global_step"] == 2
    assert load(tmp_path / "run" / "last.ckpt")["global_step"] == 6


def test_the_average_is_validated_and_kept_and_the_newest_weights_learn_on(
    run: Path, recipe: Recipe, small_table_path: Path
) -> None:
    checkpoint = load(run / "last.ckpt")
    average, newest = checkpoint["state_dict"], checkpoint["current_model_state"]
    name = "network.heads.space_group.weight"
    assert not torch.equal(average[name], newest[name])
    assert all(torch.isfinite(value).all() for value in average.values())
    for share in (1.0, 0.5, 0.0):
        network, grid, _ = load_network(run / "last.ckpt", averaged=share)
        expected = torch.lerp(newest[name], average[name], share)
        assert torch.equal(network.state_dict()[name.removeprefix("network.")], expected)
        fixed = open_data(recipe, tables=[small_table_path], machine=Machine(workers=0)).validation[0]
        with torch.no_grad():
            outputs = network(fixed[0], fixed[1])
        said = outputs["space_group"].argmax(dim=1)
        right = float((said == fixed[2]["space_group"]).float().mean())
        cost = sum(
            one.weight * float(TaskLoss(task, one.loss)(outputs[task.name], fixed[2][task.name]))
            for task, one in ((task, recipe.tasks[task.name]) for task in network.tasks)
        )
        if share == 1.0:
            assert grid.points == 850
            assert float(curve(run)[-1]["val_loss"]) == pytest.approx(cost, rel=1e-5)
            assert float(curve(run)[-1]["val_space_group"]) == pytest.approx(right)
        else:
            assert abs(float(curve(run)[-1]["val_loss"]) - cost) > 1e-4
    with pytest.raises(InputError, match=r"averaged share 1\.5: must lie between 0 and 1"):
        load_network(run / "last.ckpt", averaged=1.5)


def test_a_share_of_an_average_that_is_not_there(cnn_run: Path) -> None:
    with pytest.raises(InputError, match=r"its run averaged no weights; leave the share 0\.5 out"):
        load_network(cnn_run / "last.ckpt", averaged=0.5)


def test_the_validation_figures_are_those_of_the_patterns(cnn_run: Path, minerals: Path) -> None:
    corpus = Corpus.open(minerals)
    network, grid, _ = load_network(cnn_run / "last.ckpt")
    assert grid == corpus.grid
    numbers = corpus.numbers("validation")
    with torch.no_grad():
        logits = network(torch.from_numpy(corpus.draw(numbers)))["crystal_system"]
    truth = torch.from_numpy(corpus.labels(numbers).crystal_system.astype("int64"))
    last = curve(cnn_run)[-1]
    assert float(last["val_loss"]) == pytest.approx(float(torch.nn.functional.cross_entropy(logits, truth)), rel=1e-5)
    assert float(last["val_crystal_system"]) == pytest.approx(float((logits.argmax(1) == truth).float().mean()))


@pytest.mark.parametrize("where", [{"memory_GB": 0.0}, {"cache": Path("cache")}])
def test_where_patterns_are_kept_changes_nothing(
    cnn_run: Path,
    cnn_recipe: Recipe,
    minerals: Path,
    train: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: dict[str, Any],
) -> None:
    machine = Machine(workers=0, threads=1, **where)
    monkeypatch.chdir(tmp_path)
    train(cnn_recipe, tmp_path / "run", corpus=minerals, machine=machine)
    assert_same_end(tmp_path / "run", cnn_run)
    if machine.cache is not None:
        held = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
        assert len(held) == 2
        train(cnn_recipe, tmp_path / "again", corpus=minerals, machine=machine)
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()} == held
        assert_same_end(tmp_path / "again", cnn_run)


class Stopped(Exception):
    """What interrupts a run."""


def stop_at(step: int, patch: pytest.MonkeyPatch) -> None:
    """Interrupt a run before a step."""
    learn = RunModule.training_step

    def until(self: RunModule, batch: Any, index: int) -> Any:
        if self.global_step == step:
            raise Stopped
        return learn(self, batch, index)

    patch.setattr(RunModule, "training_step", until)


def test_a_run_stopped_between_validations_goes_on_from_its_newest_checkpoint(
    cnn_recipe: Recipe, minerals: Path, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at step 19 after the checkpoint of step 18, with the one-cycle schedule, whose place matters."""
    how = OneCycle(kind="one_cycle", warmup=0.3).model_dump()
    recipe = changed(cnn_recipe, checkpoint_steps=6, schedule=how)
    train(recipe, tmp_path / "whole", corpus=minerals)
    with monkeypatch.context() as patch:
        stop_at(19, patch)
        with pytest.raises(Stopped):
            train(recipe, tmp_path / "run", corpus=minerals)
    assert load(tmp_path / "run" / "last.ckpt")["global_step"] == 18
    assert not (tmp_path / "run" / "outcome.json").exists()
    train(recipe, tmp_path / "run", corpus=minerals, resume=True)
    assert_same_end(tmp_path / "run", tmp_path / "whole")


def test_a_resumed_run_goes_on_with_its_average(
    run: Path, recipe: Recipe, small_table_path: Path, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Average, newest weights, endless patterns and dropout, stopped before step 5: the same, bit for bit."""
    with monkeypatch.context() as patch:
        stop_at(5, patch)
        with pytest.raises(Stopped):
            train(recipe, tmp_path / "run", tables=[small_table_path])
    assert load(tmp_path / "run" / "last.ckpt")["global_step"] == 4
    train(recipe, tmp_path / "run", tables=[small_table_path], resume=True)
    assert_same_end(tmp_path / "run", run)


def test_no_code_of_a_checkpoint_is_run(
    cnn_run: Path, cnn_recipe: Recipe, minerals: Path, train: Train, tmp_path: Path
) -> None:
    copy = shutil.copytree(cnn_run, tmp_path / "run")
    content = {**load(copy / "last.ckpt"), "more": Malicious(tmp_path / "hacked")}
    torch.save(content, copy / "last.ckpt")
    for use in (
        lambda: train(cnn_recipe, copy, corpus=minerals, resume=True),
        lambda: load_network(copy / "last.ckpt"),
    ):
        with pytest.raises(InputError, match=r"last\.ckpt: not a checkpoint"):
            use()
    assert not (tmp_path / "hacked").exists()


class Malicious:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.slow
def test_killed_in_the_middle_and_resumed_it_ends_with_the_same_weights(
    cnn_recipe: Recipe, cnn_recipe_path: Path, minerals: Path, train: Train, tmp_path: Path
) -> None:
    """kill -9 as soon as there is a checkpoint, by the program itself in a process of its own."""
    longer = cnn_recipe_path.read_text().replace("epochs = 2", "epochs = 12")
    path, run = tmp_path / "longer.toml", tmp_path / "run"
    path.write_text(longer.replace("batch = 8", "batch = 8\ncheckpoint_steps = 3"))
    words = ["train", path, "--corpus", minerals, "--output", run, "--workers", 0, "--threads", 1]
    command = [sys.executable, "-m", "powderlens.cli.main", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=dict(os.environ))
    end = time.monotonic() + 300
    while not (run / "last.ckpt").exists() and time.monotonic() < end and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    complaint = process.communicate()[1].decode()
    assert (run / "last.ckpt").exists(), complaint
    assert not (run / "outcome.json").exists(), "it was killed, not done"
    recipe = load_recipe(path)
    train(recipe, run, corpus=minerals, resume=True)
    train(recipe, tmp_path / "whole", corpus=minerals)
    assert_same_end(run, tmp_path / "whole")


def test_a_run_that_has_ended_is_left_as_it_is(
    cnn_run: Path, cnn_recipe: Recipe, minerals: Path, train: Train, tmp_path: Path
) -> None:
    copy = shutil.copytree(cnn_run, tmp_path / "run")
    (copy / "outcome.json").unlink()
    train(cnn_recipe, copy, corpus=minerals, resume=True)
    assert_same_end(copy, cnn_run)
    clocks = {name: outcome(copy)[name] for name in ("seconds", "cpu_seconds")}
    assert outcome(copy) == {**outcome(cnn_run), **clocks}
    assert (copy / "last.ckpt").read_bytes() == (cnn_run / "last.ckpt").read_bytes()


def test_another_run_is_not_gone_on_with(
    cnn_run: Path,
    cnn_recipe: Recipe,
    minerals: Path,
    run: Path,
    recipe: Recipe,
    small_table_path: Path,
    train: Train,
    tmp_path: Path,
) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    with pytest.raises(InputError, match="holds a run already; go on with --resume"):
        train(cnn_recipe, cnn_run, corpus=minerals)
    with pytest.raises(InputError, match="began with other recipe"):
        train(with_choices(cnn_recipe, seed=6), cnn_run, corpus=minerals, resume=True)
    with pytest.raises(InputError, match="began with other recipe"):
        train(changed(recipe, limits={"steps": 8}), copy, tables=[small_table_path], resume=True)
    other = shutil.copy(small_table_path, tmp_path / "other.parquet")
    with pytest.raises(InputError, match="began with other data"):
        train(recipe, copy, tables=[Path(other)], resume=True)
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before


def test_a_run_of_the_first_generation_is_refused(
    cnn_run: Path, cnn_recipe: Recipe, minerals: Path, train: Train, tmp_path: Path
) -> None:
    copy = shutil.copytree(cnn_run, tmp_path / "run")
    (copy / "run.json").write_text(json.dumps({"powderlens": "0.1.0", "recipe": {"name": "tiny"}, "tables": {}}))
    with pytest.raises(InputError, match=r"a run of powderlens 0\.1, or none; --resume cannot go on"):
        train(cnn_recipe, copy, corpus=minerals, resume=True)
    torch.save({"state_dict": {}, "global_step": 4}, copy / "last.ckpt")
    with pytest.raises(InputError, match="not a checkpoint that this powderlens can read; make one with"):
        load_network(copy / "last.ckpt")


def test_resuming_nothing_begins(recipe: Recipe, small_table_path: Path, train: Train, tmp_path: Path) -> None:
    train(changed(recipe, limits={"steps": 2}), tmp_path / "new", tables=[small_table_path], resume=True)
    assert load(tmp_path / "new" / "last.ckpt")["global_step"] == 2


def test_the_same_recipe_gives_the_same_weights(
    run: Path, recipe: Recipe, small_table_path: Path, train: Train, tmp_path: Path
) -> None:
    train(recipe, tmp_path / "again", tables=[small_table_path])
    assert_same_end(tmp_path / "again", run)
    train(changed(recipe, seed=4), tmp_path / "other", tables=[small_table_path])
    name = "network.heads.space_group.weight"
    other, first = (load(folder / "last.ckpt")["state_dict"][name] for folder in (tmp_path / "other", run))
    assert not torch.equal(other, first)


def test_a_checkpoint_of_another_version_is_not_gone_on_with(
    cnn_run: Path, cnn_recipe: Recipe, minerals: Path, train: Train, tmp_path: Path
) -> None:
    copy = shutil.copytree(cnn_run, tmp_path / "run")
    content = load(copy / "last.ckpt")
    del content["callbacks"]["Stops"]["cpu_seconds"]
    torch.save(content, copy / "last.ckpt")
    with pytest.raises(InputError, match="a checkpoint of another version of powderlens; train anew"):
        train(cnn_recipe, copy, corpus=minerals, resume=True)


def test_validations_in_between(cnn_recipe: Recipe, minerals: Path, train: Train, tmp_path: Path) -> None:
    """Every 40 of 100 patterns, and at the end; resumed from there too."""
    data = {**cnn_recipe.model_dump(mode="json")["data"], "validate_patterns": 40}
    recipe = changed(cnn_recipe, data=data, limits={"steps": 13}, keep="last")
    train(recipe, tmp_path / "run", corpus=minerals)
    assert [int(row["step"]) for row in curve(tmp_path / "run")] == [5, 10, 13]
    end = outcome(tmp_path / "run")
    assert end["last_val_loss"] == pytest.approx(float(curve(tmp_path / "run")[-1]["val_loss"]), rel=1e-5)
    assert end["best_val_loss"] == pytest.approx(
        min(float(row["val_loss"]) for row in curve(tmp_path / "run")), rel=1e-5
    )
    assert end["cpu_seconds"] > 0


def test_patience_counts_from_the_last_fall_of_min_delta(cnn_recipe: Recipe) -> None:
    class Trainer:
        should_stop = False
        global_step = 0
        callback_metrics: dict[str, float]

    stops, trainer = Stops(changed(cnn_recipe, patience=3, min_delta=0.1), None), Trainer()
    for step, loss in enumerate([1.0, 0.95, 0.88, 0.87, 0.80, 0.79], start=1):
        trainer.global_step, trainer.callback_metrics = step, {"val_loss": loss}
        stops.on_validation_end(trainer, None)  # type: ignore[arg-type]
        if step == 5:
            middle = Stops(stops.recipe, None)
            middle.load_state_dict(stops.state_dict())
    assert trainer.should_stop
    assert stops.reason == "patience"
    assert (stops.best, stops.best_step) == (0.79, 6), "every fall is the best so far"
    assert middle.reason == ""
    middle.on_validation_end(trainer, None)  # type: ignore[arg-type]
    assert middle.reason == "patience", "the count is in the checkpoint"


@pytest.mark.parametrize(
    ("limits", "steps", "reason"),
    [
        ({"steps": 5}, 5, "steps"),
        ({"patterns": 70}, 9, "steps"),
        ({"epochs": 3, "steps": 15}, 15, "steps"),
        ({"seconds": 1e-9}, 1, "seconds"),
    ],
)
def test_the_step_at_which_a_run_ends_is_validated(
    cnn_recipe: Recipe,
    minerals: Path,
    train: Train,
    tmp_path: Path,
    limits: dict[str, float],
    steps: int,
    reason: str,
) -> None:
    train(changed(cnn_recipe, limits=limits), tmp_path / "run", corpus=minerals)
    ended = outcome(tmp_path / "run")
    assert (ended["steps"], ended["stopped_by"]) == (steps, reason)
    assert [int(row["step"]) for row in curve(tmp_path / "run")] == [*range(13, steps, 13), steps]
    assert load(tmp_path / "run" / "last.ckpt")["global_step"] == steps


def test_a_run_stops_when_patience_is_lost(cnn_recipe: Recipe, minerals: Path, train: Train, tmp_path: Path) -> None:
    recipe = changed(cnn_recipe, patience=1, min_delta=100.0, limits={"epochs": 30})
    train(recipe, tmp_path / "run", corpus=minerals)
    assert (outcome(tmp_path / "run")["stopped_by"], outcome(tmp_path / "run")["epochs"]) == ("patience", 2.0)


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_checkpoint(
    cnn_recipe: Recipe, minerals: Path, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, calls = TaskLoss.forward, []

    def breaking(self: TaskLoss, answer: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        calls.append(0)
        return forward(self, answer, truth) * (torch.nan if len(calls) > 18 else 1.0)

    run = tmp_path / "run"
    monkeypatch.setattr(TaskLoss, "forward", breaking)
    with pytest.raises(DivergedError, match=r"step 17: the training loss is nan at a learning rate of 0.001; .* Lower"):
        train(cnn_recipe, run, corpus=minerals)
    assert outcome(run)["stopped_by"] == "diverged"
    assert "training loss is nan" in outcome(run)["message"]
    for name in ("best", "last"):
        content = load(run / f"{name}.ckpt")
        assert content["global_step"] == 13
        assert all(torch.isfinite(value).all() for value in content["state_dict"].values())


def test_several_heads_and_every_loss_learn(cnn_recipe: Recipe, minerals: Path, train: Train, tmp_path: Path) -> None:
    several = with_choices(cnn_recipe, tasks=["space_group", "extinction_class", "lattice"])
    tasks = several.model_dump(mode="json")["tasks"]
    tasks["space_group"] = {"loss": {"kind": "gemd", "mu": 1.0}, "classes": "present", "weight": 0.5}
    tasks["extinction_class"]["loss"] = {"kind": "weighted"}
    tasks["lattice"] = {"loss": {"kind": "log_huber"}}
    train(changed(several, tasks=tasks, limits={"epochs": 3}), tmp_path / "run", corpus=minerals)
    rows = curve(tmp_path / "run")
    assert {"val_space_group", "val_extinction_class", "val_length_A", "val_angle_deg"} <= rows[0].keys()
    assert float(rows[-1]["val_loss"]) < float(rows[0]["val_loss"])
    classes = json.loads((tmp_path / "run" / "run.json").read_text())["classes"]["space_group"]
    assert 5 < len(classes) < 25, "the space groups of the minerals"


def test_what_cannot_be_trained(cnn_recipe: Recipe, minerals: Path, train: Train, tmp_path: Path) -> None:
    run = tmp_path / "run"
    listed = {"space_group": {"loss": {"kind": "cross_entropy"}, "classes": [1, 2, 14]}}
    with pytest.raises(InputError, match="training patterns have none of the 3 answers of task space_group"):
        train(changed(cnn_recipe, tasks=listed), run, corpus=minerals)
    with pytest.raises(InputError, match=r"its data are corpus; a corpus \(--corpus\) is needed"):
        train(cnn_recipe, run)
    with pytest.raises(InputError, match="no part 'elsewhere'"):
        train(changed(cnn_recipe, data={"kind": "corpus", "validation": "elsewhere"}), run, corpus=minerals)
    noise = {"counts_at_max": [1, 100], "relative_sigma": [0.001, 0.1]}
    with pytest.raises(InputError, match="protocol coarse adds noise already"):
        train(changed(cnn_recipe, data={"kind": "corpus", "noise": noise}), run, corpus=minerals)
    with pytest.raises(InputError, match="batch 8: 3 devices cannot share it"):
        train(cnn_recipe, run, corpus=minerals, machine=Machine(workers=0, devices=3))
    short = changed(cnn_recipe, network={"name": "resnet10", "size": "small", "as_published": True})
    with pytest.raises(InputError, match="resnet10: as_published has no effect"):
        train(short, run, corpus=minerals)
    assert not (run / "run.json").exists()


def test_crystals_that_cannot_be_trained_with(
    recipe: Recipe, small_table_path: Path, train: Train, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with pytest.raises(InputError, match=r"a reflection table \(--data\) is needed"):
        train(recipe, run)
    with pytest.raises(InputError, match="no such reflection table"):
        train(recipe, run, tables=[tmp_path / "none.parquet"])
    pq.write_table(pq.read_table(small_table_path).slice(0, 3), tmp_path / "three.parquet")
    with pytest.raises(InputError, match="none of 3 crystals is in the part 'validation'"):
        train(recipe, run, tables=[tmp_path / "three.parquet"])
    shares = {**recipe.model_dump(mode="json")["data"], "shares": {"mp": 1.0}}
    with pytest.raises(InputError, match=r"no sampling share for \['amcsd'\]"):
        train(changed(recipe, data=shares), run, tables=[small_table_path])
    assert not run.exists()


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_precision_is_that_of_the_recipe_or_refused(
    cnn_recipe: Recipe, minerals: Path, train: Train, tmp_path: Path, precision: str, cnn_run: Path
) -> None:
    """The processor knows bf16; weights stay in 32 bits."""
    recipe = changed(cnn_recipe, precision=precision, averaging={"decay": 0.5}, limits={"steps": 4})
    if precision == "16-mixed":
        with pytest.raises(InputError, match=r"precision 16-mixed: accelerator cpu \(here cpu\) cannot; take bf16"):
            train(recipe, tmp_path / "run", corpus=minerals)
        return
    train(recipe, tmp_path / "run", corpus=minerals)
    state = load(tmp_path / "run" / "last.ckpt")
    weights = [*state["state_dict"].values(), *state["current_model_state"].values()]
    assert {value.dtype for value in weights if value.is_floating_point()} == {torch.float32}
    train(changed(recipe, precision="32-true"), tmp_path / "full", corpus=minerals)
    half, full = (float(curve(tmp_path / name)[-1]["val_loss"]) for name in ("run", "full"))
    assert half != full
    assert half == pytest.approx(full, rel=0.03)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (
            {"widths": [16, 0, 16]},
            r"prism: widths \(16, 0, 16\), hidden 128; give three whole numbers above 0",
        ),
        ({"widths": [16, 16]}, r"prism: widths \(16, 16\), hidden 128"),
        ({"widths": 16}, "prism: widths 16, hidden 128"),
        ({"hidden": 0}, r"prism: widths \(16, 24, 32\), hidden 0"),
        ({"hidden": 16.5}, r"hidden 16\.5"),
        ({"dropout": 1.0}, r"prism: dropout 1\.0; give a rate from 0 to below 1"),
        ({"colour": 1}, "prism: no option 'colour'; there are: widths, hidden, dropout"),
    ],
)
def test_options_that_the_network_does_not_take(
    recipe: Recipe, small_table_path: Path, train: Train, tmp_path: Path, options: dict[str, Any], complaint: str
) -> None:
    wanted = {"name": "prism", "size": "small", "options": options}
    with pytest.raises(InputError, match=complaint):
        train(changed(recipe, network=wanted), tmp_path / "run", tables=[small_table_path])
    assert not (tmp_path / "run").exists()


def test_a_cell_keeps_its_digits_in_half_precision(run: Path) -> None:
    network, grid, _ = load_network(run / "last.ckpt")
    x_BL = torch.rand(64, grid.points, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        said = network(x_BL)
    assert said["space_group"].dtype == torch.bfloat16
    lengths = said["lattice"][:, :3]
    assert lengths.dtype == torch.float32
    assert not torch.equal(lengths, lengths.bfloat16().float())


def test_training_and_validation_crystals_are_others(
    recipe: Recipe, small_table_path: Path, small_table: ReflectionTable
) -> None:
    data = open_data(recipe, tables=[small_table_path], machine=Machine(workers=0))
    parts = split_indices(small_table.elements, small_table.space_group.tolist())
    assert not set(parts["train"].tolist()) & set(parts["validation"].tolist())
    learnt = data.batches(first=0, stop=1).stream.inner  # type: ignore[attr-defined]
    assert learnt.rows.tolist() == parts["train"].tolist()
    weights = sampling_weights(small_table, parts["validation"], {"amcsd": 1.0})
    lab = load_protocol("lab")
    held_out = FloorStream(
        CrystalStream(small_table, parts["validation"], weights, lab, size=4, seed=recipe.seed, grid=data.grid)
    )
    expected = held_out.draw(VALIDATION_FIRST + np.arange(8))
    x_BL, mask_BL, answers = data.validation[0]
    assert x_BL.numpy().tobytes() == expected.patterns.tobytes()
    assert (answers["space_group"] + 1).tolist() == expected.space_group.tolist()
    assert answers["lattice"].tolist() == expected.niggli.tolist()
    assert mask_BL is not None
    assert mask_BL.sum(dim=1).tolist() == np.diff(expected.measured, axis=1)[:, 0].tolist()


def test_patterns_to_validate_on_are_of_whole_crystals() -> None:
    """Two of each: five wanted are six."""
    park = load_recipe("ml4pxrds-park-small")
    park = park.model_copy(update={"data": park.data.model_copy(update={"validation_patterns": 5})})
    data = open_data(park, machine=Machine(workers=0))
    x_BL, _, answers = data.validation[0]
    assert len(x_BL) == len(answers["space_group"]) == 6
    assert answers["space_group"][::2].tolist() == answers["space_group"][1::2].tolist()
