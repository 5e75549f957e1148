"""A run of six steps, made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from powderlens.train.recipe import Recipe, load_recipe


@pytest.fixture(scope="session")
def recipe(tiny_recipe: Path) -> Recipe:
    """Six steps of four patterns."""
    return load_recipe(tiny_recipe)


@pytest.fixture(scope="session")
def run(
    recipe: Recipe, small_table_path: Path, train: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a finished run."""
    output = tmp_path_factory.mktemp("run") / "tiny"
    train(recipe, [small_table_path], output)
    return output
