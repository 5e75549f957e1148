"""A map of patterns in the plane: t-SNE of the patterns (SimXRD, Fig. 10), or of networks' features of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from powderlens.core.errors import InputError
from powderlens.corpus.store.corpus import Corpus
from powderlens.reproduce.analyses.asked_networks import BATCH, AskedNetwork, asked_networks, some_of
from powderlens.reproduce.analyses.base import Inputs, Result, check_corpus
from powderlens.reproduce.analyses.drawing import canvas, name_panel
from powderlens.symmetry.groups import SYSTEMS

MOST = 2000
"""Patterns that are drawn."""
COMPONENTS = 50
"""Principal components that are kept first."""
PERPLEXITY = 30.0


def neighbours_agree(points: NDArray[np.floating[Any]], crystal: NDArray[Any], kind: NDArray[Any]) -> float:
    """Share of points whose nearest neighbour of another crystal is of their kind.

    Args:
        points: (n, d).
        crystal: (n,) which crystal each is of; neighbours of the same one are passed over.
        kind: (n,) any label.
    """
    squares = np.square(points).sum(axis=1)
    distance = squares[:, None] + squares[None, :] - 2 * points @ points.T
    distance[crystal[:, None] == crystal[None, :]] = np.inf
    nearest = distance.argmin(axis=1)
    there = np.isfinite(distance).any(axis=1)
    return float((kind[nearest] == kind)[there].mean()) if there.any() else float("nan")


def analyse(inputs: Inputs) -> Result:
    """One map a run; without `--run`, one of the patterns themselves, scaled to maximum 1.

    Raises:
        InputError: records of several tested parts, or fewer than five patterns with a known space group.
    """
    inputs, left = inputs.on_corpus("tested")
    assert inputs.corpus is not None
    if len({(one.tested.sha256, one.tested.part) for _, one in inputs.records}) > 1:
        raise InputError("the records were tested on several parts; a map is of one")
    record = inputs.records[0][1]
    asked = asked_networks(inputs) if inputs.runs else []
    corpus = asked[0].corpus if asked else check_corpus(inputs.corpus, record.tested, "was tested on")
    numbers = corpus.numbers(record.tested.part)
    numbers = some_of(numbers[corpus.labels(numbers).space_group > 0], MOST, inputs.seed)
    if len(numbers) < 5:
        raise InputError(
            f"{inputs.corpus}: {len(numbers)} patterns with a known space group; a map needs at least five"
        )
    labels = corpus.labels(numbers)
    crystal = corpus.crystal_of(numbers)
    rows: list[dict[str, Any]] = []
    notes, maps = [], []
    for name, points in _points(asked, corpus, numbers):
        kept = PCA(min(COMPONENTS, *points.shape), random_state=inputs.seed).fit_transform(points)
        perplexity = min(PERPLEXITY, (len(numbers) - 1) / 3)
        plane = TSNE(perplexity=perplexity, random_state=inputs.seed, n_jobs=1).fit_transform(kept.astype(np.float32))
        maps.append((name, plane))
        rows += [
            {
                "of": name,
                "pattern": int(number),
                "crystal": int(its),
                "space_group": int(group),
                "crystal_system": SYSTEMS[system],
                "x": float(x),
                "y": float(y),
            }
            for number, its, group, system, (x, y) in zip(
                numbers, crystal, labels.space_group, labels.crystal_system, plane, strict=True
            )
        ]
        agree = [
            100 * neighbours_agree(space, crystal, kind)
            for space in (kept, plane)
            for kind in (labels.crystal_system, labels.space_group)
        ]
        notes.append(
            f"{name}: the nearest neighbour of another crystal is of the same system for {agree[0]:.1f} % and of the "
            f"same space group for {agree[1]:.1f} % before the map ({kept.shape[1]} principal components), "
            f"{agree[2]:.1f} % and {agree[3]:.1f} % in it."
        )
    chance = [
        100 * float(np.square(np.unique(kind, return_counts=True)[1] / len(kind)).sum())
        for kind in (labels.crystal_system, labels.space_group)
    ]
    notes.append(
        f"Two patterns at random agree in {chance[0]:.1f} and {chance[1]:.1f} %. {len(numbers):,} patterns of "
        f"{len(np.unique(crystal)):,} crystals of {record.tested.corpus}:{record.tested.part}, perplexity "
        f"{perplexity:g}, seed {inputs.seed}; distances between far groups in such a map mean nothing."
    )
    figure = _figure(maps, labels.crystal_system, labels.space_group)
    return Result(rows, figure, [*notes, *left])


def _points(
    asked: list[AskedNetwork], corpus: Corpus, numbers: NDArray[np.int64]
) -> list[tuple[str, NDArray[np.float32]]]:
    """Names, and (n, d) vectors of the patterns."""
    if not asked:
        patterns = corpus.draw(numbers).astype(np.float32)
        return [("patterns", patterns / np.maximum(patterns.max(axis=1, keepdims=True), 1e-12))]
    found = []
    for one in asked:
        parts = []
        with torch.inference_mode():
            for first in range(0, len(numbers), BATCH):
                patterns, masks = one.read(numbers[first : first + BATCH])
                mask_BL = None if masks is None else torch.from_numpy(masks)
                parts.append(one.network.embed(torch.from_numpy(patterns), mask_BL).numpy())
        found.append((f"features of {one.label}", np.concatenate(parts)))
    return found


def _figure(
    maps: list[tuple[str, NDArray[np.floating[Any]]]], systems: NDArray[np.int8], groups: NDArray[np.int16]
) -> Figure:
    figure, grid = canvas(10.5, 0.3 + 4.4 * len(maps), len(maps), 2)
    tints = colormaps["tab10"].colors  # type: ignore[attr-defined]
    for (name, plane), (left, right) in zip(maps, grid, strict=True):
        for i, system in enumerate(SYSTEMS):
            some = systems == i
            if some.any():
                left.scatter(*plane[some].T, s=7, color=tints[i], linewidths=0, label=system)
        left.legend(frameon=False, fontsize=7, markerscale=2, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        dots = right.scatter(*plane.T, s=7, c=groups, cmap="turbo", vmin=1, vmax=230, linewidths=0)
        figure.colorbar(dots, ax=right, label="space group", shrink=0.8)
        name_panel(left, name, 10)
        for axes in (left, right):
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_aspect("equal", adjustable="datalim")
    return figure
