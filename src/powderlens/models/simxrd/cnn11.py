"""CNN11: Salgado et al. 2023 without pooling, the best of the SimXRD benchmark. 8500 points."""

from __future__ import annotations

from torch import nn

from powderlens.models.dense import dense_head
from powderlens.models.simxrd.stack import FlatBody

LENGTH = 8500


def body(points: int, *, as_published: bool, small: bool) -> nn.Module:
    """Three wide, strided convolutions with ReLU and dropout 0.3, no pools: (b, 1, points) to (b, 12160).

    Args:
        points: any length, resampled to 8500.
        as_published: makes no difference here.
        small: 20 channels for 80.
    """
    c = 20 if small else 80
    stages: list[nn.Module] = []
    for channels, kernel, stride in ((1, 100, 5), (c, 50, 5), (c, 25, 2)):
        stages += [nn.Conv1d(channels, c, kernel, stride=stride), nn.ReLU(), nn.Dropout(0.3)]
    return FlatBody(LENGTH, stages)


head = dense_head((2300, 1150), small_hidden=(400, 200), dropout=0.5)
"""Logits, as published too."""
