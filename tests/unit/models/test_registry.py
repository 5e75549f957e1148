"""Building by name: seeds, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from powderlens.core.errors import InputError
from powderlens.models.registry import build, card, check_build
from powderlens.models.task import crystal_system, lattice, space_group

SYSTEM = [crystal_system()]


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("resnet-50", "resnet50"),
        ("ResNet 101", "resnet101"),
        ("cnn12", "cnn1"),
        ("parkcnn", "park_cnn"),
        ("lstn", "lstm"),
    ],
)
def test_an_unknown_name_brings_its_neighbours(wrong: str, near: str) -> None:
    with pytest.raises(InputError, match=f"no network '{wrong}'; near it: .*{near}"):
        card(wrong)


def test_a_name_like_no_other() -> None:
    with pytest.raises(InputError, match=r"no network 'zzzz'; `powderlens models list` names all 30"):
        card("zzzz")


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("resnet10", {"points": 255}, "resnet10: a grid of 255 points is too short; it needs at least 256"),
        ("mlp", {"points": 8501, "as_published": True}, "as published it takes 3501 points only, not 8501"),
        ("cnn9", {"points": 3501, "as_published": True}, "as_published has no effect"),
        ("cnn9", {"points": 3501, "size": "tiny"}, "size 'tiny': full or small"),
        ("cnn9", {"points": 3501, "tasks": []}, "tasks none; give at least one"),
        ("cnn9", {"points": 3501, "tasks": [space_group(), space_group([1, 2])]}, "tasks space_group, space_group"),
    ],
)
def test_refused(name: str, options: dict[str, Any], words: str) -> None:
    tasks = options.pop("tasks", SYSTEM)
    with pytest.raises(InputError, match=words):
        check_build(name, tasks, **options)
    with pytest.raises(InputError, match=words):
        build(name, tasks, **options)


def test_a_seed_gives_the_same_weights_and_leaves_the_random_state_alone() -> None:
    state = torch.random.get_rng_state()
    one, same, other = (build("cnn4", SYSTEM, points=3501, seed=seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)


def test_without_a_seed_torch_decides() -> None:
    torch.manual_seed(5)
    one = build("cnn5", SYSTEM, points=3501).state_dict()
    other = build("cnn5", SYSTEM, points=3501).state_dict()
    assert not all(torch.equal(one[key], other[key]) for key in one)


def test_as_published_repeats_the_softmax_for_classes_and_not_for_cells() -> None:
    network = build("mlp", [crystal_system(), lattice()], points=3501, as_published=True, size="small", seed=1)
    assert sum(isinstance(part, torch.nn.Softmax) for part in network.heads["crystal_system"].modules()) == 2
    assert not any(isinstance(part, torch.nn.Softmax) for part in network.heads["lattice"].modules())


@pytest.mark.parametrize(("groups", "rate"), [(230, 0.05), (7, 0.2)])
def test_the_body_is_told_how_many_classes_there_are(groups: int, rate: float) -> None:
    """`cnn8` drops out less for many classes."""
    network = build("cnn8", [space_group(range(1, groups + 1)), lattice()], points=3501, size="small", seed=1)
    assert {part.p for part in network.body.modules() if isinstance(part, torch.nn.Dropout)} == {rate}


def test_a_network_with_one_length_resamples_other_grids() -> None:
    short, right = (build("cnn9", SYSTEM, points=points, size="small", seed=1).eval() for points in (1751, 3501))
    place = torch.linspace(0, 1, 3501)
    x = torch.exp(-0.5 * ((place - torch.tensor([[0.3], [0.6]])) / 0.01) ** 2)
    with torch.no_grad():
        assert torch.allclose(short(x[:, ::2])["crystal_system"], right(x)["crystal_system"], rtol=1e-2, atol=1e-2)
        assert sum(p.numel() for p in short.parameters()) == sum(p.numel() for p in right.parameters())
