"""`lens`: answers that agree with each other, and a density of cells that is one."""

from __future__ import annotations

import io

import numpy as np
import onnxruntime
import pytest
import torch

from powderlens.core.errors import InputError
from powderlens.models.mixture import (
    NUMBERS,
    cells,
    components,
    found_among,
    likeliest_cell,
    log_density,
    seven_of,
)
from powderlens.models.network import Network
from powderlens.models.powderlens.lens import four_channels
from powderlens.models.registry import build
from powderlens.models.task import cell_mixture, crystal_system, extinction_class, lattice, space_group
from powderlens.models.to_onnx import to_onnx
from powderlens.symmetry.extinction import extinction_class as class_of_group
from powderlens.symmetry.groups import SYSTEM_OF

POINTS = 392
TASKS = (crystal_system(), space_group(), extinction_class(), lattice(), cell_mixture())
OPTIONS = {"widths": (4, 6, 8), "hidden": 16}


@pytest.fixture(scope="module")
def network() -> Network:
    made = build("lens", TASKS, points=POINTS, mask=True, options=OPTIONS, seed=0)
    with torch.no_grad():  # far from the even probabilities with which it begins
        for part in (made.body.of_class, made.body.within, made.body.mixture):
            part.weight.normal_(std=30.0, generator=torch.Generator().manual_seed(2))
    return made.eval()


@pytest.fixture(scope="module")
def read() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x, sine = (torch.rand(5, POINTS, generator=generator) for _ in range(2))
    return x, torch.where(sine > 0.3, sine, 0.0)


def test_nothing_contradicts(network: Network, read: tuple[torch.Tensor, torch.Tensor]) -> None:
    with torch.no_grad():
        said = network(*read)
    group = said["space_group"].exp()
    torch.testing.assert_close(group.sum(dim=1), torch.ones(5))
    assert group.max() > 0.2, "the probabilities are even, so this proves little"
    for system in range(7):
        inside = torch.tensor(SYSTEM_OF[1:]) == system
        torch.testing.assert_close(said["crystal_system"].exp()[:, system], group[:, inside].sum(dim=1))
    of_group = torch.tensor([class_of_group(number).id for number in range(1, 231)])
    for at, one in enumerate(extinction_class().classes):
        torch.testing.assert_close(said["extinction_class"].exp()[:, at], group[:, of_group == one].sum(dim=1))
    torch.testing.assert_close(said["lattice"], likeliest_cell(said["cell_mixture"]))


def test_the_runtime_says_the_same(network: Network, read: tuple[torch.Tensor, torch.Tensor]) -> None:
    session = onnxruntime.InferenceSession(to_onnx(network), providers=["CPUExecutionProvider"])
    names = [task.name for task in TASKS]
    told = session.run(names, {"x": read[0].numpy(), "mask": read[1].numpy()})
    with torch.no_grad():
        said = network(*read)
    for name, one in zip(names, told, strict=True):
        np.testing.assert_allclose(one, said[name].numpy(), rtol=2e-4, atol=2e-4)


def test_its_channels() -> None:
    x = torch.tensor([[[0.0, 0.01, 0.25, 1.0], [0.0, 0.6, 0.8, 1.0]]])
    root, weak, seen, tangent = four_channels(x)[0]
    torch.testing.assert_close(root, torch.tensor([0.0, 0.1, 0.5, 1.0]))
    torch.testing.assert_close(weak, torch.tensor([0.0, 0.2, 1.0, 1.0]))
    torch.testing.assert_close(seen, torch.tensor([0.0, 1.0, 1.0, 1.0]))
    torch.testing.assert_close(tangent, torch.tensor([0.0, 0.75, 4 / 3, 0.0]))


def test_a_density_of_cells() -> None:
    """It is the sum of the densities of its components; a cell that is their centre is the likelier."""
    raw = torch.randn(3, NUMBERS, generator=torch.Generator().manual_seed(4))
    cell = torch.tensor([[4.0, 5.0, 6.0, 90.0, 100.0, 90.0]] * 3)
    weight, centre, width = components(raw)
    torch.testing.assert_close(weight.exp().sum(dim=1), torch.ones(3))
    each = torch.distributions.Normal(centre, width).log_prob(seven_of(cell)[:, None, :]).sum(dim=2)
    torch.testing.assert_close(log_density(raw, cell), (weight + each).logsumexp(dim=1))
    volume = 4 * 5 * 6 * np.sin(np.radians(100.0))
    assert float(seven_of(cell)[0, 6].exp()) == pytest.approx(volume, rel=1e-5)


def test_the_ten_likeliest_cells() -> None:
    raw = torch.randn(2, NUMBERS, generator=torch.Generator().manual_seed(5))
    weight, made = cells(raw)
    order = weight.argsort(dim=1, descending=True)
    third = made[torch.arange(2), order[:, 2]]
    assert found_among(raw, third * torch.tensor([1.01] * 3 + [1.0] * 3), count=3, within=0.03).all()
    assert not found_among(raw, third * 1.0001, count=2, within=1e-3).any()
    torch.testing.assert_close(likeliest_cell(raw), made[torch.arange(2), order[:, 0]])


def test_what_cannot_be_built() -> None:
    with pytest.raises(InputError, match="lens: widths"):
        build("lens", TASKS, points=POINTS, options={"widths": (4, 0)})
    with pytest.raises(InputError, match="prism: gives no mixture density of cells; lens does"):
        build("prism", TASKS, points=POINTS)


def test_half_precision_keeps_the_answers(network: Network, read: tuple[torch.Tensor, torch.Tensor]) -> None:
    session = onnxruntime.InferenceSession(
        io.BytesIO(to_onnx(network, half=True)).getvalue(), providers=["CPUExecutionProvider"]
    )
    (told,) = session.run(["space_group"], {"x": read[0].numpy(), "mask": read[1].numpy()})
    with torch.no_grad():
        said = network(*read)["space_group"].numpy()
    assert np.abs(np.exp(told) - np.exp(said)).max() < 0.02
