"""How good a network is on simulated patterns of crystals that training never saw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.corpus.splits import split_indices
from powderlens.corpus.store.reflection_table import ReflectionTable
from powderlens.corpus.stream.from_crystals import CrystalStream, origin, sampling_weights
from powderlens.corpus.stream.stream import FloorStream
from powderlens.diffraction.protocol import load_protocol
from powderlens.evaluate.metrics import classification, lattice
from powderlens.models.runtime import Model

BATCH = 256


def evaluate_held_out(
    model: Model,
    table: ReflectionTable,
    *,
    shares: dict[str, float],
    part: str = "test",
    patterns: int = 4096,
    seed: int = 7,
    protocol: str = "lab",
) -> dict[str, object]:
    """Figures on crystals of one part of the split, drawn by the training weights.

    Args:
        model: with heads of system, group and cell.
        table: reflections of all crystals.
        shares: database -> share of the draws.
        part: "validation" or "test".
        patterns: how many are drawn.
        seed: of crystals and conditions.
        protocol: name or file of the protocol that draws the conditions.

    Raises:
        InputError: no crystal in that part.
    """
    rows = split_indices(table.elements, table.space_group.tolist())[part]
    if not len(rows):
        raise InputError(f"no crystal in the part {part!r}; larger tables have some")
    weights = sampling_weights(table, rows, shares)
    stream = FloorStream(
        CrystalStream(table, rows, weights, load_protocol(protocol), size=BATCH, seed=seed, grid=model.grid)
    )
    at = np.arange(model.grid.points)
    groups, systems, cells, parts = [], [], [], []
    for i in range(0, patterns, BATCH):
        batch = stream.draw(np.arange(i, min(i + BATCH, patterns)))
        said = model(batch.patterns, (at >= batch.measured[:, :1]) & (at < batch.measured[:, 1:]))
        groups.append(_softmax(said["space_group"]))
        systems.append(_softmax(said["crystal_system"]))
        cells.append(said["lattice"])
        parts.append(batch)
    group, system, cell = np.concatenate(groups), np.concatenate(systems), np.concatenate(cells)
    true_group = np.concatenate([b.space_group for b in parts]).astype(np.int64) - 1
    true_system = np.concatenate([b.crystal_system for b in parts]).astype(np.int64)
    true_cell = np.concatenate([b.niggli for b in parts]).astype(float)
    origins = np.array([origin(table.ids[i]) for b in parts for i in b.crystal])

    def figures(at: NDArray[np.int64]) -> dict[str, object]:
        return {
            "patterns": len(at),
            **classification(system[at], group[at], true_group[at], true_system[at]),
            "niggli": lattice(cell[at].astype(float), true_cell[at], true_cell.mean(axis=0)),
        }

    return {
        "part": part,
        "crystals_in_part": len(rows),
        "seed": seed,
        "protocol": protocol,
        "all": figures(np.arange(patterns)),
        "by_database": {name: figures(np.flatnonzero(origins == name)) for name in sorted(set(origins))},
    }


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    powers = np.exp(logits.astype(float) - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
