"""The network itself: shapes, what its outputs are, and that it learns everywhere."""

from __future__ import annotations

import pytest
import torch

from powderlens.models.network import Network
from powderlens.models.registry import build, count_parameters
from powderlens.models.task import crystal_system, lattice, space_group

POINTS = 850
TASKS = (crystal_system(), space_group(), lattice())
OPTIONS = {"widths": (4, 6, 8), "hidden": 16, "dropout": 0.1}
Answers = tuple[torch.Tensor, ...]


def prism(points: int = POINTS) -> Network:
    return build("prism", TASKS, points=points, mask=True, options=OPTIONS, seed=0)


def ask(network: Network, x: torch.Tensor) -> Answers:
    """Of (b, 2, points) intensities and masks."""
    return tuple(network(x[:, 0], x[:, 1]).values())


@pytest.fixture
def network() -> Network:
    return prism()


@pytest.fixture
def x() -> torch.Tensor:
    """Intensities, and where they are measured."""
    generator = torch.Generator().manual_seed(1)
    return torch.stack(
        [torch.rand(5, POINTS, generator=generator), (torch.rand(5, POINTS, generator=generator) > 0.3).float()], dim=1
    )


@pytest.mark.parametrize("points", [850, 851, 1700, 4250])
def test_shapes(points: int) -> None:
    system, group, cell = ask(prism(points).eval(), torch.rand(3, 2, points))
    assert (system.shape, group.shape, cell.shape) == ((3, 7), (3, 230), (3, 6))


def test_its_size() -> None:
    """As in the card of prism-1, with a mask and without."""
    for mask in (False, True):
        assert count_parameters("prism", TASKS, points=4250, mask=mask) == 4_718_899


def test_it_trains_after_it_is_made(network: Network) -> None:
    assert network.training


def test_the_mask_is_a_channel_of_its_own(network: Network) -> None:
    """No stem mixes it with the intensity; and without a mask all is measured."""
    assert network.stem is None
    plain = build("prism", TASKS, points=POINTS, options=OPTIONS, seed=0).eval()
    x = torch.rand(2, POINTS)
    for said, other in zip(
        ask(network.eval(), torch.stack([x, torch.ones_like(x)], 1)), plain(x).values(), strict=True
    ):
        assert torch.equal(said, other)


def test_classes_come_as_logits(network: Network, x: torch.Tensor) -> None:
    with torch.no_grad():
        system, group, _ = ask(network.eval(), x)
    for logits in (system, group):
        assert float(logits.min()) < 0
        assert not torch.allclose(logits.sum(dim=1), torch.ones(5), atol=1e-2)
        assert not torch.allclose(logits.exp().sum(dim=1), torch.ones(5), atol=1e-2)


def test_cells_stay_in_range(network: Network, x: torch.Tensor) -> None:
    """8 exp(+-2.5) A and 90 +- 40 degrees, whatever comes in."""
    cells = []
    for factor in (1e4, -1.0):
        with torch.no_grad():
            network.heads["lattice"][2].weight.mul_(factor)  # type: ignore[index]
            cells.append(ask(network.eval(), x)[2])
    cell = torch.cat(cells)
    lengths, angles = cell[:, :3], cell[:, 3:]
    assert torch.isfinite(cell).all()
    # Both ends are reached.
    assert 0.65 < float(lengths.min()) < 0.7
    assert 90 < float(lengths.max()) < 97.5
    assert (float(angles.min()), float(angles.max())) == pytest.approx((50, 130))


def test_a_silent_lattice_head_says_a_middling_cell(network: Network, x: torch.Tensor) -> None:
    with torch.no_grad():
        for parameter in network.heads["lattice"][2].parameters():  # type: ignore[index]
            parameter.zero_()
    _, _, cell = ask(network.eval(), x)
    assert torch.allclose(cell, torch.tensor([8.0, 8, 8, 90, 90, 90]).expand(5, 6))


def test_patterns_of_a_batch_do_not_see_each_other(network: Network, x: torch.Tensor) -> None:
    network.eval()
    together = ask(network, x)
    for i in range(5):
        for whole, alone in zip(together, ask(network, x[i : i + 1]), strict=True):
            assert torch.allclose(whole[i], alone[0], rtol=1e-4, atol=1e-5)


def test_in_training_they_do(network: Network, x: torch.Tensor) -> None:
    """Batch normalisation and dropout work while it learns: else the test above says nothing."""
    network.train()
    assert not torch.allclose(ask(network, x)[1], ask(network, x)[1])


def test_both_channels_are_read(network: Network, x: torch.Tensor) -> None:
    network.eval()
    for channel in (0, 1):
        changed = x.clone()
        changed[:, channel] = torch.rand(5, POINTS).round() if channel else changed[:, channel].flip(1)
        assert not torch.allclose(ask(network, x)[1], ask(network, changed)[1], atol=1e-4)


def test_every_parameter_gets_a_finite_gradient(network: Network, x: torch.Tensor) -> None:
    system, group, cell = ask(network, x)
    (system.square().mean() + group.square().mean() + cell.log().square().mean()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert float(parameter.grad.abs().max()) > 0, name
