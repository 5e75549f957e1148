"""TensorFlow's `same` padding and initial weights, which torch has not.

Shapes: B patterns, C channels, L points.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

TRUNCATED_STD = 0.87962566103423978
"""Standard deviation of N(0, 1) cut at two; Keras divides by it so that the cut does not lessen the variance."""


def same_padding(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """Points to add left and right so that ceil(length / stride) come out; the odd one stands right."""
    total = max((math.ceil(length / stride) - 1) * stride + kernel - length, 0)
    return total // 2, total - total // 2


class SameConv1d(nn.Conv1d):
    """(B, C, L) to (B, C', ceil(L / stride)); zeros outside."""

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Pad and convolve."""
        padding = same_padding(x_BCL.shape[2], self.kernel_size[0], self.stride[0])
        return super().forward(functional.pad(x_BCL, padding))


class SameMaxPool1d(nn.Module):
    """(B, C, L) to (B, C, ceil(L / stride)) for values that are not negative: zeros stand outside.

    Args:
        kernel: points of a window.
        stride: between windows.
    """

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Pad and pool."""
        padding = same_padding(x_BCL.shape[2], self.kernel, self.stride)
        return functional.max_pool1d(functional.pad(x_BCL, padding), self.kernel, self.stride)


def glorot(module: nn.Module) -> nn.Module:
    """Start every convolution and dense layer below from Glorot-uniform weights and zero biases, as Keras does."""
    for part in module.modules():
        if isinstance(part, nn.Conv1d | nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    return module


def variance_scaling(module: nn.Module) -> nn.Module:
    """Start every convolution below from a normal of variance 1 / (inputs of a unit), cut at two deviations."""
    for part in module.modules():
        if isinstance(part, nn.Conv1d):
            std = (part.in_channels * part.kernel_size[0]) ** -0.5 / TRUNCATED_STD
            nn.init.trunc_normal_(part.weight, std=std, a=-2 * std, b=2 * std)
    return module
