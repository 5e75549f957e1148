"""Any network of the zoo as training and evaluation see it: a raw pattern in, an answer per task out (torch).

Shapes: B patterns, L points, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from powderlens.core.errors import InputError
from powderlens.models.card import Card, Preprocessing
from powderlens.models.task import Task

LENGTH_LIMIT_A, ANGLE_LIMIT_DEG = 500.0, 180.0
"""Upper bounds of a cell's lengths and angles; the lower ones are 0 (AlphaDiffract, section 5.3)."""

SMALLEST = 1e-12
"""Maximum below which a pattern counts as empty and stays zero."""


def scale_input(x_BL: Tensor, how: Preprocessing) -> Tensor:
    """Bring patterns to the scale that a network reads; none sees the others.

    Args:
        x_BL: (B, L) intensities at any scale.
        how: see `powderlens.models.card.PREPROCESSING`.
    """
    x_BL = x_BL.float()
    if how == "min0_max100":
        x_BL = x_BL.clamp(min=0)
        x_BL = x_BL - x_BL.amin(dim=1, keepdim=True)
    x_BL = x_BL / x_BL.amax(dim=1, keepdim=True).clamp(min=SMALLEST)
    if how == "sqrt_max1":
        return x_BL.clamp(min=0).sqrt()
    return x_BL if how == "max1" else 100.0 * x_BL


def bounded_cell(raw_B6: Tensor) -> Tensor:
    """Sigmoid times the bounds: raw (B, 6) to a, b, c in A (0 to 500) and alpha, beta, gamma in degrees (0 to 180)."""
    limits = torch.tensor([LENGTH_LIMIT_A] * 3 + [ANGLE_LIMIT_DEG] * 3, dtype=raw_B6.dtype, device=raw_B6.device)
    return torch.sigmoid(raw_B6) * limits


class Network(nn.Module):
    """Body, and one head per task; made by `powderlens.models.registry.build`.

    Args:
        card: the network's card.
        body: (B, 1, length) to (B, F), with the attribute `features`.
        heads: by task name: (B, F) to (B, outputs).
        tasks: in the order of the answer.
        points: length of the patterns that come in.
        length: length at which the body works; patterns are resampled to it.
        cell: (B, 6) of the lattice head to the Niggli cell in A and degrees.

    Attributes:
        features: F.
    """

    def __init__(
        self,
        card: Card,
        body: nn.Module,
        heads: Mapping[str, nn.Module],
        tasks: Sequence[Task],
        *,
        points: int,
        length: int,
        cell: Callable[[Tensor], Tensor] = bounded_cell,
    ) -> None:
        super().__init__()
        self.card, self.tasks, self.points, self.length, self.cell = card, tuple(tasks), points, length, cell
        self.body = body
        self.heads = nn.ModuleDict(dict(heads))
        self.features = int(body.features)  # type: ignore[arg-type]

    def embed(self, x_BL: Tensor) -> Tensor:
        """Features (B, F) of patterns (B, L).

        Raises:
            InputError: patterns of another length.
        """
        if x_BL.ndim != 2 or x_BL.shape[1] != self.points:
            raise InputError(
                f"{self.card.name}: patterns of shape {tuple(x_BL.shape)}, built for (batch, {self.points}); "
                "put them on its grid, or build it for theirs"
            )
        x_B1L = scale_input(x_BL, self.card.preprocessing).unsqueeze(1)
        if self.length != self.points:
            x_B1L = functional.interpolate(x_B1L, size=self.length, mode="linear", align_corners=False)
        z_BF: Tensor = self.body(x_B1L)
        return z_BF

    def forward(self, x_BL: Tensor) -> dict[str, Tensor]:
        """Answers of all tasks.

        Args:
            x_BL: (B, L) float32 intensities, non-negative, at any scale.

        Returns:
            By task name: logits (B, outputs), or for the lattice the Niggli cell (B, 6) in A and degrees.
        """
        z_BF = self.embed(x_BL)
        raw = {task.name: self.heads[task.name](z_BF) for task in self.tasks}
        return {
            task.name: self.cell(raw[task.name]) if task.kind == "lattice" else raw[task.name] for task in self.tasks
        }

    def mean_of_passes(self, x_BL: Tensor, passes: int) -> dict[str, Tensor]:
        """Dropout left on at prediction: mean over passes of probabilities (B, outputs) or cells (B, 6).

        The random numbers are torch's; every other layer works as in evaluation.

        Args:
            x_BL: (B, L) as for `forward`.
            passes: how many, at least 1.

        Raises:
            InputError: no passes, or a network without dropout.
        """
        dropouts = [module for module in self.modules() if isinstance(module, nn.Dropout) and module.p > 0]
        if passes < 1 or not dropouts:
            raise InputError(f"{self.card.name}: {passes} passes, {len(dropouts)} dropout layers; both must be above 0")
        was_training = self.training
        self.eval()
        for module in dropouts:
            module.train()
        total: dict[str, Tensor] = {}
        try:
            with torch.no_grad():
                for _ in range(passes):
                    for task, said in zip(self.tasks, self(x_BL).values(), strict=True):
                        part = said if task.kind == "lattice" else said.softmax(dim=1)
                        total[task.name] = total[task.name] + part if task.name in total else part
        finally:
            self.train(was_training)
        return {name: summed / passes for name, summed in total.items()}
