"""The attention encoder of the three transformers of the SimXRD benchmark.

Shapes: b patterns, T tokens, W width, H heads, D = W / H.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Scaled dot-product attention over the tokens of each pattern, without a mask: (b, T, W) to the same.

    Args:
        width: W.
        heads: H, a divisor of W.
        dropout: rate on the attention weights.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, x_bTW: Tensor) -> Tensor:
        """What each token collects from all."""
        q, k, v = (
            linear(x_bTW).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for linear in (self.query, self.key, self.value)
        )
        y_bHTD = functional.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0.0)
        return self.output(y_bHTD.transpose(1, 2).flatten(2))


class EncoderLayer(nn.Module):
    """Attention, then a feed-forward pair, each added and then normalised (post-norm): (b, T, W) to the same.

    Args:
        width: W.
        heads: H.
        hidden: width between the two dense layers.
        activation: maker of the activation between them.
        dropout: rate on attention weights, attention output, activation and second dense layer.
    """

    def __init__(
        self, width: int, heads: int, hidden: int, activation: Callable[[], nn.Module], dropout: float
    ) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout)
        self.dropout = nn.Dropout(dropout)
        self.first_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            *(nn.Linear(width, hidden), activation(), nn.Dropout(dropout)),
            *(nn.Linear(hidden, width), nn.Dropout(dropout)),
        )
        self.second_norm = nn.LayerNorm(width)

    def forward(self, x_bTW: Tensor) -> Tensor:
        """Both steps."""
        x_bTW = self.first_norm(x_bTW + self.dropout(self.attention(x_bTW)))
        return self.second_norm(x_bTW + self.feed_forward(x_bTW))


def encoder(
    layers: int,
    width: int,
    heads: int,
    hidden: int,
    *,
    activation: Callable[[], nn.Module],
    final_norm: bool,
    dropout: float = 0.1,
) -> nn.Sequential:
    """Encoder layers in a row, and a last layer norm where asked: (b, T, W) to the same."""
    stack = [EncoderLayer(width, heads, hidden, activation, dropout) for _ in range(layers)]
    return nn.Sequential(*stack, *([nn.LayerNorm(width)] if final_norm else []))


def sinusoidal_positions(tokens: int, width: int) -> Tensor:
    """Fixed positions of Vaswani et al. 2017, section 3.5: (tokens, width), sine on even and cosine on odd channels.

    Args:
        tokens: T.
        width: W, even.
    """
    position_T1 = torch.arange(tokens, dtype=torch.float32).unsqueeze(1)
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10_000.0) / width))
    positions = torch.empty(tokens, width)
    positions[:, 0::2] = torch.sin(position_T1 * rate)
    positions[:, 1::2] = torch.cos(position_T1 * rate)
    return positions
