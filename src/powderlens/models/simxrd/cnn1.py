"""CNN1: after Park et al. 2017, as the SimXRD benchmark built it. 10001 points, three wide convolutions."""

from __future__ import annotations

from torch import nn

from powderlens.models.dense import dense
from powderlens.models.simxrd.stack import FlatBody, many

LENGTH = 10001


def body(points: int, *, as_published: bool, small: bool) -> nn.Module:
    """Three convolutions with ReLU, dropout and average pools: (b, 1, points) to (b, 7680).

    The pools after the second and third convolution move by one point, as in SimXRD's code; two other public
    versions of Park's network move by three.

    Args:
        points: any length, resampled to 10001.
        as_published: makes no difference here.
        small: 24 channels for 80.
    """
    c = 24 if small else 80
    return FlatBody(
        LENGTH,
        [
            *(nn.Conv1d(1, c, 100, stride=5, padding=48), nn.ReLU(), nn.Dropout(0.3), nn.AvgPool1d(3, 2)),
            *(nn.Conv1d(c, c, 50, stride=5, padding=24), nn.ReLU(), nn.Dropout(0.3), nn.AvgPool1d(3, 1)),
            *(nn.Conv1d(c, c, 25, stride=2, padding=11), nn.ReLU(), nn.Dropout(0.3), nn.AvgPool1d(3, 1)),
        ],
    )


def head(features: int, outputs: int, *, as_published: bool, small: bool) -> nn.Module:
    """Two hidden layers (2300 and 1150; 700 and 70 for few classes) with dropout 0.5: (b, features) to (b, outputs).

    Args:
        features: of the body.
        outputs: width of the answer.
        as_published: ends in a softmax.
        small: hidden 460 and 230 (300 and 70).
    """
    if many(outputs):
        hidden = (460, 230) if small else (2300, 1150)
    else:
        hidden = (300, 70) if small else (700, 70)
    return dense(features, hidden, outputs, dropout=0.5, softmaxes=int(as_published))
