"""What the engine learns, against a loop of plain PyTorch on the same batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from powderlens.corpus.store.corpus import Corpus
from powderlens.corpus.stream.from_corpus import CorpusStream
from powderlens.models.registry import build
from powderlens.pattern.prepare import above_floor
from powderlens.train.components import batches
from powderlens.train.components.batches import Item, Noise
from powderlens.train.components.data import open_data
from powderlens.train.components.losses import TaskLoss
from powderlens.train.components.machine import Machine
from powderlens.train.recipe import Recipe, parse_recipe
from powderlens.train.recipe_parts import NoiseRecipe

STEPS = 9
CLIP = 0.2


def changed(recipe: Recipe) -> Recipe:
    content = recipe.model_dump(mode="json")
    content.update(schedule={"kind": "one_cycle", "warmup": 0.3}, limits={"steps": STEPS}, gradient_clip=CLIP)
    if content["data"]["kind"] == "crystals":
        content["data"]["epoch_patterns"] = STEPS * recipe.batch  # nothing is validated before the end
    return parse_recipe(content, "changed")


def some(recipe: Recipe, corpus: Path, first: int = 0) -> list[Item]:
    return list(open_data(recipe, corpus=corpus, machine=Machine(workers=0)).batches(first=first, stop=STEPS))


@pytest.mark.parametrize("which", ["cnn_recipe", "recipe"])
def test_the_engine_learns_what_a_plain_loop_learns(
    which: str, request: pytest.FixtureRequest, train: Callable[..., Path], tmp_path: Path
) -> None:
    """A corpus in memory; and endless patterns with masks and dropout, three weighted heads and an average."""
    recipe = changed(request.getfixturevalue(which))
    how: dict[str, Any] = {"tables": [request.getfixturevalue("small_table_path")]}
    if which == "cnn_recipe":
        how = {"corpus": request.getfixturevalue("minerals")}
    data = open_data(recipe, machine=Machine(workers=0), **how)
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    chosen, wanted = recipe.network, recipe.optimiser
    options = {"size": chosen.size, "mask": chosen.mask, "options": chosen.options}
    network = build(chosen.name, data.tasks, points=data.grid.points, seed=recipe.seed, **options)  # type: ignore[arg-type]
    losses = [TaskLoss(task, recipe.tasks[task.name].loss) for task in data.tasks]
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[wanted.kind]
    rate, decay = wanted.learning_rate, wanted.weight_decay
    optimiser = kind(network.parameters(), lr=rate, betas=wanted.betas, weight_decay=decay, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, STEPS + 1, pct_start=0.3, final_div_factor=1000)
    norms, average = [], {}
    for x_BL, mask_BL, answers in data.batches(first=0, stop=STEPS):
        assert (mask_BL is not None) == chosen.mask
        outputs = network(x_BL, mask_BL)
        loss = sum(
            recipe.tasks[task.name].weight * one(outputs[task.name], answers[task.name])
            for task, one in zip(data.tasks, losses, strict=True)
        )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        norms.append(float(torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)))
        optimiser.step()
        schedule.step()
        for name, weight in network.state_dict().items():
            kept = average.get(name)
            average[name] = weight.clone() if kept is None else (0.5 * kept + 0.5 * weight).to(weight.dtype)
    assert max(norms) > CLIP, "something was clipped"
    train(recipe, tmp_path / "run", **how)
    learned = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    parts = {"state_dict": network.state_dict()}
    if recipe.averaging is not None:
        assert recipe.averaging.decay == 0.5
        parts = {"current_model_state": network.state_dict(), "state_dict": average}
    for part, expected in parts.items():
        for name, weight in expected.items():
            torch.testing.assert_close(learned[part][f"network.{name}"], weight, rtol=1e-5, atol=1e-6, msg=name)


def test_how_many_batches_are_chosen_together_changes_nothing(
    cnn_recipe: Recipe, minerals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = changed(cnn_recipe)
    together = some(recipe, minerals)
    monkeypatch.setattr(batches, "AHEAD", 4)
    for first in (0, 3):
        in_fours = some(recipe, minerals, first)
        assert len(in_fours) == STEPS - first
        for (x, _, answers), (other_x, _, other_answers) in zip(in_fours, together[first:], strict=True):
            assert torch.equal(x, other_x)
            assert all(torch.equal(answers[name], other_answers[name]) for name in answers)


def test_held_and_drawn_patterns_have_the_same_masks_and_floors(
    cnn_recipe: Recipe, make_minerals: Callable[[str], Path]
) -> None:
    """Of scans that are cut; each floor by itself, and noise only where something was measured."""
    cut = "last_deg = { uniform = [30.0, 70.0] }\n"
    corpus = make_minerals(COARSE + cut)
    content = cnn_recipe.model_dump(mode="json")
    content["network"]["mask"] = content["data"]["floor"] = True
    content["limits"] = {"steps": 3}
    recipe = parse_recipe(content, "masked")
    held, drawn = (
        open_data(recipe, corpus=corpus, machine=Machine(workers=0, memory_GB=memory)) for memory in (4.0, 0.0)
    )
    numbers = CorpusStream(Corpus.open(corpus), "train", size=8, seed=recipe.seed).corpus_numbers(np.arange(24))
    plain = Corpus.open(corpus).draw(numbers)
    ends = Corpus.open(corpus).conditions(numbers)["last_deg"]
    assert ends.min() < 50 < ends.max()
    for i, (one, other) in enumerate(zip(held.batches(first=0, stop=3), drawn.batches(first=0, stop=3), strict=True)):
        assert one[1] is not None
        assert other[1] is not None
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
        for x, mask, whole, end in zip(one[0], one[1], plain[8 * i :], ends[8 * i :], strict=False):
            assert mask.tolist() == (held.grid.two_theta_deg <= end + 1e-6).tolist()
            expected = above_floor(whole.astype(np.float64), mask.numpy())
            assert x.numpy() == pytest.approx(expected, abs=1e-6)
    x_BL, mask_BL, _ = held.validation[0]
    assert mask_BL is not None
    noise = Noise(NoiseRecipe(counts_at_max=(1, 100), relative_sigma=(0.01, 0.1)), 0)
    assert (noise(x_BL, mask_BL, 0)[~mask_BL] == 0).all()
    assert (noise(x_BL, None, 0)[~mask_BL] != 0).any()


COARSE = """
name = "coarse"
summary = "Broad lines on a coarse grid over a pedestal of noise, on scans that end early"
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

[counting]
noise_sigma = 0.01
pedestal = 2.0
"""
