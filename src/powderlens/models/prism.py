"""`prism`: the first network of powderlens, a small residual 1D CNN with three heads (torch).

Shapes: B patterns, C channels, L points.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SYSTEMS, GROUPS = 7, 230


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


class Prism(nn.Module):
    """Square-root intensities and mask in, logits of system and group and the Niggli cell out.

    Args:
        points: length of the grid.
        widths: channels of the three stages.
        hidden: width of the shared dense layer.
        dropout: rate before and after it.
    """

    def __init__(
        self, points: int = 4250, widths: tuple[int, int, int] = (32, 64, 128), hidden: int = 512, dropout: float = 0.1
    ) -> None:
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
            features = self.trunk(torch.zeros(1, 2, points)).shape[1]
            self.train()
        self.shared = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(features, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(dropout)
        )
        self.system = nn.Linear(hidden, SYSTEMS)
        self.group = nn.Linear(hidden, GROUPS)
        self.lattice = nn.Sequential(nn.Linear(hidden, 128), nn.ReLU(), nn.Linear(128, 6))

    def forward(self, x_B2L: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (B, 7), logits (B, 230), Niggli cell (B, 6) in angstrom and degrees."""
        shared = self.shared(self.trunk(x_B2L))
        raw = self.lattice(shared)
        lengths = 8.0 * torch.exp(2.5 * torch.tanh(raw[:, :3] / 2.5))
        angles = 90.0 + 40.0 * torch.tanh(raw[:, 3:])
        return self.system(shared), self.group(shared), torch.cat([lengths, angles], dim=1)
