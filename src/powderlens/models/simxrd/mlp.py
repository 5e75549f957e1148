"""MLP: the baseline of the SimXRD benchmark, four dense layers and no convolution. 3501 points."""

from __future__ import annotations

from torch import nn

from powderlens.models.simxrd.resample import PUBLISHED_POINTS
from powderlens.models.simxrd.stack import FlatBody, dense_head


def body(points: int, *, as_published: bool, small: bool) -> nn.Module:
    """The pattern itself, without weights: (b, 1, points) to (b, 3501).

    Args:
        points: any length, resampled to 3501.
        as_published: makes no difference here.
        small: the same.
    """
    return FlatBody(PUBLISHED_POINTS, [])


def head(features: int, outputs: int, *, as_published: bool, small: bool) -> nn.Module:
    """Hidden layers of 7000, 7000 and 3500 with ReLU, no dropout: (b, features) to (b, outputs).

    Args:
        features: of the body.
        outputs: width of the answer.
        as_published: ends in two softmaxes.
        small: hidden 300, 300 and 150.
    """
    hidden = (300, 300, 150) if small else (7000, 7000, 3500)
    return dense_head(features, hidden, outputs, softmaxes=2 * as_published)
