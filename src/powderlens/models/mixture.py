"""Niggli cells as a mixture density: what the numbers of a network mean, and how likely they make a cell (torch).

Each component holds a weight and, independently of each other, normal densities of the logarithms of the three
lengths, of the three angles and of the logarithm of the volume. The likeliest components are seeds for indexing.

Shapes: B patterns, K components, 7 = three log lengths, three angles in units of 20 degrees from 90, log volume.
"""

from __future__ import annotations

from math import log, pi

import torch
from torch import Tensor
from torch.nn import functional

from powderlens.models.task import MIXTURE_COMPONENTS, MIXTURE_NUMBERS

COMPONENTS, PER_COMPONENT = MIXTURE_COMPONENTS, MIXTURE_NUMBERS
"""The numbers of one: a weight, seven centres and seven widths."""
NUMBERS = COMPONENTS * PER_COMPONENT
ANGLE_UNIT_DEG = 20.0
TYPICAL_A, TYPICAL_A3 = 7.0, 250.0
NARROWEST = (0.004, 0.004, 0.004, 0.01, 0.01, 0.01, 0.006)
"""Of the seven: 0.4 % of a length, 0.2 degrees, 0.6 % of the volume. What is sharper would be noise of the label."""


def components(raw_BM: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logarithms of the weights (B, K), centres (B, K, 7) and widths (B, K, 7).

    Args:
        raw_BM: (B, K * 15) as a network gives them.
    """
    raw_BKN = raw_BM.float().reshape(raw_BM.shape[0], COMPONENTS, PER_COMPONENT)
    centre_BK7 = raw_BKN[:, :, 1:8]
    # Components begin apart, else they would all learn the same.
    spread_K = torch.linspace(-0.6, 0.6, COMPONENTS, dtype=raw_BKN.dtype, device=raw_BM.device)
    lengths_BK3 = log(TYPICAL_A) + 2.5 * torch.tanh((centre_BK7[:, :, :3] + spread_K[:, None]) / 2.5)
    angles_BK3 = 2.0 * torch.tanh(centre_BK7[:, :, 3:6] / 2.0)
    volume_BK1 = log(TYPICAL_A3) + 4.0 * torch.tanh((centre_BK7[:, :, 6:] + 3 * spread_K[:, None]) / 4.0)
    narrowest_7 = torch.tensor(NARROWEST, dtype=raw_BKN.dtype, device=raw_BM.device)
    widths_BK7 = narrowest_7 + functional.softplus(raw_BKN[:, :, 8:] - 1.5)
    return (
        raw_BKN[:, :, 0].log_softmax(dim=1),
        torch.cat([lengths_BK3, angles_BK3, volume_BK1], dim=2),
        widths_BK7,
    )


def seven_of(cell_B6: Tensor) -> Tensor:
    """(B, 7) of cells (B, 6) in A and degrees: log lengths, angles in units of 20 degrees from 90, log volume."""
    cosine_B3 = torch.cos(torch.deg2rad(cell_B6[:, 3:].double()))
    square_B = 1 - (cosine_B3**2).sum(dim=1) + 2 * cosine_B3.prod(dim=1)
    volume_B = cell_B6[:, :3].double().log().sum(dim=1) + 0.5 * square_B.clamp(min=1e-6).log()
    angles_B3 = (cell_B6[:, 3:] - 90.0) / ANGLE_UNIT_DEG
    return torch.cat([cell_B6[:, :3].log(), angles_B3, volume_B[:, None].to(cell_B6.dtype)], dim=1)


def log_density(raw_BM: Tensor, cell_B6: Tensor) -> Tensor:
    """(B,) logarithm of the density of the mixture at cells (B, 6) in A and degrees."""
    weight_BK, centre_BK7, width_BK7 = components(raw_BM)
    off_BK7 = (seven_of(cell_B6)[:, None, :] - centre_BK7) / width_BK7
    each_BK = (-0.5 * off_BK7**2 - width_BK7.log() - 0.5 * log(2 * pi)).sum(dim=2)
    return (weight_BK + each_BK).logsumexp(dim=1)


def cells(raw_BM: Tensor) -> tuple[Tensor, Tensor]:
    """Logarithms of the weights (B, K) and the centres as cells (B, K, 6), A and degrees."""
    weight_BK, centre_BK7, _ = components(raw_BM)
    lengths, angles = centre_BK7[:, :, :3].exp(), 90.0 + ANGLE_UNIT_DEG * centre_BK7[:, :, 3:6]
    return weight_BK, torch.cat([lengths, angles], dim=2)


def likeliest_cell(raw_BM: Tensor) -> Tensor:
    """(B, 6) centre of the component of most weight, A and degrees."""
    weight_BK, cell_BK6 = cells(raw_BM)
    best_B11 = weight_BK.argmax(dim=1)[:, None, None]
    return cell_BK6.gather(1, best_B11.expand(-1, 1, 6))[:, 0]


def found_among(raw_BM: Tensor, cell_B6: Tensor, *, count: int, within: float) -> Tensor:
    """(B,) whether all three lengths of a cell are met by one of the likeliest components.

    Args:
        raw_BM: of the network.
        cell_B6: true cells, A and degrees.
        count: how many components are asked.
        within: largest relative difference of a length.
    """
    weight_BK, cell_BK6 = cells(raw_BM)
    among_BN = weight_BK.topk(count, dim=1).indices
    some_BN3 = cell_BK6[:, :, :3].gather(1, among_BN[:, :, None].expand(-1, -1, 3))
    off_BN = (some_BN3 / cell_B6[:, None, :3] - 1).abs().amax(dim=2)
    return (off_BN < within).any(dim=1)
