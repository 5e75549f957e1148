"""Each fault is there as published and gone as meant."""

from __future__ import annotations

import math
from importlib import import_module

import pytest
import torch
from torch import Tensor, nn

from powderlens.models.cards import family_cards
from powderlens.models.dense import linear_head
from powderlens.models.simxrd.cnn5 import MEMBER_FEATURES
from powderlens.models.simxrd.encoder import sinusoidal_positions

POINTS = 3501
ONE_SOFTMAX = ("cnn1", "cnn2", "cnn3", "cnn5", "cnn6", "cnn7", "cnn8")
TWO_SOFTMAXES = ("cnn4", "mlp")
BOTH_WAYS = ("birnn", "bilstm", "bigru")
FAULTLESS = ("cnn9", "cnn10", "cnn11", "rnn", "lstm", "gru", "itransformer", "patchtst")


def head(name: str, outputs: int, *, as_published: bool) -> nn.Module:
    torch.manual_seed(0)
    file = import_module(f"powderlens.models.simxrd.{name}")
    with torch.device("meta"):
        features = file.body(POINTS, as_published=as_published, small=True).features
    made = getattr(file, "head", linear_head)(features, outputs, as_published=as_published, small=True)
    made.features = features
    return made.eval()


def body(name: str, points: int, *, as_published: bool, small: bool = True) -> nn.Module:
    torch.manual_seed(0)
    file = import_module(f"powderlens.models.simxrd.{name}")
    return file.body(points, as_published=as_published, small=small).eval()


def patterns(count: int, points: int) -> Tensor:
    return 100 * torch.rand(count, 1, points, generator=torch.Generator().manual_seed(1)) ** 8


def test_every_network_is_accounted_for() -> None:
    faulty = {*ONE_SOFTMAX, *TWO_SOFTMAXES, *BOTH_WAYS, "transformer"}
    assert {card.name for card in family_cards("simxrd") if card.faults} == faulty
    assert {card.name for card in family_cards("simxrd")} == faulty | set(FAULTLESS)


@pytest.mark.parametrize("name", [card.name for card in family_cards("simxrd")])
def test_raw_outputs_are_logits_as_meant(name: str) -> None:
    made = head(name, 7, as_published=False)
    answer = made(10 * torch.randn(4, made.features))
    assert not torch.allclose(answer.sum(dim=1), torch.ones(4), atol=1e-2)


@pytest.mark.parametrize("name", [*ONE_SOFTMAX, *TWO_SOFTMAXES])
@pytest.mark.parametrize("outputs", [7, 230])
def test_softmaxes_as_published(name: str, outputs: int) -> None:
    """Once: a probability can come near 1. Twice: none exceeds e / (e + n - 1), and the loss has its floor there."""
    made = head(name, outputs, as_published=True)
    with torch.no_grad():
        last = [layer for layer in made.modules() if isinstance(layer, nn.Linear | nn.Conv1d)][-1]
        last.weight.zero_()
        last.bias.zero_()
        last.bias[0] = 100.0
    answer = made(torch.randn(2, made.features))
    assert torch.allclose(answer.sum(dim=1), torch.ones(2), atol=1e-5)
    twice = math.e / (math.e + outputs - 1)
    assert answer[0, 0].item() == pytest.approx(twice if name in TWO_SOFTMAXES else 1.0, rel=1e-5)
    loss = nn.functional.cross_entropy(answer, torch.zeros(2, dtype=torch.long)).item()
    floors = {7: (1.1654, 1.7795), 230: (4.4455, 5.4307)}
    assert loss == pytest.approx(floors[outputs][name in TWO_SOFTMAXES], abs=1e-4)


@pytest.mark.parametrize("small", [False, True])
def test_transformer_attends_over_the_batch_as_published(small: bool) -> None:
    points = 61
    x = patterns(3, points)
    net = body("transformer", points, as_published=True, small=small)
    with torch.no_grad():
        before = net(x)
        other = x.clone()
        other[..., :-1] = 0
        assert torch.equal(net(other), before), "all points but the last are unread"
        leak = x.clone()
        leak[0, 0, -1] += 50
        assert not torch.allclose(net(leak)[1:], before[1:], atol=1e-4), "a neighbour in the batch changes the answer"


@pytest.mark.parametrize("small", [False, True])
def test_transformer_attends_over_the_points_as_meant(small: bool) -> None:
    points = 60
    x = patterns(3, points)
    net = body("transformer", points, as_published=False, small=small)
    with torch.no_grad():
        together = net(x)
        alone = torch.cat([net(pattern[None]) for pattern in x])
        assert torch.allclose(together, alone, atol=1e-5), "independent of the batch"
        changed = x.clone()
        changed[:, 0, 0] += 50
        assert not torch.allclose(net(changed), together, atol=1e-5), "the first point is read"
        swapped = x.reshape(3, 1, 3, 20)[:, :, [1, 0, 2]].reshape(3, 1, points)
        assert not torch.allclose(net(swapped), together, atol=1e-5), "order is heard"


def test_positions_of_vaswani() -> None:
    positions = sinusoidal_positions(5, 8)
    for t, i in ((0, 0), (3, 1), (4, 3)):
        angle = t / 10_000 ** (2 * i / 8)
        assert positions[t, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
        assert positions[t, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


@pytest.mark.parametrize("name", BOTH_WAYS)
def test_the_backward_half(name: str) -> None:
    """As published it stands at the last step, as meant at the first; the forward half is the same."""
    x = patterns(2, 40)
    published, meant = (body(name, 40, as_published=flag, small=False) for flag in (True, False))
    meant.load_state_dict(published.state_dict())
    with torch.no_grad():
        steps, _ = published.layers(published.fold(x))
        assert torch.equal(published(x), steps[:, -1])
        assert torch.equal(meant(x)[:, :64], steps[:, -1, :64])
        assert torch.equal(meant(x)[:, 64:], steps[:, 0, 64:])
        assert not torch.allclose(meant(x), published(x), atol=1e-4)


@pytest.mark.parametrize("name", BOTH_WAYS)
def test_the_backward_half_has_read_one_step_as_published(name: str) -> None:
    """Its recurrent weights get no gradient: it starts from zero where the answer is taken."""
    for flag in (True, False):
        net = body(name, 40, as_published=flag, small=True).train()
        net(patterns(2, 40)).square().sum().backward()
        gradient = net.layers.weight_hh_l3_reverse.grad
        assert bool(gradient.any()) is not flag


def test_itransformer_never_trains_queries_and_keys() -> None:
    net = body("itransformer", 200, as_published=False).train()
    net(patterns(2, 200)).square().sum().backward()
    card = next(card for card in family_cards("simxrd") if card.name == "itransformer")
    without = 0
    for name, parameter in net.named_parameters():
        if f"body.{name}".startswith(card.no_gradient):
            assert not parameter.grad.any()
            without += parameter.numel()
        else:
            assert parameter.grad.any(), name
    assert without == 66_048


def test_patchtst_does_not_see_scale_or_floor() -> None:
    x = patterns(2, 500)
    net = body("patchtst", 500, as_published=False)
    with torch.no_grad():
        assert torch.allclose(net(x), net(3 * x + 7), atol=1e-3)


def test_xca_averages_the_probabilities_of_ten_independent_members() -> None:
    file = import_module("powderlens.models.simxrd.cnn5")
    torch.manual_seed(0)
    net = file.body(POINTS, as_published=False, small=False).eval()
    ensemble = file.head(net.features, 7, as_published=False, small=False).eval()
    with torch.no_grad():
        z = 100 * net(patterns(3, POINTS))
        weight, bias = ensemble.dense.weight.reshape(10, 7, MEMBER_FEATURES), ensemble.dense.bias.reshape(10, 7)
        mean = sum((z[:, 1740 * m : 1740 * (m + 1)] @ weight[m].T + bias[m]).softmax(dim=1) for m in range(10)) / 10
        assert torch.allclose(ensemble(z).softmax(dim=1), mean, atol=1e-6)
        before = net(patterns(3, POINTS)).reshape(3, 10, 1740)
        net.stages[2].weight[8 * 4 : 8 * 5] *= 3  # second convolution of member 4
        moved = (net(patterns(3, POINTS)).reshape(3, 10, 1740) != before).any(dim=2).any(dim=0)
    assert moved.nonzero().flatten().tolist() == [4]


def test_xca_averages_cells() -> None:
    file = import_module("powderlens.models.simxrd.cnn5")
    cells = file.lattice_head(3 * MEMBER_FEATURES, as_published=False, small=True).eval()
    with torch.no_grad():
        cells.dense.weight.zero_()
        cells.dense.bias.copy_(torch.arange(18.0))
        assert cells(torch.zeros(1, 3 * MEMBER_FEATURES)).tolist() == [[6, 7, 8, 9, 10, 11]]


def test_autoanalyzer_has_two_hidden_layers_as_meant() -> None:
    kinds = {flag: [type(layer) for layer in head("cnn7", 7, as_published=flag)] for flag in (True, False)}
    block = [nn.Linear, nn.ReLU, nn.BatchNorm1d, nn.Dropout]
    assert kinds[True] == [*block, nn.Linear, nn.Softmax]
    assert kinds[False] == [nn.Dropout, *block, *block, nn.Linear]


def test_dropout_of_the_fully_convolutional_network_follows_the_task() -> None:
    net = body("cnn8", 300, as_published=False)

    def rates() -> set[float]:
        return {layer.p for layer in net.modules() if isinstance(layer, nn.Dropout)}

    net.for_outputs((7,))
    assert rates() == {0.2}
    net.for_outputs((7, 230))
    assert rates() == {0.05}
    assert [layer.p for layer in head("cnn8", 7, as_published=False) if isinstance(layer, nn.Dropout)] == [0.4, 0.4]
    assert [layer.p for layer in head("cnn8", 230, as_published=False) if isinstance(layer, nn.Dropout)] == [0.05, 0.05]
