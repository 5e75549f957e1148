"""GRU: four GRU layers, as in the SimXRD benchmark. One intensity a step."""

from __future__ import annotations

from torch import nn

from powderlens.models.simxrd.recurrent import Recurrent


def body(points: int, *, as_published: bool, small: bool) -> nn.Module:
    """Four layers of hidden 64, the top one at its last step: (b, 1, points) to (b, 64).

    Args:
        points: any length; so many steps.
        as_published: makes no difference here.
        small: 20 points a step and hidden 32.
    """
    return Recurrent(nn.GRU, points, small=small)


def head(features: int, outputs: int, *, as_published: bool, small: bool) -> nn.Module:
    """One dense layer: (b, features) to (b, outputs). Logits, as published too.

    Args:
        features: of the body.
        outputs: width of the answer.
        as_published: makes no difference here.
        small: the same.
    """
    return nn.Linear(features, outputs)
