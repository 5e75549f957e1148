"""CNN5: XCA of Maffettone et al. 2021, an ensemble of ten small networks whose probabilities are averaged.

The members stand side by side as groups of one convolution. Shapes: b patterns, m members, n outputs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from powderlens.models.simxrd.resample import PUBLISHED_POINTS
from powderlens.models.simxrd.stack import FlatBody

MEMBERS, SMALL_MEMBERS = 10, 3
MEMBER_FEATURES = 1740
DROPOUT = 0.4


def body(points: int, *, as_published: bool, small: bool) -> nn.Module:
    """Three strided convolutions with LeakyReLU (slope 0.2) a member: (b, 1, points) to (b, m x 1740).

    Args:
        points: any length, resampled to 3501.
        as_published: one member, torch's starting weights. As meant: ten, convolutions start from N(0, 0.02).
        small: three members for ten.
    """
    m = 1 if as_published else SMALL_MEMBERS if small else MEMBERS
    convolutions = (
        nn.Conv1d(1, 8 * m, 5, stride=2),
        nn.Conv1d(8 * m, 8 * m, 5, stride=2, groups=m),
        nn.Conv1d(8 * m, 4 * m, 5, stride=2, groups=m),
    )
    if not as_published:
        for convolution in convolutions:
            nn.init.normal_(convolution.weight, std=0.02)
    stages = [layer for convolution in convolutions for layer in (convolution, nn.LeakyReLU(0.2))]
    return FlatBody(PUBLISHED_POINTS, stages)


class EnsembleHead(nn.Module):
    """One dense layer a member, and their average: (b, m x 1740) to (b, n).

    Args:
        features: m x 1740.
        outputs: n.
        of_probabilities: average the members' softmaxes; the output is the logarithm of that average, so that its own
            softmax is the average again. Else the raw outputs are averaged.
    """

    def __init__(self, features: int, outputs: int, *, of_probabilities: bool) -> None:
        super().__init__()
        self.members = features // MEMBER_FEATURES
        self.of_probabilities = of_probabilities
        self.dropout = nn.Dropout(DROPOUT)
        self.dense = nn.Conv1d(features, self.members * outputs, 1, groups=self.members)

    def forward(self, x_bF: Tensor) -> Tensor:
        """The averaged answer."""
        raw_bmn = self.dense(self.dropout(x_bF).unsqueeze(2)).squeeze(2).unflatten(1, (self.members, -1))
        if self.of_probabilities:
            return torch.logsumexp(raw_bmn.log_softmax(dim=2), dim=1) - math.log(self.members)
        return raw_bmn.mean(dim=1)


def head(features: int, outputs: int, *, as_published: bool, small: bool) -> nn.Module:
    """Dropout 0.4 and one dense layer a member: (b, features) to (b, outputs).

    Args:
        features: of the body.
        outputs: width of the answer.
        as_published: one member, ends in a softmax.
        small: the same; the body has fewer members.
    """
    if as_published:
        return nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(features, outputs), nn.Softmax(dim=1))
    return EnsembleHead(features, outputs, of_probabilities=True)


def lattice_head(features: int, *, as_published: bool, small: bool) -> nn.Module:
    """As `head`, with the raw outputs of the members averaged: (b, features) to (b, 6).

    Args:
        features: of the body.
        as_published: makes no difference here.
        small: the same.
    """
    return EnsembleHead(features, 6, of_probabilities=False)
