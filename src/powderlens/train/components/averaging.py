"""Averaged weights: they are validated, kept and shipped, while the newest ones learn on."""

from __future__ import annotations

from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn

from powderlens.train.recipe_parts import AveragingRecipe


class Averaging(WeightAveraging):
    """After every step average = decay * average + (1 - decay) * newest, of weights and of what norms remember.

    It begins with the weights after the first step. A checkpoint holds the average as `state_dict` and the newest
    weights as `current_model_state`.

    Args:
        wanted: by the recipe.
    """

    def __init__(self, wanted: AveragingRecipe) -> None:
        super().__init__(multi_avg_fn=get_ema_multi_avg_fn(wanted.decay))
