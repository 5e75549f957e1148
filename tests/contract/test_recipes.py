"""Every shipped recipe is valid, trains, and a mistake in one is named."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from powderlens.core.errors import InputError
from powderlens.models.runtime import DEFAULT_MODEL
from powderlens.train.recipe import Recipe, load_recipe
from powderlens.train.recipe_file import RECIPES

OF_PRISM = [path for path in sorted(RECIPES.glob("*.toml")) if "format" not in tomllib.loads(path.read_text())]
"""Those of prism; tests/unit/train/test_zoo_recipe.py has those of the zoo, which say `format = 2`."""


@pytest.fixture(params=OF_PRISM, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def test_there_are_recipes() -> None:
    assert {"prism", "prism-small"} <= {path.stem for path in OF_PRISM}
    names = [load_recipe(path).name for path in OF_PRISM]
    assert len(set(names)) == len(names), "models of two recipes would overwrite each other"
    assert DEFAULT_MODEL in names


def test_it_is_valid(path: Path) -> None:
    recipe = load_recipe(path)
    grid = recipe.grid.grid()
    assert 0 < grid.start_deg < grid.end_deg < 180
    assert recipe.data.validation_patterns >= recipe.batch or recipe.data.validation_patterns > 0


def test_it_trains(path: Path, small_table_path: Path, train: Callable[..., Path], tmp_path: Path) -> None:
    """Two steps of its own network on its own grid, on the crystals of the examples."""
    recipe = load_recipe(path)
    data = recipe.data.model_copy(update={"validation_patterns": 2})
    short = recipe.model_copy(update={"steps": 2, "validate_every": 2, "batch": 2, "data": data})
    best = train(short, [small_table_path], tmp_path / "run")
    assert best.name == "best.ckpt"
    assert best.stat().st_size > 0


def test_an_unknown_key_is_refused(path: Path, tmp_path: Path) -> None:
    text = path.read_text()
    for where, changed in {
        "colour": 'colour = "red"\n' + text,
        "grid.colour": text.replace("[grid]", '[grid]\ncolour = "red"'),
        "network.colour": text.replace("[network]", '[network]\ncolour = "red"'),
        "data.colour": text.replace("[data]", '[data]\ncolour = "red"'),
    }.items():
        (tmp_path / "r.toml").write_text(changed)
        with pytest.raises(InputError, match=rf"r\.toml: {re.escape(where)}: Extra inputs are not permitted"):
            load_recipe(tmp_path / "r.toml")


@pytest.mark.parametrize(
    ("key", "value", "where"),
    [
        ("batch", "0", "batch"),
        ("batch", "64.5", "batch"),
        ("steps", "-5", "steps"),
        ("steps", "nan", "steps"),
        ("learning_rate", "0", "learning_rate"),
        ("learning_rate", "inf", "learning_rate"),
        ("weight_decay", "-0.1", "weight_decay"),
        ("warmup", "1.0", "warmup"),
        ("label_smoothing", "1.0", "label_smoothing"),
        ("lattice_weight", "-1", "lattice_weight"),
        ("ema_decay", "1.0", "ema_decay"),
        ("seed", "-1", "seed"),
        ("name", '"../elsewhere"', "name"),
        ("name", '""', "name"),
        ("start_deg", "-1", "grid.start_deg"),
        ("step_deg", "0", "grid.step_deg"),
        ("points", "10", "grid.points"),
        ("wavelength_A", "-1.5", "grid.wavelength_A"),
        ("widths", "[16, 0, 16]", "network.widths.1"),
        ("widths", "[16, 16]", "network.widths.2"),
        ("hidden", "0", "network.hidden"),
        ("dropout", "1.0", "network.dropout"),
        ("shares", "{ amcsd = -1.0 }", "data.shares.amcsd"),
        ("shares", "{ }", "data.shares"),
        ("protocol", '""', "data.protocol"),
        ("validation_patterns", "0", "data.validation_patterns"),
        ("validate_every", "0", "validate_every"),
    ],
)
def test_a_value_out_of_range_names_its_field(
    tiny_recipe: Path, tmp_path: Path, key: str, value: str, where: str
) -> None:
    changed, count = re.subn(rf"^{key} = .*$", f"{key} = {value}", tiny_recipe.read_text(), flags=re.MULTILINE)
    assert count == 1
    (tmp_path / "r.toml").write_text(changed)
    with pytest.raises(InputError, match=rf"r\.toml: {re.escape(where)}: ") as caught:
        load_recipe(tmp_path / "r.toml")
    assert "\n" not in str(caught.value)


def test_a_missing_value_names_its_field(tiny_recipe: Path, tmp_path: Path) -> None:
    for key in (*Recipe.model_fields, "points", "hidden", "shares"):
        if key in {"grid", "network", "data"}:
            continue
        text = re.sub(rf"^{key} = .*\n", "", tiny_recipe.read_text(), flags=re.MULTILINE)
        (tmp_path / "r.toml").write_text(text)
        with pytest.raises(InputError, match=rf"[: .]{key}: Field required"):
            load_recipe(tmp_path / "r.toml")


def test_a_run_that_would_leave_no_checkpoint_is_refused(tiny_recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(tiny_recipe.read_text().replace("validate_every = 2", "validate_every = 7"))
    with pytest.raises(InputError, match="validate_every 7 is more than steps 6: no checkpoint"):
        load_recipe(tmp_path / "r.toml")


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


def test_every_field_is_described() -> None:
    for model in (Recipe, *(Recipe.model_fields[n].annotation for n in ("grid", "network", "data"))):
        assert model is not None
        for name, field in model.model_fields.items():
            assert name in {"grid", "network", "data"} or field.description, name


def test_a_recipe_cannot_be_changed_after_it_is_read(tiny_recipe: Path) -> None:
    recipe = load_recipe(tiny_recipe)
    with pytest.raises(ValueError, match="frozen"):
        recipe.steps = 7  # type: ignore[misc]
