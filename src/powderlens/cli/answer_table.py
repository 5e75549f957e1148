"""Answers as tables on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from powderlens.cli.console import console, table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from powderlens.identification.answer import Answer

BAR_WIDTH = 16


def show_answer(answer: Answer, *, top: int, no_color: bool) -> None:
    """One answer: crystal systems, space groups, the cell, the nearest minerals, and warnings."""
    from rich.columns import Columns
    from rich.text import Text

    out = console(no_color)
    out.print(Text(answer.file or "pattern", "bold"))
    out.print(Text(f"{answer.wavelength_A:.6g} A, evidence: {answer.evidence}, model: {answer.model}", "dim"))
    out.print()
    likeliest = answer.crystal_system[: max(top, 3)]
    systems = table(("crystal system", "", ""), ((s.name, *_share(out, s.probability)) for s in likeliest))
    rows = ((str(g.number), g.symbol, *_share(out, g.probability)) for g in answer.space_group[:top])
    groups = table(("No.", "space group", "", ""), rows, right={"No."})
    out.print(Columns([systems, groups] if answer.space_group else [systems], padding=(0, 4)))
    out.print()
    if answer.lattice:
        cell = _cell(answer.lattice)
        out.print(Text.assemble(("reduced cell (Niggli)  ", "bold"), cell, f", from {answer.lattice_source}"))
    if answer.phases:
        out.print()
        minerals = ((Text(p.name), Text(p.formula), Text(p.source), f"{p.score:.3f}") for p in answer.phases[:top])
        out.print(table(("nearest minerals", "formula", "source", "similarity"), minerals, right={"similarity"}))
    if answer.leans_on:
        out.print()
        out.print(Text.assemble("The answer leans on ", (answer.leans_on, "bold"), "."))
    for warning in answer.warnings:
        out.print(Text(f"warning: {warning}", "yellow"))


def show_answers(answers: Sequence[Answer], *, header: bool, no_color: bool) -> None:
    """A line for each answer of a batch, the best of everything; "!" marks one with warnings.

    The columns are equally wide in every part of a batch.
    """
    from rich.table import Table
    from rich.text import Text

    lines = Table(box=None, show_header=header, expand=True)
    lines.add_column("file", ratio=8, overflow="fold")
    for name, ratio in (("crystal system", 5), ("space group", 5), ("nearest mineral", 6)):
        lines.add_column(name, ratio=ratio, overflow="ellipsis", no_wrap=True)
    lines.add_column("like", width=5, justify="right")
    lines.add_column("", width=1)
    for answer in answers:
        system, group = answer.crystal_system[0], answer.space_group[0] if answer.space_group else None
        phase = answer.phases[0] if answer.phases else None
        lines.add_row(
            Text(answer.file),
            f"{system.name} {system.probability:.0%}",
            f"{group.number} {group.symbol} {group.probability:.0%}" if group else "",
            Text(phase.name) if phase else "",
            f"{phase.score:.3f}" if phase else "",
            "!" if answer.warnings else "",
        )
    if answers or header:
        console(no_color).print(lines)


def _share(out: Console, probability: float) -> tuple[str, Text]:
    """A probability as per cent and as a bar."""
    from rich.text import Text

    block = "█" if "utf" in out.encoding.lower() else "#"
    return f"{100 * probability:5.1f} %" if probability >= 0.001 else "< 0.1 %", Text(
        block * round(BAR_WIDTH * probability), "green"
    )


def _cell(cell: Mapping[str, float]) -> str:
    lengths = "  ".join(f"{name} {cell[name + '_A']:.3f}" for name in "abc")
    angles = "  ".join(f"{name} {cell[name + '_deg']:.2f}" for name in ("alpha", "beta", "gamma"))
    return f"{lengths} A   {angles} deg"
