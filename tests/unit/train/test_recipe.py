"""Recipes for networks of the registry: those that ship are valid, mistakes are named in one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from powderlens.core.errors import InputError
from powderlens.generate.statistics import shipped_statistics
from powderlens.train.components.data import open_source
from powderlens.train.recipe import Recipe, is_cnn_recipe, load_recipe, parse_recipe, with_choices
from powderlens.train.recipe_file import RECIPES

SHIPPED = [path for path in sorted(RECIPES.glob("*.toml")) if is_cnn_recipe(path)]


def test_what_ships() -> None:
    names = {path.stem for path in SHIPPED}
    whole = {"simxrd", "ml4pxrds-resnet", "ml4pxrds-park", "alphadiffract"}
    assert names == whole | {f"{name}-small" for name in whole}
    assert {path.stem for path in RECIPES.glob("*.toml")} - names == {"prism", "prism-small"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_it_is_valid_and_named_after_its_file(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert (recipe.network.size == "small") == path.stem.endswith("-small")
    assert parse_recipe(recipe.model_dump(mode="json"), "again") == recipe


def test_the_published_settings() -> None:
    simxrd = load_recipe("simxrd")
    assert (simxrd.batch, simxrd.optimiser.kind, simxrd.optimiser.learning_rate) == (128, "adam", 2.5e-4)
    assert (simxrd.limits.epochs, simxrd.patience, simxrd.min_delta, simxrd.keep) == (50, 3, 1e-4, "best")
    resnet, park = (load_recipe(f"ml4pxrds-{name}") for name in ("resnet", "park"))
    for recipe, batches in ((resnet, 900), (park, 150)):
        assert recipe.data.kind == "synthetic"
        assert recipe.data.epoch_patterns == batches * recipe.batch
        assert (recipe.keep, recipe.patience, recipe.optimiser.eps) == ("last", None, 1e-7)
    ours = load_recipe("alphadiffract")
    assert (ours.optimiser.kind, ours.optimiser.weight_decay, ours.batch) == ("adamw", 0.01, 64)
    assert list(ours.tasks) == ["crystal_system", "space_group", "lattice"]


def test_every_field_is_described() -> None:
    for name, field in Recipe.model_fields.items():
        assert field.description or hasattr(field.annotation, "model_fields") or name in {"data", "schedule"}, name


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("batch = 8", "batch = 8\ncolour = 1", "colour: Extra inputs are not permitted"),
        ('size = "small"', 'size = "small"\ncolour = 1', "network.colour: Extra inputs are not permitted"),
        ('kind = "cross_entropy" }', 'kind = "cross_entropy", mu = 1 }', "mu: Extra inputs are not permitted"),
        ('name = "cnn5"', 'name = "cnn55"', "network.name|no network 'cnn55'; near it: cnn5"),
        ('size = "small"', 'size = "tiny"', "network.size: Input should be 'full' or 'small'"),
        ("tasks.crystal_system", "tasks.colour", "tasks.colour: no such task; there are crystal_system"),
        ('"cross_entropy"', '"squared"', "tasks.crystal_system.loss: squared does not fit; there are cross_entropy"),
        ('"cross_entropy"', '"gemd"', "tasks.crystal_system.loss: graph distances are between space groups"),
        ('"cross_entropy"', '"hinge"', "tasks.crystal_system.loss: Input tag 'hinge'"),
        ("learning_rate = 1e-3", "learning_rate = 0", "optimiser.learning_rate: Input should be greater than 0"),
        ("batch = 8", "batch = 1", "batch: Input should be greater than 1 "),
        ("batch = 8", "batch = 8\nmin_delta = 0.1", "min_delta: has no effect without patience"),
        ("epochs = 2", "", "limits: no limit: give epochs, steps, patterns or seconds"),
        ("seed = 5", "seed = 5.5", "seed: Input should be a valid integer"),
        ("format = 2", "format = 3", "format: Input should be 2"),
        (
            'kind = "corpus"',
            'kind = "corpus"\nvalidation = "test"',
            "data.validation: the test part must choose nothing",
        ),
        (
            'kind = "constant"',
            'kind = "one_cycle"\nwarmup = 1.0',
            "schedule.one_cycle.warmup: Input should be less than 1",
        ),
    ],
)
def test_a_mistake_is_named(cnn_recipe_path: Path, tmp_path: Path, old: str, new: str, complaint: str) -> None:
    text = cnn_recipe_path.read_text()
    assert old in text
    (tmp_path / "r.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=re.escape("r.toml: ") + ".*" + f"({complaint})") as caught:
        load_recipe(tmp_path / "r.toml")
    assert "\n" not in str(caught.value)


def test_one_cycle_needs_an_end_and_a_corpus_has_its_grid(cnn_recipe: Recipe) -> None:
    content = cnn_recipe.model_dump(mode="json")
    timed = {**content, "schedule": {"kind": "one_cycle", "warmup": 0.1}, "limits": {"seconds": 5}}
    with pytest.raises(InputError, match="schedule one_cycle: needs to know its end"):
        parse_recipe(timed, "r")
    grid = {"start_deg": 5.0, "step_deg": 0.1, "points": 850, "wavelength_A": 1.54}
    with pytest.raises(InputError, match="grid: has no effect, a corpus has its own"):
        parse_recipe({**content, "grid": grid}, "r")


def test_choices_of_the_command_line(cnn_recipe: Recipe) -> None:
    chosen = with_choices(
        cnn_recipe, network="transformer", size="full", as_published=True, tasks=["space_group"], loss="gemd=2", seed=9
    )
    assert chosen.network.model_dump() == {"name": "transformer", "size": "full", "as_published": True}
    assert {name: task.loss.model_dump() for name, task in chosen.tasks.items()} == {
        "space_group": {"kind": "gemd", "mu": 2.0}
    }
    assert chosen.seed == 9
    assert with_choices(cnn_recipe) == cnn_recipe
    both = with_choices(cnn_recipe, tasks=["lattice", "crystal_system"], loss="focal")
    assert [task.loss.kind for task in both.tasks.values()] == ["squared", "focal"]


@pytest.mark.parametrize(
    ("choices", "complaint"),
    [
        ({"network": "cnn12"}, "no network 'cnn12'"),
        ({"tasks": ["colour"]}, "no task 'colour'; there are crystal_system"),
        ({"loss": "squared"}, "no loss 'squared' of classes; there are cross_entropy"),
        ({"loss": "weighted=2"}, "weighted takes no number"),
        ({"loss": "focal=much"}, "gamma: Input should be a valid number"),
        ({"loss": "gemd"}, "graph distances are between space groups"),
        ({"loss": "focal", "tasks": ["lattice"]}, "has no effect, there is no head with classes"),
        ({"seed": -1}, "seed: Input should be greater than or equal to 0"),
    ],
)
def test_choices_that_cannot_be(cnn_recipe: Recipe, choices: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        with_choices(cnn_recipe, **choices)


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    assert not is_cnn_recipe(tmp_path / "none.toml")
    with pytest.raises(InputError, match="No such file"):
        load_recipe(tmp_path / "none.toml")
    (tmp_path / "r.toml").write_bytes(b"\xff\xfe")
    assert not is_cnn_recipe(tmp_path / "r.toml")
    with pytest.raises(InputError, match="not TOML"):
        load_recipe(tmp_path / "r.toml")


@pytest.mark.parametrize("name", ["ml4pxrds-resnet-small", "ml4pxrds-park-small"])
def test_recipes_of_synthetic_crystals_train(train: Callable[..., Path], tmp_path: Path, name: str) -> None:
    """Two steps of their own network on their own grid."""
    content = load_recipe(name).model_dump(mode="json")
    content["data"].update({"epoch_patterns": 8, "validation_patterns": 4})
    short = parse_recipe({**content, "batch": 4, "limits": {"steps": 2}}, name)
    assert train(short, tmp_path / "run").name == "last.ckpt"
    assert (tmp_path / "run" / "outcome.json").exists()


def test_alphadiffract_trains_on_clean_patterns_with_its_noise(
    make_minerals: Callable[[str], Path], train: Callable[..., Path], tmp_path: Path
) -> None:
    corpus = make_minerals((files("powderlens.diffraction") / "protocols/alphadiffract-clean.toml").read_text())
    content = load_recipe("alphadiffract-small").model_dump(mode="json")
    short = parse_recipe({**content, "batch": 4, "limits": {"steps": 2}}, "short")
    assert train(short, tmp_path / "run", corpus=corpus).name == "best.ckpt"


def test_a_recipe_of_crystals_trains(
    cnn_recipe: Recipe, small_table_path: Path, train: Callable[..., Path], tmp_path: Path
) -> None:
    data = {
        "kind": "crystals",
        "protocol": "lab",
        "shares": {"amcsd": 1.0},
        "epoch_patterns": 16,
        "validation_patterns": 8,
    }
    grid = {"start_deg": 5.0, "step_deg": 0.1, "points": 850, "wavelength_A": 1.5418711}
    recipe = parse_recipe({**cnn_recipe.model_dump(mode="json"), "data": data, "grid": grid}, "crystals")
    train(recipe, tmp_path / "run", tables=[small_table_path])
    with pytest.raises(InputError, match="its data are crystals; a reflection table is needed"):
        train(recipe, tmp_path / "other")


def test_synthetic_crystals_of_other_statistics(tmp_path: Path) -> None:
    recipe = load_recipe("ml4pxrds-resnet-small")
    content = recipe.model_dump(mode="json")
    content["data"].update({"epoch_patterns": 8, "validation_patterns": 4})
    short = parse_recipe({**content, "batch": 4, "limits": {"steps": 2}}, "short")
    shipped = shipped_statistics()
    groups = sorted(shipped.groups)[:3]
    counts = {number: shipped.counts[number] for number in groups}
    few = replace(shipped, counts=counts, groups={number: shipped.groups[number] for number in groups})
    few.save(tmp_path / "few.json")
    source = open_source(short, tables=[tmp_path / "few.json"])
    assert source.tasks[0].classes == tuple(groups)
    assert source.about["tables"].keys() == {"few.json"}
    assert open_source(short).about["statistics"] != source.about["statistics"]
    with pytest.raises(InputError, match="2 files of statistics, give one"):
        open_source(short, tables=[tmp_path / "few.json"] * 2)
