"""`resnet50`: ML4pXRDs' ResNet-50 in one dimension, bottleneck blocks 3, 4, 6, 3."""

from __future__ import annotations

from torch import nn

from powderlens.models.ml4pxrds.resnet import resnet_body, resnet_head

BLOCKS = (3, 4, 6, 3)
SMALL_AVERAGE = 3
"""Points that the small size averages first."""


def body(points: int, *, as_published: bool, small: bool) -> nn.Module:
    """Stem, pool and four groups, flattened, see `ResNet`."""
    return resnet_body(points, BLOCKS, bottleneck=True, small=small, small_average=SMALL_AVERAGE)


def head(features: int, outputs: int, *, as_published: bool, small: bool) -> nn.Module:
    """Dense layers to (b, outputs) logits."""
    return resnet_head(features, outputs, small=small)
