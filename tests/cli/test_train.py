"""`powderlens train` and `powderlens export`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from powderlens.corpus.store.manifest import write_manifest
from powderlens.corpus.store.stored import stored_schema
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.structure import Structure
from powderlens.crystals.table import SCHEMA, crystal_row, write_crystals
from powderlens.train.recipe import RECIPES

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
QUICK = ("--workers", 0, "--threads", 1)


@pytest.fixture(scope="module")
def trained(tiny_recipe: Path, small_table_path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A run made by the program in a process of its own, and what that printed."""
    import subprocess
    import sys

    folder = tmp_path_factory.mktemp("trained") / "tiny"
    words = ["train", tiny_recipe, "--data", small_table_path, "--output", folder, *QUICK]
    command = [sys.executable, "-W", "error::UserWarning", "-m", "powderlens.cli.main", *map(str, words)]
    return folder, subprocess.run(command, capture_output=True, text=True, timeout=1200)


def test_training_prints_one_line_of_json_and_progress_elsewhere(trained: tuple[Path, Any]) -> None:
    folder, done = trained
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"checkpoint": "best.ckpt", "run": "tiny"}
    assert done.stdout.count("\n") == 1
    assert "Warning" not in done.stderr
    assert "litlogger" not in done.stderr, "no advertisements"
    left = {"best.ckpt", "last.ckpt", "metrics.csv", "outcome.json", "run.json"}
    assert {p.name for p in folder.iterdir()} == left


def test_a_trained_network_is_exported(run: Callable[..., Any], trained: tuple[Path, Any], tmp_path: Path) -> None:
    result = run("export", trained[0], "--output", tmp_path / "models")
    assert result.code == 0
    said = json.loads(result.out)
    path = tmp_path / "models" / "tiny.onnx"
    assert said == {"onnx": "tiny.onnx", "bytes": path.stat().st_size}
    assert {path.name for path in path.parent.iterdir()} == {"tiny.json", "tiny.onnx", "tiny.safetensors"}
    best = json.loads((tmp_path / "models" / "tiny.json").read_text())["weights"]["step"]
    result = run("export", trained[0], "--output", tmp_path / "models", "--checkpoint", "last.ckpt")
    assert result.code == 0
    assert best <= json.loads((tmp_path / "models" / "tiny.json").read_text())["weights"]["step"] == 6


def test_a_run_is_gone_on_with_or_left_alone(
    run: Callable[..., Any], trained: tuple[Path, Any], tiny_recipe: Path, small_table_path: Path
) -> None:
    words = ("train", tiny_recipe, "--data", small_table_path, "--output", trained[0], *QUICK)
    assert "holds a run already; go on with --resume" in run(*words).complaint
    assert run(*words, "--resume").code == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": "none.toml"}, "none.toml: No such file"),
        ({"recipe": "bad.toml"}, "bad.toml: limits.steps: Input should be greater than 0 (got 0)"),
        ({"--data": None}, "its data are crystals; a reflection table (--data) is needed"),
        ({"--corpus": "none"}, "a corpus (--corpus) is given and it takes none"),
        ({"--measured": "none"}, "none: no such corpus"),
        ({"--network": "cnn12"}, "no network 'cnn12'; near it: cnn"),
        ({"--network": "no_networks:Net"}, "no module 'no_networks' here or among what is installed"),
        ({"--loss": "hinge"}, "no loss 'hinge' of classes"),
        ({"--loss": "no_losses:hinge"}, "no module 'no_losses' here or among what is installed"),
        ({"--task": "colour"}, "no task 'colour'"),
        ({"--averaging": 1.5}, "averaging.decay: Input should be less than 1 (got 1.5)"),
        ({"--precision": "fp16"}, "precision 16-mixed: accelerator cpu (here cpu) cannot; take bf16-mixed"),
        ({"--precision": "fp8"}, "Invalid value for '--precision'"),
        ({"--devices": 2, "--ray-address": "auto"}, "2 devices on Ray: each would draw on one of its own"),
        ({"--data": "none.parquet"}, "no such reflection table; make it with `powderlens corpus reflections`"),
        ({"--data": "words.parquet"}, "not a Parquet file"),
        ({"--output": "words.parquet"}, "no folder can be made there"),
        ({"--workers": -1}, "Invalid value for '--workers'"),
        ({"--threads": 0}, "Invalid value for '--threads'"),
        ({"--accelerator": "abacus"}, "Invalid value for '--accelerator'"),
    ],
)
def test_training_that_cannot_be(
    run: Callable[..., Any],
    tiny_recipe: Path,
    small_table_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("words.parquet").write_text("words")
    Path("bad.toml").write_text(tiny_recipe.read_text().replace("steps = 6", "steps = 0"))
    options = {"recipe": tiny_recipe, "--data": small_table_path, "--output": "run", **changes}
    recipe = options.pop("recipe")
    result = run("train", recipe, *(word for pair in options.items() if pair[1] is not None for word in pair))
    assert result.code == 2
    assert message in result.complaint
    assert not Path("run", "run.json").exists()


def test_choices_reach_the_run(
    run: Callable[..., Any], tiny_recipe: Path, small_table_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network and a loss of one's own, named on the command line; patterns drawn by two processes."""
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    words = ["train", tiny_recipe, "--data", small_table_path, "--output", "run", "--workers", 2, "--threads", 1]
    choices = ["--network", "mine:Net", "--loss", "mine:loss", "--task", "space_group", "--seed", 8]
    result = run(*words, *choices, "--averaging", 0.9, "--precision", "bf16")
    assert result.code == 0, result.err
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    recipe = about["recipe"]
    assert recipe["network"] == {"name": "mine:Net", "size": "full", "as_published": False, "mask": True, "options": {}}
    assert recipe["tasks"].keys() == {"space_group"}
    assert recipe["tasks"]["space_group"]["loss"] == {"kind": "own", "name": "mine:loss", "settings": {}}
    assert (recipe["seed"], recipe["averaging"], recipe["precision"]) == (8, {"decay": 0.9}, "bf16-mixed")
    assert about["network"]["parameters"] == 2 + (850 * 4 + 4) + (4 * 230 + 230), "those of the mask and its own"


MINE = """
import torch


class Net(torch.nn.Module):
    features = 4

    def __init__(self, points):
        super().__init__()
        self.dense = torch.nn.Linear(points, 4)

    def forward(self, x):
        return self.dense(x.flatten(1)).relu()


def loss(answer, truth):
    return torch.nn.functional.multi_margin_loss(answer, truth)
"""


def test_masks_and_measured_patterns_of_a_network_on_a_corpus(
    run: Callable[..., Any], minerals: dict[str, Structure], tmp_path: Path
) -> None:
    """A SimXRD recipe with what prism has: mask, averaging; and figures of measured patterns, which choose nothing."""
    corpus, measured = tmp_path / "corpus", tmp_path / "measured"
    rows = [crystal_row(find_symmetry(minerals[name])) for name in ("Rutile", "Halite", "Quartz")]
    write_crystals(pa.Table.from_pylist(rows, schema=SCHEMA), tmp_path / "crystals.parquet")
    build = ["corpus", "build", "--crystals", tmp_path / "crystals.parquet", "--protocol", "simxrd", "--workers", 1]
    assert run(*build, "--per-crystal", 6, "--split", "in-library", "--output", corpus).code == 0
    x = np.arange(20.0, 80.0, 0.05)
    scans = [
        {
            "id": "a",
            "space_group": 136,
            "crystal_system": "tetragonal",
            "intensity": np.exp(-((x - 27.4) ** 2)).tolist(),
        },
        {"id": "b", "intensity": np.exp(-((x - 30.0) ** 2)).tolist()},
    ]
    rows = [{**scan, "two_theta_deg": x.tolist(), "wavelength_A": 1.5406} for scan in scans]
    measured.mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=stored_schema("two_theta_deg")), measured / "patterns.parquet")
    write_manifest(measured, {"kind": "measured", "axis": "two_theta_deg"})
    recipe = tmp_path / "recipe.toml"
    text = (RECIPES / "simxrd-small.toml").read_text().replace("batch = 128", "batch = 4")
    recipe.write_text(text.replace("epochs = 6", "epochs = 2"))
    words = ["train", recipe, "--corpus", corpus, *QUICK, "--mask", "--averaging", 0.5]
    for name, more in {"without": [], "with": ["--measured", measured]}.items():
        result = run(*words, *more, "--output", tmp_path / name)
        assert result.code == 0, result.err
    curves = {name: (tmp_path / name / "metrics.csv").read_text() for name in ("without", "with")}
    plain, shown = ([*csv.DictReader(io.StringIO(curves[name]))] for name in ("without", "with"))
    assert len(plain) == len(shown) == 2
    for one, other in zip(plain, shown, strict=True):
        assert other["measured_space_group"] in {"0.0", "1.0"}, "of the one pattern whose group is known"
        assert {key: value for key, value in other.items() if not key.startswith("measured_") and key != "seconds"} == {
            key: value for key, value in one.items() if key != "seconds"
        }, "they change nothing"
    about = json.loads((tmp_path / "with" / "run.json").read_text())
    assert (about["measured"]["corpus"], about["measured"]["patterns"]) == ("measured", 2)
    refused = run(*words, "--output", tmp_path / "with", "--resume")
    assert "this run began with other measured" in refused.complaint


def test_an_accelerator_that_is_not_there(
    run: Callable[..., Any], tiny_recipe: Path, small_table_path: Path, tmp_path: Path
) -> None:
    import torch

    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("there is one")
    words = ("train", tiny_recipe, "--data", small_table_path, "--output", tmp_path / "run", *QUICK)
    result = run(*words, "--accelerator", "gpu")
    assert result.code == 2
    assert result.complaint.startswith("accelerator gpu: ")


def test_an_export_that_cannot_be(run: Callable[..., Any], trained: tuple[Path, Any], tmp_path: Path) -> None:
    assert "no training run" in run("export", tmp_path, "--output", tmp_path).complaint
    result = run("export", trained[0], "--output", tmp_path / "m", "--checkpoint", "worst.ckpt")
    assert result.code == 2
    assert "worst.ckpt: no such checkpoint" in result.complaint
    (tmp_path / "file").write_text("")
    assert "no folder can be made there" in run("export", trained[0], "--output", tmp_path / "file").complaint
