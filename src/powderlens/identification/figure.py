"""An answer as a picture: measured, calculated and difference, where each phase has its lines, and the candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from powderlens.core.cell import CELL_NAMES
from powderlens.core.errors import InputError
from powderlens.core.text import printable, with_uncertainty
from powderlens.diffraction.figure import INK, PALE, RED, STYLE, check_format, save
from powderlens.identification.answer import Curve, KnownPhase
from powderlens.identification.typeset import formula_text, group_text, hkl_text, plain_text
from powderlens.pattern.pattern import Pattern

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from powderlens.identification.answer import Answer

Floats = NDArray[np.float64]
AxisKind = Literal["sqrt", "linear", "log"]

COLORS = ("#2f5d8a", "#3a7d44", "#8a4f9e", "#b7791f")
"""Of the phases of the best candidate, in their order."""
GREY, PALE_PHASE, MARK = "#7b8794", "#9fb3c8", "#d6249f"
DASHES = (0, (4, 3))
LONGEST_TITLE, LONGEST_NAME = 70, 22
WIDTH_IN, LEFT, RIGHT = 13.0, 0.065, 0.70
LABEL_IN = 0.105
"""Room that an index needs beside its neighbours."""
DECADES = 3.5
"""Of the logarithmic axis."""
TICKS: dict[str, tuple[float, ...]] = {
    "sqrt": (0.0, 0.01, 0.05, 0.2, 0.5, 1.0),
    "linear": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
    "log": (0.001, 0.01, 0.1, 1.0),
}
WORDS = {"sqrt": ", √ scale", "linear": "", "log": ", logarithmic"}


def plot_answer(pattern: Pattern, answer: Answer, path: Path, *, top: int = 5, axis: AxisKind = "sqrt") -> None:
    """The measured pattern with the best candidates, as a file.

    Args:
        pattern: what was measured.
        answer: what was made of it.
        path: ends in .png, .svg or .pdf.
        top: space groups and phases to show.
        axis: how intensities are drawn: "sqrt", on which the noise of counting is equally high everywhere; "linear";
            "log".

    Raises:
        InputError: another extension or axis, or a place that cannot be written to.
    """
    check_format(path)
    if axis not in get_args(AxisKind):
        raise InputError(f"axis {axis!r}: choose one of {', '.join(get_args(AxisKind))}")
    import matplotlib
    from matplotlib.figure import Figure

    phases = [phase for phase in answer.best_phases if phase.lines is not None][: len(COLORS)]
    with matplotlib.rc_context({**STYLE, "mathtext.fontset": "dejavusans"}):
        figure = Figure(figsize=(WIDTH_IN, 6.4 + 0.42 * len(phases)))
        _profiles(figure, pattern, answer, phases, axis)
        _panels(figure, answer, phases, top)
        save(figure, path)


class _Height:
    """Intensities as heights from 0 to 1."""

    def __init__(self, axis: AxisKind, lowest: float, highest: float) -> None:
        self.axis = axis
        self.base = min(0.0, lowest)
        self.span = max(highest - self.base, 1e-300)

    def __call__(self, intensity: Floats) -> Floats:
        return self.of_share(np.maximum(intensity - self.base, 0.0) / self.span)

    def of_share(self, share: Floats) -> Floats:
        """Of shares of the highest."""
        if self.axis == "linear":
            return np.asarray(share)
        if self.axis == "sqrt":
            return np.asarray(np.sqrt(share))
        return np.asarray(1 + np.log10(np.where(share > 10**-DECADES, share, np.nan)) / DECADES)


def _profiles(figure: Figure, pattern: Pattern, answer: Answer, phases: Sequence[KnownPhase], axis: AxisKind) -> None:
    """The pattern on top, under it the ticks of each phase, and the difference at the bottom."""
    curve = answer.curve
    heights = [9.0, *(1.0 for _ in phases), *([1.7] if curve is not None else [])]
    # Margins by hand: letting matplotlib find them takes as long as everything else.
    grid = figure.add_gridspec(
        len(heights), 1, height_ratios=heights, left=LEFT, right=RIGHT, top=0.875, bottom=0.085, hspace=0.06
    )
    above = figure.add_subplot(grid[0])
    x = pattern.two_theta_deg
    limits = float(x[0]), float(x[-1])
    measured = pattern.measured_only()
    highest = max([float(measured.intensity.max()), *([float(curve.calculated.max())] if curve is not None else [])])
    height = _Height(axis, float(measured.intensity.min()), highest)
    y = np.where(pattern.mask, pattern.intensity, np.nan) if pattern.mask is not None else pattern.intensity
    drawn = height(y)
    if curve is None:
        above.plot(x, drawn, color=COLORS[0], linewidth=0.8)
    else:
        above.plot(x, drawn, ".", color=INK, markersize=2.0, rasterized=len(x) > 3000)
        at, calculated, under = _with_gaps(curve)
        above.plot(at, height(under), color=GREY, linewidth=0.8, linestyle=DASHES)
        above.plot(at, height(calculated), color=RED, linewidth=0.9)
    _mark_unexplained(above, answer, x, drawn)
    if answer.abstains and answer.cell is not None:
        doubt = plain_text(fill(f"doubtful: {answer.abstains}", 70))
        above.text(0.99, 0.925, doubt, transform=above.transAxes, color=MARK, fontsize=8, ha="right", va="top")
    lowest = float(np.nanmin(drawn))
    above.set_ylim(lowest - 0.03 * (1 - lowest), 1 + 0.1 * (1 - lowest))
    shares = [share for share in TICKS[axis] if height.of_share(np.array(share)) >= lowest - 0.03]
    above.set_yticks(height.of_share(np.array(shares)), [f"{100 * share:g}" for share in shares])
    above.set_ylabel(f"intensity (% of the highest{WORDS[axis]})")
    above.grid(axis="y", color=PALE, linewidth=0.6)
    above.set_axisbelow(True)
    if curve is not None:
        _legend(above, unexplained=bool(answer.unexplained_peaks))
    rows = [above]
    per_deg = WIDTH_IN * (RIGHT - LEFT) / max(limits[1] - limits[0], 1e-9)
    for place, phase in enumerate(phases):
        rows.append(figure.add_subplot(grid[1 + place], sharex=above))
        _ticks(rows[-1], phase, COLORS[place], per_deg)
    if curve is not None:
        rows.append(figure.add_subplot(grid[-1], sharex=above))
        _difference(rows[-1], curve, highest - height.base)
    for one in rows:
        one.set_xlim(*limits)
        one.spines[["top", "right"]].set_visible(False)
        _shade(one, pattern)
    for one in rows[:-1]:
        one.tick_params(labelbottom=False, bottom=False)
        one.spines["bottom"].set_visible(one is above)
    for one in (above, *([rows[-1]] if curve is not None else [])):
        one.yaxis.set_label_coords(-0.055, 0.5)
    rows[-1].set_xlabel(f"2θ (degrees) at {answer.wavelength_A:.6g} Å")
    title = _short(answer.file, LONGEST_TITLE) or "pattern"
    figure.text(LEFT, 0.955, printable(title), fontsize=12, fontweight="bold", parse_math=False)
    for line, text in enumerate(_headlines(answer)):
        figure.text(LEFT, 0.928 - 0.028 * line, text, fontsize=10)


def _legend(axes: Axes, *, unexplained: bool) -> None:
    from matplotlib.lines import Line2D

    shown = [
        Line2D([], [], color=INK, marker=".", markersize=7, linestyle="none", label="measured"),
        Line2D([], [], color=RED, linewidth=1.2, label="calculated"),
        Line2D([], [], color=GREY, linewidth=1.0, linestyle=DASHES, label="background"),
    ]
    if unexplained:
        shown.append(Line2D([], [], color=MARK, marker="v", markersize=5, linestyle="none", label="not explained"))
    axes.legend(handles=shown, loc="upper right", frameon=False, ncols=4, fontsize=9, borderaxespad=0.1)


def _with_gaps(curve: Curve) -> tuple[Floats, Floats, Floats]:
    """Angles, calculated and background, with a gap where nothing was measured."""
    x = curve.two_theta_deg
    step = np.diff(x)
    after = np.flatnonzero(step > 3 * np.median(step)) + 1
    columns = (x, curve.calculated, curve.background)
    at, calculated, under = (np.insert(column, after, np.nan) for column in columns)
    return at, calculated, under


def _mark_unexplained(axes: Axes, answer: Answer, x: Floats, drawn: Floats) -> None:
    """A mark above each line that nothing explains."""
    peaks = answer.unexplained_peaks
    if not peaks:
        return
    places = np.array([peak.two_theta_deg for peak in peaks])
    tops = [float(np.nanmax(drawn[np.abs(x - at) <= 0.15], initial=0.0)) for at in places]
    axes.plot(places, np.array(tops) + 0.03, "v", color=MARK, markersize=5, linestyle="none")


def _ticks(axes: Axes, phase: KnownPhase, color: str, per_deg: float) -> None:
    """A tick for each line of a phase, strong ones dark; indices under those that have room, the strongest first."""
    assert phase.lines is not None
    lines = phase.lines
    strength = np.sqrt(np.clip(lines.intensity, 0.0, 1.0))
    from matplotlib.colors import to_rgb

    shades = [(*to_rgb(color), 0.25 + 0.75 * share) for share in strength.tolist()]
    axes.vlines(lines.two_theta_deg, 0.66, 1.0, colors=shades, linewidth=1.1)
    taken: list[float] = []
    for line in np.argsort(-lines.intensity, kind="stable").tolist():
        at = float(lines.two_theta_deg[line])
        if all(abs(at - other) * per_deg >= LABEL_IN for other in taken):
            taken.append(at)
            h, k, l = lines.hkl[line].tolist()
            axes.text(
                at, 0.6, hkl_text((h, k, l)), rotation=90, ha="center", va="top", fontsize=6, color=color, clip_on=True
            )
    axes.set_ylim(0, 1.08)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_ylabel(_word(phase, 14), rotation=0, ha="right", va="center", color=color, fontsize=8)


def _difference(axes: Axes, curve: Curve, span: float) -> None:
    share = 100 * (curve.observed - curve.calculated) / span
    step = np.diff(curve.two_theta_deg)
    after = np.flatnonzero(step > 3 * np.median(step)) + 1
    axes.axhline(0.0, color=GREY, linewidth=0.6)
    axes.plot(np.insert(curve.two_theta_deg, after, np.nan), np.insert(share, after, np.nan), color=INK, linewidth=0.6)
    limit = max(1.0, 1.08 * float(np.abs(share).max()))
    axes.set_ylim(-limit, limit)
    axes.set_ylabel("difference (%)", fontsize=9)


def _shade(axes: Axes, pattern: Pattern) -> None:
    """What was left out."""
    if pattern.mask is None:
        return
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ~pattern.mask, [False]]).astype(int)))
    x = pattern.two_theta_deg
    for first, last in edges.reshape(-1, 2).tolist():
        axes.axvspan(float(x[first]), float(x[last - 1]), color=PALE, alpha=0.6, linewidth=0)


def _headlines(answer: Answer) -> tuple[str, str]:
    """The best candidate in two lines: its phases and how they fit, and the cell of the main one."""
    if answer.cell is None:
        guess = _reduced(answer.lattice)
        return (plain_text(answer.abstains), guess) if answer.abstains else (guess, "")
    parts = []
    for phase in answer.best_phases:
        share = "" if len(answer.best_phases) == 1 else f" {100 * (phase.fraction or 0.0):.0f} %"
        parts.append(_word(phase, LONGEST_NAME) + share)
    words = [" + ".join(parts)]
    if answer.rwp is not None:
        words.append(f"$R_{{wp}}$ {100 * answer.rwp:.1f} %")
    if answer.explained is not None:
        words.append(f"{100 * answer.explained:.0f} % explained")
    cell = answer.cell
    known = list(zip(("a", "b", "c", "α", "β", "γ"), cell.conventional, cell.esd, strict=True))
    edges = [f"$\\it{{{name}}}$ {with_uncertainty(value, esd)}" for name, value, esd in known[:3]]
    angles = [
        f"{name} {with_uncertainty(value, esd)}°" for name, value, esd in known[3:] if esd > 0 or abs(value - 90) > 1e-6
    ]
    main = _word(answer.best_phases[0], LONGEST_NAME)
    return "     ".join(words), f"{main}:  " + "  ".join([*edges[:2], f"{edges[2]} Å", *angles])


def _reduced(cell: Mapping[str, float]) -> str:
    if not cell:
        return "no cell"
    a, b, c, alpha, beta, gamma = (cell[name] for name in CELL_NAMES)
    return f"reduced cell, a guess: {a:.3f}  {b:.3f}  {c:.3f} Å,  {alpha:.2f}  {beta:.2f}  {gamma:.2f}°"


class _Bar(NamedTuple):
    name: str
    value: float
    color: str


def _panels(figure: Figure, answer: Answer, phases: Sequence[KnownPhase], top: int) -> None:
    """Systems, groups and phases with their probabilities."""
    color_of = {phase.name: color for phase, color in zip(phases, COLORS, strict=False)}
    others = [phase for phase in answer.phases if phase.name not in color_of]
    systems = [_Bar(system.name, system.probability, GREY) for system in answer.crystal_system]
    groups = [
        _Bar(
            (f"{group.number}/{group.mirror}" if group.mirror else f"{group.number}") + f"  {group_text(group.number)}",
            group.probability,
            GREY,
        )
        for group in answer.space_group[:top]
    ]
    named = [
        _Bar(_named(phase), phase.probability, color_of.get(phase.name, PALE_PHASE))
        for phase in [*phases, *others][: max(top, len(phases))]
    ]
    panels = [("crystal system", systems, 1.0), ("space group", groups, 1.0), ("phases", named, 1.5)]
    panels = [panel for panel in panels if panel[1]]
    right = figure.add_gridspec(
        len(panels), 1, height_ratios=[per * len(rows) + 1 for _, rows, per in panels],
        left=0.83, right=0.945, top=0.93, bottom=0.03, hspace=0.16,
    )  # fmt: skip
    for i, (title, rows, _) in enumerate(panels):
        _bars(figure.add_subplot(right[i]), title, rows)


def _named(phase: KnownPhase) -> str:
    """Name and formula; one of them where they are the same."""
    name = _word(phase, LONGEST_NAME)
    return name if phase.name == phase.formula else f"{name}\n{formula_text(_short(phase.formula, LONGEST_NAME))}"


def _word(phase: KnownPhase, longest: int) -> str:
    """What a phase is called; a formula with its numbers set low."""
    short = _short(printable(phase.name), longest)
    return formula_text(short) if phase.name == phase.formula else plain_text(short)


def _bars(axes: Axes, title: str, rows: Sequence[_Bar]) -> None:
    """Horizontal bars from 0 to 1, the best on top, each with its name and number."""
    places = range(len(rows))
    axes.barh(places, [1.0] * len(rows), color=PALE, height=0.5)
    axes.barh(places, [min(max(row.value, 0.0), 1.0) for row in rows], color=[row.color for row in rows], height=0.5)
    axes.set_yticks(places, [row.name for row in rows], fontsize=9)
    for place, row in zip(places, rows, strict=True):
        axes.text(1.03, place, _per_cent(row.value), va="center", fontsize=9)
    axes.set_xlim(0, 1.0)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")


def _per_cent(value: float) -> str:
    return f"{value:.1%}" if value >= 0.001 else "< 0.1%"


def _short(text: str, longest: int) -> str:
    """A text without its middle where it is too long: what a path ends with says most."""
    return text if len(text) <= longest else text[: longest // 3] + "…" + text[longest // 3 + 1 - longest :]
