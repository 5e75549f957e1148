"""Losses of the three heads."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def lattice_loss(predicted_B6: Tensor, true_B6: Tensor) -> Tensor:
    """Mean Huber loss of log lengths (transition at 5 %) and of angles in units of 20 degrees (at 1 degree).

    Logarithms make an error of 1 % count the same for 3 A and for 30 A.
    """
    lengths = functional.smooth_l1_loss(predicted_B6[:, :3].log(), true_B6[:, :3].log(), beta=0.05)
    angles = functional.smooth_l1_loss(predicted_B6[:, 3:] / 20, true_B6[:, 3:] / 20, beta=0.05)
    return lengths + angles


def joint_loss(
    outputs: tuple[Tensor, Tensor, Tensor],
    system_B: Tensor,
    group_B: Tensor,
    niggli_B6: Tensor,
    *,
    label_smoothing: float,
    lattice_weight: float,
) -> Tensor:
    """Cross-entropy of group and (half weight) system from logits, plus the weighted lattice loss."""
    system_logits, group_logits, lattice = outputs
    group = functional.cross_entropy(group_logits, group_B, label_smoothing=label_smoothing)
    system = functional.cross_entropy(system_logits, system_B, label_smoothing=label_smoothing)
    total = group + 0.5 * system
    if lattice_weight > 0:
        total = total + lattice_weight * lattice_loss(lattice, niggli_B6)
    return torch.as_tensor(total)
