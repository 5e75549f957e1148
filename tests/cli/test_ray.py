"""`--ray` and `--ray-address`, as a user gives them."""

from __future__ import annotations

import csv
import importlib.util
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from powderlens.crystal.label import find_symmetry
from powderlens.crystal.structure import Structure
from powderlens.crystals.table import SCHEMA, crystal_row, write_crystals

Run = Callable[..., Any]


@pytest.fixture
def build(minerals: dict[str, Structure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command that builds a small corpus."""
    rows = [crystal_row(find_symmetry(mineral)) for mineral in minerals.values()]
    write_crystals(pa.Table.from_pylist(rows, schema=SCHEMA), tmp_path / "crystals.parquet")
    monkeypatch.chdir(tmp_path)
    words = "corpus build --crystals crystals.parquet --protocol ideal --per-crystal 33 --output small"
    return words.split()


def without_ray(name: str, *more: Any) -> Any:
    return None if name == "ray" else real_find_spec(name, *more)


real_find_spec = importlib.util.find_spec


@pytest.mark.parametrize("option", [["--ray"], ["--ray-address", "auto"]])
def test_ray_is_not_installed(run: Run, build: list[str], option: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", without_ray)
    assert run(*build, *option).complaint == "working on Ray needs ray: pip install 'powderlens[cluster]'"


def test_what_cannot_be_joined(run: Run, build: list[str], tiny_recipe: Path, small_table_path: Path) -> None:
    pytest.importorskip("ray")
    assert run(*build, "--ray-address", "head").complaint == (
        "Ray address 'head': give HOST:PORT of the head, as 10.0.0.1:6379, or auto"
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    remedy = "is it running (`ray start --head --port=6379`), and is the port open?"
    wanted = f"no Ray answers at {address} (Connection refused); {remedy}"
    assert run(*build, "--ray-address", address).complaint == wanted
    training = ["train", tiny_recipe, "--data", small_table_path, "--output", "run"]
    assert run(*training, "--ray-address", address).complaint == wanted
    assert not Path("run").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore:.*LeafSpec:FutureWarning")
def test_build_export_and_train_on_a_ray_of_our_own(
    run: Run, run_apart: Run, build: list[str], tiny_recipe: Path, small_table_path: Path
) -> None:
    pytest.importorskip("ray")
    done = run_apart(*build, "--ray", "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["patterns"] == 7 * 33
    assert all(line.startswith("powderlens: ") for line in done.stderr.splitlines())
    # Nothing is left to be done: no Ray is begun, so that the address is not even looked at.
    assert run(*build, "--ray-address", "nowhere").out == done.stdout

    words = ["train", tiny_recipe, "--data", small_table_path, "--precision", "bf16", "--threads", 1]
    alone = run(*words, "--workers", 0, "--output", "alone")
    assert alone.code == 0, alone.err
    trained = run_apart(*words, "--ray", "--workers", 1, "--output", "ray")
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["checkpoint"] == "best.ckpt"
    assert curve("ray") == curve("alone") != []


def curve(run: str) -> list[dict[str, str]]:
    with Path(run, "metrics.csv").open() as handle:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(handle)]
