"""`resnet10`: ML4pXRDs' ResNet-10 in one dimension, residual blocks 1, 1, 1, 1."""

from __future__ import annotations

from torch import nn

from powderlens.models.ml4pxrds.resnet import resnet_body, resnet_head

BLOCKS = (1, 1, 1, 1)


def body(points: int, *, as_published: bool, small: bool) -> nn.Module:
    """Stem, pool and four groups, flattened, see `ResNet`."""
    return resnet_body(points, BLOCKS, bottleneck=False, small=small)


def head(features: int, outputs: int, *, as_published: bool, small: bool) -> nn.Module:
    """Dense layers to (b, outputs) logits."""
    return resnet_head(features, outputs, small=small)
