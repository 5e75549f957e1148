"""What ships says what the trained network says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto
from powderlens.models.prism import Prism

from powderlens.core.errors import InputError
from powderlens.corpus.store.reflection_table import ReflectionTable
from powderlens.corpus.stream.from_crystals import CrystalStream
from powderlens.corpus.stream.stream import NetworkStream
from powderlens.diffraction.protocol import load_protocol
from powderlens.models.runtime import load_network as load_exported
from powderlens.models.runtime import read_card
from powderlens.train.export import HALF_FROM, export, halve_weights, load_network, to_onnx
from powderlens.train.recipe import Recipe


@pytest.fixture(scope="module")
def network(run: Path, recipe: Recipe) -> Prism:
    return load_network(run / "last.ckpt", recipe)


@pytest.fixture(scope="module")
def model(network: Prism, recipe: Recipe) -> onnx.ModelProto:
    """In single precision."""
    return to_onnx(network, recipe.grid.points)


@pytest.fixture(scope="module")
def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return halve_weights(copy)


@pytest.fixture(scope="module")
def x(recipe: Recipe, small_table: ReflectionTable) -> np.ndarray:
    """Nine patterns as the network learns from them."""
    lab = load_protocol("lab")
    every, grid = np.arange(600), recipe.grid.grid()
    plain = CrystalStream(small_table, every, np.full(600, 1 / 600), lab, size=9, seed=0, grid=grid)
    return NetworkStream(plain).batch(0).patterns


def answer(model: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(["system", "group", "niggli"], {"x": x}))


def of_torch(network: Prism, x: np.ndarray) -> list[np.ndarray]:
    with torch.no_grad():
        return [part.numpy() for part in network(torch.from_numpy(x))]


def test_single_precision_says_the_same(network: Prism, model: onnx.ModelProto, x: np.ndarray) -> None:
    for ours, theirs in zip(answer(model, x), of_torch(network, x), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-4)


def test_half_precision_says_nearly_the_same(network: Prism, halved: onnx.ModelProto, x: np.ndarray) -> None:
    for ours, theirs in zip(answer(halved, x), of_torch(network, x), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-3)


def test_only_the_storage_is_halved(network: Prism, halved: onnx.ModelProto, x: np.ndarray) -> None:
    """With weights rounded beforehand nothing is lost: the arithmetic is in single precision."""
    large = {t.name for t in halved.graph.initializer if t.data_type == TensorProto.FLOAT16}
    assert large
    assert all(np.prod(t.dims) < HALF_FROM for t in halved.graph.initializer if t.data_type == TensorProto.FLOAT), (
        "what is left in single precision is small"
    )
    again = onnx.ModelProto()
    again.CopyFrom(halved)
    for tensor in list(again.graph.initializer):
        if tensor.data_type == TensorProto.FLOAT16:
            values = onnx.numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    for ours, theirs in zip(answer(halved, x), answer(again, x), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-5)


def test_a_batch_of_any_size(model: onnx.ModelProto, x: np.ndarray) -> None:
    whole = answer(model, x)
    for part in (slice(0, 1), slice(3, 8)):
        for ours, theirs in zip(answer(model, x[part]), whole, strict=True):
            assert ours == pytest.approx(theirs[part], rel=1e-4, abs=1e-4)


def test_the_files_of_an_export(run: Path, recipe: Recipe, network: Prism, x: np.ndarray, tmp_path: Path) -> None:
    path = export(run / "last.ckpt", run, tmp_path / "out")
    assert sorted(p.name for p in path.parent.iterdir()) == ["tiny.json", "tiny.onnx"]
    card = read_card("tiny", folder=path.parent)
    assert card["name"] == "tiny"
    assert card["network"] == "prism"
    assert card["parameters"] == sum(p.numel() for p in network.parameters())
    assert card["grid"] == recipe.grid.model_dump()
    assert card["checkpoint_step"] == 6
    assert card["training"] == json.loads((run / "run.json").read_text())
    assert {"input", "outputs", "chosen_by"} <= set(card)
    loaded = load_exported("tiny", folder=path.parent, threads=1)
    assert loaded.grid == recipe.grid.grid()
    for ours, theirs in zip(loaded(x), of_torch(network, x), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-3)


def test_a_folder_without_a_run(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no training run \(No such file or directory: run\.json\)"):
        export(run / "best.ckpt", tmp_path, tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(InputError, match="of another version or damaged"):
        export(run / "best.ckpt", tmp_path, tmp_path)


def test_a_checkpoint_that_is_none(run: Path, recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.ckpt: no such checkpoint"):
        load_network(tmp_path / "none.ckpt", recipe)
    path = tmp_path / "bad.ckpt"
    for content in (b"", b"these are words", (run / "last.ckpt").read_bytes()[:5000]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"bad\.ckpt: not a checkpoint"):
            load_network(path, recipe)
    torch.save({"weights": 1}, path)
    with pytest.raises(InputError, match="not a checkpoint of a training run"):
        load_network(path, recipe)


def test_a_checkpoint_of_another_recipe(run: Path, recipe: Recipe) -> None:
    wider = recipe.model_copy(update={"network": recipe.network.model_copy(update={"hidden": 32})})
    with pytest.raises(InputError, match=r"last\.ckpt: not a checkpoint of this recipe"):
        load_network(run / "last.ckpt", wider)


def test_a_failed_export_leaves_what_was_there(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "best.ckpt").write_bytes(b"damaged")
    (tmp_path / "tiny.onnx").write_bytes(b"before")
    with pytest.raises(InputError):
        export(copy / "best.ckpt", copy, tmp_path)
    assert (tmp_path / "tiny.onnx").read_bytes() == b"before"
