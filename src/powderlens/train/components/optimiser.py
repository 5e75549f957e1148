"""How the learning rate goes, step by step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from powderlens.train.recipe_parts import Constant, Halving, OneCycle, OptimiserRecipe, ScheduleRecipe, Triangular


def make_optimiser(wanted: OptimiserRecipe, network: torch.nn.Module, *, fused: bool = True) -> torch.optim.Optimizer:
    """Adam or AdamW over all parameters of a network.

    Args:
        wanted: which.
        network: what learns.
        fused: one kernel for all parameters; 16-mixed cannot clip gradients with it.
    """
    kind = torch.optim.AdamW if wanted.kind == "adamw" else torch.optim.Adam
    return kind(
        network.parameters(),
        lr=wanted.learning_rate,
        betas=wanted.betas,
        eps=wanted.eps,
        weight_decay=wanted.weight_decay,
        fused=fused,
    )


def make_schedule(
    wanted: ScheduleRecipe, optimiser: torch.optim.Optimizer, *, epoch_steps: int, total_steps: int | None
) -> LRScheduler:
    """The schedule of an optimiser; it is to be stepped after every step.

    Args:
        wanted: which.
        optimiser: with the highest rate as its own.
        epoch_steps: steps of an epoch.
        total_steps: steps of the run, for one_cycle.
    """
    if isinstance(wanted, OneCycle):
        assert total_steps is not None
        highest = optimiser.param_groups[0]["lr"]
        return OneCycleLR(
            optimiser, highest, total_steps=total_steps + 1, pct_start=wanted.warmup, final_div_factor=1000
        )
    return LambdaLR(optimiser, rate_factor(wanted, epoch_steps))


def rate_factor(wanted: Constant | Halving | Triangular, epoch_steps: int) -> Callable[[int], float]:
    """Share of the highest rate at a step, from 0.

    Sources: ML4pXRDs, public training script (halving); AlphaDiffract, section 5.3 (triangular).
    """

    def factor(step: int) -> float:
        if isinstance(wanted, Halving):
            return float(0.5 ** ((1 + step // epoch_steps) // wanted.every_epochs))
        if isinstance(wanted, Triangular):
            place = step / epoch_steps / (2 * wanted.rise_epochs)
            cycle = int(place)
            height = 1 - abs(2 * (place - cycle) - 1)
            return float(wanted.lowest + (1 - wanted.lowest) * height / 2**cycle)
        return 1.0

    return factor
