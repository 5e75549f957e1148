"""Answers as tables on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from powderlens.cli.console import console, table
from powderlens.core.cell import CELL_LETTERS
from powderlens.core.text import with_uncertainty

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from powderlens.identification.answer import Answer, KnownPhase, RefinedCell

BAR_WIDTH = 12
SIDE_BY_SIDE = 84
"""Columns of a terminal from which on systems and groups stand beside each other."""
WIDE = 76
"""From which on a phase is told from where it is."""
TOP, LEAST = 5, 0.001
SHOWN_LINES = 8
LATTICES = {"P": "primitive", "A": "A-centred", "C": "C-centred", "I": "body-centred", "F": "face-centred"}
LATTICES["R"] = "rhombohedral"


def show_answer(answer: Answer, *, top: int | None, no_color: bool) -> None:
    """One answer: crystal systems, space groups, the cell, phases, what is left over, and warnings.

    Args:
        answer: it.
        top: candidates of each kind; None shows up to five, and none below `LEAST`.
        no_color: never coloured.
    """
    from rich.padding import Padding
    from rich.text import Text

    out = console(no_color)
    out.print(Text(answer.file or "pattern", "bold", overflow="fold"))
    out.print(Text(f"{answer.wavelength_A:.6g} A, evidence: {answer.evidence}, model: {answer.model}", "dim"))
    if answer.abstains:
        out.print()
        told = "no answer: " if answer.cell is None else "doubtful: "
        out.print(Text.assemble((told, "bold yellow"), answer.abstains))
    out.print()
    _show_beliefs(out, answer, top)
    if answer.cell is not None:
        out.print()
        out.print(_cell_lines(answer, answer.cell))
    elif answer.lattice:
        out.print()
        cell = [answer.lattice[key] for key in answer.lattice if key != "cell"]
        edges = "  ".join(f"{letter} {value:.3f}" for letter, value in zip("abc", cell[:3], strict=True))
        angles = "  ".join(f"{name} {value:.2f}" for name, value in zip(CELL_LETTERS[3:], cell[3:], strict=True))
        out.print(Text.assemble(("reduced cell", "bold"), f", guessed by the {answer.lattice_source}"))
        out.print(Padding(Text(f"{edges} A   {angles} deg"), (0, 0, 0, 2)))
    if answer.phases:
        out.print()
        _show_phases(out, answer, top)
    if answer.explained is not None:
        out.print()
        out.print(_explained(answer))
    if answer.leans_on:
        out.print(Text.assemble("The answer leans on ", (answer.leans_on, "bold"), "."))
    for phase in answer.best_phases:
        if phase.size_nm is not None:
            out.print(f"crystallites of {phase.name}: about {phase.size_nm:.0f} nm")
    for warning in answer.warnings:
        out.print(Text(f"warning: {warning}", "yellow"))


class _Ranked(Protocol):
    @property
    def probability(self) -> float: ...


Ranked = TypeVar("Ranked", bound=_Ranked)


def show_answers(answers: Sequence[Answer], *, header: bool, no_color: bool) -> None:
    """A line for each answer of a batch, the best of everything; "!" marks one with warnings or without an answer.

    The columns are equally wide in every part of a batch.
    """
    from rich.table import Table
    from rich.text import Text

    lines = Table(box=None, show_header=header, expand=True, pad_edge=False)
    lines.add_column("file", ratio=8, overflow="fold")
    for name, ratio in (("crystal system", 5), ("space group", 5), ("phases", 8)):
        lines.add_column(name, ratio=ratio, overflow="ellipsis", no_wrap=True)
    lines.add_column("", width=1)
    for answer in answers:
        system, group = answer.crystal_system[0], answer.space_group[0] if answer.space_group else None
        lines.add_row(
            Text(answer.file),
            f"{system.name} {system.probability:.0%}",
            f"{group.number} {group.symbol} {group.probability:.0%}" if group else "",
            Text(_names(answer)),
            "!" if answer.warnings or answer.abstains else "",
        )
    if answers or header:
        console(no_color).print(lines)


def _names(answer: Answer) -> str:
    """The phases of a mixture with their shares; of a single phase its name and probability."""
    inside = answer.best_phases
    if len(inside) > 1:
        return " + ".join(f"{phase.name} {phase.fraction:.0%}" for phase in inside)
    first = [*inside, *answer.phases][:1]
    return "".join(f"{phase.name} {phase.probability:.0%}" for phase in first)


def _likeliest(ranked: Sequence[Ranked], top: int | None) -> list[Ranked]:
    """As many as are asked for; of all, the first, and those that are not next to impossible."""
    if top is not None:
        return list(ranked[:top])
    return [one for place, one in enumerate(ranked[:TOP]) if place == 0 or one.probability >= LEAST]


def _show_beliefs(out: Console, answer: Answer, top: int | None) -> None:
    """Systems and groups, beside each other where there is room."""
    from rich.columns import Columns

    likeliest = _likeliest(answer.crystal_system, None if top is None else max(top, 3))
    systems = table(("crystal system", "", ""), ((s.name, *_share(out, s.probability)) for s in likeliest))
    rows = [
        (f"{g.number}/{g.mirror}" if g.mirror else f"{g.number}", g.symbol, *_share(out, g.probability))
        for g in _likeliest(answer.space_group, top)
    ]
    groups = table(("No.", "space group", "", ""), rows, right={"No."})
    if not rows:
        out.print(systems)
    elif out.width >= SIDE_BY_SIDE:
        out.print(Columns([systems, groups], padding=(0, 4)))
    else:
        out.print(systems)
        out.print()
        out.print(groups)
    if answer.extinction_class is not None and len(answer.extinction_class[1]) > 1 and rows:
        symbol, members = answer.extinction_class
        out.print(f"lines absent as in {symbol}: groups {', '.join(map(str, members))}", style="dim")


def _cell_lines(answer: Answer, cell: RefinedCell) -> Table:
    """The conventional cell of the best candidate, with esds."""
    from rich.text import Text

    known = [with_uncertainty(value, esd) for value, esd in zip(cell.conventional, cell.esd, strict=True)]
    edges = [f"{letter} {text}" for letter, text in zip("abc", known[:3], strict=True)]
    angles = [
        f"{name} {text}"
        for name, text, value, esd in zip(CELL_LETTERS[3:], known[3:], cell.conventional[3:], cell.esd[3:], strict=True)
        if esd > 0 or abs(value - 90) > 1e-6
    ]
    volume = f"volume {with_uncertainty(cell.volume_A3, cell.volume_esd_A3)} A^3, {LATTICES[cell.centring]}"
    rows = [
        ("cell", f"of {cell.source}, refined" + (f"; Rwp {100 * answer.rwp:.1f} %" if answer.rwp is not None else "")),
        ("", "  ".join(edges) + " A" + ("   " + "  ".join(angles) + " deg" if angles else "")),
        ("", volume),
    ]
    return table(("", ""), ((Text(name, "bold"), Text(text)) for name, text in rows), show_header=False, fold=True)


def _show_phases(out: Console, answer: Answer, top: int | None) -> None:
    """The phases of the best candidate with their share, then others that it may be."""
    from rich.text import Text

    inside = answer.best_phases
    names = {phase.name for phase in inside}
    others = [phase for phase in answer.phases if phase.name not in names]
    wide = out.width >= WIDE
    columns = ["phases", "formula", "prob.", "weight %", "strain %", *(["source"] if wide else [])]
    shown = table(columns, right={"prob.", "weight %", "strain %"}, fold=True)
    room = max((top or TOP) - len(inside), 0)
    for phase in [*inside, *(one for one in others[:room] if top is not None or one.probability >= LEAST)]:
        name = Text(phase.name, "bold" if phase.name in names else "none")
        strain = f"{round(100 * phase.strain, 2) + 0.0:+.2f}"
        row = (name, Text(phase.formula), _per_cent(phase.probability), _weight(phase, len(inside)), strain)
        shown.add_row(*row, *((Text(phase.source),) if wide else ()))
    for column in shown.columns[2:5]:
        column.no_wrap = True
    if answer.amorphous is not None:
        share = with_uncertainty(100 * answer.amorphous, 100 * (answer.amorphous_esd or 0.0))
        shown.add_row("amorphous", "", "", share, "")
    out.print(shown)


def _weight(phase: KnownPhase, phases: int) -> str:
    """Per cent of the crystalline weight, or of the whole where a standard tells."""
    if phase.fraction is None:
        return ""
    if phases == 1 and phase.fraction == 1:
        return "100"
    esd = None if phase.fraction_esd is None else 100 * phase.fraction_esd
    return with_uncertainty(100 * phase.fraction, esd) if esd else f"{100 * phase.fraction:.0f}"


def _explained(answer: Answer) -> Text:
    from rich.text import Text

    said = Text.assemble(("explained ", "bold"), f"{100 * (answer.explained or 0.0):.0f} % of the intensity")
    left = answer.unexplained_peaks
    if left:
        strongest = sorted(left[:SHOWN_LINES], key=lambda peak: peak.two_theta_deg)
        told = ", ".join(f"{peak.two_theta_deg:.2f} ({peak.intensity:.0f})" for peak in strongest)
        more = f" and {len(left) - SHOWN_LINES} more" if len(left) > SHOWN_LINES else ""
        said.append(f"; not the lines at {told}{more} (2theta in degrees; 100 is the strongest)")
    return said


def _per_cent(probability: float) -> str:
    return f"{100 * probability:.1f} %" if probability >= 0.001 else "< 0.1 %"


def _share(out: Console, probability: float) -> tuple[str, Text]:
    """A probability as per cent and as a bar."""
    from rich.text import Text

    block = "█" if "utf" in out.encoding.lower() else "#"
    return f"{_per_cent(probability):>7}", Text(block * round(BAR_WIDTH * probability), "green")
