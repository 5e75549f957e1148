"""The residual network that `resnet10`, `resnet50` and `resnet101` share; they differ in block and depth.

TensorFlow's two-dimensional ResNet in one dimension: 3 x 3 becomes a kernel of 9, stride 2 of the groups becomes 4, the
stem stays. Group norm everywhere, no bias in any convolution, a projection in the first block of every group.
Shapes: B patterns, C channels, L points.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from powderlens.models.ml4pxrds.same_padding import SameConv1d, SameMaxPool1d, glorot, variance_scaling

WIDTH, SMALL_WIDTH = 64, 8
"""Channels of the stem and of the first group; each further group has twice as many."""

RANK, SMALL_RANK = 256, 64
"""Width of the dense layer before the logits."""

STRIDES = (1, 4, 4, 4)
NORM_GROUPS, SMALL_NORM_GROUPS = 32, 4


class Block(nn.Module):
    """Residual block (two kernels of 9) or bottleneck (1, 9, 1 with four times the channels at its end).

    Args:
        channels: C that comes in.
        width: of the kernels of 9.
        stride: of the first kernel of 9.
        bottleneck: which of the two.
        project: a 1 x 1 convolution on the shortcut.
        groups: of the norms.
    """

    def __init__(self, channels: int, width: int, stride: int, *, bottleneck: bool, project: bool, groups: int) -> None:
        super().__init__()
        self.out = 4 * width if bottleneck else width
        shape = (
            [(channels, width, 1, 1), (width, width, 9, stride), (width, self.out, 1, 1)]
            if bottleneck
            else [(channels, width, 9, stride), (width, width, 9, 1)]
        )
        layers: list[nn.Module] = []
        for before, after, kernel, step in shape:
            layers += [_conv(before, after, kernel, step), _norm(groups, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])
        self.shortcut = (
            nn.Sequential(_conv(channels, self.out, 1, stride), _norm(groups, self.out)) if project else nn.Identity()
        )

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Add, then ReLU."""
        return functional.relu(self.layers(x_BCL) + self.shortcut(x_BCL))


class ResNet(nn.Module):
    """(B, 1, L) to (B, channels * rest), flattened, without global pooling: 8501 points leave 34.

    Args:
        points: L.
        blocks: in each of the four groups.
        bottleneck: kind of block.
        width: channels of stem and first group.
        groups: of the norms.
        average: points that are averaged first.
    """

    def __init__(
        self, points: int, blocks: tuple[int, ...], *, bottleneck: bool, width: int, groups: int, average: int = 1
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.AvgPool1d(average)] if average > 1 else []
        layers += [_conv(1, width, 7, 2), _norm(groups, width), nn.ReLU(), SameMaxPool1d(3, 2)]
        channels, length = width, math.ceil(math.ceil(points // average / 2) / 2)
        for i, (count, stride) in enumerate(zip(blocks, STRIDES, strict=True)):
            for j in range(count):
                first = j == 0
                block = Block(
                    channels,
                    width * 2**i,
                    stride if first else 1,
                    bottleneck=bottleneck,
                    project=first,
                    groups=groups,
                )
                layers.append(block)
                channels = block.out
            length = math.ceil(length / stride)
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.features = channels * length
        variance_scaling(self)

    def forward(self, x_B1L: Tensor) -> Tensor:
        """Features (B, F)."""
        return self.layers(x_B1L)


def _conv(before: int, after: int, kernel: int, stride: int) -> nn.Module:
    return SameConv1d(before, after, kernel, stride=stride, bias=False)


def _norm(groups: int, channels: int) -> nn.Module:
    return nn.GroupNorm(groups, channels, eps=1e-3)


def resnet_body(blocks: tuple[int, ...], *, bottleneck: bool, small_average: int = 1) -> Callable[..., nn.Module]:
    """The `body` of their files: stem, pool and four groups, flattened, see `ResNet`.

    Args:
        blocks: in each of the four groups.
        bottleneck: kind of block.
        small_average: points that the small size, which is narrow, averages first.
    """

    def body(points: int, *, as_published: bool, small: bool) -> nn.Module:
        width, groups, average = (SMALL_WIDTH, SMALL_NORM_GROUPS, small_average) if small else (WIDTH, NORM_GROUPS, 1)
        return ResNet(points, blocks, bottleneck=bottleneck, width=width, groups=groups, average=average)

    return body


def resnet_head(features: int, outputs: int, *, as_published: bool, small: bool) -> nn.Module:
    """The `head` of their files: two dense layers; there is no activation between them."""
    rank = SMALL_RANK if small else RANK
    return glorot(nn.Sequential(nn.Linear(features, rank), nn.Linear(rank, outputs)))
