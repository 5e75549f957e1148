"""CNN6: after PQ-Net (Dong et al. 2021), cut down to a classifier by the SimXRD benchmark. 4.6 GMAC a pattern."""

from __future__ import annotations

from torch import nn

from powderlens.models.dense import dense_head
from powderlens.models.simxrd.resample import PUBLISHED_POINTS
from powderlens.models.simxrd.stack import FlatBody

SMALL_POINTS = 1167


def body(points: int, *, as_published: bool, small: bool) -> nn.Module:
    """Three convolutions at full length and four with pools, LeakyReLU after each: (b, 1, points) to (b, 5504).

    Args:
        points: any length, resampled to 3501 (1167 when small).
        as_published: makes no difference here.
        small: a third of the points, 8 and 24 channels for 128 and 64.
    """
    a, b = (8, 24) if small else (128, 64)
    stages: list[nn.Module] = []
    for channels in (1, a, a):
        stages += [nn.Conv1d(channels, a, 35, padding=17), nn.LeakyReLU()]
    stages.append(nn.MaxPool1d(2))
    for channels, kernel in ((a, 30), (b, 25), (b, 25), (b, 25)):
        stages += [nn.Conv1d(channels, b, kernel), nn.LeakyReLU(), nn.MaxPool1d(2)]
    return FlatBody(SMALL_POINTS if small else PUBLISHED_POINTS, [*stages, nn.LeakyReLU()])


head = dense_head((500, 250), activation=nn.LeakyReLU, dropout=0.1, softmaxes=1)
"""As published it ends in a softmax."""
