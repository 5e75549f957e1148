"""CNN2: the two-convolution network after Lee et al. 2020, as the SimXRD benchmark built it. 4501 points."""

from __future__ import annotations

from torch import nn

from powderlens.models.dense import dense_head
from powderlens.models.simxrd.stack import FlatBody

LENGTH = 4501


def body(points: int, *, as_published: bool, small: bool) -> nn.Module:
    """Two convolutions with LeakyReLU and max pools, and LeakyReLU once more: (b, 1, points) to (b, 8064).

    The second pool, two points wide, moves by three and so skips every third point: SimXRD's layout, not known to be
    Lee's own.

    Args:
        points: any length, resampled to 4501.
        as_published: makes no difference here.
        small: 32 channels for 64.
    """
    c = 32 if small else 64
    return FlatBody(
        LENGTH,
        [
            *(nn.Conv1d(1, c, 50, stride=2, padding=25), nn.LeakyReLU(), nn.MaxPool1d(3, 2, padding=1)),
            *(nn.Conv1d(c, c, 25, stride=3, padding=12), nn.LeakyReLU(), nn.MaxPool1d(2, 3, padding=1)),
            nn.LeakyReLU(),
        ],
    )


head = dense_head((2000, 500), small_hidden=(300, 150), activation=nn.LeakyReLU, softmaxes=1)
"""As published it ends in a softmax."""
