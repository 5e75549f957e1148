"""`lens`: a dense residual network in one dimension over a grid uniform in ln d (torch).

Its answers cannot contradict each other. It gives log P(extinction class) and log P(group | class); the probability of
a group is their product, that of a crystal system the sum over its groups. The cell is a mixture density, see
`powderlens.models.mixture`; the cell that it tells is the centre of the likeliest component.

Shapes: B patterns, C channels, L points, F hidden features, G = 230 groups, E extinction classes, M numbers of the
mixture.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from powderlens.core.errors import InputError
from powderlens.models.mixture import NUMBERS, likeliest_cell
from powderlens.models.task import GROUPS, Task, extinction_class
from powderlens.symmetry.extinction import extinction_class as class_of_group
from powderlens.symmetry.groups import SYSTEM_OF, SYSTEMS

WIDTHS, SMALL_WIDTHS = (32, 64, 96, 160), (16, 24, 32, 48)
HIDDEN, SMALL_HIDDEN = 512, 128
SQUEEZED = 32
DROPOUT = 0.1
KERNEL = 5
WEAK = 0.05
"""Share of the strongest point at which the channel of weak lines is clipped."""
STEEPEST = 3.0
"""Largest tangent of theta that is told apart."""
OUT = -1e4
"""Logarithm of the probability of what cannot be."""


class Residual(nn.Module):
    """x + conv(relu(conv(relu(norm(x))))): (B, C, L) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm1d(channels),
            nn.ReLU(inplace=True),
            nn.Conv1d(channels, channels, KERNEL, padding=KERNEL // 2),
            nn.ReLU(inplace=True),
            nn.Conv1d(channels, channels, KERNEL, padding=KERNEL // 2),
        )
        with torch.no_grad():  # a block begins as nearly nothing
            last = self.body[-1]
            assert isinstance(last, nn.Conv1d)
            last.weight *= 0.1

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Add the block's correction."""
        return x_BCL + self.body(x_BCL)


class LensBody(nn.Module):
    """(B, 2, L), intensity of maximum 1 and sine of theta where measured, to the answers (B, G + E + M).

    Args:
        points: L.
        widths: channels of the four stages; the first has no block, it would cost most and see least.
        hidden: F.
        dropout: rate before and after the hidden layer.
    """

    channels = 2
    reads_sine = True
    """The second plane is the sine of theta, 0 where nothing was measured, 1 where the angle is not known."""
    features = 0

    def __init__(self, points: int, widths: Sequence[int], hidden: int, dropout: float) -> None:
        super().__init__()
        first, *others = widths
        layers: list[nn.Module] = [nn.Conv1d(4, first, 8, stride=4, padding=2)]
        before = first
        for width in others:
            layers += [nn.BatchNorm1d(before), nn.ReLU(inplace=True)]
            layers += [nn.Conv1d(before, width, KERNEL, stride=2, padding=KERNEL // 2), Residual(width)]
            before = width
        layers += [
            nn.BatchNorm1d(before),
            nn.ReLU(inplace=True),
            nn.Conv1d(before, SQUEEZED, 1),
            nn.ReLU(),
            nn.Flatten(),
        ]
        self.trunk = nn.Sequential(*layers)
        with torch.no_grad():
            self.eval()
            flat = self.trunk(torch.zeros(1, 4, points)).shape[1]
            self.train()
        self.shared = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(flat, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(dropout)
        )
        classes = extinction_class().classes
        place = {one: at for at, one in enumerate(classes)}
        of_group = [place[class_of_group(number).id] for number in range(1, GROUPS + 1)]
        self.register_buffer("of_group", torch.tensor(of_group), persistent=False)
        members = [[group for group in range(GROUPS) if of_group[group] == at] for at in range(len(classes))]
        most = max(map(len, members))
        filled = [[*some, *[some[0]] * (most - len(some))] for some in members]
        self.register_buffer("members", torch.tensor(filled), persistent=False)
        spare = [[0.0] * len(some) + [OUT] * (most - len(some)) for some in members]
        self.register_buffer("spare", torch.tensor(spare), persistent=False)
        self.of_class, self.within = nn.Linear(hidden, len(classes)), nn.Linear(hidden, GROUPS)
        self.mixture = nn.Linear(hidden, NUMBERS)
        with torch.no_grad():  # begin with even probabilities
            self.of_class.weight *= 0.1
            self.within.weight *= 0.1
        self.features = GROUPS + len(classes) + NUMBERS

    of_group: Tensor
    members: Tensor
    spare: Tensor

    def forward(self, x_B2L: Tensor) -> Tensor:
        """Logarithms of the probabilities of groups and of classes, and the numbers of the mixture: (B, G + E + M)."""
        hidden_BF = self.shared(self.trunk(four_channels(x_B2L)))
        # More digits than bf16 has: sums of probabilities are told.
        kind = hidden_BF.device.type
        with nullcontext() if kind == "meta" else torch.autocast(device_type=kind, enabled=False):
            hidden_BF = hidden_BF.float()
            class_BE = self.of_class(hidden_BF).log_softmax(dim=1)
            within_BG = self.within(hidden_BF)
            total_BE = (within_BG[:, self.members] + self.spare).logsumexp(dim=2)
            group_BG = class_BE[:, self.of_group] + within_BG - total_BE[:, self.of_group]
            return torch.cat([group_BG, class_BE, self.mixture(hidden_BF)], dim=1)


def four_channels(x_B2L: Tensor) -> Tensor:
    """Root of the intensity, weak lines, what was measured, tangent of theta (0 where it is not known).

    (B, 2, L) to (B, 4, L).
    """
    intensity_BL, sine_BL = x_B2L[:, 0].clamp(min=0), x_B2L[:, 1]
    known_BL = torch.where(sine_BL < 1, sine_BL, 0.0)
    tangent_BL = known_BL / (1 - known_BL * known_BL).clamp(min=1e-3).sqrt()
    return torch.stack(
        [
            intensity_BL.sqrt(),
            intensity_BL.clamp(max=WEAK) / WEAK,
            (sine_BL > 0).to(x_B2L.dtype),
            tangent_BL.clamp(max=STEEPEST),
        ],
        dim=1,
    )


class Taken(nn.Module):
    """Some of the answers: those of a task."""

    at: Tensor

    def __init__(self, at: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("at", torch.tensor(list(at)), persistent=False)

    def forward(self, z_BF: Tensor) -> Tensor:
        """(B, n)."""
        return z_BF[:, self.at]


class Systems(nn.Module):
    """Logarithm of the probability of the crystal systems: of their groups together."""

    outside: Tensor

    def __init__(self) -> None:
        super().__init__()
        outside = torch.full((len(SYSTEMS), GROUPS), OUT)
        outside[torch.tensor(SYSTEM_OF[1:]), torch.arange(GROUPS)] = 0.0
        self.register_buffer("outside", outside, persistent=False)

    def forward(self, z_BF: Tensor) -> Tensor:
        """(B, 7)."""
        return (z_BF[:, None, :GROUPS] + self.outside).logsumexp(dim=2)


def task_head(features: int, task: Task) -> nn.Module:
    """What of the body's answers belongs to a task; nothing in it learns."""
    classes = features - GROUPS - NUMBERS
    if task.name == "crystal_system":
        return Systems()
    if task.name == "space_group":
        return Taken([number - 1 for number in task.classes])
    if task.name == "extinction_class":
        return Taken(range(GROUPS, GROUPS + classes))
    return Taken(range(GROUPS + classes, features))


def body(
    points: int,
    *,
    as_published: bool,
    small: bool,
    widths: Sequence[int] | None = None,
    hidden: int | None = None,
    dropout: float = DROPOUT,
) -> nn.Module:
    """Trunk and answers at full or small size, or with widths of one's own.

    Raises:
        InputError: widths that are not two whole numbers above 0 or more, no hidden layer, or a dropout outside 0 to
            below 1.
    """
    widths = (SMALL_WIDTHS if small else WIDTHS) if widths is None else widths
    hidden = (SMALL_HIDDEN if small else HIDDEN) if hidden is None else hidden
    sizes = [*widths, hidden] if isinstance(widths, Sequence) else []
    if len(sizes) < 3 or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise InputError(f"lens: widths {widths}, hidden {hidden}; give whole numbers above 0, two widths or more")
    if not 0 <= dropout < 1:
        raise InputError(f"lens: dropout {dropout}; give a rate from 0 to below 1")
    return LensBody(points, widths, hidden, dropout)


cell = likeliest_cell
