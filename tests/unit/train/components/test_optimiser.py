"""The course of the learning rate, against the published descriptions."""

from __future__ import annotations

import pytest
import torch

from powderlens.train.components.optimiser import make_optimiser, make_schedule, rate_factor
from powderlens.train.recipe_parts import Constant, Halving, OneCycle, OptimiserRecipe, Triangular


def test_ml4pxrds_halves_one_epoch_before_every_five_hundredth() -> None:
    factor = rate_factor(Halving(kind="halving", every_epochs=500), epoch_steps=900)
    epochs = {0: 1.0, 498: 1.0, 499: 0.5, 998: 0.5, 999: 0.25, 1999: 0.0625}
    assert {epoch: factor(epoch * 900) for epoch in epochs} == epochs
    assert (factor(499 * 900 - 1), factor(499 * 900)) == (1.0, 0.5)


def test_alphadiffract_rises_and_falls_each_cycle_half_as_high() -> None:
    factor = rate_factor(Triangular(kind="triangular", rise_epochs=6, lowest=0.1), epoch_steps=10)
    expected = {0: 0.1, 3: 0.55, 6: 1.0, 9: 0.55, 12: 0.1, 18: 0.55, 24: 0.1, 30: 0.325}
    assert {epoch: factor(epoch * 10) for epoch in expected} == pytest.approx(expected)


def test_alphadiffract_against_torch() -> None:
    optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=2e-4)
    theirs = torch.optim.lr_scheduler.CyclicLR(
        optimiser, base_lr=2e-5, max_lr=2e-4, step_size_up=60, mode="triangular2", cycle_momentum=False
    )
    factor = rate_factor(Triangular(kind="triangular", rise_epochs=6, lowest=0.1), epoch_steps=10)
    for step in range(300):
        assert 2e-4 * factor(step) == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-9), step
        optimiser.step()
        theirs.step()


def test_optimisers_are_as_written() -> None:
    network = torch.nn.Linear(2, 2)
    wanted = OptimiserRecipe(kind="adamw", learning_rate=2e-4, betas=(0.8, 0.9), eps=1e-7, weight_decay=0.01)
    made = make_optimiser(wanted, network)
    assert isinstance(made, torch.optim.AdamW)
    group = made.param_groups[0]
    assert (group["lr"], group["betas"], group["eps"], group["weight_decay"]) == (2e-4, (0.8, 0.9), 1e-7, 0.01)
    plain = make_optimiser(OptimiserRecipe(kind="adam", learning_rate=1e-3), network)
    assert type(plain) is torch.optim.Adam
    assert plain.param_groups[0]["eps"] == 1e-8
    constant = make_schedule(Constant(kind="constant"), plain, epoch_steps=3, total_steps=None)
    for _ in range(7):
        plain.step()
        constant.step()
    assert constant.get_last_lr() == [1e-3]
    cycle = make_schedule(OneCycle(kind="one_cycle", warmup=0.25), made, epoch_steps=1, total_steps=11)
    rates = []
    for _ in range(12):
        rates.append(cycle.get_last_lr()[0])
        made.step()
        if len(rates) < 12:
            cycle.step()
    assert max(rates) == pytest.approx(2e-4)
    assert rates[0] == pytest.approx(2e-4 / 25)
    assert rates[11] < 1e-7
