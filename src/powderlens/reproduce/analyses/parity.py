"""Predicted against true Niggli cell, as AlphaDiffract's Fig. 3c-e, beside the naive mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from powderlens.core.cell import CELL_NAMES
from powderlens.core.errors import InputError
from powderlens.reproduce.analyses.base import AskedTask, Inputs, Result
from powderlens.reproduce.analyses.drawing import canvas

SYMBOLS = ("a (Å)", "b (Å)", "c (Å)", "α (°)", "β (°)", "γ (°)")
SHOWN = (0.5, 99.5)
"""Percentiles of the true values between which a panel reaches, with a tenth more on both sides."""


def analyse(inputs: Inputs) -> Result:
    """Six panels a record; the naive answer is the cell that the record names, else the mean of the tested ones.

    Raises:
        InputError: no record with cells.
    """
    rows: list[dict[str, Any]] = []
    panels, notes = [], []
    for one in inputs.asked("lattice"):
        truth, said, missing = _cells(one)
        naive, of = _naive(one, truth)
        mine = _figures(one, truth, said, naive)
        rows += mine
        panels.append((one.label, truth, said, naive, mine))
        lengths, angles = mine[:3], mine[3:]
        notes.append(
            f"{one.label} on {one.record.tested.corpus}:{one.record.tested.part}: mean error "
            f"{_mean(lengths, 'mae'):.2f} A ({_mean(lengths, 'mape_percent'):.1f} %) of lengths and "
            f"{_mean(angles, 'mae'):.2f} degrees of angles; always answering the mean of {of} would miss by "
            f"{_mean(lengths, 'naive_mae'):.2f} A ({_mean(lengths, 'naive_mape_percent'):.1f} %) and "
            f"{_mean(angles, 'naive_mae'):.2f} degrees. {len(truth):,} cells{missing}."
        )
    notes.append("Cells are Niggli cells; R2 is 1 - SS(error) / SS(about the mean of these cells).")
    return Result(rows, _figure(panels), notes)


def _cells(one: AskedTask) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    """True and predicted cells (n, 6) where both are there, and what is not, in words."""
    table = one.record.answers(one.path.parent, ["niggli_true", "niggli_predicted"])
    there = table.filter(table["niggli_true"].is_valid())
    both = there.filter(there["niggli_predicted"].is_valid())
    if not both.num_rows:
        raise InputError(f"{one.path}: no pattern has both a true and a predicted cell")
    unknown, silent = table.num_rows - there.num_rows, there.num_rows - both.num_rows
    missing = f", {unknown:,} more without a known cell" if unknown else ""
    missing += f", {silent:,} without an answer and not counted" if silent else ""
    truth, said = (
        np.array(both[name].to_pylist(), np.float64).reshape(-1, 6) for name in ("niggli_true", "niggli_predicted")
    )
    return truth, said, missing


def _naive(one: AskedTask, truth: NDArray[np.float64]) -> tuple[NDArray[np.float64], str]:
    """The cell (6,) that the naive answer always gives, and whose mean it is."""
    figures = one.record.lattice
    if figures is None or figures.naive_cell is None:
        return truth.mean(axis=0), "these cells"
    return np.array(figures.naive_cell), figures.naive_of


def _figures(
    one: AskedTask, truth: NDArray[np.float64], said: NDArray[np.float64], naive: NDArray[np.float64]
) -> list[dict[str, Any]]:
    """MAE, MAPE and R2 of each parameter, and those of the naive mean."""
    error, plain = np.abs(said - truth), np.abs(naive - truth)
    around = np.square(truth - truth.mean(axis=0)).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = np.where(around > 0, 1 - np.square(said - truth).sum(axis=0) / around, np.nan)
    return [
        {
            "network": one.label,
            "tested": one.record.tested.name,
            "parameter": name,
            "patterns": len(truth),
            "mae": float(error[:, i].mean()),
            "mape_percent": 100 * float((error[:, i] / truth[:, i]).mean()),
            "r2": float(r2[i]),
            "naive": float(naive[i]),
            "naive_mae": float(plain[:, i].mean()),
            "naive_mape_percent": 100 * float((plain[:, i] / truth[:, i]).mean()),
        }
        for i, name in enumerate(CELL_NAMES)
    ]


def _mean(rows: list[dict[str, Any]], name: str) -> float:
    return float(np.mean([row[name] for row in rows]))


def _figure(panels: list[tuple[Any, ...]]) -> Figure:
    figure, grid = canvas(14, 0.4 + 2.7 * len(panels), len(panels), 6)
    for line, (label, truth, said, naive, mine) in zip(grid, panels, strict=True):
        line[0].text(0.0, 1.14, label, transform=line[0].transAxes, fontweight="bold", fontsize=9, parse_math=False)
        for i, axes in enumerate(line):
            low, high = np.percentile(truth[:, i], SHOWN)
            edge = 0.1 * max(high - low, 0.05 * high)
            low, high = low - edge, high + edge
            axes.hexbin(truth[:, i], said[:, i], gridsize=32, extent=(low, high, low, high), bins="log", mincnt=1,
                        cmap="viridis", linewidths=0.1)  # fmt: skip
            axes.plot([low, high], [low, high], "--", color="black", linewidth=0.8)
            axes.axhline(naive[i], color="#c8553d", linewidth=0.9, linestyle=":")
            axes.set_xlim(low, high)
            axes.set_ylim(low, high)
            axes.set_aspect("equal")
            if outside := float(((said[:, i] < low) | (said[:, i] > high)).mean()):
                axes.text(0.03, 0.95, f"{100 * outside:.2g} % outside", transform=axes.transAxes, fontsize=7, va="top")
            axes.set_title(f"R² {mine[i]['r2']:.2f}, MAE {mine[i]['mae']:.2f}", fontsize=8)
            axes.tick_params(labelsize=7)
            axes.set_xlabel(f"true {SYMBOLS[i]}", fontsize=8)
        line[0].set_ylabel("predicted", fontsize=8)
    figure.supxlabel("colour: patterns, logarithmic; dashed: right; dotted: naive mean", fontsize=8)
    return figure
