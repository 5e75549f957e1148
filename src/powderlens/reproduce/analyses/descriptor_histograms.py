"""Distribution of the tested crystals over four descriptors, with the share that is answered wrongly.

Source: ML4pXRDs (Schopmans, Reiser and Friederich 2023), Fig. 4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from powderlens.core.errors import InputError
from powderlens.diffraction.figure import BLUE, INK, RED
from powderlens.evaluate.answers import Answers
from powderlens.reproduce.analyses.base import AskedTask, Inputs, Result
from powderlens.reproduce.analyses.drawing import canvas, name_panel, tidy
from powderlens.reproduce.analyses.tested_crystals import Descriptors, descriptors, tested_corpora

AXES = {
    "density_factor": "density factor",
    "crystallite_size_nm": "crystallite size (nm)",
    "volume_A3": "volume of the conventional cell (Å³)",
    "sites": "sites in the asymmetric unit",
}
BINS, MOST = 30, 6
"""Of each histogram at most; records that are drawn at most."""
SHOWN = 0.99
"""Share of all values that the histograms reach; what lies beyond is counted in the table's last row."""

Found = tuple[AskedTask, Answers, Descriptors]


def analyse(inputs: Inputs) -> Result:
    """One row of histograms for every record of space groups; `--corpus` is the tested one, or a folder of several.

    Raises:
        InputError: more records than can be drawn; see `tested_crystals.tested_corpora`.
    """
    inputs, corpora, left = tested_corpora(inputs)
    asked = inputs.asked("space_group")
    if len(asked) > MOST:
        raise InputError(f"{len(asked)} records; give at most {MOST}, such as a network on real and synthetic crystals")
    found: list[Found] = []
    for one in asked:
        answers = one.answers()
        of = descriptors(corpora[one.record.tested.sha256], answers.pattern)
        found.append((one, answers, of))
    edges = {name: _edges(name, np.concatenate([getattr(of, name) for *_, of in found])) for name in AXES}
    rows: list[dict[str, Any]] = []
    for one, answers, of in found:
        for name, cuts in edges.items():
            if len(cuts):
                rows += _rows(one, answers, name, getattr(of, name), cuts)
    return Result(rows, _figure(rows, asked, edges), [*_notes(found), *left])


def _edges(name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the histogram; none where nothing varies."""
    values = values[np.isfinite(values)]
    if not len(values) or np.ptp(values) == 0:
        return np.empty(0)
    high = float(np.quantile(values, SHOWN))
    if name == "sites":
        step = max(1, int(np.ceil((high + 1) / BINS)))
        return np.arange(0.5, high + step + 0.5, step)
    low = float(values.min()) if name == "crystallite_size_nm" else 0.0
    return np.linspace(low, float(values.max()) if name == "crystallite_size_nm" else high, BINS + 1)


def _rows(
    one: AskedTask, answers: Answers, name: str, values: NDArray[np.float64], edges: NDArray[np.float64]
) -> list[dict[str, Any]]:
    every, _ = np.histogram(values, edges)
    right, _ = np.histogram(values[answers.right], edges)
    beyond = values > edges[-1]
    every, right = np.append(every, beyond.sum()), np.append(right, (beyond & answers.right).sum())
    return [
        {
            "network": one.label,
            "tested": one.record.tested.name,
            "descriptor": name,
            "from": float(low),
            "to": float(high),
            "patterns": int(n),
            "wrong": int(n - t),
            "share_of_patterns": float(n / len(values)),
        }
        for low, high, n, t in zip(edges, [*edges[1:], np.inf], every, right, strict=True)
    ]


def _figure(rows: list[dict[str, Any]], asked: list[AskedTask], edges: dict[str, NDArray[np.float64]]) -> Figure:
    names = [name for name, cuts in edges.items() if len(cuts)]
    down, across = len(asked), len(names)
    figure, panels = canvas(3.4 * across, 0.7 + 2.3 * down, down, across, sharex="col", sharey="col")
    for i, one in enumerate(asked):
        for j, name in enumerate(names):
            axes, cuts = panels[i, j], edges[name]
            width = np.diff(cuts)
            share, wrong = _heights(rows, one, name)
            axes.bar(cuts[:-1], (share - wrong) / width, width, align="edge", color=BLUE, label="right")
            axes.bar(
                cuts[:-1], wrong / width, width, align="edge", bottom=(share - wrong) / width, color=RED, label="wrong"
            )
            for other in asked:
                if other.tested != one.tested:
                    axes.stairs(_heights(rows, other, name)[0] / width, cuts, color=INK, linewidth=0.9, label="others")
            axes.set_yticks([])
            tidy(axes)
            if i == len(asked) - 1:
                axes.set_xlabel(AXES[name])
        panels[i, 0].set_ylabel("density")
        name_panel(panels[i, 0], one.label)
    handles, words = panels[0, -1].get_legend_handles_labels()
    once = dict(zip(words, handles, strict=True))
    panels[0, -1].legend(once.values(), once.keys(), frameon=False, fontsize=8)
    return figure


def _heights(rows: list[dict[str, Any]], one: AskedTask, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of the patterns, and of the wrong ones, in each bin that is drawn."""
    mine = [row for row in rows if row["network"] == one.label and row["descriptor"] == name][:-1]
    share = np.array([row["share_of_patterns"] for row in mine])
    return share, share * np.array([row["wrong"] / max(1, row["patterns"]) for row in mine])


def _notes(found: list[Found]) -> list[str]:
    notes = [f"{one.label}: {answers.right.mean():.1%} right of {len(answers.truth):,}." for one, answers, _ in found]
    first, _, of = found[0]
    for other, _, others in found[1:]:
        if other.tested != first.tested:
            apart = {
                name: ks_2samp(getattr(of, name), getattr(others, name), method="asymp").statistic for name in AXES
            }
            notes.append(
                f"Kolmogorov-Smirnov distance of {first.record.tested.corpus} and {other.record.tested.corpus}: "
                + ", ".join(f"{AXES[name].split(' (')[0]} {d:.3f}" for name, d in apart.items())
                + "."
            )
    notes.append(
        "Bars are right and wrong answers, lines the outlines of the other tested parts; each panel reaches "
        f"{SHOWN:.0%} of the values, the table's last row of each counts the rest."
    )
    return notes
