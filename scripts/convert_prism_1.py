"""How the files of prism-1 came into the form of all exports.

    python scripts/convert_prism_1.py OLD.onnx OLD.json FOLDER

OLD are the files of powderlens 0.1 (git show 447e11f:src/powderlens/models/data/prism-1.onnx), whose graph took square
roots and mask in two channels and whose exporter had folded four batch norms into their neighbours. The weights stay
as they are, bit for bit. The four norms come back with the mean and variance of 1,024 patterns of the protocol `lab`
and with a scale and shift that undo them: the network says the same, and training on from it starts where it stands.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from powderlens.corpus.store.reflection_table import ReflectionTable
from powderlens.corpus.stream.from_crystals import CrystalStream
from powderlens.corpus.stream.stream import FloorStream
from powderlens.diffraction.protocol import load_protocol
from powderlens.models.card import Card, Weights
from powderlens.models.network import Network
from powderlens.models.registry import build, card
from powderlens.models.task import crystal_system, lattice, space_group
from powderlens.models.to_onnx import to_onnx
from powderlens.pattern.grid import Grid

ROOT = Path(__file__).resolve().parents[1]
HEADS = {"system": "heads.crystal_system", "group": "heads.space_group", "lattice": "heads.lattice"}
FOLDED = {"body.trunk.0": "body.trunk.1", "body.shared.1": "body.shared.2"} | {
    f"body.trunk.{block}.body.2": f"body.trunk.{block}.body.3" for block in (4, 8)
}
"""Layers whose batch norm had been folded into them."""
PATTERNS, BATCH = 1024, 64


def old_weights(path: Path) -> dict[str, Tensor]:
    """By today's names, in single precision."""
    weights = {}
    for tensor in onnx.load(path).graph.initializer:
        name = tensor.name.removesuffix("_half")
        first, dot, rest = name.partition(".")
        if dot:
            new = f"{HEADS[first]}.{rest}" if first in HEADS else f"body.{name}"
            weights[new] = torch.from_numpy(onnx.numpy_helper.to_array(tensor).astype(np.float32))
    return weights


def examples(grid: Grid) -> tuple[Tensor, Tensor]:
    """(PATTERNS, points) intensities above the floor, and where they are measured."""
    table = ReflectionTable.load(ROOT / "examples" / "crystals-small.parquet")
    every = np.arange(len(table))
    shares = np.full(len(every), 1 / len(every))
    stream = CrystalStream(table, every, shares, load_protocol("lab"), size=PATTERNS, seed=0, grid=grid)
    batch = FloorStream(stream).batch(0)
    at = np.arange(grid.points)
    mask = (at >= batch.measured[:, :1]) & (at < batch.measured[:, 1:])
    return torch.from_numpy(batch.patterns), torch.from_numpy(mask)


@torch.no_grad()
def unfold(network: Network, old: dict[str, Tensor], x_BL: Tensor, mask_BL: Tensor) -> None:
    """Give back, one after the other in the order of the network, the norms that had been folded."""
    for layer, norm_name in FOLDED.items():
        norm = network.get_submodule(norm_name)
        assert isinstance(norm, nn.BatchNorm1d)
        seen: list[Tensor] = []
        hook = network.get_submodule(layer).register_forward_hook(lambda _m, _x, y, seen=seen: seen.append(y))
        for some, measured in zip(x_BL.split(BATCH), mask_BL.split(BATCH), strict=True):
            network(some, measured)
        hook.remove()
        y = torch.cat(seen).double()
        axes = (0, 2) if y.ndim == 3 else (0,)
        mean, variance = y.mean(axes), y.var(axes, unbiased=False)
        folded_bias = old.get(f"{layer}.weight_bias", torch.zeros(len(mean)))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((norm.running_var.double() + norm.eps).sqrt())
        norm.bias.copy_(norm.running_mean.double() + folded_bias)


def main(onnx_file: Path, card_file: Path, folder: Path) -> None:
    about = json.loads(card_file.read_text())
    grid = Grid(**about["grid"])
    tasks = (crystal_system(), space_group(), lattice())
    network = build("prism", tasks, points=grid.points, mask=True, seed=0).eval()
    old = old_weights(onnx_file)
    missing, unexpected = network.load_state_dict(old, strict=False)
    assert all(name.rpartition(".")[0] in FOLDED.values() or "num_batches" in name for name in missing), missing
    assert all(name.endswith("weight_bias") for name in unexpected), unexpected
    for norm_name in FOLDED.values():  # the identity, so that what follows sees what it saw
        norm = network.get_submodule(norm_name)
        assert isinstance(norm, nn.BatchNorm1d)
        layer = next(name for name, other in FOLDED.items() if other == norm_name)
        with torch.no_grad():
            norm.weight.fill_((1 + norm.eps) ** 0.5)
            norm.bias.copy_(old.get(f"{layer}.weight_bias", torch.zeros(len(norm.bias))))
    unfold(network, old, *examples(grid))
    made: Card = replace(
        card("prism"),
        weights=Weights(
            name=about["name"],
            size="full",
            as_published=False,
            options={},
            mask=True,
            floor=True,
            grid=grid,
            tasks=tasks,
            parameters=sum(parameter.numel() for parameter in network.parameters()),
            step=about["checkpoint_step"],
            chosen_by=about["chosen_by"],
            averaged_share=about["averaged_share_of_weights"],
            training=about["training"],
            notes=(
                "Four batch norms had been folded into their neighbours; they are back with the mean and variance of "
                "1,024 simulated patterns, see scripts/convert_prism_1.py.",
            ),
        ),
    )
    (folder / f"{about['name']}.onnx").write_bytes(to_onnx(network, half=True))
    (folder / f"{about['name']}.json").write_text(json.dumps(made.to_dict(), indent=2) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
