"""`park_cnn_small`: Park's network of 2017 in its 7-label version, hidden dense layers of 700 and 70."""

from __future__ import annotations

from torch import nn

from powderlens.models.ml4pxrds.park_cnn import park_body, park_head

HIDDEN = (700, 70)


def body(points: int, *, as_published: bool, small: bool) -> nn.Module:
    """Three convolutions, see `ParkBody`."""
    return park_body(points, small)


def head(features: int, outputs: int, *, as_published: bool, small: bool) -> nn.Module:
    """Dense layers to (b, outputs) logits."""
    return park_head(features, HIDDEN, outputs, small)
