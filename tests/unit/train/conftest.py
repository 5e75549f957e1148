"""Runs made once: six steps of prism with masks and averaging, two epochs of a small CNN on a small corpus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from powderlens.train.recipe import Recipe, load_recipe


@pytest.fixture(scope="session")
def recipe(tiny_recipe: Path) -> Recipe:
    """Six steps of four patterns of prism."""
    return load_recipe(tiny_recipe)


@pytest.fixture(scope="session")
def run(
    recipe: Recipe, small_table_path: Path, train: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a finished run of it."""
    output = tmp_path_factory.mktemp("run") / "tiny"
    train(recipe, output, tables=[small_table_path])
    return output


COARSE = """
name = "coarse"
summary = "Broad lines of crystallites of many sizes on a coarse grid"
citation = "powderlens"
scale = 100.0

[grid]
start_deg = 10.0
step_deg = 0.1
points = 701
wavelength_A = 1.5405929

[profile]
shape = "gaussian"
size_shape = "gaussian"
caglioti_w_deg2 = 0.04
crystallite_size_nm = { uniform = [10.0, 100.0] }

[counting]
noise_sigma = 0.002
"""

CNN_RECIPE = """
format = 2
name = "tiny-cnn"
seed = 5
batch = 8

[network]
name = "cnn5"
size = "small"

[tasks.crystal_system]
loss = { kind = "cross_entropy" }

[data]
kind = "corpus"

[optimiser]
kind = "adam"
learning_rate = 1e-3

[schedule]
kind = "constant"

[limits]
epochs = 2
"""


@pytest.fixture(scope="session")
def cnn_recipe_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe for `minerals`: two epochs of 13 steps, the last step of each half of the next."""
    path = tmp_path_factory.mktemp("recipe") / "tiny-cnn.toml"
    path.write_text(CNN_RECIPE)
    return path


@pytest.fixture(scope="session")
def cnn_recipe(cnn_recipe_path: Path) -> Recipe:
    """The same, read."""
    return load_recipe(cnn_recipe_path)


@pytest.fixture(scope="session")
def make_minerals(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """From a protocol to the corpus of 25 common minerals: 100 patterns to train, 25 each to validate and test."""
    import pyarrow as pa

    from powderlens.corpus.store.build import build_corpus
    from powderlens.crystal.common import common_minerals
    from powderlens.crystal.label import find_symmetry
    from powderlens.crystals.table import SCHEMA, crystal_row, write_crystals

    def make(protocol: str) -> Path:
        folder = tmp_path_factory.mktemp("minerals")
        (folder / "coarse.toml").write_text(protocol)
        rows = [crystal_row(find_symmetry(mineral)) for mineral in common_minerals()]
        write_crystals(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "minerals.parquet")
        how = {"protocol": str(folder / "coarse.toml"), "per_crystal": 6, "split": "in-library", "workers": 1}
        build_corpus(folder / "minerals.parquet", folder / "corpus", **how)
        return folder / "corpus"

    return make


@pytest.fixture(scope="session")
def minerals(make_minerals: Callable[[str], Path]) -> Path:
    """Their corpus on a coarse grid."""
    return make_minerals(COARSE)


@pytest.fixture(scope="session")
def cnn_run(
    cnn_recipe: Recipe, minerals: Path, train: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a finished run."""
    output = tmp_path_factory.mktemp("cnn") / "run"
    train(cnn_recipe, output, corpus=minerals)
    return output
