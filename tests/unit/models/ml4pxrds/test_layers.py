"""ML4pXRDs' networks in numbers: TensorFlow's padding, lengths along the way, starting weights."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from powderlens.models.ml4pxrds import park_cnn_big, resnet10, resnet50, resnet101
from powderlens.models.ml4pxrds.park_cnn import ParkBody
from powderlens.models.ml4pxrds.resnet import Block
from powderlens.models.ml4pxrds.same_padding import (
    SameConv1d,
    SameMaxPool1d,
    glorot,
    same_padding,
    variance_scaling,
)

FULL = {"as_published": False, "small": False}


@pytest.mark.parametrize(
    ("length", "kernel", "stride", "padding"),
    [
        (8501, 100, 5, (49, 50)),
        (850, 50, 5, (22, 23)),
        (56, 25, 2, (11, 12)),
        (8501, 7, 2, (3, 3)),
        (4251, 3, 2, (1, 1)),
        (2126, 9, 4, (3, 4)),
        (532, 9, 4, (2, 3)),
        (133, 9, 4, (4, 4)),
        (34, 9, 1, (4, 4)),
        (2126, 1, 4, (0, 0)),
    ],
)
def test_padding_along_the_networks(length: int, kernel: int, stride: int, padding: tuple[int, int]) -> None:
    assert same_padding(length, kernel, stride) == padding


@pytest.mark.parametrize("length", [7, 8, 9, 10])
def test_same_layers_give_the_ceiling(length: int) -> None:
    x = torch.rand(1, 1, length)
    assert SameConv1d(1, 1, 5, stride=3)(x).shape[2] == -(-length // 3)
    assert SameMaxPool1d(3, 2)(x).shape[2] == -(-length // 2)


def test_the_odd_point_stands_right() -> None:
    conv = SameConv1d(1, 1, 4, bias=False)
    conv.weight.data = torch.tensor([[[1.0, 10.0, 100.0, 1000.0]]])
    assert conv(torch.tensor([[[1.0, 2.0]]])).tolist() == [[[10 + 200, 1 + 20]]], "one zero left, two right"


def lengths(body: nn.Module, kinds: tuple[type[nn.Module], ...], points: int) -> list[tuple[int, ...]]:
    """Channels and length after each layer of these kinds."""
    seen: list[tuple[int, ...]] = []
    for part in body.modules():
        if isinstance(part, kinds):
            part.register_forward_hook(lambda _layer, _x, y: seen.append(tuple(y.shape[1:])))
    with torch.device("meta"):
        body.to("meta")(torch.ones(1, 1, points))
    return seen


def test_park_at_every_stage() -> None:
    body = ParkBody(8501, 80)
    assert body.features == 720
    stages = lengths(body, (SameConv1d, nn.AvgPool1d), 8501)
    assert stages == [(80, 1701), (80, 850), (80, 170), (80, 56), (80, 28), (80, 9)]
    assert ParkBody(10001, 80).features == 880


@pytest.mark.parametrize(
    ("network", "width", "features", "blocks"),
    [(resnet10, 1, 17_408, 4), (resnet50, 4, 69_632, 16), (resnet101, 4, 69_632, 33)],
)
def test_resnet_at_every_group(network: object, width: int, features: int, blocks: int) -> None:
    with torch.device("meta"):
        body = network.body(8501, **FULL)  # type: ignore[attr-defined]
    assert body.features == features
    seen = lengths(body, (SameMaxPool1d, Block), 8501)
    assert len(seen) == 1 + blocks
    assert list(dict.fromkeys(seen))[-4:] == [
        (64 * width, 2126),
        (128 * width, 532),
        (256 * width, 133),
        (512 * width, 34),
    ]


def test_the_stem_is_the_published_one() -> None:
    with torch.device("meta"):
        body = resnet10.body(8501, **FULL)
    assert lengths(body, (SameConv1d, SameMaxPool1d), 8501)[:2] == [(64, 4251), (64, 2126)]


def test_norms_and_biases() -> None:
    body = resnet50.body(512, as_published=False, small=True)
    with torch.device("meta"):
        full = resnet50.body(8501, **FULL)
    assert {(part.num_groups, part.eps) for part in full.modules() if isinstance(part, nn.GroupNorm)} == {(32, 1e-3)}
    assert all(part.bias is None for part in body.modules() if isinstance(part, nn.Conv1d))
    projected = [not isinstance(part.shortcut, nn.Identity) for part in full.modules() if isinstance(part, Block)]
    assert [i for i, projects in enumerate(projected) if projects] == [0, 3, 7, 13], "first block of every group"


def test_no_activation_before_the_logits() -> None:
    head = resnet10.head(1024, 145, **FULL)
    assert [type(layer) for layer in head] == [nn.Linear, nn.Linear]  # type: ignore[attr-defined]
    assert [type(a) for a, _ in pairwise(park_cnn_big.head(720, 145, **FULL))] == [nn.Linear, nn.ReLU] * 2  # type: ignore[call-overload]


def test_starting_weights() -> None:
    torch.manual_seed(0)
    dense = glorot(nn.Linear(300, 200))
    limit = (6 / 500) ** 0.5
    assert float(dense.weight.detach().abs().max()) == pytest.approx(limit, rel=1e-3)  # type: ignore[union-attr]
    assert float(dense.bias.detach().abs().max()) == 0  # type: ignore[union-attr]
    conv = variance_scaling(nn.Conv1d(64, 64, 9, bias=False))
    assert float(conv.weight.detach().std()) == pytest.approx((64 * 9) ** -0.5, rel=2e-2)  # type: ignore[operator, union-attr]
    assert float(conv.weight.detach().abs().max()) <= 2.0 * (64 * 9) ** -0.5 / 0.8796  # type: ignore[operator, union-attr]
