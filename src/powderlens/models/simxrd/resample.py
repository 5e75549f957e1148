"""Bringing a pattern to the length that a network works at: resampling, folding, thinning.

Shapes: b patterns, C channels, L points, S steps, P points a step.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

PUBLISHED_POINTS = 3501
"""Length of a SimXRD pattern."""


class Resample(nn.Module):
    """Linear interpolation to another length with half-pixel centres: (b, C, points) to (b, C, length).

    Point i of the new pattern sits at (i + 1/2) * points / length - 1/2 of the old one; ends are held. No smoothing
    and no change of scale, as in the published networks (torch's `interpolate`, `align_corners` false).

    Args:
        length: points of the new pattern.
    """

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length

    def forward(self, x_bCL: Tensor) -> Tensor:
        """Interpolate; a pattern of the right length is handed on untouched."""
        if x_bCL.shape[-1] == self.length:
            return x_bCL
        return functional.interpolate(x_bCL, size=self.length, mode="linear", align_corners=False)

    def extra_repr(self) -> str:
        """The length, for the printed network."""
        return f"{self.length}"


class Fold(nn.Module):
    """Neighbouring points as one step: (b, 1, points) to (b, S, P), first resampled to S * P points.

    With one point a step this is the published (b, points, 1).

    Args:
        points: length of the pattern, at least P.
        per_step: P; S is points // P.
    """

    def __init__(self, points: int, per_step: int) -> None:
        super().__init__()
        self.steps, self.per_step = points // per_step, per_step
        self.resample = Resample(self.steps * per_step)

    def forward(self, x_b1L: Tensor) -> Tensor:
        """Resample and fold."""
        return self.resample(x_b1L).reshape(-1, self.steps, self.per_step)


class Thin(nn.Module):
    """Every nth point, the last one among them, one a step: (b, 1, points) to (b, S, 1).

    Args:
        every: n.
    """

    def __init__(self, every: int) -> None:
        super().__init__()
        self.every = every

    def forward(self, x_b1L: Tensor) -> Tensor:
        """Leave the others out."""
        first = (x_b1L.shape[-1] - 1) % self.every
        return x_b1L[..., first :: self.every].transpose(1, 2)
