"""CNN4: after Wang et al. 2020 (metal-organic frameworks), as the SimXRD benchmark built it. 2251 points."""

from __future__ import annotations

from torch import nn

from powderlens.models.dense import dense_head
from powderlens.models.simxrd.stack import FlatBody

LENGTH = 2251


def body(points: int, *, as_published: bool, small: bool) -> nn.Module:
    """Four stages of kernel-5 convolutions, each closed by a max pool and dropout: (b, 1, points) to (b, 8512).

    Args:
        points: any length, resampled to 2251.
        as_published: makes no difference here.
        small: the same network, it is small already.
    """
    stages: list[nn.Module] = []
    channels = 1
    for widths in ((6,), (16, 16), (32, 32), (64, 64)):
        for width in widths:
            stages += [nn.Conv1d(channels, width, 5), nn.ReLU()]
            channels = width
        stages += [nn.MaxPool1d(2), nn.Dropout(0.2)]
    return FlatBody(LENGTH, stages)


head = dense_head((120, 84), softmaxes=2)
"""As published it ends in two softmaxes."""
