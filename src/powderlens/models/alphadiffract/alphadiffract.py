"""`alphadiffract`: three ConvNeXt blocks without norm, pooled twice after each, dense heads.

Shapes: B patterns, C channels, L points.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from powderlens.models.dense import dense, dense_head

DROP_PATH, DROPOUT = 0.3, 0.2


@dataclass(frozen=True)
class Sizes:
    """What tells the full network from the small one.

    Attributes:
        channels: C of all blocks.
        kernels: of the three depthwise convolutions.
        average: points that are averaged before the first block.
        pool: kernel and stride of the first pool of a stage; the second has 3 and 2.
        hidden: of the class heads.
        lattice_hidden: of the lattice head.
    """

    channels: int
    kernels: tuple[int, int, int]
    average: int
    pool: int
    hidden: tuple[int, int]
    lattice_hidden: tuple[int, int]


FULL = Sizes(80, (100, 50, 25), 1, 5, (2300, 1150), (512, 256))
SMALL = Sizes(24, (50, 25, 13), 4, 3, (512, 256), (256, 128))


class Pointwise(nn.Linear):
    """A dense layer over the channels of each point: (B, C, L) to (B, C', L)."""

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Apply it."""
        return functional.conv1d(x_BCL, self.weight.unsqueeze(2), self.bias)


class DropPath(nn.Module):
    """Leave the correction of a pattern out at random while training; what stays is divided by 1 - rate."""

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Zero whole patterns."""
        if not self.training:
            return x_BCL
        keep_B11 = torch.rand(x_BCL.shape[0], 1, 1, device=x_BCL.device) >= DROP_PATH
        return x_BCL * keep_B11.to(x_BCL.dtype) / (1 - DROP_PATH)


class ConvNeXtBlock(nn.Module):
    """x + path(dense(gelu(dense(depthwise(x))))): (B, C, L) to the same.

    Args:
        channels: C.
        kernel: of the depthwise convolution; an even one is padded one more on the right.
    """

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ConstantPad1d(((kernel - 1) // 2, kernel // 2), 0.0),
            nn.Conv1d(channels, channels, kernel, groups=channels),
            Pointwise(channels, 4 * channels),
            nn.GELU(),
            Pointwise(4 * channels, channels),
            DropPath(),
        )

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Add the block's correction."""
        return x_BCL + self.layers(x_BCL)


class Backbone(nn.Module):
    """(B, 1, L) to (B, C * rest): 8192 points and 80 channels give 560 features.

    Args:
        points: L.
        sizes: full or small.
    """

    def __init__(self, points: int, sizes: Sizes) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.AvgPool1d(sizes.average)] if sizes.average > 1 else []
        layers += [Pointwise(1, sizes.channels), nn.GELU()]
        length = points // sizes.average
        for kernel in sizes.kernels:
            layers += [ConvNeXtBlock(sizes.channels, kernel), nn.AvgPool1d(sizes.pool), nn.AvgPool1d(3, 2)]
            length = (length // sizes.pool - 3) // 2 + 1
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.features = sizes.channels * length

    def forward(self, x_B1L: Tensor) -> Tensor:
        """Features (B, F)."""
        return self.layers(x_B1L)


def body(points: int, *, as_published: bool, small: bool) -> nn.Module:
    """The backbone."""
    return Backbone(points, SMALL if small else FULL)


head = dense_head(FULL.hidden, small_hidden=SMALL.hidden, dropout=DROPOUT)


def lattice_head(features: int, *, as_published: bool, small: bool) -> nn.Module:
    """Dense layers to raw (b, 6), which `bounded_cell` turns into a cell."""
    return dense(features, (SMALL if small else FULL).lattice_hidden, 6, dropout=DROPOUT)
