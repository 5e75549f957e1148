"""A run of the zoo: what it leaves, where it stops, and that killed and resumed it ends where it would have."""

from __future__ import annotations

import csv
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

import pytest
import torch

from powderlens.core.errors import InputError
from powderlens.train.components.batches import Machine
from powderlens.train.components.callbacks import Stops
from powderlens.train.components.losses import TaskLoss
from powderlens.train.module import DivergedError, RunModule
from powderlens.train.recipe import Recipe, parse_recipe, with_choices
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
    assert a["state_dict"].keys() == b["state_dict"].keys()
    assert all(torch.equal(a["state_dict"][name], b["state_dict"][name]) for name in a["state_dict"])
    moments = [state["optimizer_states"][0]["state"] for state in (a, b)]
    assert all(torch.equal(moments[0][i][k], moments[1][i][k]) for i in moments[0] for k in moments[0][i])
    rows = [[{k: v for k, v in row.items() if k != "seconds"} for row in curve(run)] for run in (one, other)]
    assert rows[0] == rows[1], "and the same curve"


def test_what_a_run_leaves(cnn_run: Path, cnn_recipe: Recipe) -> None:
    names = {"best.ckpt", "last.ckpt", "metrics.csv", "run.json", "outcome.json"}
    assert {path.name for path in cnn_run.iterdir()} == names
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


def test_the_validation_figures_are_those_of_the_patterns(cnn_run: Path, minerals: Path) -> None:
    from powderlens.corpus.corpus import Corpus
    from powderlens.train.components.checkpoint import load_network

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


@pytest.mark.parametrize("machine", [Machine(workers=0, memory_GB=0.0), Machine(workers=0, cache=Path("cache"))])
def test_where_patterns_are_kept_changes_nothing(
    cnn_run: Path,
    cnn_recipe: Recipe,
    minerals: Path,
    train: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    machine: Machine,
) -> None:
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


def test_a_run_stopped_between_validations_goes_on_from_its_newest_checkpoint(
    cnn_recipe: Recipe, minerals: Path, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at step 19 after the checkpoint of step 18, with the one-cycle schedule, whose place matters."""
    how = OneCycle(kind="one_cycle", warmup=0.3).model_dump()
    recipe = changed(cnn_recipe, checkpoint_steps=6, schedule=how)
    train(recipe, tmp_path / "whole", corpus=minerals)
    step = RunModule.training_step

    def until(self: RunModule, batch: Any, index: int) -> Any:
        if self.global_step == 19:
            raise Stopped
        return step(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(RunModule, "training_step", until)
        with pytest.raises(Stopped):
            train(recipe, tmp_path / "run", corpus=minerals)
    assert load(tmp_path / "run" / "last.ckpt")["global_step"] == 18
    assert not (tmp_path / "run" / "outcome.json").exists()
    train(recipe, tmp_path / "run", corpus=minerals, resume=True)
    assert_same_end(tmp_path / "run", tmp_path / "whole")


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
    from powderlens.train.recipe import load_recipe

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


def test_another_run_is_not_gone_on_with(cnn_run: Path, cnn_recipe: Recipe, minerals: Path, train: Train) -> None:
    with pytest.raises(InputError, match="holds a run already; go on with --resume"):
        train(cnn_recipe, cnn_run, corpus=minerals)
    with pytest.raises(InputError, match="began with other recipe"):
        train(with_choices(cnn_recipe, seed=6), cnn_run, corpus=minerals, resume=True)


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
    with pytest.raises(InputError, match="its data are corpus; a corpus is needed"):
        train(cnn_recipe, run)
    with pytest.raises(InputError, match="no part 'elsewhere'"):
        train(changed(cnn_recipe, data={"kind": "corpus", "validation": "elsewhere"}), run, corpus=minerals)
    noise = {"counts_at_max": [1, 100], "relative_sigma": [0.001, 0.1]}
    with pytest.raises(InputError, match="protocol coarse adds noise already"):
        train(changed(cnn_recipe, data={"kind": "corpus", "noise": noise}), run, corpus=minerals)
    with pytest.raises(InputError, match="batch 8: 3 devices cannot share it"):
        train(cnn_recipe, run, corpus=minerals, devices=3)
    short = changed(cnn_recipe, network={"name": "resnet10", "size": "small", "as_published": True})
    with pytest.raises(InputError, match="resnet10: as_published has no effect"):
        train(short, run, corpus=minerals)
    assert not (run / "run.json").exists()
