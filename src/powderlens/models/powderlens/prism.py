"""`prism` in the registry: its trunk and shared layer as body, its heads one by one.

Its own class, with all three heads and a mask as second channel, is `powderlens.models.prism.Prism`, which ships. In
the registry a pattern has no mask: every point counts as measured.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from powderlens.models.prism import Prism

WIDTHS, SMALL_WIDTHS = (32, 64, 128), (16, 24, 32)
HIDDEN, SMALL_HIDDEN = 512, 128
LATTICE_HIDDEN = 128


class PrismBody(nn.Module):
    """(B, 1, L) to (B, F): a mask of ones beside the pattern, trunk, shared dense layer.

    Args:
        points: L.
        widths: channels of the three stages.
        hidden: F.
    """

    def __init__(self, points: int, widths: tuple[int, int, int], hidden: int) -> None:
        super().__init__()
        prism = Prism(points, widths, hidden)
        self.trunk, self.shared = prism.trunk, prism.shared
        self.features = hidden

    def forward(self, x_B1L: Tensor) -> Tensor:
        """Features (B, F)."""
        return self.shared(self.trunk(torch.cat([x_B1L, torch.ones_like(x_B1L)], dim=1)))


def body(points: int, *, as_published: bool, small: bool) -> nn.Module:
    """Trunk and shared layer at full or small size."""
    return PrismBody(points, SMALL_WIDTHS if small else WIDTHS, SMALL_HIDDEN if small else HIDDEN)


def head(features: int, outputs: int, *, as_published: bool, small: bool) -> nn.Module:
    """One dense layer to (b, outputs) logits."""
    return nn.Linear(features, outputs)


def lattice_head(features: int, *, as_published: bool, small: bool) -> nn.Module:
    """Two dense layers to raw (b, 6), for `cell`."""
    return nn.Sequential(nn.Linear(features, LATTICE_HIDDEN), nn.ReLU(), nn.Linear(LATTICE_HIDDEN, 6))


def cell(raw_B6: Tensor) -> Tensor:
    """As `Prism.forward` does it: lengths 8 A times or over at most exp(2.5), angles 90 +- 40 degrees."""
    lengths = 8.0 * torch.exp(2.5 * torch.tanh(raw_B6[:, :3] / 2.5))
    angles = 90.0 + 40.0 * torch.tanh(raw_B6[:, 3:])
    return torch.cat([lengths, angles], dim=1)
