"""CNN7: AutoAnalyzer of Szymanski et al. 2021, whose "ensemble" is dropout at prediction. 4501 points.

The authors' answer is `powderlens.models.network.Network.mean_of_passes` with 100 passes.
"""

from __future__ import annotations

from torch import nn

from powderlens.models.simxrd.stack import FlatBody

LENGTH, SMALL_LENGTH = 4501, 2251
DROPOUT = 0.7


def body(points: int, *, as_published: bool, small: bool) -> nn.Module:
    """Six convolutions with ReLU and max pools: (b, 1, points) to (b, 4544).

    Args:
        points: any length, resampled to 4501 (2251 when small).
        as_published: makes no difference here.
        small: half the points, 14 channels for 64.
    """
    c = 14 if small else 64
    stages: list[nn.Module] = []
    channels = 1
    for kernel, width, padding in ((35, 3, 1), (30, 3, 1), (25, 2, 0), (20, 1, 0), (15, 1, 0), (10, 1, 0)):
        pool = nn.MaxPool1d(width, 2, padding=padding)
        stages += [nn.Conv1d(channels, c, kernel, padding=kernel // 2), nn.ReLU(), pool]
        channels = c
    return FlatBody(SMALL_LENGTH if small else LENGTH, stages)


def head(features: int, outputs: int, *, as_published: bool, small: bool) -> nn.Module:
    """Dropout 0.7 and hidden layers of 3100 and 1200 with ReLU, batch norm and dropout: (b, features) to (b, outputs).

    Args:
        features: of the body.
        outputs: width of the answer.
        as_published: one hidden layer of 1200, no dropout before it, ends in a softmax.
        small: hidden 800 and 400 (400 as published).
    """
    hidden = (800, 400) if small else (3100, 1200)
    layers: list[nn.Module] = [] if as_published else [nn.Dropout(DROPOUT)]
    for width in hidden[1:] if as_published else hidden:
        layers += [nn.Linear(features, width), nn.ReLU(), nn.BatchNorm1d(width), nn.Dropout(DROPOUT)]
        features = width
    layers.append(nn.Linear(features, outputs))
    return nn.Sequential(*layers, *([nn.Softmax(dim=1)] if as_published else []))
