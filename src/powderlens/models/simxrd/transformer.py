"""Transformer: the encoder of Vaswani et al. 2017 with one token a point, as in the SimXRD benchmark.

Shapes: b patterns, T tokens, W width.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from powderlens.models.simxrd.encoder import Attention, encoder, sinusoidal_positions
from powderlens.models.simxrd.resample import Fold, Thin

WIDTH, HIDDEN, SMALL_HIDDEN = 32, 2048, 256
SMALL_STEP = 20


class PointTransformer(nn.Module):
    """Tokens from points, two encoder layers of one head, the last token: (b, 1, points) to (b, 32).

    Args:
        points: length of the pattern.
        over_batch: attend over the patterns of the batch, separately at each token, and know no positions: the fault of
            the network as published, which so sees a single intensity of each pattern and the batch around it.
        small: every twentieth point (as published), or 20 neighbouring points a token (as meant), and feed-forward
            256.
    """

    def __init__(self, points: int, *, over_batch: bool, small: bool) -> None:
        super().__init__()
        self.over_batch = over_batch
        self.features = WIDTH
        fold = Fold(points, SMALL_STEP if small and not over_batch else 1)
        self.tokens = Thin(SMALL_STEP) if small and over_batch else fold
        self.embedding = nn.Linear(fold.per_step, WIDTH)
        self.encoder = encoder(2, WIDTH, 1, SMALL_HIDDEN if small else HIDDEN, activation=nn.ReLU, final_norm=False)
        self.encoder.apply(_start_as_torch_does)
        self.positions_TW: Tensor
        if not over_batch:
            self.register_buffer("positions_TW", sinusoidal_positions(fold.steps, WIDTH), persistent=False)

    def forward(self, x_b1L: Tensor) -> Tensor:
        """The last token of each pattern, that of the highest angle."""
        x_bTW = self.embedding(self.tokens(x_b1L))
        if self.over_batch:
            return self.encoder(x_bTW.transpose(0, 1)).transpose(0, 1)[:, -1]
        return self.encoder(x_bTW + self.positions_TW)[:, -1]


def _start_as_torch_does(module: nn.Module) -> None:
    """Starting weights of `nn.MultiheadAttention`: Xavier over query, key and value as one matrix, biases zero."""
    if isinstance(module, Attention):
        width = module.query.in_features
        bound = math.sqrt(6 / (width + 3 * width))
        for linear in (module.query, module.key, module.value):
            nn.init.uniform_(linear.weight, -bound, bound)
            nn.init.zeros_(linear.bias)
        nn.init.zeros_(module.output.bias)


def body(points: int, *, as_published: bool, small: bool) -> nn.Module:
    """Two encoder layers of width 32 and feed-forward 2048: (b, 1, points) to (b, 32).

    Args:
        points: any length; so many tokens.
        as_published: attention over the batch, no positions. As meant: over the tokens, with sinusoidal positions.
        small: 175 tokens of 3501 points and feed-forward 256. As published every twentieth point, the last one among
            them, which is all that the answer depends on; as meant 20 points a token.
    """
    return PointTransformer(points, over_batch=as_published, small=small)
