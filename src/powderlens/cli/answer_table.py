"""Answers as tables on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from powderlens.cli.console import console

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from powderlens.identification.answer import Answer

BAR_WIDTH = 16
LEAN = "The nearest mineral, which the answer leans on: "


def show_answer(answer: Answer, *, top: int, evidence: str, no_color: bool) -> None:
    """One answer: crystal systems, space groups, the cell, the nearest minerals, and warnings."""
    from rich.columns import Columns
    from rich.text import Text

    out, said = console(no_color), answer.to_dict()
    out.print(Text(said["file"] or "pattern", "bold"))
    out.print(Text(f"{said['wavelength_A']:.6g} A, model {said['model']}, evidence: {evidence}", "dim"))
    out.print()
    systems, groups = _table("crystal system", "", ""), _table("No.", "space group", "", "")
    groups.columns[0].justify = "right"
    for row in said["crystal_system"][: max(top, 3)]:
        systems.add_row(row["name"], *_share(out, row["probability"]))
    for row in said["space_group"][:top]:
        groups.add_row(str(row["number"]), row["symbol"], *_share(out, row["probability"]))
    out.print(Columns([systems, groups], padding=(0, 4)))
    out.print()
    cell = said["lattice"]
    out.print(Text.assemble(("reduced cell (Niggli)  ", "bold"), _cell(cell)))
    phases = said["phases"][:top]
    if phases:
        out.print()
        table = _table("nearest minerals", "formula", "source", "score")
        table.columns[3].justify = "right"
        for row in phases:
            table.add_row(*(Text(row[key]) for key in ("name", "formula", "source")), f"{row['score']:.3f}")
        out.print(table)
        if evidence != "network":
            out.print()
            out.print(Text.assemble(LEAN, (phases[0]["name"], "bold"), "."))
    for warning in said["warnings"]:
        out.print(Text(f"warning: {warning}", "yellow"))


def show_answers(answers: Sequence[Answer], *, header: bool, no_color: bool) -> None:
    """A line for each answer of a batch: the best of everything. The widths are the same in every part."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", show_header=header, expand=True)
    for name, ratio in (("file", 8), ("crystal system", 5), ("space group", 5), ("nearest mineral", 6)):
        table.add_column(name, ratio=ratio, overflow="fold" if name == "file" else "ellipsis", no_wrap=name != "file")
    for name in ("", "score"):
        table.add_column(name, width=5, justify="right")
    for answer in answers:
        said = answer.to_dict()
        system, group = said["crystal_system"][0], said["space_group"][0]
        phase = said["phases"][0] if said["phases"] else None
        table.add_row(
            Text(said["file"]),
            f"{system['name']} {system['probability']:.0%}",
            f"{group['number']} {group['symbol']} {group['probability']:.0%}",
            Text(phase["name"] if phase else ""),
            "!" * bool(said["warnings"]),
            f"{phase['score']:.3f}" if phase else "",
        )
    if answers or header:
        console(no_color).print(table)


def _table(*names: str) -> Table:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in names:
        table.add_column(name)
    return table


def _share(out: Console, probability: float) -> tuple[str, Text]:
    """A probability as per cent and as a bar."""
    from rich.text import Text

    block = "█" if "utf" in out.encoding.lower() else "#"
    return f"{100 * probability:5.1f} %", Text(block * round(BAR_WIDTH * probability), "green")


def _cell(cell: dict[str, Any]) -> str:
    lengths = "  ".join(f"{name} {cell[name + '_A']:.3f}" for name in "abc")
    angles = "  ".join(f"{name} {cell[name + '_deg']:.2f}" for name in ("alpha", "beta", "gamma"))
    return f"{lengths} A   {angles} deg"
