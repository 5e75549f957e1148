"""Edges between answer and truth in the graph of maximal subgroups: AlphaDiffract, Figs. 2c-e, 3b and S6."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from powderlens.evaluate.answers import share
from powderlens.reproduce.analyses.base import AskedTask, Inputs, Result, grouped
from powderlens.reproduce.analyses.drawing import canvas, heat_map, name_panel, open_frame, tints

BARS = 6
"""Networks up to which bars are drawn; more are a table."""


def analyse(inputs: Inputs) -> Result:
    """Share of the patterns at each distance; records that differ in nothing but the seed are taken together."""
    families = grouped(inputs.asked("space_group", seeds=False), lambda one: (one.tested, one.label))
    found = {key: _distances(members) for key, members in families.items()}
    longest = max(int(edges.max()) for edges, _ in found.values())
    rows: list[dict[str, Any]] = []
    for (tested, label), (edges, crystal) in found.items():
        members = families[tested, label]
        for k in range(longest + 1):
            here, error = share(edges == k, crystal)
            within, within_error = share((edges >= 0) & (edges <= k), crystal)
            rows.append(
                {
                    "network": label,
                    "tested": members[0].record.tested.name,
                    "seeds": len(members),
                    "patterns": len(edges) // len(members),
                    "edges": k,
                    "percent": 100 * here,
                    "standard_error_percent": 100 * error,
                    "percent_within": 100 * within,
                    "standard_error_within_percent": 100 * within_error,
                    "mean_edges": float(edges[edges >= 0].mean()) if (edges >= 0).any() else None,
                    "percent_without_answer": 100 * float((edges < 0).mean()),
                }
            )
    notes = [_note(some) for some in _by_network(rows).values()]
    notes.append(
        "Shares are of all patterns with a known space group, over all seeds; a missing answer is at no distance. "
        "Standard errors take all patterns of one crystal, of all seeds, as one draw."
    )
    return Result(rows, _figure(rows), notes)


def _distances(members: Sequence[AskedTask]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    said = [one.answers() for one in members]
    edges = np.concatenate([answers.edges for answers in said])
    return edges, np.concatenate([answers.crystal for answers in said])


def _by_network(rows: list[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Rows of each network on each tested part."""
    return grouped(rows, lambda row: (row["network"], row["tested"]))


def _figure(rows: list[dict[str, Any]]) -> Figure:
    edges = sorted({row["edges"] for row in rows})
    by_part = {part: _by_network(some) for part, some in grouped(rows, lambda row: str(row["tested"])).items()}
    across, many = len(by_part), max(map(len, by_part.values()))
    size = (5.5 * across + 0.5, 3.8) if many <= BARS else (6.5 * across, 1.5 + 0.27 * many)
    figure, (line,) = canvas(*size, across=across)
    for axes, (part, found) in zip(line, by_part.items(), strict=True):
        names, mine = [name for name, _ in found], list(found.values())
        name_panel(axes, f"{part} ({mine[0][0]['patterns']:,} patterns)")
        if many > BARS:
            heat_map(
                axes, np.array([[row["percent"] for row in some] for some in mine]), names, [str(k) for k in edges]
            )
            axes.set_xlabel("edges from the true space group (% of the patterns)")
            continue
        wide = 0.84 / len(names)
        for i, (name, some, tint) in enumerate(zip(names, mine, tints(len(names), 0.6), strict=True)):
            x = np.array(edges) - 0.42 + (i + 0.5) * wide
            within = [row["percent_within"] for row in some]
            axes.bar(x, within, wide * 0.9, facecolor="none", edgecolor=tint, linewidth=0.9)
            axes.bar(x, [row["percent"] for row in some], wide * 0.9, color=tint, label=name)
            for at, value in zip(x, within, strict=True):
                axes.text(
                    at, value + 1, f"{value:.1f}", rotation=90, ha="center", va="bottom", fontsize=6.5, color=tint
                )
        axes.set_xticks(edges)
        axes.set_ylim(0, 114)
        axes.set_yticks(range(0, 101, 20))
        axes.set_xlabel("edges from the true space group")
        axes.set_ylabel("patterns (%); unfilled: up to here")
        open_frame(axes)
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0.0, -0.16), ncols=3)
    return figure


def _note(some: list[dict[str, Any]]) -> str:
    first = some[0]
    seeds = f", {first['seeds']} seeds" if first["seeds"] > 1 else ""
    mean = "no answer at all" if first["mean_edges"] is None else f"mean {first['mean_edges']:.3f} edges"
    one = some[min(1, len(some) - 1)]
    return (
        f"{first['network']} on {first['tested']}{seeds}: {first['percent']:.1f} +- "
        f"{first['standard_error_percent']:.1f} % right, {one['percent_within']:.1f} +- "
        f"{one['standard_error_within_percent']:.1f} % within one edge, {mean}."
    )
