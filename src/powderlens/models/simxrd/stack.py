"""What the convolutional networks share: a body of convolutions that ends flat.

Shapes: b patterns, C channels, L points, F features.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from powderlens.models.simxrd.resample import Resample

MANY_CLASSES = 50
"""More outputs than this take the layout published for 230 space groups, fewer that for 7 systems."""


def many(outputs: int) -> bool:
    """Whether a head of so many outputs takes the layout for 230 space groups."""
    return outputs > MANY_CLASSES


class FlatBody(nn.Module):
    """Resample, run the stages, flatten channel by channel: (b, 1, points) to (b, features).

    Args:
        length: points that the stages work at.
        stages: layers in order, from one channel on.
    """

    def __init__(self, length: int, stages: Sequence[nn.Module]) -> None:
        super().__init__()
        self.resample = Resample(length)
        self.stages = nn.Sequential(*stages)
        channels, points = 1, length
        for layer in stages:
            if isinstance(layer, nn.Conv1d | nn.MaxPool1d | nn.AvgPool1d):
                kernel, stride, padding = map(_one, (layer.kernel_size, layer.stride, layer.padding))
                points = (points + 2 * padding - kernel) // stride + 1
            if isinstance(layer, nn.Conv1d):
                channels = layer.out_channels
        self.features: int = channels * points

    def forward(self, x_b1L: Tensor) -> Tensor:
        """The features of each pattern."""
        return self.stages(self.resample(x_b1L)).flatten(1)


def _one(value: int | str | tuple[int, ...]) -> int:
    """torch keeps some sizes as numbers and some as tuples of one."""
    return int(value[0] if isinstance(value, tuple) else value)
