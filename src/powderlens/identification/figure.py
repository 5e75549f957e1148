"""An answer as a picture: the measured pattern, the best mineral's lines, and the candidates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from powderlens.diffraction.figure import BLUE, PALE, RED, STYLE, check_format, draw_lines, draw_pattern, save
from powderlens.pattern.pattern import Pattern

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from powderlens.identification.answer import Answer

LONGEST_TITLE, LONGEST_NAME = 60, 24


def plot_answer(pattern: Pattern, answer: Answer, path: Path, *, top: int = 5) -> None:
    """The measured pattern with the best candidates, as a file.

    Args:
        pattern: what was measured.
        answer: what was made of it. Where its first phase has `lines` (2theta in degrees at the pattern's
            wavelength, and intensities), they are drawn under the pattern.
        path: ends in .png, .svg or .pdf.
        top: space groups and minerals to show.

    Raises:
        InputError: another extension, or a place that cannot be written to.
    """
    check_format(path)
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    minerals = answer.phases[:top]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13, 6.2), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08))
        left, right = np.asarray(figure.subfigures(1, 2, width_ratios=[2.7, 1]), dtype=object)
        if minerals and minerals[0].lines is not None:
            above, below = left.subplots(2, 1, sharex=True, height_ratios=[5, 1])
            draw_lines(below, *minerals[0].lines)
            below.set_ylabel(_short(minerals[0].name, 12), color=RED, rotation=0, ha="right", parse_math=False)
        else:
            above = below = left.subplots()
        draw_pattern(above, pattern)
        below.set_xlabel("2θ (degrees)")
        title = f"{_short(answer.file, LONGEST_TITLE)}   λ = {answer.wavelength_A:.6g} Å"
        above.set_title(title, loc="left", fontweight="bold", parse_math=False)
        panels = [
            ("crystal system", BLUE, [(s.name, s.probability, f"{s.probability:.1%}") for s in answer.crystal_system]),
            (
                "space group",
                BLUE,
                [(f"{g.number}  {g.symbol}", g.probability, f"{g.probability:.1%}") for g in answer.space_group[:top]],
            ),
            ("nearest minerals", RED, [(_short(m.name, LONGEST_NAME), m.score, f"{m.score:.2f}") for m in minerals]),
        ]
        panels = [panel for panel in panels if panel[2]]
        places = np.ravel(right.subplots(len(panels), 1, height_ratios=[len(rows) + 1 for _, _, rows in panels]))
        for axes, (name, color, rows) in zip(places, panels, strict=True):
            _bars(axes, name, color, rows)
        figure.supxlabel(_cell(answer.lattice), fontsize=9, x=0.01, ha="left", parse_math=False)
        save(figure, path)


def _bars(axes: Axes, title: str, color: str, rows: list[tuple[str, float, str]]) -> None:
    """Horizontal bars from 0 to 1, the best on top, each with its name and number."""
    places = range(len(rows))
    axes.barh(places, [1.0] * len(rows), color=PALE, height=0.62)
    axes.barh(places, [min(max(value, 0.0), 1.0) for _, value, _ in rows], color=color, height=0.62)
    axes.set_yticks(places, [name for name, _, _ in rows], parse_math=False)
    for place, (_, _, text) in zip(places, rows, strict=True):
        axes.text(1.03, place, text, va="center", fontsize=9)
    axes.set_xlim(0, 1.0)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")


def _cell(cell: Mapping[str, float]) -> str:
    lengths = ", ".join(f"{name} = {cell[name + '_A']:.3f}" for name in "abc")
    angles = ", ".join(
        f"{sign} = {cell[name + '_deg']:.2f}°" for sign, name in (("α", "alpha"), ("β", "beta"), ("γ", "gamma"))
    )
    return f"reduced cell (Niggli): {lengths} Å, {angles}"


def _short(text: str, longest: int) -> str:
    """The end of a text that is too long: of a path, the file's name."""
    return text if len(text) <= longest else "…" + text[1 - longest :]
