"""Any network as training, evaluation and export see it: pattern and mask in, an answer per task out (torch).

Shapes: B patterns, C channels (intensity, and mask where the body takes both), L points, F features.
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

SCALE: dict[Preprocessing, float] = {"max100": 100.0, "max1": 1.0, "sqrt_max1": 1.0, "min0_max100": 100.0}
"""The strongest point of a pattern after `scale_input`."""

SMALLEST = 1e-12
"""Maximum below which a pattern counts as empty and stays zero."""


def scale_input(x_BL: Tensor, how: Preprocessing, measured_BL: Tensor | None = None) -> Tensor:
    """Bring patterns to the scale that a network reads; none sees the others.

    Args:
        x_BL: (B, L) intensities at any scale.
        how: see `powderlens.models.card.PREPROCESSING`.
        measured_BL: (B, L) bool, True where measured; None is everywhere. Elsewhere the answer is 0.
    """
    x_BL = x_BL.float()
    if measured_BL is not None:
        x_BL = torch.where(measured_BL, x_BL, 0.0)
    if how == "min0_max100":
        x_BL = x_BL.clamp(min=0)
        if measured_BL is None:
            x_BL = x_BL - x_BL.amin(dim=1, keepdim=True)
        else:
            top_B1 = x_BL.amax(dim=1, keepdim=True)
            lowest_B1 = torch.where(measured_BL, x_BL, top_B1).amin(dim=1, keepdim=True)
            x_BL = torch.where(measured_BL, x_BL - lowest_B1, 0.0)
    x_BL = x_BL / x_BL.amax(dim=1, keepdim=True).clamp(min=SMALLEST)
    if how == "sqrt_max1":
        return x_BL.clamp(min=0).sqrt()
    return x_BL if how == "max1" else SCALE[how] * x_BL


def bounded_cell(raw_B6: Tensor) -> Tensor:
    """Sigmoid times the bounds: raw (B, 6) to a, b, c in A (0 to 500) and alpha, beta, gamma in degrees (0 to 180)."""
    limits = torch.tensor([LENGTH_LIMIT_A] * 3 + [ANGLE_LIMIT_DEG] * 3, dtype=raw_B6.dtype, device=raw_B6.device)
    return torch.sigmoid(raw_B6) * limits


class MaskStem(nn.Module):
    """Intensity and mask mixed into the one channel that a body takes: a convolution of one point, without bias.

    It starts by letting the intensity through alone, so a network with a mask begins where one without does.

    Args:
        scale: of the mask, so that both channels reach equally high.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.tensor([1.0, 0.0]))

    def forward(self, x_BL: Tensor, measured_BL: Tensor) -> Tensor:
        """(B, L) of (B, L) intensities and (B, L) mask, 0 or 1."""
        return self.weight[0] * x_BL + self.weight[1] * (self.scale * measured_BL)


class Network(nn.Module):
    """Body, and one head per task; made by `powderlens.models.registry.build`.

    Args:
        card: the network's card.
        body: (B, C, length) to (B, F), with the attribute `features`; C is its attribute `channels`, 1 where it has
            none. A body of two channels takes intensity and mask.
        heads: by task name: (B, F) to (B, outputs).
        tasks: in the order of the answer.
        points: length of the patterns that come in.
        length: length at which the body works; patterns are resampled to it.
        cell: (B, 6) of the lattice head to the Niggli cell in A and degrees.
        mask: it reads a mask of what was measured; where the body's attribute `reads_sine` is true, as the sine of
            theta at each point, 0 where nothing was measured.

    Attributes:
        told: the tasks that are answers by themselves: all but mixture densities.
        features: F.
        stem: mixes the mask in where the body takes one channel; else None.
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
        mask: bool = False,
    ) -> None:
        super().__init__()
        self.told = tuple(task for task in tasks if task.kind != "mixture")
        self.card, self.tasks, self.points, self.length, self.cell = card, tuple(tasks), points, length, cell
        self.mask, self.channels = mask, int(getattr(body, "channels", 1))
        self.reads_sine = bool(getattr(body, "reads_sine", False))
        self.stem = MaskStem(SCALE[card.preprocessing]) if mask and self.channels == 1 else None
        self.body = body
        self.heads = nn.ModuleDict(dict(heads))
        self.features = int(body.features)  # type: ignore[arg-type]

    def embed(self, x_BL: Tensor, mask_BL: Tensor | None = None) -> Tensor:
        """Features (B, F) of patterns (B, L) and their mask, see `forward`.

        Raises:
            InputError: see `forward`.
        """
        if x_BL.ndim != 2 or x_BL.shape[1] != self.points:
            raise InputError(
                f"{self.card.name}: patterns of shape {tuple(x_BL.shape)}, built for (batch, {self.points}); "
                "put them on its grid, or build it for theirs"
            )
        if mask_BL is not None and mask_BL.shape != x_BL.shape:
            raise InputError(
                f"{self.card.name}: a mask of shape {tuple(mask_BL.shape)} for patterns {tuple(x_BL.shape)}"
            )
        measured_BL = None if mask_BL is None else mask_BL > 0
        if measured_BL is not None and not self.mask:
            if not bool(measured_BL.all()):
                raise InputError(
                    f"{self.card.name}: {int((~measured_BL).any(dim=1).sum())} of {len(x_BL)} patterns are measured "
                    "on a part of the grid only, and this network reads no mask; give patterns that cover the grid, "
                    "or build and train it with mask = true"
                )
            measured_BL = None
        x_BL = scale_input(x_BL, self.card.preprocessing, measured_BL)
        if self.mask or self.channels == 2:
            ones_BL = torch.ones_like(x_BL) if measured_BL is None else measured_BL.to(x_BL.dtype)
            if self.reads_sine and mask_BL is not None:
                ones_BL = mask_BL.to(x_BL.dtype)
        if self.stem is not None:
            x_BL = self.stem(x_BL, ones_BL)
        x_BCL = torch.stack([x_BL, ones_BL], dim=1) if self.channels == 2 else x_BL.unsqueeze(1)
        if self.length != self.points:
            x_BCL = functional.interpolate(x_BCL, size=self.length, mode="linear", align_corners=False)
        z_BF: Tensor = self.body(x_BCL)
        return z_BF

    def forward(self, x_BL: Tensor, mask_BL: Tensor | None = None) -> dict[str, Tensor]:
        """Answers of all tasks.

        Args:
            x_BL: (B, L) float32 intensities, non-negative, at any scale.
            mask_BL: (B, L) bool or number, True or above 0 where measured; None is everywhere. For bodies that
                read it the sine of theta; 1 says that the angle is not known.

        Returns:
            By task name: logits (B, outputs), for the lattice the Niggli cell (B, 6) in A and degrees, for a mixture
            its numbers (B, outputs).

        Raises:
            InputError: another shape, or patterns measured in part for a network that reads no mask.
        """
        z_BF = self.embed(x_BL, mask_BL)
        raw = {task.name: self.heads[task.name](z_BF) for task in self.tasks}
        return {
            # A cell takes more digits than bf16 has.
            task.name: self.cell(raw[task.name].float()) if task.kind == "lattice" else raw[task.name]
            for task in self.tasks
        }

    def mean_of_passes(self, x_BL: Tensor, passes: int, mask_BL: Tensor | None = None) -> dict[str, Tensor]:
        """Dropout left on at prediction: mean over passes of probabilities (B, outputs) or cells (B, 6), of `told`.

        The random numbers are torch's; every other layer works as in evaluation.

        Args:
            x_BL: (B, L) as for `forward`.
            passes: how many, at least 1.
            mask_BL: (B, L) as for `forward`.

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
                    answers = self(x_BL, mask_BL)
                    for task in self.told:
                        said = answers[task.name]
                        part = said if task.kind == "lattice" else said.softmax(dim=1)
                        total[task.name] = total[task.name] + part if task.name in total else part
        finally:
            self.train(was_training)
        return {name: summed / passes for name, summed in total.items()}
