"""The recurrent stack that six networks of the SimXRD benchmark share: four layers, the top one's last word.

Shapes: b patterns, S steps, P points a step, H hidden.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from powderlens.models.simxrd.resample import Fold

LAYERS, HIDDEN = 4, 64
SMALL_PER_STEP, SMALL_HIDDEN = 20, 32

CellType = type[nn.RNN] | type[nn.LSTM] | type[nn.GRU]


class Recurrent(nn.Module):
    """One intensity a step, low angle first, through four stacked layers: (b, 1, points) to (b, H or 2H).

    Zero initial state, no dropout, two biases a gate (torch). Small: 20 neighbouring points a step and hidden 32, so
    that 3501 points are 175 steps.

    Args:
        cell: `nn.RNN` (tanh), `nn.LSTM` or `nn.GRU`.
        points: length of the pattern, any.
        bidirectional: two directions; each layer hands both to the next.
        last_step_only: of both directions the last step is taken, where the backward half has read one step: the fault
            of the networks as published. Else the backward half at the first step, where it has read all.
        small: see above.
    """

    def __init__(
        self,
        cell: CellType,
        points: int,
        *,
        bidirectional: bool = False,
        last_step_only: bool = False,
        small: bool,
    ) -> None:
        super().__init__()
        self.fold = Fold(points, SMALL_PER_STEP if small else 1)
        self.hidden = SMALL_HIDDEN if small else HIDDEN
        self.both_ends = bidirectional and not last_step_only
        self.features = self.hidden * (1 + bidirectional)
        self.layers = cell(
            self.fold.per_step, self.hidden, num_layers=LAYERS, batch_first=True, bidirectional=bidirectional
        )

    def forward(self, x_b1L: Tensor) -> Tensor:
        """The top layer where it has read the pattern."""
        y_bSH, _ = self.layers(self.fold(x_b1L))
        if self.both_ends:
            return torch.cat([y_bSH[:, -1, : self.hidden], y_bSH[:, 0, self.hidden :]], dim=1)
        return y_bSH[:, -1]


def recurrent_body(cell: CellType, *, bidirectional: bool = False) -> Callable[..., nn.Module]:
    """The `body` of a network's file: four layers of hidden 64, (b, 1, points) to (b, 64), or in both directions 128.

    It takes any number of points, so many steps. As published, both directions are taken at the last step, where the
    backward one has read a single step; as meant, the backward one at the first step. Small: 20 points a step and
    hidden 32.

    Args:
        cell: `nn.RNN` (tanh), `nn.LSTM` or `nn.GRU`.
        bidirectional: two directions.
    """

    def body(points: int, *, as_published: bool, small: bool) -> nn.Module:
        return Recurrent(cell, points, bidirectional=bidirectional, last_step_only=as_published, small=small)

    return body
