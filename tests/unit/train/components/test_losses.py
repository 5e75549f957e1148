"""Losses of single heads: numbers and gradients by hand and by finite differences, unknown answers, class weights."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from powderlens.core.errors import InputError
from powderlens.models.task import crystal_system, lattice, space_group
from powderlens.symmetry.subgroups import distance_matrix
from powderlens.train.components.losses import (
    TaskLoss,
    cross_entropy,
    expected_distance,
    focal,
    gemd,
    inverse_frequencies,
    lattice_loss,
    squared_cell_loss,
)
from powderlens.train.own import admit
from powderlens.train.recipe_parts import (
    CrossEntropy,
    Focal,
    Gemd,
    LogHuberCell,
    OwnLoss,
    Smoothed,
    SquaredCell,
    Weighted,
)

GROUPS = space_group([2, 14, 62, 167, 194, 225])
D = torch.from_numpy(
    distance_matrix()[np.ix_(np.array(GROUPS.classes) - 1, np.array(GROUPS.classes) - 1)].astype(float)
)
LABELS = torch.tensor([0, 5, 3, -1, 2])


def logits(seed: int = 0) -> torch.Tensor:
    return torch.randn(5, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: cross_entropy(x, LABELS),
        lambda x: cross_entropy(x, LABELS, smoothing=0.1),
        lambda x: cross_entropy(x, LABELS, weights_C=torch.arange(1.0, 7.0).double()),
        lambda x: focal(x, LABELS, gamma=2.0, alpha=0.7),
        lambda x: gemd(x, LABELS, D, mu=1.5),
    ],
)
def test_gradients_are_those_of_finite_differences(loss: Any) -> None:
    assert torch.autograd.gradcheck(loss, (logits(),))


@pytest.mark.parametrize("mu", [0.0, 1.0, 2.0])
def test_the_gradient_of_gemd_by_hand(mu: float) -> None:
    """d/dz_c = (p_c - [c is the truth] + mu p_c (D_c - sum p D)) / patterns whose truth is known."""
    z = logits(1)
    gemd(z, LABELS, D, mu=mu).backward()
    p = z.detach().softmax(dim=1)
    expected = torch.zeros_like(p)
    for i, label in enumerate(LABELS.tolist()):
        if label >= 0:
            truth = functional.one_hot(torch.tensor(label), 6)
            expected[i] = (p[i] - truth + mu * p[i] * (D[label] - (p[i] * D[label]).sum())) / 4
    assert z.grad is not None
    assert torch.allclose(z.grad, expected, atol=1e-12)


def test_the_expected_distance_of_a_sure_answer_is_its_distance() -> None:
    sure = 100.0 * functional.one_hot(torch.tensor([5, 5, 5, 5, 5]), 6).double()
    expected = float(D[[0, 5, 3, 2], 5].mean())
    assert expected > 1
    assert float(expected_distance(sure, LABELS, D)) == pytest.approx(expected)
    assert float(gemd(sure, LABELS, D, mu=0.0)) == pytest.approx(float(cross_entropy(sure, LABELS)))


def test_distances_of_a_list_of_groups_are_those_of_the_graph() -> None:
    loss = TaskLoss(GROUPS, Gemd(kind="gemd", mu=2.0))
    z = logits(2).detach().float()
    assert float(loss(z, LABELS)) == pytest.approx(float(gemd(z, LABELS, D.float(), mu=2.0)), rel=1e-6)
    assert loss.state_dict() == {}, "nothing of it goes into a checkpoint"
    with pytest.raises(InputError, match="graph distances are between space groups"):
        TaskLoss(crystal_system(), Gemd(kind="gemd", mu=1.0))


def test_without_unknown_answers_torch_says_the_same() -> None:
    z, labels, weights = logits(3).detach(), LABELS.clamp(min=0), torch.rand(6, dtype=torch.float64) + 0.1
    assert float(cross_entropy(z, labels)) == pytest.approx(float(functional.cross_entropy(z, labels)))
    assert float(cross_entropy(z, labels, smoothing=0.2)) == pytest.approx(
        float(functional.cross_entropy(z, labels, label_smoothing=0.2))
    )
    assert float(cross_entropy(z, labels, weights_C=weights)) == pytest.approx(
        float(functional.cross_entropy(z, labels, weights))
    )


def test_focal_by_hand() -> None:
    z = logits(4).detach()
    p = z.softmax(dim=1)
    right = [float(p[i, label]) for i, label in enumerate(LABELS.tolist()) if label >= 0]
    expected = sum(0.7 * (1 - q) ** 2 * -math.log(q) for q in right) / 4
    assert float(focal(z, LABELS, gamma=2.0, alpha=0.7)) == pytest.approx(expected)
    assert float(focal(z, LABELS, gamma=0.0, alpha=1.0)) == pytest.approx(float(cross_entropy(z, LABELS)))


@pytest.mark.parametrize("kind", [CrossEntropy(kind="cross_entropy"), Focal(kind="focal"), Gemd(kind="gemd")])
def test_a_batch_of_which_nothing_is_known_costs_nothing(kind: Any) -> None:
    z = logits().detach().float().requires_grad_()
    loss = TaskLoss(GROUPS, kind)(z, torch.full((5,), -1))
    loss.backward()
    assert loss.item() == 0
    assert z.grad is not None
    assert float(z.grad.abs().max()) == 0


def test_weights_by_inverse_frequency() -> None:
    weights = inverse_frequencies(GROUPS, {14: 60, 62: 30, 225: 10})
    assert weights.tolist() == pytest.approx([100 / 3, 100 / 180, 100 / 90, 100 / 3, 100 / 3, 100 / 30])
    with pytest.raises(InputError, match="inverse frequencies need a corpus"):
        TaskLoss(GROUPS, Weighted(kind="weighted"))
    z = logits(5).detach().float()
    counted = TaskLoss(GROUPS, Weighted(kind="weighted"), {14: 60, 62: 30, 225: 10})
    assert float(counted(z, LABELS)) == pytest.approx(float(cross_entropy(z, LABELS, weights_C=weights)))


CELLS = torch.tensor([[4.0, 5, 6, 90, 90, 120], [3.0, 3, 3, 60, 60, 60]])
SAID = torch.tensor([[5.0, 5, 6, 90, 93, 120], [300.0, 3, 3, 60, 60, 60]])


def test_the_squared_error_is_in_angstrom_and_degrees() -> None:
    assert float(squared_cell_loss(SAID[:1], CELLS[:1])) == pytest.approx((1 + 9) / 6)


@pytest.mark.parametrize("kind", [SquaredCell(kind="squared"), LogHuberCell(kind="log_huber")])
def test_an_unknown_cell_costs_nothing(kind: Any) -> None:
    loss = TaskLoss(lattice(), kind)
    unknown = torch.cat([CELLS[:1], torch.full((1, 6), math.nan)])
    said = SAID.clone().requires_grad_()
    cost = loss(said, unknown)
    cost.backward()
    alone = squared_cell_loss if kind.kind == "squared" else lattice_loss
    assert cost.item() == pytest.approx(float(alone(SAID[:1], CELLS[:1])))
    assert said.grad is not None
    assert torch.isfinite(said.grad).all()
    assert float(said.grad[1].abs().max()) == 0
    assert float(loss(SAID, torch.full((2, 6), math.nan))) == 0


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


@pytest.mark.parametrize("smoothing", [0.02, 0.3])
def test_smoothing_by_hand(smoothing: float) -> None:
    """-sum q log p with q = 1 - s for the truth and s / n spread over all n classes."""
    z, total = logits(6).detach(), 0.0
    for row, label in zip(z, LABELS.tolist(), strict=True):
        if label >= 0:
            log_p = row - torch.logsumexp(row, 0)
            total -= (1 - smoothing) * float(log_p[label]) + smoothing * float(log_p.mean())
    loss = TaskLoss(GROUPS, Smoothed(kind="smoothed", smoothing=smoothing))
    assert float(loss(z, LABELS)) == pytest.approx(total / 4, rel=1e-5)
    assert float(loss(torch.zeros(5, 6), LABELS)) == pytest.approx(math.log(6), rel=1e-6)


def test_a_loss_of_ones_own(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of docs/TRAINING.md, imported only where the command line names it; it sees patterns with known truth."""
    (example,) = re.findall(r"```python\n(def my_loss.*?)```", (root / "docs/TRAINING.md").read_text(), re.DOTALL)
    (tmp_path / "my_losses.py").write_text(
        f"held = 3\n{example}\ndef each(answer, truth):\n    return answer.sum(dim=1)\n"
    )
    monkeypatch.chdir(tmp_path)
    wanted = OwnLoss(kind="own", name="my_losses:my_loss", settings={"margin": 2.0})
    with pytest.raises(InputError, match=r"only if the command line names it too; .* add --loss my_losses:my_loss"):
        TaskLoss(GROUPS, wanted)
    admit(None, "my_losses:my_loss")
    z = logits(7).detach().float()
    seen = LABELS != -1
    expected = (z[seen] - z[seen].gather(1, LABELS[seen][:, None]) + 2.0).clamp(min=0).mean()
    loss = TaskLoss(GROUPS, wanted)
    assert float(loss(z, LABELS)) == pytest.approx(float(expected))
    assert float(loss(z, torch.full((5,), -1))) == 0
    cells = torch.cat([CELLS[:1], torch.full((1, 6), math.nan)])
    admit(None, "my_losses:each")
    with pytest.raises(InputError, match=r"loss my_losses:each: gives shape \(1,\); a loss is one number"):
        TaskLoss(lattice(), OwnLoss(kind="own", name="my_losses:each"))(SAID, cells)
    for name, complaint in {
        "my_losses:held": "loss my_losses:held: no function but int",
        "my_losses:none": "holds no 'none'",
        "no_losses:none": "no module 'no_losses'",
    }.items():
        with pytest.raises(InputError, match=complaint):
            admit(None, name)
    with pytest.raises(InputError, match="loss hinge: no installed package registers it"):
        TaskLoss(GROUPS, OwnLoss(kind="own", name="hinge"))
