"""CNN9: after Le et al. 2023, tuned on the Materials Project, as the SimXRD benchmark built it. 3501 points."""

from __future__ import annotations

from torch import nn

from powderlens.models.dense import dense_head
from powderlens.models.simxrd.resample import PUBLISHED_POINTS
from powderlens.models.simxrd.stack import FlatBody

DROPOUT = 0.21


def body(points: int, *, as_published: bool, small: bool) -> nn.Module:
    """Three kernel-11 convolutions with ReLU, max pool and dropout: (b, 1, points) to (b, 11556).

    Args:
        points: any length, resampled to 3501.
        as_published: makes no difference here.
        small: 12 channels for 27.
    """
    c = 12 if small else 27
    stages: list[nn.Module] = []
    for channels in (1, c, c):
        stages += [nn.Conv1d(channels, c, 11), nn.ReLU(), nn.MaxPool1d(2), nn.Dropout(DROPOUT)]
    return FlatBody(PUBLISHED_POINTS, stages)


head = dense_head((2000,), small_hidden=(250,), dropout=DROPOUT)
"""Logits, as published too."""
