"""AlphaDiffract's network: lengths, drop path, what the published counts fix."""

from __future__ import annotations

import torch
from torch import nn

from powderlens.models.alphadiffract.alphadiffract import (
    DROP_PATH,
    FULL,
    Backbone,
    ConvNeXtBlock,
    DropPath,
    Pointwise,
    head,
    lattice_head,
)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_published_parts() -> None:
    with torch.device("meta"):
        backbone = Backbone(8192, FULL)
        how = {"as_published": False, "small": False}
        parts = [backbone, head(560, 7, **how), head(560, 230, **how), lattice_head(560, **how)]
    assert [count(part) for part in parts] == [169_200, 3_944_507, 4_201_180, 420_102]


def test_lengths_after_each_pool() -> None:
    with torch.device("meta"):
        backbone, x = Backbone(8192, FULL), torch.ones(1, 1, 8192)
        lengths = []
        for layer in backbone.layers:
            x = layer(x)
            if isinstance(layer, nn.AvgPool1d):
                lengths.append(x.shape[2])
    assert lengths == [1638, 818, 163, 81, 16, 7]
    assert backbone.features == 560


def test_drop_path_leaves_out_whole_patterns_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    drop = DropPath()
    x = torch.ones(4000, 3, 5)
    out = drop(x)
    flat = out.flatten(1)
    assert (flat == flat[:, :1]).all(), "a pattern is dropped as a whole"
    assert abs(float((flat[:, 0] == 0).float().mean()) - DROP_PATH) < 0.03
    assert abs(float(out.mean()) - 1) < 0.05
    assert torch.equal(drop.eval()(x), x)


def test_a_block_adds_to_what_comes_in() -> None:
    block = ConvNeXtBlock(4, 6).eval()
    x = torch.rand(2, 4, 20)
    assert block(x).shape == x.shape
    for parameter in block.layers[4].parameters():
        parameter.data.zero_()
    assert torch.equal(block(x), x)


def test_pointwise_is_a_dense_layer_over_channels() -> None:
    layer = Pointwise(3, 5)
    x = torch.rand(2, 3, 4)
    assert torch.allclose(layer(x), nn.functional.linear(x.transpose(1, 2), layer.weight, layer.bias).transpose(1, 2))
