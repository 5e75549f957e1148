"""Loss of accuracy when the peaks of one band of intensity are cut off.

SimXRD (Cao et al. 2025) Fig. 6 sorts peaks into fifths of the strongest one. It says neither what a peak is nor what is
put in its place. Here: a pattern is smoothed over `SMOOTH` points; maxima that stand out by `PROMINENCE` of the highest
are peaks; each reaches to the minima between it and its neighbours; it is cut off at the straight line between these
two feet. Networks scale what is left to its own maximum.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks

from powderlens.evaluate.answers import SILENT, share
from powderlens.reproduce.analyses.asked_networks import AskedNetwork, asked_networks, some_of
from powderlens.reproduce.analyses.base import Inputs, Result, grouped
from powderlens.reproduce.analyses.drawing import canvas, heat_map, heat_size

BANDS = ("0-20 %", "20-40 %", "40-60 %", "60-80 %", "80-100 %")
SMOOTH = 7
PROMINENCE = 0.05
MOST = 4000
"""Patterns that are asked."""
CHUNK = 500


@dataclass(frozen=True, eq=False)
class Peaks:
    """The peaks of one pattern.

    Attributes:
        band: (p,) index into `BANDS` of each, by its height relative to the highest.
        edges: (p + 1,) points of the feet; peak i reaches from edge i to edge i + 1, both among it.
        floor: (points,) straight lines between the feet.
    """

    band: NDArray[np.int64]
    edges: NDArray[np.int64]
    floor: NDArray[np.float64]


def find(pattern: NDArray[np.floating[Any]]) -> Peaks:
    """The peaks of a pattern (points,); the strongest is always one where there is any."""
    smooth = uniform_filter1d(np.asarray(pattern, np.float64), SMOOTH, mode="nearest")
    top = smooth.max()
    at, _ = find_peaks(smooth, prominence=PROMINENCE * (top - smooth.min()))
    inner = [int(a + smooth[a:b].argmin()) for a, b in pairwise(at.tolist())]
    edges = np.array([0, *inner, len(smooth) - 1] if len(at) else [0])
    band = np.minimum(smooth[at] / top * len(BANDS), len(BANDS) - 1).astype(np.int64)
    return Peaks(band, edges, np.interp(np.arange(len(smooth)), edges, smooth[edges]))


def cut(pattern: NDArray[np.float32], peaks: Peaks, band: int) -> NDArray[np.float32]:
    """A pattern (points,) without the peaks of a band.

    Args:
        pattern: (points,).
        peaks: of this pattern.
        band: index into `BANDS`.
    """
    left = pattern.copy()
    for i in np.flatnonzero(peaks.band == band):
        here = slice(peaks.edges[i], peaks.edges[i + 1] + 1)
        left[here] = np.minimum(pattern[here], peaks.floor[here])
    return left


def analyse(inputs: Inputs) -> Result:
    """Accuracy with and without the peaks of each band, for every run and each of its tasks."""
    rows: list[dict[str, Any]] = []
    notes = []
    for one in asked_networks(inputs):
        mine, same, n = _of_network(one, inputs.seed)
        rows += mine
        notes.append(f"{one.label}: {n:,} patterns; asked again, {100 * same:.2f} % of the answers are the record's.")
    drops = [[row["relative_drop_percent"] for row in some] for some in _by_task(rows).values()]
    loses = [BANDS[int(np.nanargmax(some))] for some in drops if np.isfinite(some).any()]
    most = [f"{band} of the strongest ({loses.count(band)} of {len(loses)} rows)" for band in sorted(set(loses))]
    notes.insert(0, f"Most is lost with the peaks of {', '.join(most)}.")
    notes.append(
        f"A peak stands out by {100 * PROMINENCE:g} % of the highest after smoothing over {SMOOTH} points and is cut "
        "off at the line between its feet; the pattern is then scaled to what is left. Bands differ in how many peaks "
        "and how much area they hold (columns of the table), so drops are not those of single peaks. The paper does "
        "not say how it masked."
    )
    return Result(rows, _figure(rows), notes)


def _by_task(rows: list[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    return grouped(rows, lambda row: (row["network"], row["task"]))


def _of_network(one: AskedNetwork, seed: int) -> tuple[list[dict[str, Any]], float, int]:
    """Rows of all tasks and bands, the share of answers that are the record's, and the number of patterns."""
    held = {task.name: one.answers(task.name) for task in one.tasks}
    answered = [answers.pattern[answers.predicted != SILENT] for answers in held.values()]
    numbers = some_of(np.unique(np.concatenate(answered)), MOST, seed)
    bands, many = range(len(BANDS)), len(numbers)
    whole = {name: np.empty(many, np.int64) for name in held}
    masked = {name: np.empty((len(BANDS), many), np.int64) for name in held}
    count, area = np.zeros((2, many, len(BANDS)))
    for first in range(0, many, CHUNK):
        here = slice(first, first + CHUNK)
        patterns, masks = one.read(numbers[here])
        for name, said in one.ask(patterns, masks).items():
            whole[name][here] = said
        peaks = [find(pattern) for pattern in patterns]
        for band in bands:
            left = np.stack([cut(pattern, its, band) for pattern, its in zip(patterns, peaks, strict=True)])
            for name, said in one.ask(left, masks).items():
                masked[name][band, here] = said
            count[here, band] = [(its.band == band).sum() for its in peaks]
            area[here, band] = (patterns - left).sum(axis=1) / np.maximum(np.abs(patterns).sum(axis=1), 1e-12)
    rows, same = [], []
    for name, answers in held.items():
        row_of = {number: i for i, number in enumerate(answers.pattern.tolist())}
        known = np.array([number in row_of for number in numbers.tolist()])
        at = np.array([row_of[number] for number in numbers[known].tolist()])
        said = whole[name][known]
        same.append(float((said == answers.predicted[at]).mean()))
        right = said == answers.truth[at]
        for band, words in enumerate(BANDS):
            still = masked[name][band, known] == answers.truth[at]
            drop, error = share(right.astype(float) - still, answers.crystal[at])
            base = float(right.mean())
            rows.append(
                {
                    "network": one.label,
                    "task": name,
                    "band": words,
                    "patterns": len(at),
                    "patterns_with_peaks": int((count[known, band] > 0).sum()),
                    "peaks_per_pattern": float(count[known, band].mean()),
                    "area_cut_percent": 100 * float(area[known, band].mean()),
                    "accuracy": base,
                    "accuracy_masked": float(still.mean()),
                    "relative_drop_percent": 100 * drop / base if base else float("nan"),
                    "standard_error_percent": 100 * error / base if base else float("nan"),
                }
            )
    return rows, float(np.mean(same)), len(numbers)


def _figure(rows: list[dict[str, Any]]) -> Figure:
    keys = list(_by_task(rows))
    several = len({task for _, task in keys}) > 1
    names = [f"{network}, {task.replace('_', ' ')}" if several else network for network, task in keys]
    values = np.array([row["relative_drop_percent"] for row in rows]).reshape(len(keys), len(BANDS))
    figure, ((axes,),) = canvas(*heat_size(len(keys), 9, names=names, above=2.0))
    heat_map(axes, values, names, BANDS, limits=(0.0, max(100.0, float(np.nanmax(values)))), colours="OrRd", digits=1)
    axes.tick_params(axis="x", rotation=0)
    axes.set_xlabel("peaks cut off, by height relative to the strongest")
    axes.set_title("relative loss of accuracy (%)", loc="left", fontsize=10)
    return figure
