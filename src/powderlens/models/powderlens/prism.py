"""`prism`: the first network of powderlens, a small residual CNN in one dimension over intensity and mask (torch).

Shapes: B patterns, C channels, L points, F features.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from powderlens.core.errors import InputError
from powderlens.models.dense import dense

WIDTHS, SMALL_WIDTHS = (32, 64, 128), (16, 24, 32)
HIDDEN, SMALL_HIDDEN = 512, 128
LATTICE_HIDDEN = 128
DROPOUT = 0.1


class Residual(nn.Module):
    """x + conv(relu(norm(conv(relu(norm(x)))))): (B, C, L) to the same."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm1d(channels),
            nn.ReLU(inplace=True),
            nn.Conv1d(channels, channels, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm1d(channels),
            nn.ReLU(inplace=True),
            nn.Conv1d(channels, channels, kernel, padding=kernel // 2),
        )

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Add the block's correction."""
        return x_BCL + self.body(x_BCL)


class PrismBody(nn.Module):
    """(B, 2, L), square-root intensity and mask, to (B, F): trunk and shared dense layer.

    Args:
        points: L.
        widths: channels of the three stages.
        hidden: F.
        dropout: rate before and after the dense layer.
    """

    channels = 2

    def __init__(self, points: int, widths: Sequence[int], hidden: int, dropout: float) -> None:
        super().__init__()
        a, b, c = widths
        self.trunk = nn.Sequential(
            nn.Conv1d(2, a, 24, stride=4),
            nn.BatchNorm1d(a),
            nn.ReLU(inplace=True),
            nn.Conv1d(a, b, 8, stride=4, padding=2),
            Residual(b, 3),
            nn.BatchNorm1d(b),
            nn.ReLU(inplace=True),
            nn.Conv1d(b, c, 6, stride=3, padding=2),
            Residual(c, 3),
            nn.BatchNorm1d(c),
            nn.ReLU(inplace=True),
            nn.Conv1d(c, 96, 1),
            nn.ReLU(inplace=True),
            nn.Flatten(),
        )
        with torch.no_grad():
            self.eval()
            flat = self.trunk(torch.zeros(1, 2, points)).shape[1]
            self.train()
        self.shared = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(flat, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(dropout)
        )
        self.features = hidden

    def forward(self, x_B2L: Tensor) -> Tensor:
        """Features (B, F)."""
        return self.shared(self.trunk(x_B2L))


def body(
    points: int,
    *,
    as_published: bool,
    small: bool,
    widths: Sequence[int] | None = None,
    hidden: int | None = None,
    dropout: float = DROPOUT,
) -> nn.Module:
    """Trunk and shared layer at full or small size, or with widths of one's own.

    Raises:
        InputError: widths that are not three whole numbers above 0, no hidden layer, or a dropout outside 0 to below 1.
    """
    widths = (SMALL_WIDTHS if small else WIDTHS) if widths is None else widths
    hidden = (SMALL_HIDDEN if small else HIDDEN) if hidden is None else hidden
    sizes = [*widths, hidden] if isinstance(widths, Sequence) else []
    if len(sizes) != 4 or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise InputError(f"prism: widths {widths}, hidden {hidden}; give three whole numbers above 0, and one")
    if not 0 <= dropout < 1:
        raise InputError(f"prism: dropout {dropout}; give a rate from 0 to below 1")
    return PrismBody(points, widths, hidden, dropout)


def lattice_head(features: int, *, as_published: bool, small: bool) -> nn.Module:
    """Two dense layers to raw (b, 6), for `cell`."""
    return dense(features, (LATTICE_HIDDEN,), 6)


def cell(raw_B6: Tensor) -> Tensor:
    """Lengths 8 A times or over at most exp(2.5), angles 90 +- 40 degrees."""
    lengths = 8.0 * torch.exp(2.5 * torch.tanh(raw_B6[:, :3] / 2.5))
    angles = 90.0 + 40.0 * torch.tanh(raw_B6[:, 3:])
    return torch.cat([lengths, angles], dim=1)
