"""BiLSTM: four LSTM layers in both directions, as in the SimXRD benchmark. One intensity a step."""

from __future__ import annotations

from torch import nn

from powderlens.models.simxrd.recurrent import Recurrent


def body(points: int, *, as_published: bool, small: bool) -> nn.Module:
    """Four layers of hidden 64 in each direction: (b, 1, points) to (b, 128).

    Args:
        points: any length; so many steps.
        as_published: both directions at the last step, where the backward one has read a single step; as meant, the
            backward one at the first step.
        small: 20 points a step and hidden 32.
    """
    return Recurrent(nn.LSTM, points, bidirectional=True, last_step_only=as_published, small=small)


def head(features: int, outputs: int, *, as_published: bool, small: bool) -> nn.Module:
    """One dense layer: (b, features) to (b, outputs). Logits, as published too.

    Args:
        features: of the body.
        outputs: width of the answer.
        as_published: makes no difference here.
        small: the same.
    """
    return nn.Linear(features, outputs)
