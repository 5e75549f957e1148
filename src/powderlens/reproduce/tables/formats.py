"""Tables as text (rich), Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from itertools import groupby
from typing import TYPE_CHECKING

from powderlens.reproduce.tables.table import DASH, Column, Table, cell, is_number

if TYPE_CHECKING:
    from rich.console import Console

NOTE_WIDTH = 100
LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "Å": r"\AA{}",
    "°": r"\textdegree{}",
    "ρ": r"$\rho$",
    "μ": r"$\mu$",
}


def print_text(table: Table, console: Console) -> None:
    """Print on a console, which is made wide enough: no figure is ever cut off."""
    from rich.measure import Measurement
    from rich.table import Table as Grid
    from rich.text import Text

    terminal = console.width
    console.print(Text(table.title, "bold"), soft_wrap=True)
    for section, rows in table.sections():
        columns = table.shown(section, wide=False)
        grid = Grid(box=None, header_style="bold", pad_edge=False)
        for column in columns:
            head = f"{column.group}\n{column.head}" if any(one.group for one in columns) else column.head
            grid.add_column(head, justify="right" if is_number(rows, column) else "left", no_wrap=True)
        for row in rows:
            grid.add_row(*(Text(cell(row, column)) for column in columns))
        console.print()
        if section:
            console.print(Text(section, "bold"), soft_wrap=True)
        free = console.options.update(width=10_000)
        console.width = max(terminal, Measurement.get(console, free, grid).maximum)
        console.print(grid)
    console.width = min(terminal, NOTE_WIDTH)
    for note in table.notes:
        console.print()
        console.print(Text(note))
    console.width = terminal


def as_markdown(table: Table) -> str:
    """GitHub's Markdown: heading, a table a section, notes as a list."""
    lines = [f"## {table.title}"]
    for section, rows in table.sections():
        columns = table.shown(section, wide=True)
        lines += ["", f"### {section}"] if section else []
        heads = [f"{column.group} {column.head}".strip() for column in columns]
        rules = ["---:" if is_number(rows, column) else "---" for column in columns]
        body = [[_markdown(cell(row, column)) for column in columns] for row in rows]
        lines += ["", *(f"| {' | '.join(words)} |" for words in (heads, rules, *body))]
    lines += ["", *(f"- {_markdown(note)}" for note in table.notes)] if table.notes else []
    return "\n".join(lines) + "\n"


def as_csv(table: Table) -> str:
    """Every column and row, hidden ones too; empty where there is no value. Notes are left out."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["section", *(column.key for column in table.columns)])
    for row in table.rows:
        writer.writerow([row.section, *(_plain(row.values.get(column.key)) for column in table.columns)])
    return out.getvalue()


def as_latex(table: Table) -> str:
    """A `table` with a `tabular` for each section, with booktabs' rules; notes under it."""
    lines = [r"\begin{table}", r"\centering", f"\\caption{{{_latex(table.title)}}}", f"\\label{{tab:{table.name}}}"]
    for section, rows in table.sections():
        columns = table.shown(section, wide=True)
        kinds = "".join("r" if is_number(rows, column) else "l" for column in columns)
        lines += [f"\\par\\medskip\\emph{{{_latex(section)}}}\\par\\smallskip"] if section else []
        lines += [f"\\begin{{tabular}}{{{kinds}}}", r"\toprule", *_heads(columns), r"\midrule"]
        lines += [" & ".join(_latex(cell(row, column)) for column in columns) + r" \\" for row in rows]
        lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [f"\\par\\smallskip\\footnotesize {_latex(note)}" for note in table.notes]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _heads(columns: list[Column]) -> list[str]:
    """The heads, under their groups where there are any."""
    lines, first = [], 1
    if any(column.group for column in columns):
        spans, rules = [], []
        for group, members in groupby(columns, key=lambda column: column.group):
            n = len(list(members))
            spans.append(f"\\multicolumn{{{n}}}{{c}}{{{_latex(group)}}}")
            rules += [f"\\cmidrule(lr){{{first}-{first + n - 1}}}"] if group else []
            first += n
        lines = [" & ".join(spans) + r" \\", " ".join(rules)]
    return [*lines, " & ".join(_latex(column.head) for column in columns) + r" \\"]


def _markdown(text: str) -> str:
    return text.replace("|", "\\|")


def _latex(text: str) -> str:
    return "".join(LATEX.get(sign, sign) for sign in text)


def _plain(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None or value == DASH else value
