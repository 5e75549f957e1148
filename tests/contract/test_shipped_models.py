"""What every network that ships must keep, whatever it is inside."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from powderlens.models.runtime import DEFAULT_MODEL, Network, load_network, read_card
from powderlens.pattern.grid import to_grid
from powderlens.pattern.prepare import network_input
from powderlens.pattern.read import read_pattern

FOLDER = Path(str(files("powderlens.models") / "data"))
MODELS = sorted(path.stem for path in FOLDER.glob("*.onnx"))
KEYS = {"name", "network", "parameters", "grid", "input", "outputs", "training", "chosen_by", "checkpoint_step"}


@pytest.fixture(scope="module", params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def network(name: str) -> Network:
    return load_network(name, threads=1)


@pytest.fixture(scope="module")
def card(name: str) -> dict[str, Any]:
    return read_card(name)


@pytest.fixture(scope="module")
def x(network: Network, root: Path) -> np.ndarray:
    """Rutile, quartz, half of rutile's range."""
    inputs = []
    for file in ("rutile", "quartz"):
        pattern = read_pattern(root / "examples" / f"{file}.txt", wavelength=1.541838)
        inputs.append(network_input(*to_grid(pattern, network.grid)))
    part = inputs[0].copy()
    part[:, network.grid.points // 2 :] = 0
    return np.stack([*inputs, part])


def test_the_default_ships() -> None:
    assert DEFAULT_MODEL in MODELS


def test_every_network_has_a_card_and_every_card_a_network() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == MODELS


def test_files_stay_small(name: str) -> None:
    assert (FOLDER / f"{name}.onnx").stat().st_size < 20_000_000
    assert not list(FOLDER.glob("*.data")), "weights are inside, not beside"


def test_the_card(card: dict[str, Any], name: str) -> None:
    assert set(card) >= KEYS
    assert card["name"] == name
    assert card["parameters"] > 0
    assert set(card["grid"]) == {"start_deg", "step_deg", "points", "wavelength_A"}
    training = card["training"]
    assert 0 < card["checkpoint_step"] <= training["recipe"]["steps"]
    assert training["recipe"]["grid"] == card["grid"]
    assert training["tables"]
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in training["tables"].values())
    assert training["crystals"]["validation"] > 0
    assert isinstance(training["recipe"]["seed"], int)


def test_the_card_names_no_place_of_a_machine(name: str) -> None:
    text = (FOLDER / f"{name}.json").read_text()
    assert not re.search(r'"[^"]*(/home/|/tmp/|/root/|[A-Z]:\\\\)', text)


def test_outputs(network: Network, x: np.ndarray) -> None:
    said = network(x)
    assert (said.system_logits.shape, said.group_logits.shape, said.niggli.shape) == ((3, 7), (3, 230), (3, 6))
    assert all(part.dtype == np.float32 and np.isfinite(part).all() for part in said)
    for logits in (said.system_logits, said.group_logits):
        assert np.abs(logits.sum(axis=1) - 1).max() > 0.1, "logits, not probabilities"
        assert logits.min() < 0
    assert (said.niggli[:, :3] > 0.5).all()
    assert ((said.niggli[:, 3:] > 45) & (said.niggli[:, 3:] < 135)).all()


def test_patterns_of_a_batch_do_not_see_each_other(network: Network, x: np.ndarray) -> None:
    together = network(x)
    for i in range(len(x)):
        for whole, alone in zip(together, network(x[i : i + 1]), strict=True):
            assert alone[0] == pytest.approx(whole[i], rel=1e-3, abs=1e-3)


def test_an_empty_pattern_is_no_crash(network: Network) -> None:
    said = network(np.zeros((1, 2, network.grid.points), np.float32))
    assert all(np.isfinite(part).all() for part in said)


def test_it_knows_rutile_from_quartz(network: Network, x: np.ndarray) -> None:
    """Both are in every database that a network learns from: the right system leads."""
    systems = network(x).system_logits.argmax(axis=1)
    assert systems[0] == 3, "rutile is tetragonal"
    assert systems[1] in (4, 5), "quartz is trigonal, and looks hexagonal"


def test_no_machine_left_its_paths(name: str) -> None:
    content = (FOLDER / f"{name}.onnx").read_bytes()
    assert b"site-packages" not in content
    assert b".py" not in content
