"""Noise that is added while training: every showing of a pattern has its own (AlphaDiffract, section 5.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from powderlens.train.recipe_parts import NoiseRecipe


def add_noise(x_BL: Tensor, how: NoiseRecipe, seed: int, index: int) -> Tensor:
    """Count a pattern, scale it to 0..1, add Gaussian noise, scale back (AlphaDiffract, eqs. 1 to 3).

    Args:
        x_BL: (B, L) clean intensities, not negative, on the CPU.
        how: ranges of the counts at the strongest point and of the relative standard deviation.
        seed: of the run.
        index: of the batch; the same seed and index give the same noise.

    Returns:
        (B, L) float32, the strongest point of each about where it was; negative values occur.
    """
    generator = torch.Generator().manual_seed((seed << 31) ^ index)
    draws = torch.rand(2, len(x_BL), 1, generator=generator)
    (counts_low, counts_high), (sigma_low, sigma_high) = how.counts_at_max, how.relative_sigma
    counts_B1 = counts_low + (counts_high - counts_low) * draws[0]
    sigma_B1 = sigma_low + (sigma_high - sigma_low) * draws[1]
    top_B1 = x_BL.amax(dim=1, keepdim=True).clamp(min=torch.finfo(x_BL.dtype).tiny)
    y_BL = torch.poisson(x_BL.clamp(min=0) / top_B1 * counts_B1, generator=generator)
    low_B1, high_B1 = y_BL.amin(dim=1, keepdim=True), y_BL.amax(dim=1, keepdim=True)
    y_BL = (y_BL - low_B1) / (high_B1 - low_B1).clamp(min=1)
    return (y_BL + sigma_B1 * torch.randn(y_BL.shape, generator=generator)) * top_B1
