"""An answer as a picture: the measured pattern, the best mineral's lines, and the candidates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from powderlens.diffraction.figure import BLUE, PALE, RED, STYLE, check_format, draw_lines, draw_pattern, save
from powderlens.pattern.pattern import Pattern

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from powderlens.identification.answer import Answer

LONGEST_TITLE, LONGEST_NAME = 60, 20


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

    minerals = answer.phases[:top]
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
    with matplotlib.rc_context(STYLE):
        # Margins by hand: letting matplotlib find them takes as long as everything else.
        figure = Figure(figsize=(13, 6.2))
        heights = [5, 1] if minerals and minerals[0].lines is not None else [1]
        left = figure.add_gridspec(
            len(heights), 1, height_ratios=heights, left=0.06, right=0.70, top=0.93, bottom=0.13, hspace=0.1
        )
        above = below = figure.add_subplot(left[0])
        if minerals and minerals[0].lines is not None:
            below = figure.add_subplot(left[1], sharex=above)
            above.tick_params(labelbottom=False)
            draw_lines(below, *minerals[0].lines)
            name = _short(minerals[0].name, LONGEST_TITLE)
            below.text(0.004, 0.06, name, transform=below.transAxes, color=RED, parse_math=False)
        draw_pattern(above, pattern)
        below.set_xlabel("2θ (degrees)")
        title = f"{_short(answer.file, LONGEST_TITLE)}   λ = {answer.wavelength_A:.6g} Å"
        above.set_title(title, loc="left", fontweight="bold", parse_math=False)
        right = figure.add_gridspec(
            len(panels), 1, height_ratios=[len(rows) + 1 for _, _, rows in panels],
            left=0.83, right=0.945, top=0.93, bottom=0.05, hspace=0.22,
        )  # fmt: skip
        for i, (name, color, rows) in enumerate(panels):
            _bars(figure.add_subplot(right[i]), name, color, rows)
        figure.text(0.06, 0.025, _cell(answer.lattice), fontsize=9, parse_math=False)
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
    if not cell:
        return "no cell"
    lengths = ", ".join(f"{name} = {cell[name + '_A']:.3f}" for name in "abc")
    angles = ", ".join(
        f"{sign} = {cell[name + '_deg']:.2f}°" for sign, name in (("α", "alpha"), ("β", "beta"), ("γ", "gamma"))
    )
    return f"reduced cell (Niggli): {lengths} Å, {angles}"


def _short(text: str, longest: int) -> str:
    """A text without its middle where it is too long: what a path ends with says most."""
    return text if len(text) <= longest else text[: longest // 3] + "…" + text[longest // 3 + 1 - longest :]
