"""What is exported says what the trained network says, of every kind of run."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto

from powderlens.core.errors import InputError
from powderlens.models.load_torch import load_torch
from powderlens.models.network import Network
from powderlens.models.runtime import load_model
from powderlens.models.to_onnx import to_onnx
from powderlens.models.weights import read_card, weights_of
from powderlens.train.components.checkpoint import load_network
from powderlens.train.export import export

RUNS = ("run", "cnn_run")
"""Of prism with a mask and averaged weights, and of a CNN without either."""


@pytest.fixture(scope="module", params=RUNS)
def trained(request: pytest.FixtureRequest) -> Path:
    """Folder of a run."""
    folder: Path = request.getfixturevalue(request.param)
    return folder


@pytest.fixture(scope="module")
def network(trained: Path) -> Network:
    return load_network(trained / "best.ckpt")[0]


@pytest.fixture(scope="module")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(trained / "best.ckpt", trained, tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def x(network: Network) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Five patterns and, where it is read, a mask."""
    generator = torch.Generator().manual_seed(0)
    x_BL = 100 * torch.rand(5, network.points, generator=generator) ** 8
    return x_BL, (torch.rand(5, network.points, generator=generator) > 0.2) if network.mask else None


def of_torch(network: Network, x: tuple[torch.Tensor, torch.Tensor | None]) -> dict[str, np.ndarray]:
    with torch.no_grad():
        return {task: said.numpy() for task, said in network(*x).items()}


def test_three_files(exported: Path, trained: Path, network: Network) -> None:
    assert sorted(path.suffix for path in exported.parent.iterdir()) == [".json", ".onnx", ".safetensors"]
    card = read_card(exported)
    weights = weights_of(card)
    run = json.loads((trained / "run.json").read_text())
    assert weights.name == exported.stem == run["recipe"]["name"]
    assert card.id == f"{run['recipe']['network']['name']}.{exported.stem}"
    assert weights.training == run
    assert weights.tasks == network.tasks
    assert weights.parameters == sum(p.numel() for p in network.parameters())
    assert (weights.mask, weights.floor) == (network.mask, run["recipe"]["data"]["floor"])
    assert weights.grid == load_network(trained / "best.ckpt")[1]
    assert weights.step == load_network(trained / "best.ckpt")[2]["step"] > 0
    assert weights.chosen_by == "lowest loss on the validation patterns"
    assert weights.averaged_share == (1.0 if run["recipe"]["averaging"] else 0.0)


def test_onnx_says_nearly_the_same(
    exported: Path, network: Network, x: tuple[torch.Tensor, torch.Tensor | None]
) -> None:
    """Nearly: weights are in half precision."""
    mask = None if x[1] is None else x[1].numpy()
    for task, said in load_model(exported, threads=1)(x[0].numpy(), mask).items():
        assert said == pytest.approx(of_torch(network, x)[task], rel=3e-3, abs=3e-3)


def test_safetensors_say_the_same(
    exported: Path, network: Network, x: tuple[torch.Tensor, torch.Tensor | None]
) -> None:
    loaded = load_torch(exported.with_suffix(".safetensors"))
    for task, said in of_torch(loaded, x).items():
        assert said.tolist() == of_torch(network, x)[task].tolist()


def test_only_the_storage_is_halved(
    exported: Path, network: Network, x: tuple[torch.Tensor, torch.Tensor | None]
) -> None:
    """With weights rounded beforehand nothing is lost: the arithmetic is in single precision."""
    model = onnx.load(exported)
    halved = {tensor.name for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT16}
    assert halved
    assert all(len(t.dims) < 2 for t in model.graph.initializer if t.data_type == TensorProto.FLOAT)
    rounded = load_torch(exported)
    mask = None if x[1] is None else x[1].numpy()
    for task, said in load_model(exported, threads=1)(x[0].numpy(), mask).items():
        assert said == pytest.approx(of_torch(rounded, x)[task], rel=1e-4, abs=1e-4)
    assert len(to_onnx(network)) > 1.5 * len(to_onnx(network, half=True))


def test_the_share_of_averaged_weights(run: Path, cnn_run: Path, tmp_path: Path) -> None:
    whole, none, half = (load_network(run / "last.ckpt", averaged=share)[0].state_dict() for share in (1.0, 0.0, 0.5))
    name = "body.shared.1.weight"
    assert not torch.equal(whole[name], none[name])
    assert torch.allclose(half[name], (whole[name] + none[name]) / 2)
    weights = weights_of(read_card(export(run / "last.ckpt", run, tmp_path, averaged=0.5)))
    assert weights.averaged_share == 0.5
    assert weights.chosen_by == "nothing: the last checkpoint; 0.5 of the averaged weights, the share chosen by hand"
    with pytest.raises(InputError, match="its run averaged no weights"):
        export(cnn_run / "best.ckpt", cnn_run, tmp_path, averaged=0.5)
    with pytest.raises(InputError, match=r"averaged share 1\.5"):
        export(run / "best.ckpt", run, tmp_path, averaged=1.5)


def test_a_folder_without_a_run(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no training run \(No such file or directory: run\.json\)"):
        export(run / "best.ckpt", tmp_path, tmp_path)
    for content, words in (("{}", "names no recipe"), ("[1]", "names no recipe"), ("{", "damaged")):
        (tmp_path / "run.json").write_text(content)
        with pytest.raises(InputError, match=rf"run\.json: {words}"):
            export(run / "best.ckpt", tmp_path, tmp_path)


def test_a_checkpoint_of_another_run(run: Path, cnn_run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"best\.ckpt: holds weights of another network .prism. than the run says"):
        export(run / "best.ckpt", cnn_run, tmp_path)


def test_a_failed_export_leaves_what_was_there(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All three files are from one export, or none is."""
    ends = (".safetensors", ".onnx", ".json")
    for end in ends:
        (tmp_path / f"tiny{end}").write_bytes(b"before")

    def fail(self: Path, content: bytes) -> int:
        if self.suffix == ".json":
            raise OSError(28, "No space left on device")
        return real(self, content)

    real = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(InputError, match="No space left"):
        export(run / "best.ckpt", run, tmp_path)
    assert {(tmp_path / f"tiny{end}").read_bytes() for end in ends} == {b"before"}
    assert len(list(tmp_path.iterdir())) == 3


class Touch:
    """Runs code where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_run_of_a_stranger_runs_no_code(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    trap = tmp_path / "trap"
    content = torch.load(copy / "best.ckpt", weights_only=True)
    torch.save({**content, "more": Touch(trap)}, copy / "best.ckpt")
    with pytest.raises(InputError, match=r"best\.ckpt: not a checkpoint"):
        export(copy / "best.ckpt", copy, tmp_path)
    pickle.loads(pickle.dumps(Touch(trap)))
    assert trap.exists(), "the trap works"


def test_a_network_of_ones_own_is_imported_only_if_it_is_named_again(
    cnn_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(cnn_run, tmp_path / "run")
    (tmp_path / "stranger.py").write_text("from pathlib import Path\nPath('trap').touch()\nNet = 5\n")
    monkeypatch.chdir(tmp_path)
    about = json.loads((copy / "run.json").read_text())
    about["recipe"]["network"]["name"] = "stranger:Net"
    (copy / "run.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match="only if the command line names it too"):
        export(copy / "best.ckpt", copy, tmp_path)
    assert not (tmp_path / "trap").exists()
    with pytest.raises(InputError, match="is of the network stranger:Net, not of cnn5"):
        export(copy / "best.ckpt", copy, tmp_path, network="cnn5")
    with pytest.raises(InputError, match="stranger:Net: is no network but int"):
        export(copy / "best.ckpt", copy, tmp_path, network="stranger:Net")
    assert (tmp_path / "trap").exists()
