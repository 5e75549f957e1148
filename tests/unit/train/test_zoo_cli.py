"""`powderlens train` with a recipe of the registry: what it prints, and what it refuses in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from powderlens.cli.main import main


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main([str(word) for word in words])
    return code, *capsys.readouterr()


@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.")
def test_choices_reach_the_run(
    capsys: pytest.CaptureFixture[str], cnn_recipe_path: Path, minerals: Path, tmp_path: Path
) -> None:
    choices = ("--network", "cnn4", "--as-published", "--task", "space_group", "--loss", "focal=3", "--seed", 8)
    where = ("--corpus", minerals, "--output", tmp_path / "run", "--workers", 0, "--threads", 1)
    code, out, err = call(capsys, "train", cnn_recipe_path, *where, *choices)
    assert code == 0, err
    assert json.loads(out) == {"checkpoint": "best.ckpt", "run": "run"}
    about = json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]
    assert about["network"] == {"name": "cnn4", "size": "small", "as_published": True}
    assert about["tasks"]["space_group"]["loss"] == {"kind": "focal", "gamma": 3.0, "alpha": 1.0}
    assert about["seed"] == 8


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "its data are corpus; a corpus is needed"),
        (("--corpus", "none"), "none: no such corpus"),
        (("--network", "cnn12"), "no network 'cnn12'; near it: cnn"),
        (("--loss", "hinge"), "no loss 'hinge' of classes"),
        (("--task", "colour"), "no task 'colour'"),
        (("--data", "none.parquet", "--corpus", "none"), "a reflection table is given and it takes none"),
        (("--ray",), "do not draw on Ray"),
    ],
)
def test_what_is_refused(
    capsys: pytest.CaptureFixture[str], cnn_recipe_path: Path, tmp_path: Path, words: tuple[Any, ...], complaint: str
) -> None:
    code, out, err = call(capsys, "train", cnn_recipe_path, "--output", tmp_path / "run", *words)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert complaint in err
    assert not (tmp_path / "run" / "run.json").exists()


def test_recipes_of_prism_take_no_choices(
    capsys: pytest.CaptureFixture[str], tiny_recipe: Path, small_table_path: Path, tmp_path: Path
) -> None:
    words = ("train", tiny_recipe, "--output", tmp_path / "run")
    code, _, err = call(capsys, *words, "--data", small_table_path, "--network", "cnn5")
    assert code == 2
    assert "a recipe of prism, which takes none of the choices" in err
    code, _, err = call(capsys, *words)
    assert code == 2
    assert "no reflection table is given with --data" in err
