"""CNN10: after Le et al. 2023, tuned on the ICSD, as the SimXRD benchmark built it. 3501 points."""

from __future__ import annotations

from torch import nn

from powderlens.models.dense import dense_head
from powderlens.models.simxrd.resample import PUBLISHED_POINTS
from powderlens.models.simxrd.stack import FlatBody

DROPOUT = 0.33


def body(points: int, *, as_published: bool, small: bool) -> nn.Module:
    """Four kernel-12 convolutions with ReLU, max pool and dropout: (b, 1, points) to (b, 4992).

    Args:
        points: any length, resampled to 3501.
        as_published: makes no difference here.
        small: 16 channels for 24.
    """
    c = 16 if small else 24
    stages: list[nn.Module] = []
    for channels in (1, c, c, c):
        stages += [nn.Conv1d(channels, c, 12), nn.ReLU(), nn.MaxPool1d(2), nn.Dropout(DROPOUT)]
    return FlatBody(PUBLISHED_POINTS, stages)


head = dense_head((2000,), small_hidden=(350,), dropout=DROPOUT)
"""Logits, as published too."""
