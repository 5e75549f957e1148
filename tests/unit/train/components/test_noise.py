"""Noise on the fly against its statistics."""

from __future__ import annotations

import torch

from powderlens.train.components.noise import add_noise
from powderlens.train.recipe_parts import NoiseRecipe

FLAT = torch.full((200, 500), 50.0)
FLAT[:, 0] = 100.0


def test_noise_has_an_address() -> None:
    how = NoiseRecipe(counts_at_max=(1.0, 100.0), relative_sigma=(0.001, 0.1))
    one = add_noise(FLAT, how, 3, 7)
    assert torch.equal(one, add_noise(FLAT, how, 3, 7))
    assert not torch.equal(one, add_noise(FLAT, how, 3, 8))
    assert not torch.equal(one, add_noise(FLAT, how, 4, 7))


def test_counting_statistics() -> None:
    """Half of 10,000 counts scatters by sqrt(5,000); the lowest point is then 0 and the strongest 100."""
    how = NoiseRecipe(counts_at_max=(1e4, 1e4), relative_sigma=(0.0, 0.0))
    noisy = add_noise(FLAT, how, 1, 0)
    assert float(noisy.amax(dim=1).min()) == 100.0
    assert float(noisy.amin(dim=1).max()) == 0.0
    # Of n counts the mean lies m above the lowest, and the strongest n - m above: their ratio gives the scale.
    inner = noisy[:, 1:].double()
    counts_per_unit = 5_000 / (100 - inner.mean(dim=1))
    spread = inner.std(dim=1) * counts_per_unit
    assert abs(float(spread.mean()) / 5_000**0.5 - 1) < 0.02


def test_gaussian_noise_is_relative_to_the_strongest_point() -> None:
    how = NoiseRecipe(counts_at_max=(1e7, 1e7), relative_sigma=(0.05, 0.05))
    spread = torch.zeros(200, 500)
    spread[:, ::2] = 300.0
    noisy = add_noise(spread, how, 1, 0)
    assert abs(float(noisy[:, 1::2].std()) / (0.05 * 300) - 1) < 0.02
    assert abs(float(noisy[:, 1::2].mean())) < 0.2
    assert abs(float(noisy[:, ::2].mean()) - 300) < 1.0
