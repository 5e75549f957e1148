"""Running trained weights without torch: what goes in, what comes out, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from runpy import run_path
from typing import Any

import numpy as np
import pytest
import torch

from powderlens.core.errors import InputError
from powderlens.models.load_torch import load_torch
from powderlens.models.network import Network
from powderlens.models.runtime import BATCH, load_model
from powderlens.models.task import crystal_system, extinction_class, lattice, space_group
from powderlens.models.weights import DEFAULT_MODEL, find_weights, read_card

Write = Callable[..., tuple[Path, Network]]
TASKS = (crystal_system(), space_group(range(2, 40)), extinction_class(), lattice())
X = np.random.default_rng(0).random((2 * BATCH + 3, 701)).astype(np.float32)


@pytest.fixture(scope="module")
def write_model() -> Write:
    made: Write = run_path(str(Path(__file__).parent / "exported.py"))["write_model"]
    return made


@pytest.fixture(scope="module")
def masked(write_model: Write, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Network]:
    return write_model(tmp_path_factory.mktemp("masked"), TASKS, mask=True)


@pytest.fixture(scope="module")
def plain(write_model: Write, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Network]:
    return write_model(tmp_path_factory.mktemp("plain"), TASKS)


def same(said: dict[str, np.ndarray], wanted: dict[str, torch.Tensor]) -> None:
    assert list(said) == list(wanted)
    for task, told in said.items():
        np.testing.assert_allclose(told, wanted[task].detach().numpy(), rtol=1e-4, atol=1e-4)


def test_many_patterns_go_in_parts_and_come_back_in_order(plain: tuple[Path, Network]) -> None:
    model = load_model(plain[0], threads=1)
    assert (model.name, model.card.id, model.grid.points) == ("tiny", "cnn5.tiny", 701)
    same(model(X), plain[1](torch.from_numpy(X)))


def test_a_mask_is_read(masked: tuple[Path, Network]) -> None:
    model = load_model(masked[0], threads=1)
    mask = np.broadcast_to(np.arange(701) % 3 > 0, X.shape)
    same(model(X, mask), masked[1](torch.from_numpy(X), torch.from_numpy(mask.copy())))
    same(model(X), masked[1](torch.from_numpy(X)))
    assert not np.allclose(model(X)["lattice"], model(X, mask)["lattice"], rtol=1e-3)


def test_a_pattern_measured_in_part_is_refused_without_a_mask(plain: tuple[Path, Network]) -> None:
    mask = np.ones((3, 701), bool)
    model = load_model(plain[0], threads=1)
    model(X[:3], mask)
    mask[1, 5] = False
    with pytest.raises(InputError, match=r"cnn5\.tiny: 1 of 3 patterns are measured on a part.*mask = true"):
        model(X[:3], mask)
    with pytest.raises(InputError, match=r"cnn5: 1 of 3 patterns are measured on a part.*mask = true"):
        plain[1](torch.from_numpy(X[:3]), torch.from_numpy(mask))


@pytest.mark.parametrize("end", [".onnx", ".safetensors"])
def test_torch_reads_both_files(masked: tuple[Path, Network], end: str) -> None:
    loaded = load_torch(masked[0].with_suffix(end))
    assert loaded.mask
    for name, value in masked[1].state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


def test_names() -> None:
    assert find_weights("prism-1") == find_weights("prism.prism-1") == find_weights()
    for wrong in ("prism-99", "cnn5.prism-1", "prism"):
        with pytest.raises(InputError, match=rf"no model '{wrong}'; there are: {DEFAULT_MODEL}"):
            load_model(wrong)
    with pytest.raises(InputError, match=r"none\.onnx: no such file"):
        load_model("none.onnx")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "not the card of a model"),
        ("{not json", "not the card of a model"),
        ("[1]", "not the card of a model"),
        ('{"grid": {"points": 5}}', "not the card of a model"),
        ('{"architecture": {}, "format": 1}', "a card of format 1"),
        ('{"architecture": {}, "format": 2}', "not the card of a model"),
        (None, "the card lies beside the weights"),
    ],
)
def test_a_damaged_card(plain: tuple[Path, Network], tmp_path: Path, content: str | None, words: str) -> None:
    shutil.copy(plain[0], tmp_path)
    if content is not None:
        (tmp_path / "tiny.json").write_text(content)
    with pytest.raises(InputError, match=rf"tiny\.json: .*{words}"):
        load_model(tmp_path / "tiny.onnx")


def _with(part: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**part, **changes}


@pytest.mark.parametrize(
    "change",
    [
        lambda card: _with(card, weights=_with(card["weights"], tasks=card["weights"]["tasks"][:2])),
        lambda card: _with(card, weights=_with(card["weights"], mask=True)),
        lambda card: _with(card, weights=_with(card["weights"], grid=_with(card["weights"]["grid"], points=700))),
        lambda card: _with(card, architecture=_with(card["architecture"], name="cnn4")),
    ],
    ids=["tasks", "mask", "points", "network"],
)
@pytest.mark.parametrize("load", [load_model, load_torch], ids=["onnxruntime", "torch"])
def test_weights_of_another_architecture(
    plain: tuple[Path, Network], tmp_path: Path, change: Callable[..., Any], load: Callable[..., Any]
) -> None:
    shutil.copytree(plain[0].parent, tmp_path, dirs_exist_ok=True)
    card = json.loads((tmp_path / "tiny.json").read_text())
    (tmp_path / "tiny.json").write_text(json.dumps(change(card)))
    with pytest.raises(InputError, match=r"tiny\.onnx: .*weights of another architecture"):
        load(tmp_path / "tiny.onnx")


@pytest.mark.parametrize("content", [b"", b"these are words"])
def test_a_damaged_network(plain: tuple[Path, Network], tmp_path: Path, content: bytes) -> None:
    shutil.copytree(plain[0].parent, tmp_path, dirs_exist_ok=True)
    for end in (".onnx", ".safetensors"):
        (tmp_path / f"tiny{end}").write_bytes(content)
    with pytest.raises(InputError, match=r"tiny\.onnx: not a network that ONNX Runtime can load"):
        load_model(tmp_path / "tiny.onnx")
    with pytest.raises(InputError, match=r"tiny\.onnx: "):
        load_torch(tmp_path / "tiny.onnx")
    with pytest.raises(InputError, match=r"tiny\.safetensors: not a safetensors file"):
        load_torch(tmp_path / "tiny.safetensors")


def test_the_card_of_an_architecture_is_none_of_weights(plain: tuple[Path, Network], tmp_path: Path) -> None:
    shutil.copy(plain[0], tmp_path)
    card = json.loads(plain[0].with_suffix(".json").read_text())
    del card["weights"]
    (tmp_path / "tiny.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match=r"tiny\.json: the card of an architecture"):
        read_card(tmp_path / "tiny.onnx")
