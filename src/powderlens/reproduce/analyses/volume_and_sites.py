"""Error by the volume of the cell and by the number of sites.

Source: ML4pXRDs (Schopmans, Reiser and Friederich 2023), Fig. 6.
"""

from __future__ import annotations

from itertools import pairwise
from math import inf
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from powderlens.evaluate.answers import share
from powderlens.reproduce.analyses.base import AskedTask, Inputs, Result, grouped
from powderlens.reproduce.analyses.drawing import beside, canvas, strokes, tidy
from powderlens.reproduce.analyses.tested_crystals import descriptors, tested_corpora

EDGES: dict[str, tuple[float, ...]] = {
    "volume_A3": (0, 50, 100, 200, 300, 400, 500, 750, 1000, 1500, 2000, 3000, 5000, inf),
    "sites": (1, 2, 3, 4, 5, 6, 7, 9, 13, 21, 41, inf),
}
"""Each interval holds its lower end."""
AXES = {"volume_A3": "volume of the conventional cell (Å³)", "sites": "sites in the asymmetric unit"}
FEW = 10
"""Crystals below which a point is drawn hollow."""


def analyse(inputs: Inputs) -> Result:
    """Every record with a task of classes, space groups first; `--corpus` is the tested one, or a folder of several.

    Raises:
        InputError: see `tested_crystals.tested_corpora`.
    """
    inputs, corpora, left = tested_corpora(inputs)
    asked = inputs.asked("space_group", "crystal_system", "extinction_class")
    rows: list[dict[str, Any]] = []
    for one in asked:
        answers = one.answers()
        of = descriptors(corpora[one.record.tested.sha256], answers.pattern)
        for name, edges in EDGES.items():
            values = getattr(of, name)
            for low, high in pairwise(edges):
                inside = (values >= low) & (values < high)
                wrong, error = share(~answers.right[inside], answers.crystal[inside])
                rows.append(
                    {
                        "network": one.label,
                        "task": one.task,
                        "tested": one.record.tested.name,
                        "by": name,
                        "from": float(low),
                        "below": float(high),
                        "patterns": int(inside.sum()),
                        "crystals": len(np.unique(answers.crystal[inside])),
                        "share_of_patterns": float(inside.mean()),
                        "error": wrong,
                        "standard_error": error,
                    }
                )
    return Result(rows, _figure(rows, asked), [*_notes(rows, asked), *left])


def _interval(name: str, low: float, high: float) -> str:
    if high == inf:
        return f"{low:g} +"
    if name == "sites":
        return f"{low:g}" if high == low + 1 else f"{low:g}-{high - 1:g}"
    return f"{low:g}-{high:g}"


def _curves(rows: list[dict[str, Any]]) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """The intervals of each network, task and quantity."""
    return grouped(rows, lambda row: (row["network"], row["task"], row["by"]))


def _figure(rows: list[dict[str, Any]], asked: list[AskedTask]) -> Figure:
    figure, panels = canvas(11.5, 5.6, 2, 2, sharex="col", height_ratios=(3, 1))
    drawn, curves = strokes(len(asked)), _curves(rows)
    parts = list(dict.fromkeys(row["tested"] for row in rows))
    for column, (name, edges) in enumerate(EDGES.items()):
        above, below = panels[:, column]
        at = np.arange(len(edges) - 1)
        for one, stroke in zip(asked, drawn, strict=True):
            mine = curves[one.label, one.task, name]
            y, error = (100 * np.array([row[field] for row in mine]) for field in ("error", "standard_error"))
            above.errorbar(at, y, np.nan_to_num(error), label=one.label, linewidth=1.1, elinewidth=0.7, **stroke)
            few = np.array([row["crystals"] < FEW for row in mine])
            above.plot(at[few], y[few], stroke["marker"], color="white", markersize=2, zorder=3)
        for i, part in enumerate(parts):
            shares = [r["share_of_patterns"] for r in rows if r["tested"] == part and r["by"] == name][: len(at)]
            width = 0.8 / len(parts)
            shade = f"{0.35 + 0.4 * i / max(1, len(parts) - 1):.2f}"
            below.bar(at - 0.4 + (i + 0.5) * width, 100 * np.array(shares), width, color=shade, label=part)
        above.set_ylim(0, 101)
        below.set_xticks(at, [_interval(name, *pair) for pair in pairwise(edges)], rotation=60)
        below.set_xlabel(AXES[name])
        tidy(above)
        tidy(below)
    panels[0, 0].set_ylabel("wrong answers (%)")
    panels[1, 0].set_ylabel("share of the\npatterns (%)")
    beside(panels[0, 1])
    beside(panels[1, 1])
    return figure


def _notes(rows: list[dict[str, Any]], asked: list[AskedTask]) -> list[str]:
    notes, curves = [], _curves(rows)
    for one in asked:
        for name in EDGES:
            mine = curves[one.label, one.task, name]
            held = [row for row in mine if row["crystals"] >= FEW]
            if len(held) > 1:
                first, last = held[0], held[-1]
                spans = [_interval(name, row["from"], row["below"]) for row in (first, last)]
                unit = " Å³" if name == "volume_A3" else " sites"
                notes.append(
                    f"{one.label}, {one.task.replace('_', ' ')}: {first['error']:.0%} wrong at {spans[0]}{unit}, "
                    f"{last['error']:.0%} at {spans[1]}{unit}."
                )
    notes.append(
        f"Bars are standard errors over crystals; hollow points stand for fewer than {FEW} crystals. Volume, number of "
        "sites and symmetry go together: none of the two curves shows one of them alone."
    )
    return notes
