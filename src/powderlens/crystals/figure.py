"""A picture of how crystals are distributed over crystal systems and space groups.

After AlphaDiffract (2026), Supplementary Figure 1: systems as the inner ring, their space groups as the outer one,
darker where there are more. Beside it the groups by rank, which shows how long the tail is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write
from powderlens.symmetry.groups import SYSTEMS, crystal_system, symbol

LABELLED = 0.012
"""Share of the ring from which on a space group is named."""


def draw_groups(groups: Mapping[int, int], path: Path, *, title: str) -> None:
    """Draw the picture.

    Args:
        groups: crystals of each space-group number.
        path: the `.png`.
        title: for the top.

    Raises:
        InputError: another kind of file, no crystals, or a file that cannot be written.
    """
    if path.suffix.lower() != ".png":
        raise InputError(f"{path}: the picture is a PNG; give it a name that ends in .png")
    if not groups:
        raise InputError(f"{path}: no crystals to draw")
    figure = Figure(figsize=(12.5, 6.4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    ring, ranks = figure.subplots(1, 2, width_ratios=(1.15, 1))
    ordered = sorted(groups.items())
    counts = np.array([count for _, count in ordered], dtype=float)
    shade = LogNorm(1, max(counts.max(), 10))
    colours = matplotlib.colormaps["YlGnBu"]
    drawn, _ = ring.pie(
        counts, radius=1.0, startangle=90, counterclock=False,
        colors=[colours(0.12 + 0.88 * float(shade(count))) for count in counts],
        wedgeprops={"width": 0.3, "edgecolor": "white", "linewidth": 0.4},
    )[:2]  # fmt: skip
    for wedge, (number, count) in zip(drawn, ordered, strict=True):
        if count >= LABELLED * counts.sum():
            middle = np.radians((wedge.theta1 + wedge.theta2) / 2)
            ring.text(
                1.06 * np.cos(middle), 1.06 * np.sin(middle), f"{number} {symbol(number)}", fontsize=7,
                ha="left" if np.cos(middle) > 0 else "right", va="center",
            )  # fmt: skip
    by_system = {system: sum(n for g, n in ordered if crystal_system(g) == system) for system in SYSTEMS}
    present = {system: count for system, count in by_system.items() if count}
    tints = [colours(0.12 + 0.88 * float(shade(count))) for count in present.values()]
    inner = ring.pie(
        list(present.values()), radius=0.68, startangle=90, counterclock=False, colors=tints,
        wedgeprops={"width": 0.36, "edgecolor": "white"},
    )[0]  # fmt: skip
    for wedge, tint, (system, count) in zip(inner, tints, present.items(), strict=True):
        middle = np.radians((wedge.theta1 + wedge.theta2) / 2)
        share = count / counts.sum()
        if share > 0.02:
            dark = sum(tint[:3]) < 1.5
            ring.text(
                0.5 * np.cos(middle), 0.5 * np.sin(middle), f"{system}\n{share:.1%}", fontsize=7, ha="center",
                va="center", color="white" if dark else "black",
            )  # fmt: skip
    ring.set_title(title)
    ranked = np.sort(counts)[::-1]
    ranks.bar(np.arange(1, len(ranked) + 1), ranked, width=1.0, color="#2c7fb8")
    ranks.set_yscale("log")
    ranks.set_xlim(0, 231)
    ranks.set_xlabel("space groups by rank")
    ranks.set_ylabel("crystals")
    ranks.set_title(f"{len(ranked)} of 230 space groups, {int((ranked < 50).sum())} of them with fewer than 50")
    with atomic_write(path) as aside:
        figure.savefig(aside)
