"""Recipes: mistakes are named in one line, and choices of the command line; tests/contract has those that ship."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from powderlens.core.errors import InputError
from powderlens.generate.statistics import shipped_statistics
from powderlens.train.components.data import open_data
from powderlens.train.recipe import Recipe, load_recipe, parse_recipe, with_choices


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
        inside = getattr(field.annotation, "model_fields", {})
        assert field.description or inside or name in {"data", "schedule"}, name
        for key, part in inside.items():
            assert part.description or key == "kind", f"{name}.{key}"


def test_a_recipe_cannot_be_changed_after_it_is_read(recipe: Recipe) -> None:
    with pytest.raises(ValueError, match="frozen"):
        recipe.batch = 7  # type: ignore[misc]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("batch = 8", "batch = 8\ncolour = 1", "colour: no such key"),
        ('size = "small"', 'size = "small"\ncolour = 1', "network.colour: no such key"),
        ('kind = "cross_entropy" }', 'kind = "cross_entropy", mu = 1 }', "mu: no such key"),
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


@pytest.mark.parametrize(
    ("key", "value", "where"),
    [
        ("batch", "0", "batch"),
        ("batch", "64.5", "batch"),
        ("steps", "-5", "limits.steps"),
        ("steps", "nan", "limits.steps"),
        ("learning_rate", "inf", "optimiser.learning_rate"),
        ("weight_decay", "-0.1", "optimiser.weight_decay"),
        ("betas", "[0.9, 1.0]", "optimiser.betas.1"),
        ("warmup", "1.0", "schedule.one_cycle.warmup"),
        ("loss", '{ kind = "smoothed", smoothing = 1.0 }', "tasks.crystal_system.loss.smoothed.smoothing"),
        ("weight", "-1", "tasks.crystal_system.weight"),
        ("averaging", "{ decay = 1.0 }", "averaging.decay"),
        ("gradient_clip", "0", "gradient_clip"),
        ("seed", "-1", "seed"),
        ("name", '"../elsewhere"', "name"),
        ("name", '""', "name"),
        ("start_deg", "-1", "grid.start_deg"),
        ("step_deg", "0", "grid.step_deg"),
        ("points", "10", "grid.points"),
        ("wavelength_A", "-1.5", "grid.wavelength_A"),
        ("mask", '"much"', "network.mask"),
        ("options", '{ hidden = "many" }', "network.options.hidden"),
        ("shares", "{ amcsd = -1.0 }", "data.crystals.shares.amcsd"),
        ("shares", "{ }", "data.crystals.shares"),
        ("protocol", '""', "data.crystals.protocol"),
        ("validation_patterns", "0", "data.crystals.validation_patterns"),
        ("epoch_patterns", "0", "data.crystals.epoch_patterns"),
        ("floor", "0.5", "data.crystals.floor"),
    ],
)
def test_a_value_out_of_range_names_its_field(
    tiny_recipe: Path, tmp_path: Path, key: str, value: str, where: str
) -> None:
    changed, count = re.subn(rf"^{key} = .*$", f"{key} = {value}", tiny_recipe.read_text(), count=1, flags=re.MULTILINE)
    assert count == 1
    (tmp_path / "r.toml").write_text(changed)
    with pytest.raises(InputError, match=rf"r\.toml: {re.escape(where)}") as caught:
        load_recipe(tmp_path / "r.toml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["name", "seed", "batch", "points", "shares", "learning_rate", "kind"])
def test_a_missing_value_names_its_field(tiny_recipe: Path, tmp_path: Path, key: str) -> None:
    text = re.sub(rf"^{key} = .*\n", "", tiny_recipe.read_text(), flags=re.MULTILINE)
    (tmp_path / "r.toml").write_text(text)
    complaint = "Unable to extract tag" if key == "kind" else rf"[: .]{key}: Field required"
    with pytest.raises(InputError, match=complaint):
        load_recipe(tmp_path / "r.toml")


def test_a_recipe_of_the_first_generation_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old.toml").write_text('name = "old"\nseed = 1\nsteps = 10\n')
    with pytest.raises(InputError, match=r"old\.toml: states no format, .*; write it as the shipped recipe prism"):
        load_recipe(tmp_path / "old.toml")


def test_one_cycle_needs_an_end_and_a_corpus_has_its_grid(cnn_recipe: Recipe) -> None:
    content = cnn_recipe.model_dump(mode="json")
    timed = {**content, "schedule": {"kind": "one_cycle", "warmup": 0.1}, "limits": {"seconds": 5}}
    with pytest.raises(InputError, match="schedule one_cycle: needs to know its end"):
        parse_recipe(timed, "r")
    grid = {"start_deg": 5.0, "step_deg": 0.1, "points": 850, "wavelength_A": 1.54}
    with pytest.raises(InputError, match="grid: has no effect, a corpus has its own"):
        parse_recipe({**content, "grid": grid}, "r")
    noise = {"counts_at_max": [1, 100], "relative_sigma": [0.001, 0.1]}
    with pytest.raises(InputError, match="noise: would be added to patterns whose floor is subtracted already"):
        parse_recipe({**content, "data": {"kind": "corpus", "floor": True, "noise": noise}}, "r")


def test_choices_of_the_command_line(cnn_recipe: Recipe, recipe: Recipe) -> None:
    chosen = with_choices(
        cnn_recipe,
        network="transformer",
        size="full",
        as_published=True,
        mask=True,
        tasks=["space_group"],
        loss="gemd=2",
        averaging=0.99,
        precision="bf16",
        seed=9,
    )
    network = {"name": "transformer", "size": "full", "as_published": True, "mask": True, "options": {}}
    assert chosen.network.model_dump() == network
    assert {name: task.loss.model_dump() for name, task in chosen.tasks.items()} == {
        "space_group": {"kind": "gemd", "mu": 2.0, "smoothing": 0.0}
    }
    assert chosen.averaging is not None
    assert (chosen.averaging.decay, chosen.precision, chosen.seed) == (0.99, "bf16-mixed", 9)
    assert with_choices(cnn_recipe) == cnn_recipe
    assert with_choices(recipe) == recipe
    both = with_choices(cnn_recipe, tasks=["lattice", "crystal_system"], loss="focal")
    assert [task.loss.kind for task in both.tasks.values()] == ["squared", "focal"]
    own = with_choices(cnn_recipe, loss="my_losses:margin").tasks["crystal_system"].loss
    assert own.model_dump() == {"kind": "own", "name": "my_losses:margin", "settings": {}}
    assert with_choices(recipe, network="prism").network.options == {"widths": (4, 6, 8), "hidden": 16}
    assert with_choices(recipe, network="cnn5").network.options == {}, "they are of the recipe's own network"


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
        ({"precision": "fp8"}, "precision: Input should be '32-true', 'bf16-mixed' or '16-mixed'"),
        ({"averaging": 1.0}, "averaging.decay: Input should be less than 1"),
        ({"network": "my_networks:MyNet"}, "imported only if the command line names it too"),
        ({"seed": -1}, "seed: Input should be greater than or equal to 0"),
    ],
)
def test_choices_that_cannot_be(cnn_recipe: Recipe, choices: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        with_choices(cnn_recipe, **choices)


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_recipe(tmp_path / "none.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(InputError, match="directory"):
        load_recipe(tmp_path / "folder.toml")
    with pytest.raises(InputError, match=r"no recipe 'prism-big'; there are .*prism, prism-small, .* ending in \.toml"):
        load_recipe("prism-big")
    for content in (b"name = ", b"\xff\xfe\x00"):
        (tmp_path / "r.toml").write_bytes(content)
        with pytest.raises(InputError, match="not TOML"):
            load_recipe(tmp_path / "r.toml")


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
    found = open_data(short, tables=[tmp_path / "few.json"])
    assert found.tasks[0].classes == tuple(groups)
    assert found.about["tables"].keys() == {"few.json"}
    assert open_data(short).about["statistics"] != found.about["statistics"]
    with pytest.raises(InputError, match="2 files of statistics, give one"):
        open_data(short, tables=[tmp_path / "few.json"] * 2)
