"""MLP: the baseline of the SimXRD benchmark, four dense layers and no convolution. 3501 points."""

from __future__ import annotations

from torch import nn

from powderlens.models.dense import dense_head
from powderlens.models.simxrd.resample import PUBLISHED_POINTS
from powderlens.models.simxrd.stack import FlatBody


def body(points: int, *, as_published: bool, small: bool) -> nn.Module:
    """The pattern itself, without weights: (b, 1, points) to (b, 3501).

    Args:
        points: any length, resampled to 3501.
        as_published: makes no difference here.
        small: the same.
    """
    return FlatBody(PUBLISHED_POINTS, [])


head = dense_head((7000, 7000, 3500), small_hidden=(300, 300, 150), softmaxes=2)
"""As published it ends in two softmaxes."""
