"""A benchmark from one plan: what it draws, what it refuses, and that a killed one ends as one left alone."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from powderlens.cli.main import main
from powderlens.core.errors import InputError
from powderlens.crystal.common import common_minerals
from powderlens.crystal.label import find_symmetry
from powderlens.crystals.table import SCHEMA, crystal_row, write_crystals
from powderlens.evaluate.record import read_records
from powderlens.reproduce.benchmark import run
from powderlens.reproduce.benchmark.corpora import choose
from powderlens.reproduce.benchmark.plan import load_bench
from powderlens.reproduce.benchmark.run import searched
from powderlens.train.recipe import RECIPES

PLAN = """
format = 1
name = "tiny"
seed = 3
recipe = "simxrd-small.toml"
networks = ["mlp"]
tasks = ["space_group"]
as_published = true

[crystals]
known = 12
unseen = 10
protocol = "simxrd"
per_crystal = 6
unseen_per_crystal = 2

[budget]
patterns = 128
batch = 16
size = "small"
rates = [1e-3, 4e-3]
first_rate = 1e-3
validations = 2

[losses]
networks = ["mlp"]
kinds = ["focal"]
tasks = ["space_group"]
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """A network with and without its faults, and with another loss, on common minerals."""
    (tmp_path / "simxrd-small.toml").write_text((RECIPES / "simxrd-small.toml").read_text())
    path = tmp_path / "tiny.toml"
    path.write_text(PLAN)
    return path


@pytest.fixture(scope="module")
def crystals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """25 common minerals."""
    path = tmp_path_factory.mktemp("crystals") / "minerals.parquet"
    rows = [crystal_row(find_symmetry(mineral)) for mineral in common_minerals()]
    write_crystals(pa.Table.from_pylist(rows, schema=SCHEMA), path)
    return path


def test_the_plan_that_ships_is_what_the_paper_asks_for() -> None:
    bench = load_bench("benchmark-small")
    plain = list(bench.trials())
    assert len([each for each in plain if not each.variant.as_published]) == 42
    assert {each.variant.network for each in plain if each.variant.as_published} == {
        *(f"cnn{n}" for n in range(1, 9)), "mlp", "birnn", "bilstm", "bigru", "transformer",
    }  # fmt: skip
    assert bench.plan.crystals.known >= 1000
    assert bench.plan.crystals.per_crystal == 33
    assert len({each.variant.network for each in bench.loss_trials()}) >= 6
    assert {each.loss for each in bench.loss_trials()} == {"weighted", "smoothed", "focal"}
    runs = [each.name for each in (*plain, *bench.loss_trials())]
    assert len(set(runs)) == len(runs)
    recipes = [bench.recipe_of(each, 1e-3) for each in bench.loss_trials()]
    assert {recipe.limits.patterns for recipe in recipes} == {bench.plan.budget.patterns}


@pytest.mark.parametrize(
    ("losses", "tried"),
    [
        ({1: 9.0, 2: 8.0, 3: 5.0, 4: 4.0, 5: 3.0}, [3, 4, 5]),
        ({1: 9.0, 2: 8.0, 3: 5.0, 4: 4.0, 5: 6.0}, [3, 4, 5]),
        ({1: 9.0, 2: 8.0, 3: 5.0, 4: 6.0, 5: 1.0}, [3, 4, 2]),
        ({1: 2.0, 2: 4.0, 3: 5.0, 4: 6.0, 5: 1.0}, [3, 4, 2, 1]),
        ({1: 5.0, 2: 5.0, 3: 5.0, 4: 5.0, 5: 5.0}, [3, 4, 5, 2, 1]),
        ({1: 7.0, 2: math.inf, 3: math.inf, 4: math.inf, 5: math.inf}, [3, 4, 5, 2, 1]),
    ],
)
def test_learning_rates_are_searched_from_the_middle(losses: dict[float, float], tried: list[float]) -> None:
    found = searched(list(losses), 3, losses.__getitem__)
    assert found == {rate: losses[rate] for rate in tried}
    assert list(found) == tried


def test_unseen_crystals_share_no_bucket_with_known_ones() -> None:
    buckets = np.array([f"b{i % 40}" for i in range(200)], object)
    rows = choose(buckets, 20, 15, seed=1)
    assert len(rows["known"]) == 20
    assert len(rows["unseen"]) == 15
    assert not set(buckets[rows["known"]]) & set(buckets[rows["unseen"]])
    assert rows["known"].tolist() == choose(buckets, 20, 15, seed=1)["known"].tolist()
    assert rows["known"].tolist() != choose(buckets, 20, 15, seed=2)["known"].tolist()
    with pytest.raises(InputError, match="give a larger table or ask for fewer"):
        choose(buckets, 190, 15, seed=1)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('networks = ["mlp"]\ntasks = ["space', 'networks = ["mpl"]\ntasks = ["space', "no network 'mpl'"),
        ("batch = 16", "batch = 16\nsteps = 2", "budget.steps: no such key"),
        ("rates = [1e-3, 4e-3]", "rates = [4e-3, 1e-3]", "budget.rates: 0.004, 0.001 do not rise"),
        ("first_rate = 1e-3", "first_rate = 2e-3", "budget.first_rate: 0.002, not one of"),
        ("patterns = 128", "patterns = 3", "fewer than one batch of 16"),
        ('[losses]\nnetworks = ["mlp"]', '[losses]\nnetworks = ["cnn1"]', "losses.networks"),
        ('"simxrd-small.toml"', '"nowhere.toml"', "nowhere.toml: No such file"),
        ('"focal"', '"fokal"', "no loss 'fokal'"),
    ],
)
def test_a_plan_that_cannot_be_done_is_refused(plan: Path, old: str, new: str, message: str) -> None:
    plan.write_text(PLAN.replace(old, new))
    with pytest.raises(InputError, match=message):
        list(load_bench(plan).loss_trials())


def _words(plan: Path, crystals: Path, output: Path) -> list[str]:
    return [str(word) for word in ("benchmark", plan, "--crystals", crystals, "--output", output, "--workers", 1)]


def _program(plan: Path, crystals: Path, output: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "powderlens.cli.main", *_words(plan, crystals, output)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore:.*LeafSpec:FutureWarning")
def test_a_benchmark_that_was_killed_ends_as_one_left_alone(
    plan: Path, crystals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    monkeypatch.setattr(run, "in_processes", lambda workers: map)  # all but the one to be killed in this process
    assert main(_words(plan, crystals, whole)) == 0
    said, complaint = capsys.readouterr()
    assert json.loads(said) == {"records": "records", "count": 6}, complaint
    process = _program(plan, crystals, killed)
    while not list(killed.glob("runs/*/last.ckpt")):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert len(list(killed.glob("records/*.json"))) < 6
    assert main(_words(plan, crystals, killed)) == 0
    said, complaint = capsys.readouterr()
    assert json.loads(said)["count"] == 6, complaint
    ends = [
        {record.name: record.answers(path.parent) for path, record in read_records([folder / "records"])}
        for folder in (whole, killed)
    ]
    assert ends[0].keys() == ends[1].keys()
    assert all(ends[0][name].equals(ends[1][name]) for name in ends[0])
    records = [record for _, record in read_records([whole / "records"])]
    assert {record.protocol for record in records} == {"in-library", "out-of-library"}
    assert all(record.inference is not None and record.inference.batch_1_ms > 0 for record in records)
    assert all(record.training.patterns_seen == 128 for record in records)
    chosen_by = {record.loss["space_group"]: record.training.chosen_by for record in records}
    assert "lowest loss in the validation part of known (" in chosen_by["cross_entropy"]
    assert "that of cross-entropy" in chosen_by["focal=2"]
    assert all(len(record.training.curve) == 2 for record in records)
    assert len(list(whole.glob("runs/*/last.ckpt"))) == 3, "checkpoints of rates that were not chosen are gone"
    plan.write_text(PLAN.replace("seed = 3", "seed = 4"))
    assert main(_words(plan, crystals, whole)) == 2
    complaint = capsys.readouterr().err
    assert "began with another plan; give another folder" in complaint
    assert complaint.count("\n") == 1
