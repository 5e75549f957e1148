"""CNN8: the fully convolutional network after Lee et al. 2022, as the SimXRD benchmark built it. 8192 points.

Shapes: b patterns, C channels, L points.
"""

from __future__ import annotations

from torch import nn

from powderlens.models.simxrd.stack import FlatBody, many

LENGTH = 8192
STAGES = (16, 16, 32, 32, 64, 64, 128, 128, 256, 256, 512, 512)
LEFT = 2
"""Points that are left after twelve halvings."""


class FullyConvolutional(FlatBody):
    """Twelve stages of convolution, LeakyReLU and max pool, with dropout between them.

    Args:
        widths: channels of the stages.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        stages: list[nn.Module] = []
        channels = 1
        for width in widths:
            convolution = nn.Conv1d(channels, width, 3, padding=1)
            nn.init.xavier_uniform_(convolution.weight)
            stages += [convolution, nn.LeakyReLU(), nn.MaxPool1d(2), nn.Dropout(0.05)]
            channels = width
        super().__init__(LENGTH, stages[:-1])  # the last dropout has the head's rate, and stands there

    def for_outputs(self, outputs: tuple[int, ...]) -> None:
        """Set the dropout to the rate published for the task: 0.2 for systems, 0.05 for space groups.

        Args:
            outputs: of the heads; one with many classes decides.
        """
        for layer in self.stages:
            if isinstance(layer, nn.Dropout):
                layer.p = 0.05 if any(map(many, outputs)) else 0.2


def body(points: int, *, as_published: bool, small: bool) -> nn.Module:
    """Twelve stages: (b, 1, points) to (b, 1024), which is 512 channels of two points.

    Args:
        points: any length, resampled to 8192.
        as_published: makes no difference here.
        small: half the channels.
    """
    return FullyConvolutional(tuple(width // 2 if small else width for width in STAGES))


def head(features: int, outputs: int, *, as_published: bool, small: bool) -> nn.Module:
    """A convolution without activation, pooled to one point, and one of kernel 1: (b, features) to (b, outputs).

    Args:
        features: of the body.
        outputs: width of the answer.
        as_published: ends in a softmax.
        small: the same.
    """
    channels = features // LEFT
    middle, dropout = (256, 0.05) if many(outputs) else (64, 0.4)
    convolutions = nn.Conv1d(channels, middle, 3, padding=1), nn.Conv1d(middle, outputs, 1)
    for convolution in convolutions:
        nn.init.xavier_uniform_(convolution.weight)
    return nn.Sequential(
        *(nn.Unflatten(1, (channels, LEFT)), nn.Dropout(dropout)),
        *(convolutions[0], nn.MaxPool1d(2), nn.Dropout(dropout), convolutions[1], nn.Flatten()),
        *([nn.Softmax(dim=1)] if as_published else []),
    )
