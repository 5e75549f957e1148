"""Parameters, multiply-adds and lengths of all 21 networks, counted on the meta device against the published table."""

from __future__ import annotations

from importlib import import_module

import pytest
import torch
from torch import nn

from powderlens.models.cards import family_cards
from powderlens.models.dense import linear_head

POINTS = 3501
# name: parameters for 7 and 230 classes as published, multiply-adds in millions, features
PUBLISHED = {
    "cnn1": (5_914_507, 21_065_420, 116, 7680),
    "cnn2": (17_239_735, 17_351_458, 63, 8064),
    "cnn3": (22_774_379, 22_997_602, 131, 8064),
    "cnn4": (1_072_739, 1_091_694, 15.5, 8512),
    "cnn5": (12_727, 400_970, 0.8, 1740),
    "cnn6": (4_584_467, 4_640_440, 4600, 5504),
    "cnn7": (5_877_031, 6_144_854, 477, 4544),
    "cnn8": (1_672_983, 2_026_742, 36, 1024),
    "cnn9": (23_144_423, 23_590_646, 45, 11556),
    "cnn10": (10_021_127, 10_467_350, 32, 4992),
    "cnn11": (31_112_747, 31_369_420, 173, 12160),
    "mlp": (98_049_007, 98_829_730, 99, 3501),
    "rnn": (29_703, 44_198, 101, 64),
    "lstm": (117_447, 131_942, 402, 64),
    "gru": (88_199, 102_694, 302, 64),
    "birnn": (83_975, 112_742, 287, 128),
    "bilstm": (333_191, 361_958, 1149, 128),
    "bigru": (250_119, 278_886, 862, 128),
    "transformer": (275_303, 282_662, 950, 32),
    "itransformer": (1_216_135, 1_244_902, 1.2, 128),
    "patchtst": (290_311, 3_972_710, 26, 16512),
}
AS_MEANT = {"cnn5": (127_270, 4_009_700), "cnn7": (18_239_931, 18_507_754)}
# lengths after each convolution and pool
LENGTHS = {
    "cnn1": [2000, 999, 200, 198, 98, 96],
    "cnn2": [2251, 1126, 376, 126],
    "cnn3": [4500, 1500, 1500, 501, 251, 126],
    "cnn4": [2247, 1123, 1119, 1115, 557, 553, 549, 274, 270, 266, 133],
    "cnn5": [1749, 873, 435],
    "cnn6": [3501, 3501, 3501, 1750, 1721, 860, 836, 418, 394, 197, 173, 86],
    "cnn7": [4501, 2251, 2252, 1126, 1126, 563, 564, 282, 282, 141, 142, 71],
    "cnn8": [length for power in range(13, 1, -1) for length in (2**power, 2 ** (power - 1))],
    "cnn9": [3491, 1745, 1735, 867, 857, 428],
    "cnn10": [3490, 1745, 1734, 867, 856, 428, 417, 208],
    "cnn11": [1681, 327, 152],
}
GATES = {nn.RNN: 1, nn.LSTM: 4, nn.GRU: 3}


def network(name: str, outputs: int, *, as_published: bool, small: bool = False) -> nn.Sequential:
    file = import_module(f"powderlens.models.simxrd.{name}")
    head = getattr(file, "head", linear_head)
    with torch.device("meta"):
        body = file.body(POINTS, as_published=as_published, small=small)
        made = nn.Sequential(body, head(body.features, outputs, as_published=as_published, small=small)).eval()
    for layer in made.modules():
        if isinstance(layer, nn.RNNBase):  # its shape only: on the meta device it would go step by step
            width = layer.hidden_size * (1 + layer.bidirectional)
            layer.forward = lambda x, width=width: (x.new_empty(*x.shape[:2], width), None)
    return made


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def multiply_adds(module: nn.Module) -> float:
    """Millions, of convolutions, dense and recurrent layers, for one pattern."""
    total = 0

    def add(layer: nn.Module, given: tuple[torch.Tensor], out: torch.Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv1d):
            total += out.numel() * layer.in_channels // layer.groups * layer.kernel_size[0]
        elif isinstance(layer, nn.Linear):
            total += out.numel() * layer.in_features
        else:
            h, ways = layer.hidden_size, 1 + layer.bidirectional
            inputs = layer.input_size + (layer.num_layers - 1) * ways * h
            total += given[0].shape[1] * GATES[type(layer)] * ways * h * (inputs + layer.num_layers * h)

    for layer in module.modules():
        if isinstance(layer, nn.Conv1d | nn.Linear | nn.RNNBase):
            layer.register_forward_hook(add)
    module(torch.zeros(1, 1, POINTS, device="meta"))
    return total / 1e6


def test_all_have_cards() -> None:
    assert [card.name for card in family_cards("simxrd")] == list(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_as_published(name: str) -> None:
    few, many, _, features = PUBLISHED[name]
    of_few, of_many = (network(name, outputs, as_published=True) for outputs in (7, 230))
    assert (parameters(of_few), parameters(of_many)) == (few, many)
    assert of_few[0].features == of_many[0].features == features
    assert of_few(torch.zeros(2, 1, POINTS, device="meta")).shape == (2, 7)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_as_meant(name: str) -> None:
    counts = tuple(parameters(network(name, outputs, as_published=False)) for outputs in (7, 230))
    assert counts == AS_MEANT.get(name, PUBLISHED[name][:2])


@pytest.mark.parametrize("card", family_cards("simxrd"), ids=lambda card: card.name)
def test_cards_state_what_is_counted(card) -> None:
    published = dict(zip(("crystal_system", "space_group"), PUBLISHED[card.name][:2], strict=True))
    assert {**card.parameters, **card.published_parameters} == published
    assert tuple(card.parameters.values()) == AS_MEANT.get(card.name, PUBLISHED[card.name][:2])
    assert bool(card.published_parameters) == (card.name in AS_MEANT)
    counted = multiply_adds(network(card.name, 230, as_published=True))
    assert card.macs_M == pytest.approx(counted, abs=0.051)
    assert PUBLISHED[card.name][2] == pytest.approx(counted, rel=0.01, abs=0.05), "the table, within its rounding"


@pytest.mark.parametrize("card", family_cards("simxrd"), ids=lambda card: card.name)
@pytest.mark.parametrize("as_published", [True, False])
def test_small_is_small(card, as_published: bool) -> None:
    small = network(card.name, 230, as_published=as_published, small=True)
    assert parameters(small) < 1.5e6
    assert multiply_adds(small) < 16
    full = network(card.name, 230, as_published=as_published)
    same = parameters(small) == parameters(full)
    assert same == (not card.small or (card.name == "cnn5" and as_published))


@pytest.mark.parametrize("name", LENGTHS)
def test_lengths_of_the_stages(name: str) -> None:
    body = network(name, 7, as_published=True)[0]
    seen: list[int] = []
    for layer in body.stages:
        if isinstance(layer, nn.Conv1d | nn.MaxPool1d | nn.AvgPool1d):
            layer.register_forward_hook(lambda _layer, _given, out: seen.append(out.shape[-1]))
    body(torch.zeros(1, 1, POINTS, device="meta"))
    assert seen == LENGTHS[name]


@pytest.mark.parametrize("outputs", [51, 145, 50, 6])
def test_the_layout_follows_the_number_of_classes(outputs: int) -> None:
    """More than 50 classes take CNN1's layers for 230, fewer those for 7."""
    head = network("cnn1", outputs, as_published=False)[1]
    widths = [layer.out_features for layer in head if isinstance(layer, nn.Linear)]
    assert widths == ([2300, 1150, outputs] if outputs > 50 else [700, 70, outputs])
