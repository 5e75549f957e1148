"""PatchTST (Nie et al. 2023) as in the SimXRD benchmark: 129 patches of 64 points, layer norm. 8192 points.

Shapes: b patterns, L points, T patches, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from powderlens.models.simxrd.encoder import encoder, sinusoidal_positions
from powderlens.models.simxrd.resample import Resample

LENGTH, PATCH = 8192, 64
PATCHES = LENGTH // PATCH + 1
WIDTH, SMALL_WIDTH = 128, 48


class PatchTransformer(nn.Module):
    """Patches as tokens through two encoder layers of two heads: (b, 1, points) to (b, 129 W), channel by channel.

    The last patch repeats the last point.

    Args:
        width: W; the feed-forward layer has half of it.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.features = width * PATCHES
        self.resample = Resample(LENGTH)
        self.embedding = nn.Linear(PATCH, width, bias=False)
        self.positions_TW: Tensor
        self.register_buffer("positions_TW", sinusoidal_positions(PATCHES, width), persistent=False)
        self.dropout = nn.Dropout(0.1)
        self.encoder = encoder(2, width, 2, width // 2, activation=nn.GELU, final_norm=True)

    def forward(self, x_b1L: Tensor) -> Tensor:
        """Normalise each pattern to mean 0 and deviation 1, cut, encode, flatten."""
        x_bL = self.resample(x_b1L).squeeze(1)
        x_bL = x_bL - x_bL.mean(dim=1, keepdim=True).detach()
        x_bL = x_bL / torch.sqrt(x_bL.var(dim=1, keepdim=True, correction=0) + 1e-5)
        x_bTP = functional.pad(x_bL, (0, PATCH), mode="replicate").unflatten(1, (PATCHES, PATCH))
        y_bTW = self.encoder(self.dropout(self.embedding(x_bTP) + self.positions_TW))
        return y_bTW.transpose(1, 2).flatten(1)


def body(points: int, *, as_published: bool, small: bool) -> nn.Module:
    """Two encoder layers of width 128: (b, 1, points) to (b, 16512).

    Args:
        points: any length, resampled to 8192.
        as_published: makes no difference here.
        small: width 48.
    """
    return PatchTransformer(SMALL_WIDTH if small else WIDTH)


def head(features: int, outputs: int, *, as_published: bool, small: bool) -> nn.Module:
    """Dropout 0.1 and one dense layer: (b, features) to (b, outputs). Logits, as published too.

    Args:
        features: of the body.
        outputs: width of the answer.
        as_published: makes no difference here.
        small: the same.
    """
    return nn.Sequential(nn.Dropout(0.1), nn.Linear(features, outputs))
