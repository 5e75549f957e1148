"""How good a network is on simulated patterns of crystals that training never saw."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from powderlens.core.errors import InputError
from powderlens.corpus.splits import split_indices
from powderlens.corpus.store.reflection_table import ReflectionTable
from powderlens.corpus.stream.from_crystals import CrystalStream, origin, sampling_weights
from powderlens.corpus.stream.stream import FloorStream, Stream, seen_of
from powderlens.corpus.stream.view import View
from powderlens.diffraction.protocol import load_protocol
from powderlens.evaluate.metrics import classification, lattice
from powderlens.models.runtime import Model
from powderlens.pattern.prepare import WHOLE
from powderlens.pattern.spacing import SpacingGrid

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

    Of a model without mask, patterns that are measured on less than 99 % of its grid are left out and counted, as
    `identify` would refuse them.

    Args:
        model: with heads of system, group and cell.
        table: reflections of all crystals.
        shares: database -> share of the draws.
        part: "validation" or "test".
        patterns: how many are drawn.
        seed: of crystals and conditions.
        protocol: name or file of the protocol that draws the conditions.

    Raises:
        InputError: no crystal in that part, or no pattern that a model without mask reads.
    """
    rows = split_indices(table.elements, table.space_group.tolist())[part]
    if not len(rows):
        raise InputError(f"no crystal in the part {part!r}; larger tables have some")
    weights = sampling_weights(table, rows, shares)
    drawn_by, masked = load_protocol(protocol), model.weights.mask
    how: dict[str, Any] = {"size": BATCH, "seed": seed}
    stream: Stream
    if isinstance(model.grid, SpacingGrid):
        view = View(grid=model.grid, home=drawn_by.grid, instruments=0.0, loosened=0.0)
        stream = CrystalStream(table, rows, weights, drawn_by, view=view, **how)
    else:
        stream = FloorStream(CrystalStream(table, rows, weights, drawn_by, grid=model.grid, **how))
    said, batches = [], []
    for first in range(0, patterns, BATCH):
        batch = stream.draw(np.arange(first, min(first + BATCH, patterns)))
        if not masked:
            share = (batch.measured[:, 1] - batch.measured[:, 0]) / model.grid.points
            batch = batch.of(np.flatnonzero(share >= WHOLE))
            if not len(batch):
                continue
        mask = seen_of(batch, model.grid) if masked else None
        batches.append(batch)
        said.append(model(batch.patterns, mask))
    drawn = sum(map(len, batches))
    if not drawn:
        raise InputError(
            f"{model.name} reads no mask, and protocol {protocol} draws no pattern of its whole grid; take another "
            "protocol, or train it with mask = true"
        )
    group, system, cell = (
        np.concatenate([one[task] for one in said]).astype(float)
        for task in ("space_group", "crystal_system", "lattice")
    )
    group, system = softmax(group, axis=1), softmax(system, axis=1)
    true_group = np.concatenate([batch.space_group for batch in batches]).astype(np.int64) - 1
    true_system = np.concatenate([batch.crystal_system for batch in batches]).astype(np.int64)
    true_cell = np.concatenate([batch.niggli for batch in batches]).astype(float)
    origins = np.array([origin(table.ids[i]) for batch in batches for i in batch.crystal])

    def figures(at: NDArray[np.int64]) -> dict[str, object]:
        return {
            "patterns": len(at),
            **classification(system[at], group[at], true_group[at], true_system[at]),
            "niggli": lattice(cell[at], true_cell[at], true_cell.mean(axis=0)),
        }

    return {
        "part": part,
        "crystals_in_part": len(rows),
        "seed": seed,
        "protocol": protocol,
        **({} if masked else {"left_out": patterns - drawn}),
        "all": figures(np.arange(drawn)),
        "by_database": {name: figures(np.flatnonzero(origins == name)) for name in sorted(set(origins))},
    }
