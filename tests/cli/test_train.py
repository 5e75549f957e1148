"""`powderlens train` and `powderlens export`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
    assert {p.name for p in folder.iterdir()} == {"best.ckpt", "last.ckpt", "metrics.csv", "run.json"}


def test_a_trained_network_is_exported(run: Callable[..., Any], trained: tuple[Path, Any], tmp_path: Path) -> None:
    result = run("export", trained[0], "--output", tmp_path / "models")
    assert result.code == 0
    said = json.loads(result.out)
    path = tmp_path / "models" / "tiny.onnx"
    assert said == {"onnx": "tiny.onnx", "bytes": path.stat().st_size}
    best = json.loads((tmp_path / "models" / "tiny.json").read_text())["checkpoint_step"]
    result = run("export", trained[0], "--output", tmp_path / "models", "--checkpoint", "last.ckpt")
    assert result.code == 0
    assert best <= json.loads((tmp_path / "models" / "tiny.json").read_text())["checkpoint_step"] == 6


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
        ({"recipe": "bad.toml"}, "bad.toml: steps: Input should be greater than 0 (got 0)"),
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
    result = run("train", recipe, *(word for pair in options.items() for word in pair))
    assert result.code == 2
    assert message in result.complaint
    assert not Path("run", "run.json").exists()


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
