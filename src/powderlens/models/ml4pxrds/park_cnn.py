"""The three convolutions that `park_cnn_small`, `_medium` and `_big` share; they differ in the dense layers.

Shapes: B patterns, C channels, L points.
"""

from __future__ import annotations

from torch import Tensor, nn

from powderlens.models.dense import Head, dense_head
from powderlens.models.ml4pxrds.same_padding import SameConv1d, glorot

SMALL_CHANNELS, CHANNELS = 24, 80
SMALL_WIDTH = 256
"""Widest hidden dense layer of the small size."""


class ParkBody(nn.Module):
    """(B, 1, L) to (B, channels * rest): 8501 points and 80 channels give 720 features.

    Args:
        points: L.
        channels: of every convolution.
    """

    def __init__(self, points: int, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            SameConv1d(1, channels, 100, stride=5),
            nn.ReLU(),
            nn.AvgPool1d(3, 2),
            SameConv1d(channels, channels, 50, stride=5),
            nn.ReLU(),
            nn.AvgPool1d(3, 3),
            SameConv1d(channels, channels, 25, stride=2),
            nn.ReLU(),
            nn.AvgPool1d(3, 3),
            nn.Flatten(),
        )
        length = -(-points // 5)
        length = (length - 3) // 2 + 1
        length = -(-length // 5) // 3
        length = -(-length // 2) // 3
        self.features = channels * length
        glorot(self)

    def forward(self, x_B1L: Tensor) -> Tensor:
        """Features (B, F)."""
        return self.layers(x_B1L)


def park_body(points: int, *, as_published: bool, small: bool) -> nn.Module:
    """The `body` of their files: the convolutions at full or small size."""
    return ParkBody(points, SMALL_CHANNELS if small else CHANNELS)


def park_head(*hidden: int) -> Head:
    """The `head` of their files: hidden dense layers, of the small size none wider than `SMALL_WIDTH`, and the logits.

    Args:
        hidden: widths of the hidden layers.
    """
    layers = dense_head(hidden, small_hidden=[min(width, SMALL_WIDTH) for width in hidden])
    return lambda *args, **how: glorot(layers(*args, **how))
