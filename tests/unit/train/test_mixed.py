"""Runs on many instruments: their data, their class prior, weights to begin with, and exact resumption."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from powderlens.core.errors import InputError
from powderlens.corpus.splits import split_indices
from powderlens.corpus.store.reflection_table import ReflectionTable
from powderlens.models.mixture import NUMBERS, log_density
from powderlens.train.components.batches import Item
from powderlens.train.components.checkpoint import load_network
from powderlens.train.components.data import open_data
from powderlens.train.components.losses import cell_likelihood, cross_entropy, expected_distance, gemd
from powderlens.train.recipe import Recipe, load_recipe, parse_recipe, with_choices

SMALL = {"d_max_A": 18.3, "log_step": 0.0072, "points": 392}


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    content = load_recipe("flagship-small").model_dump(mode="json")
    content["data"].update(
        {"epoch_patterns": 12, "validation_patterns": 4, "shares": {"amcsd/1-140": 3, "amcsd/141-230": 1}}
    )
    content["network"]["options"] = {"widths": [4, 6], "hidden": 8}
    return parse_recipe({**content, "batch": 4, "limits": {"steps": 6}, "grid": SMALL, "checkpoint_steps": 2}, "tiny")


def changed(recipe: Recipe, **data: Any) -> Recipe:
    content = recipe.model_dump(mode="json")
    return parse_recipe({**content, "data": {**content["data"], **data}}, "changed")


def test_the_class_prior_is_that_of_the_draws(recipe: Recipe, small_table_path: Path) -> None:
    data = open_data(recipe, tables=[small_table_path])
    table = ReflectionTable.load(small_table_path)
    groups = table.space_group[split_indices(table.elements, table.space_group.tolist())["train"]]
    prior = {int(group): share for group, share in data.about["prior"].items()}
    assert sum(prior.values()) == pytest.approx(1, abs=1e-6)
    for group in (2, 14, 62):
        assert prior[group] == pytest.approx(0.75 * (groups == group).sum() / (groups <= 140).sum(), abs=1e-8)
    assert prior[225] == pytest.approx(0.25 * (groups == 225).sum() / (groups > 140).sum(), abs=1e-8)
    items: list[Item] = list(data.batches(first=0, stop=250))
    drawn = torch.cat([answers["space_group"] for _, _, answers in items]).numpy() + 1
    assert (drawn <= 140).mean() == pytest.approx(0.75, abs=1e-9), "of each thousand every share is exact"
    x, mask, answers = items[0]
    assert mask is not None
    assert mask.dtype == torch.float32
    assert x.shape == mask.shape == (4, 392)
    assert not x[mask == 0].any()
    assert answers["cell_mixture"].shape == (4, 6)


def test_what_does_not_fit(recipe: Recipe, small_table_path: Path) -> None:
    with pytest.raises(InputError, match="no crystal of mp in the part 'train'"):
        open_data(changed(recipe, shares={"mp": 1.0}), tables=[small_table_path])
    with pytest.raises(InputError, match=r"shares\.a b: name databases"):
        changed(recipe, shares={"a b": 1.0})
    with pytest.raises(InputError, match="set them to true"):
        changed(recipe, floor=False)
    content = recipe.model_dump(mode="json")
    with pytest.raises(InputError, match=r"grid: one of spacings .* goes with data of kind mixed"):
        parse_recipe({**content, "grid": load_recipe("prism").model_dump(mode="json")["grid"]}, "angles")
    with pytest.raises(InputError, match="or with d_max_A and log_step; nothing else"):
        parse_recipe({**content, "grid": {**SMALL, "start_deg": 5.0}}, "both")
    with pytest.raises(InputError, match="a reflection table"):
        open_data(recipe)
    content["tasks"]["cell_mixture"]["loss"] = {"kind": "squared"}
    with pytest.raises(InputError, match=r"tasks\.cell_mixture\.loss: squared does not fit; there are likelihood"):
        parse_recipe(content, "loss")


def test_killed_and_resumed_it_ends_the_same(
    recipe: Recipe, small_table_path: Path, train: Callable[..., Path], tmp_path: Path
) -> None:
    """Six steps at once, and four of them, then the rest; begun with weights that need not be named again."""
    first = train(with_choices(recipe, patterns=8), tmp_path / "first", tables=[small_table_path])
    whole = train(recipe, tmp_path / "whole", tables=[small_table_path], weights=first)
    run = tmp_path / "parts"
    content = {**recipe.model_dump(mode="json"), "limits": {"steps": 6}}
    real = torch.optim.AdamW.step
    steps = 0

    def dies(self: Any, *args: Any, **how: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 6:
            raise KeyboardInterrupt
        return real(self, *args, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", dies)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            train(parse_recipe(content, "same"), run, tables=[small_table_path], weights=first)
    kept = train(recipe, run, tables=[small_table_path], resume=True)
    assert steps == 6
    one, other = (torch.load(path, weights_only=True)["state_dict"] for path in (whole, kept))
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    told = json.loads((run / "run.json").read_text())
    assert told["began_with"]["file"] == first.name
    with (run / "metrics.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["step"] for row in rows] == ["3", "6"]
    assert all(0 <= float(row["val_cell_in_ten"]) <= 1 for row in rows)


def test_weights_of_another_network_are_refused(
    recipe: Recipe, small_table_path: Path, train: Callable[..., Path], tmp_path: Path
) -> None:
    first = train(with_choices(recipe, patterns=8), tmp_path / "first", tables=[small_table_path])
    network, grid, about = load_network(first)
    assert about["grid"] == SMALL
    assert grid.points == 392
    assert network.reads_sine
    content = recipe.model_dump(mode="json")
    content["network"]["options"]["hidden"] = 9
    with pytest.raises(InputError, match=r"ckpt: its weights do not fit lens"):
        train(parse_recipe(content, "wider"), tmp_path / "other", tables=[small_table_path], weights=first)
    with pytest.raises(InputError, match="no such checkpoint"):
        train(recipe, tmp_path / "none", tables=[small_table_path], weights=tmp_path / "none.ckpt")


def test_patterns_in_place_of_limits(recipe: Recipe) -> None:
    assert with_choices(recipe, patterns=40).limits.total_steps(4, 100) == 10


def test_unknown_cells_cost_nothing() -> None:
    raw = torch.randn(3, NUMBERS, generator=torch.Generator().manual_seed(1), requires_grad=True)
    cell = torch.tensor([[4.0, 5.0, 6.0, 90.0, 95.0, 90.0]] * 3)
    cell[1] = np.nan
    loss = cell_likelihood(raw, cell)
    torch.testing.assert_close(loss, -log_density(raw, cell)[[0, 2]].mean())
    loss.backward()
    assert raw.grad is not None
    assert torch.isfinite(raw.grad).all()
    assert not raw.grad[1].any()


def test_graph_distances_with_smoothing() -> None:
    logits, labels = torch.randn(4, 5, generator=torch.Generator().manual_seed(2)), torch.tensor([0, 1, 4, 2])
    distance = torch.arange(25.0).reshape(5, 5)
    expected = cross_entropy(logits, labels, smoothing=0.1) + 0.5 * expected_distance(logits, labels, distance)
    torch.testing.assert_close(gemd(logits, labels, distance, mu=0.5, smoothing=0.1), expected)
