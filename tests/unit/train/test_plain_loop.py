"""What the engine learns, against a loop of plain PyTorch on the same batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from powderlens.models.registry import build
from powderlens.train import batches
from powderlens.train.components.batches import Item, Machine
from powderlens.train.components.data import open_source
from powderlens.train.components.losses import TaskLoss
from powderlens.train.recipe import Recipe, parse_recipe

STEPS = 9
CLIP = 0.2


def changed(recipe: Recipe) -> Recipe:
    schedule = {"kind": "one_cycle", "warmup": 0.3}
    limits = {"steps": STEPS}
    content = {**recipe.model_dump(mode="json"), "schedule": schedule, "limits": limits, "gradient_clip": CLIP}
    return parse_recipe(content, "changed")


def some(recipe: Recipe, corpus: Path, first: int = 0) -> list[Item]:
    return list(open_source(recipe, corpus=corpus, machine=Machine(workers=0)).batches(first, STEPS))


def test_the_engine_learns_what_a_plain_loop_learns(
    cnn_recipe: Recipe, minerals: Path, train: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = changed(cnn_recipe)
    source = open_source(recipe, corpus=minerals, machine=Machine(workers=0))
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    chosen = recipe.network
    network = build(
        chosen.name, source.tasks, points=source.grid.points, size=chosen.size, as_published=False, seed=recipe.seed
    )
    losses = [TaskLoss(t, recipe.tasks[t.name].loss, (source.counts or {}).get(t.name)) for t in source.tasks]
    rate = recipe.optimiser.learning_rate
    optimiser = torch.optim.Adam(network.parameters(), lr=rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, STEPS + 1, pct_start=0.3, final_div_factor=1000)
    norms = []
    for x_BL, answers in source.batches(0, STEPS):
        outputs = network(x_BL)
        loss = sum(f(outputs[t.name], answers[t.name]) for t, f in zip(source.tasks, losses, strict=True))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        norms.append(float(torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)))
        optimiser.step()
        schedule.step()
    assert max(norms) > CLIP, "something was clipped"
    train(recipe, tmp_path / "run", corpus=minerals)
    learned = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["state_dict"]
    for name, weight in network.state_dict().items():
        torch.testing.assert_close(learned[f"network.{name}"], weight, rtol=1e-5, atol=1e-6, msg=name)


def test_how_many_batches_are_chosen_together_changes_nothing(
    cnn_recipe: Recipe, minerals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = changed(cnn_recipe)
    together = some(recipe, minerals)
    monkeypatch.setattr(batches, "AHEAD", 4)
    for first in (0, 3):
        in_fours = some(recipe, minerals, first)
        assert len(in_fours) == STEPS - first
        for (x, answers), (other_x, other_answers) in zip(in_fours, together[first:], strict=True):
            assert torch.equal(x, other_x)
            assert all(torch.equal(answers[name], other_answers[name]) for name in answers)
