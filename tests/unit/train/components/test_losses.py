"""The losses against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from powderlens.train.components.losses import joint_loss, lattice_loss

CELL = torch.tensor([[4.0, 5.0, 6.0, 90.0, 90.0, 120.0]])


def huber(x: float, beta: float = 0.05) -> float:
    return 0.5 * x * x / beta if abs(x) < beta else abs(x) - 0.5 * beta


def test_the_right_cell_costs_nothing() -> None:
    assert float(lattice_loss(CELL, CELL)) == 0


@pytest.mark.parametrize("factor", [1.01, 0.98, 1.3, 0.5])
def test_a_wrong_length_costs_its_logarithm(factor: float) -> None:
    predicted = CELL.clone()
    predicted[0, 1] *= factor
    assert float(lattice_loss(predicted, CELL)) == pytest.approx(huber(math.log(factor)) / 3, rel=1e-4)


def test_one_per_cent_is_one_per_cent_of_any_length() -> None:
    short, long = torch.tensor([[3.0, 3, 3, 90, 90, 90]]), torch.tensor([[30.0, 30, 30, 90, 90, 90]])
    scale = torch.tensor([1.01, 1, 1, 1, 1, 1])
    assert float(lattice_loss(short * scale, short)) == pytest.approx(float(lattice_loss(long * scale, long)), rel=1e-4)


@pytest.mark.parametrize("wrong_deg", [0.5, -0.5, 10.0, 30.0])
def test_a_wrong_angle_costs_twentieths_of_a_degree(wrong_deg: float) -> None:
    predicted = CELL.clone()
    predicted[0, 4] += wrong_deg
    assert float(lattice_loss(predicted, CELL)) == pytest.approx(huber(wrong_deg / 20) / 3, rel=1e-5)


def test_the_mean_is_over_the_batch() -> None:
    predicted = torch.cat([CELL, CELL * torch.tensor([1.2, 1, 1, 1, 1, 1])])
    assert float(lattice_loss(predicted, CELL.expand(2, 6))) == pytest.approx(huber(math.log(1.2)) / 6, rel=1e-5)


def outputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    system = torch.randn(2, 7, generator=generator)
    group = torch.randn(2, 230, generator=generator)
    return system, group, CELL.expand(2, 6) * torch.tensor([1.2, 1, 1, 1, 1, 1])


SYSTEM, GROUP = torch.tensor([6, 0]), torch.tensor([224, 1])


def cross_entropy(logits: torch.Tensor, truth: torch.Tensor, smoothing: float) -> float:
    """-sum q log p with q = 1 - s for the truth and s / n spread over all n classes."""
    total = 0.0
    for row, right in zip(logits.double(), truth, strict=True):
        log_p = row - torch.logsumexp(row, 0)
        total -= (1 - smoothing) * float(log_p[right]) + smoothing * float(log_p.mean())
    return total / len(logits)


@pytest.mark.parametrize("smoothing", [0.0, 0.02, 0.3])
@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_the_joint_loss_by_hand(smoothing: float, weight: float) -> None:
    system, group, cell = outputs()
    found = joint_loss(
        (system, group, cell),
        SYSTEM,
        GROUP,
        CELL.expand(2, 6),
        label_smoothing=smoothing,
        lattice_weight=weight,
    )
    lattice = huber(math.log(1.2)) / 3
    expected = (
        cross_entropy(group, GROUP, smoothing) + 0.5 * cross_entropy(system, SYSTEM, smoothing) + weight * lattice
    )
    assert found.shape == ()
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_equal_logits_cost_the_logarithm_of_their_number() -> None:
    flat = torch.zeros(2, 7), torch.zeros(2, 230), CELL.expand(2, 6)
    found = joint_loss(flat, SYSTEM, GROUP, CELL.expand(2, 6), label_smoothing=0.1, lattice_weight=1.0)
    assert float(found) == pytest.approx(math.log(230) + 0.5 * math.log(7), rel=1e-6)


def test_every_head_is_learnt() -> None:
    heads = [head.clone().requires_grad_() for head in outputs()]
    joint_loss(
        (heads[0], heads[1], heads[2]), SYSTEM, GROUP, CELL.expand(2, 6), label_smoothing=0.0, lattice_weight=0.5
    ).backward()
    for head in heads:
        assert head.grad is not None
        assert float(head.grad.abs().max()) > 0
