"""The network itself: shapes, what its outputs are, and that it learns everywhere."""

from __future__ import annotations

import pytest
import torch

from powderlens.models.prism import GROUPS, SYSTEMS, Prism

POINTS = 850


@pytest.fixture
def network() -> Prism:
    torch.manual_seed(0)
    return Prism(POINTS, (4, 6, 8), 16, 0.1)


@pytest.fixture
def x() -> torch.Tensor:
    return torch.rand(5, 2, POINTS, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("points", [850, 851, 1700, 4250])
def test_shapes(points: int) -> None:
    network = Prism(points, (4, 6, 8), 16, 0.1).eval()
    system, group, cell = network(torch.rand(3, 2, points))
    assert (system.shape, group.shape, cell.shape) == ((3, SYSTEMS), (3, GROUPS), (3, 6))


def test_its_size() -> None:
    """As in the card of prism-1."""
    assert sum(p.numel() for p in Prism().parameters()) == 4_718_899


def test_it_trains_after_it_is_made(network: Prism) -> None:
    assert network.training


def test_classes_come_as_logits(network: Prism, x: torch.Tensor) -> None:
    with torch.no_grad():
        system, group, _ = network.eval()(x)
    for logits in (system, group):
        assert float(logits.min()) < 0
        assert not torch.allclose(logits.sum(dim=1), torch.ones(5), atol=1e-2)
        assert not torch.allclose(logits.exp().sum(dim=1), torch.ones(5), atol=1e-2)


def test_cells_stay_in_range(network: Prism, x: torch.Tensor) -> None:
    """8 exp(+-2.5) A and 90 +- 40 degrees, whatever comes in."""
    cells = []
    for factor in (1e4, -1.0):
        with torch.no_grad():
            network.lattice[2].weight.mul_(factor)
            cells.append(network.eval()(1e3 * x)[2])
    cell = torch.cat(cells)
    lengths, angles = cell[:, :3], cell[:, 3:]
    assert torch.isfinite(cell).all()
    # Both ends are reached.
    assert 0.65 < float(lengths.min()) < 0.7
    assert 90 < float(lengths.max()) < 97.5
    assert (float(angles.min()), float(angles.max())) == pytest.approx((50, 130))


def test_a_silent_lattice_head_says_a_middling_cell(network: Prism, x: torch.Tensor) -> None:
    with torch.no_grad():
        network.lattice[2].weight.zero_()
        network.lattice[2].bias.zero_()
    _, _, cell = network.eval()(x)
    assert torch.allclose(cell, torch.tensor([8.0, 8, 8, 90, 90, 90]).expand(5, 6))


def test_patterns_of_a_batch_do_not_see_each_other(network: Prism, x: torch.Tensor) -> None:
    network.eval()
    together = network(x)
    for i in range(5):
        for whole, alone in zip(together, network(x[i : i + 1]), strict=True):
            assert torch.allclose(whole[i], alone[0], rtol=1e-4, atol=1e-5)


def test_in_training_they_do(network: Prism, x: torch.Tensor) -> None:
    """Batch normalisation and dropout work while it learns: else the test above says nothing."""
    network.train()
    assert not torch.allclose(network(x)[1], network(x)[1])


def test_both_channels_are_read(network: Prism, x: torch.Tensor) -> None:
    network.eval()
    for channel in (0, 1):
        changed = x.clone()
        changed[:, channel] = 0
        assert not torch.allclose(network(x)[1], network(changed)[1], atol=1e-4)


def test_every_parameter_gets_a_finite_gradient(network: Prism, x: torch.Tensor) -> None:
    system, group, cell = network(x)
    (system.square().mean() + group.square().mean() + cell.log().square().mean()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert float(parameter.grad.abs().max()) > 0, name
