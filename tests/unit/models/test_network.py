"""The frame around every network: scaling, bounds, dropout at prediction, ONNX."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from powderlens.core.errors import InputError
from powderlens.models.card import PREPROCESSING, Card
from powderlens.models.network import Network, bounded_cell, scale_input
from powderlens.models.registry import card
from powderlens.models.task import crystal_system, lattice

X = torch.tensor([[1.0, 4.0, 2.0], [0.0, 0.0, 0.0], [50.0, 25.0, 100.0]])


@pytest.mark.parametrize(
    ("how", "first"),
    [
        ("max100", [25.0, 100.0, 50.0]),
        ("max1", [0.25, 1.0, 0.5]),
        ("sqrt_max1", [0.5, 1.0, 0.5**0.5]),
        ("min0_max100", [0.0, 100.0, 100 / 3]),
    ],
)
def test_scaling(how: str, first: list[float]) -> None:
    assert how in PREPROCESSING
    scaled = scale_input(X, how)  # type: ignore[arg-type]
    assert scaled[0].tolist() == pytest.approx(first)
    assert scaled[1].tolist() == [0, 0, 0], "an empty pattern stays empty"
    assert float(scaled[2].max()) == pytest.approx(float(scaled[0].max()))
    assert X[0].tolist() == [1, 4, 2], "the input is left alone"


@pytest.mark.parametrize(
    ("how", "scaled"),
    [
        ("max100", [0.0, 50.0, 100.0, 75.0]),
        ("max1", [0.0, 0.5, 1.0, 0.75]),
        ("sqrt_max1", [0.0, 0.5**0.5, 1.0, 0.75**0.5]),
        ("min0_max100", [0.0, 0.0, 100.0, 50.0]),
    ],
)
def test_scaling_sees_what_is_measured_only(how: str, scaled: list[float]) -> None:
    """Neither the strongest nor the weakest point is one that was not measured, and there all is 0."""
    x = torch.tensor([[90.0, 2.0, 4.0, 3.0], [float("nan"), 2.0, 4.0, 3.0], [5.0, 5.0, 5.0, 5.0]])
    measured = torch.tensor([[False, True, True, True]] * 2 + [[False] * 4])
    said = scale_input(x, how, measured)  # type: ignore[arg-type]
    for row in said[:2]:
        assert row.tolist() == pytest.approx(scaled)
    assert said[2].tolist() == [0, 0, 0, 0]
    everywhere = torch.ones_like(x[:1], dtype=torch.bool)
    assert torch.equal(scale_input(x[:1], how, everywhere), scale_input(x[:1], how))  # type: ignore[arg-type]


def test_the_stem_begins_with_the_intensity_and_reaches_as_high_with_the_mask() -> None:
    for name, scale in (("cnn9", 100.0), ("park_cnn_small", 1.0)):
        stem = Network(card(name), Mean(), {}, [], points=8, length=8, mask=True).stem
        assert stem is not None
        x, mask = torch.arange(3.0)[None], torch.tensor([[0.0, 1.0, 1.0]])
        assert stem(x, mask).tolist() == [[0, 1, 2]]
        torch.nn.init.constant_(stem.weight, 0.5)
        assert stem(x, mask).tolist() == [[0, 0.5 + scale / 2, 1 + scale / 2]]
    assert small().stem is None


def test_negatives_are_cut_where_the_card_says_so() -> None:
    x = torch.tensor([[-2.0, 0.0, 4.0]])
    assert scale_input(x, "min0_max100").tolist() == [[0, 0, 100]]
    assert scale_input(x, "sqrt_max1").tolist() == [[0, 0, 1]]


def test_whole_numbers_come_out_as_floats() -> None:
    assert scale_input(torch.tensor([[1, 2]]), "max1").tolist() == [[0.5, 1]]


def test_cells_stay_within_bounds() -> None:
    assert bounded_cell(torch.zeros(1, 6)).tolist() == [[250, 250, 250, 90, 90, 90]]
    ends = bounded_cell(torch.tensor([[100.0], [-100.0]]).expand(2, 6))
    assert ends[0].tolist() == [500, 500, 500, 180, 180, 180]
    assert ends[1].abs().max() < 1e-30


class Mean(nn.Module):
    features = 2

    def forward(self, x_B1L: Tensor) -> Tensor:
        return torch.cat([x_B1L.mean(dim=2), x_B1L.amax(dim=2)], dim=1)


def small(dropout: float = 0.5, length: int = 8, card_name: str = "park_cnn_small") -> Network:
    torch.manual_seed(0)
    heads = {"crystal_system": nn.Sequential(nn.Dropout(dropout), nn.Linear(2, 7)), "lattice": nn.Linear(2, 6)}
    known: Card = card(card_name)
    return Network(known, Mean(), heads, [crystal_system(), lattice()], points=8, length=length)


def test_answers_and_features() -> None:
    network = small().eval()
    x = torch.arange(16.0).reshape(2, 8)
    said = network(x)
    assert list(said) == ["crystal_system", "lattice"]
    assert network.embed(x)[1].tolist() == pytest.approx([11.5 / 15, 1.0])
    assert network.features == 2


def test_resampling_has_half_pixel_centres() -> None:
    network = small(length=4)
    network.body = nn.Flatten()
    assert network.embed(torch.arange(8.0).unsqueeze(0)).tolist() == [
        pytest.approx([v / 7 for v in (0.5, 2.5, 4.5, 6.5)])
    ]


@pytest.mark.parametrize("shape", [(2, 7), (8,), (2, 1, 8)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"park_cnn_small: patterns of shape .*, built for \(batch, 8\)"):
        small()(torch.ones(shape))


def test_mean_of_passes_keeps_dropout_and_nothing_else() -> None:
    network = small().train()
    x = torch.rand(3, 8, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(2)
    one = network.mean_of_passes(x, 1)
    many = network.mean_of_passes(x, 200)
    assert network.training
    plain = network.eval()(x)
    assert torch.allclose(one["crystal_system"].sum(dim=1), torch.ones(3))
    assert torch.allclose(many["crystal_system"].sum(dim=1), torch.ones(3), atol=1e-5)
    assert not torch.allclose(one["crystal_system"], many["crystal_system"], atol=1e-4), "dropout is on"
    assert torch.allclose(many["lattice"], plain["lattice"], rtol=1e-5), "no dropout in that head"
    assert not network.training


@pytest.mark.parametrize(("dropout", "passes"), [(0.0, 3), (0.5, 0)])
def test_mean_of_nothing_is_refused(dropout: float, passes: int) -> None:
    with pytest.raises(InputError, match="both must be above 0"):
        small(dropout).mean_of_passes(torch.ones(1, 8), passes)
