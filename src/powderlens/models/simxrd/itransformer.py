"""iTransformer (Liu et al. 2023) with the whole pattern as its one token, as in the SimXRD benchmark. 8192 points.

With a single token the attention has nothing to choose from: queries and keys never get a gradient, and what is left is
a residual network of dense layers. As there is one channel only, there is no other way to mean it.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from powderlens.models.simxrd.encoder import encoder
from powderlens.models.simxrd.resample import Resample

LENGTH, WIDTH = 8192, 128


class PatternToken(nn.Module):
    """The pattern as one token through two encoder layers: (b, 1, points) to (b, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = WIDTH
        self.embedding = nn.Sequential(Resample(LENGTH), nn.Linear(LENGTH, WIDTH), nn.Dropout(0.1))
        self.encoder = encoder(2, WIDTH, 2, 64, activation=nn.GELU, final_norm=True)

    def forward(self, x_b1L: Tensor) -> Tensor:
        """The token, without its axis of one."""
        return functional.gelu(self.encoder(self.embedding(x_b1L))).flatten(1)


def body(points: int, *, as_published: bool, small: bool) -> nn.Module:
    """One token of width 128: (b, 1, points) to (b, 128).

    Args:
        points: any length, resampled to 8192.
        as_published: makes no difference here.
        small: the same network, it is small already.
    """
    return PatternToken()


def head(features: int, outputs: int, *, as_published: bool, small: bool) -> nn.Module:
    """Dropout 0.1 and one dense layer: (b, features) to (b, outputs). Logits, as published too.

    Args:
        features: of the body.
        outputs: width of the answer.
        as_published: makes no difference here.
        small: the same.
    """
    return nn.Sequential(nn.Dropout(0.1), nn.Linear(features, outputs))
