"""Every shipped recipe is valid, is named after what it makes, and trains."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from powderlens.core.errors import InputError
from powderlens.diffraction.protocol import load_protocol
from powderlens.models.weights import DEFAULT_MODEL
from powderlens.pattern.spacing import SpacingGrid
from powderlens.train.recipe import RECIPES, load_recipe, parse_recipe

if TYPE_CHECKING:
    from powderlens.crystal.structure import Structure

SHIPPED = sorted(path.stem for path in RECIPES.glob("*.toml"))
WHOLE = {"alphadiffract", "flagship", "ml4pxrds-park", "ml4pxrds-resnet", "prism", "simxrd"}


@pytest.fixture(params=SHIPPED)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_what_ships() -> None:
    assert set(SHIPPED) == WHOLE | {f"{name}-small" for name in WHOLE}
    names = [load_recipe(name).name for name in SHIPPED]
    assert len(set(names)) == len(names), "models of two recipes would overwrite each other"
    assert DEFAULT_MODEL in names


def test_it_is_valid_and_can_be_told_again(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == (DEFAULT_MODEL if name == "prism" else name)
    assert parse_recipe(recipe.model_dump(mode="json"), "again") == recipe
    if recipe.data.kind == "corpus":
        assert recipe.grid is None
        return
    grid = load_protocol(recipe.data.protocol).grid if recipe.grid is None else recipe.grid.grid()
    if isinstance(grid, SpacingGrid):
        assert grid.d_min_A < 1.1 < 17 < grid.d_max_A, "it does not cover copper's 5 to 90 degrees"
    else:
        assert 0 < grid.start_deg < grid.end_deg < 180
    assert recipe.data.validation_patterns >= recipe.batch, "fewer would choose by chance"
    assert recipe.data.epoch_patterns >= recipe.data.validation_patterns


@pytest.fixture(scope="module")
def corpora(minerals: dict[str, Structure], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three minerals under what simxrd learns, and under what alphadiffract does: it adds its noise itself."""
    import pyarrow as pa

    from powderlens.corpus.store.build import build_corpus
    from powderlens.crystal.label import find_symmetry
    from powderlens.crystals.table import SCHEMA, crystal_row, write_crystals

    folder = tmp_path_factory.mktemp("corpora")
    rows = [crystal_row(find_symmetry(minerals[name])) for name in ("Rutile", "Halite", "Quartz")]
    write_crystals(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "minerals.parquet")
    for protocol in ("simxrd", "alphadiffract-clean"):
        how: dict[str, Any] = {"per_crystal": 6, "split": "in-library", "workers": 1}
        build_corpus(folder / "minerals.parquet", folder / protocol, protocol=protocol, **how)
    return {"simxrd": folder / "simxrd", "alphadiffract": folder / "alphadiffract-clean"}


def test_it_trains(
    name: str, corpora: dict[str, Path], small_table_path: Path, train: Callable[..., Path], tmp_path: Path
) -> None:
    """Two steps of its own network on its own grid."""
    content = load_recipe(name).model_dump(mode="json")
    if content["data"]["kind"] != "corpus":
        content["data"].update({"epoch_patterns": 8, "validation_patterns": 4})
    if name in ("prism", "flagship"):
        content["data"]["shares"] = {"amcsd": 1.0}  # the crystals of the examples
    short = parse_recipe({**content, "batch": 4, "limits": {"steps": 2}}, name)
    tables = [small_table_path] if content["data"]["kind"] in ("crystals", "mixed") else []
    kept = train(short, tmp_path / "run", corpus=corpora.get(name.split("-")[0]), tables=tables)
    assert kept.name == f"{short.keep}.ckpt"
    assert kept.stat().st_size > 0
    assert (tmp_path / "run" / "outcome.json").exists()


def test_an_unknown_key_is_refused(name: str, tmp_path: Path) -> None:
    text = (RECIPES / f"{name}.toml").read_text()
    tables = re.findall(r"^\[(.+)\]$", text, flags=re.MULTILINE)
    assert {"network", "data", "optimiser", "schedule", "limits"} <= set(tables)
    for table in ("", *tables):
        changed = text.replace(f"[{table}]", f'[{table}]\ncolour = "red"') if table else f'colour = "red"\n{text}'
        (tmp_path / "r.toml").write_text(changed)
        with pytest.raises(InputError, match=r"r\.toml: .*\bcolour: no such key"):
            load_recipe(tmp_path / "r.toml")
