"""What every network that ships must keep, whatever it is inside."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from powderlens.models.card import Card
from powderlens.models.load_torch import load_torch
from powderlens.models.runtime import Model, load_model
from powderlens.models.weights import DEFAULT_MODEL, read_card, shipped, weights_of
from powderlens.pattern.prepare import prepare
from powderlens.pattern.read import read_pattern

FOLDER = Path(str(files("powderlens.models") / "data"))
MODELS = sorted(path.stem for path in FOLDER.glob("*.onnx"))
WIDTHS = {"crystal_system": 7, "space_group": 230, "lattice": 6}


@pytest.fixture(scope="module", params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(name: str) -> Model:
    return load_model(name, threads=1)


@pytest.fixture(scope="module")
def card(name: str) -> Card:
    return read_card(name)


@pytest.fixture(scope="module")
def x(model: Model, root: Path) -> tuple[np.ndarray, np.ndarray]:
    """Rutile, quartz, half of rutile's range; and where they are measured."""
    inputs = []
    for file in ("rutile", "quartz"):
        pattern = read_pattern(root / "examples" / f"{file}.txt", wavelength=1.541838)
        prepared = prepare(pattern, model.grid)
        inputs.append((prepared.above_floor, prepared.mask))
    half = np.arange(model.grid.points) < model.grid.points // 2
    inputs.append((np.where(half, inputs[0][0], 0), inputs[0][1] & half))
    return np.stack([one for one, _ in inputs]), np.stack([mask for _, mask in inputs])


def test_the_default_ships() -> None:
    assert DEFAULT_MODEL in MODELS
    assert list(shipped()) == MODELS


def test_every_network_has_a_card_and_every_card_a_network() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == MODELS


def test_files_stay_small(name: str) -> None:
    assert (FOLDER / f"{name}.onnx").stat().st_size < 20_000_000
    assert not list(FOLDER.glob("*.data")), "weights are inside, not beside"


def test_the_card(card: Card, name: str) -> None:
    weights = weights_of(card)
    assert card.id == f"{card.name}.{name}"
    assert weights.name == name
    assert read_card(card.id) == card, "both names will do"
    assert Card.from_dict(json.loads(json.dumps(card.to_dict())), name) == card
    assert sum(p.numel() for p in load_torch(name).parameters()) == weights.parameters
    training = weights.training
    assert 0 < weights.step <= training["recipe"]["steps"]
    assert training["recipe"]["grid"] == asdict(weights.grid)
    assert training["tables"]
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in training["tables"].values())
    assert training["crystals"]["validation"] > 0
    assert isinstance(training["recipe"]["seed"], int)
    assert weights.chosen_by


def test_torch_says_what_onnx_says(name: str, model: Model, x: tuple[np.ndarray, np.ndarray]) -> None:
    """And so the weights ship once."""
    network = load_torch(name)
    assert not network.training
    with torch.no_grad():
        said = network(*(torch.from_numpy(part) for part in x))
    for task, told in model(*x).items():
        np.testing.assert_allclose(said[task].numpy(), told, rtol=1e-4, atol=1e-4)


def test_no_norm_is_folded_away(name: str) -> None:
    """Each remembers a mean and a variance of its own: training on begins with what the network says already."""
    norms = [part for part in load_torch(name).modules() if isinstance(part, torch.nn.BatchNorm1d)]
    assert len(norms) == 8
    for norm in norms:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert float(norm.running_mean.abs().max()) > 0.1
        assert float((norm.running_var - 1).abs().median()) > 0.1


def test_weights_in_half_precision_are_read_in_single() -> None:
    network = load_torch(DEFAULT_MODEL)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    weight = network.get_parameter("body.shared.1.weight")
    assert torch.equal(weight, weight.half().float())


def test_the_card_names_no_place_of_a_machine(name: str) -> None:
    text = (FOLDER / f"{name}.json").read_text()
    assert not re.search(r'"[^"]*(/home/|/tmp/|/root/|[A-Z]:\\\\)', text)


def test_outputs(model: Model, x: tuple[np.ndarray, np.ndarray]) -> None:
    said = model(*x)
    assert {task: part.shape for task, part in said.items()} == {task: (3, width) for task, width in WIDTHS.items()}
    assert all(part.dtype == np.float32 and np.isfinite(part).all() for part in said.values())
    for task in ("crystal_system", "space_group"):
        assert np.abs(said[task].sum(axis=1) - 1).max() > 0.1, "logits, not probabilities"
        assert said[task].min() < 0
    assert (said["lattice"][:, :3] > 0.5).all()
    assert ((said["lattice"][:, 3:] > 45) & (said["lattice"][:, 3:] < 135)).all()


def test_patterns_of_a_batch_do_not_see_each_other(model: Model, x: tuple[np.ndarray, np.ndarray]) -> None:
    together = model(*x)
    for i in range(3):
        for task, alone in model(x[0][i : i + 1], x[1][i : i + 1]).items():
            assert alone[0] == pytest.approx(together[task][i], rel=1e-3, abs=1e-3)


def test_an_empty_pattern_is_no_crash(model: Model) -> None:
    nothing = np.zeros((1, model.grid.points), np.float32)
    assert all(np.isfinite(part).all() for part in model(nothing, nothing > 0).values())


def test_it_knows_rutile_from_quartz(model: Model, x: tuple[np.ndarray, np.ndarray]) -> None:
    """Both are in every database that a network learns from: the right system leads."""
    systems = model(*x)["crystal_system"].argmax(axis=1)
    assert systems[0] == 3, "rutile is tetragonal"
    assert systems[1] in (4, 5), "quartz is trigonal, and looks hexagonal"


def test_no_machine_left_its_paths(name: str) -> None:
    content = (FOLDER / f"{name}.onnx").read_bytes()
    assert b"site-packages" not in content
    assert b".py" not in content
