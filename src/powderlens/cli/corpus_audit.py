"""`powderlens corpus audit`: what the parts of a corpus have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from powderlens.cli.console import console, print_json, table
from powderlens.cli.extras import need
from powderlens.cli.options import Json, NoColor

if TYPE_CHECKING:
    from powderlens.corpus.audit import Audit


def audit(
    corpus: Annotated[Path, typer.Argument(metavar="DIR", help="A corpus.")],
    as_json: Json = False,
    no_color: NoColor = False,
) -> None:
    """Look for leaks between the parts of a split: the same crystals, structure types, compositions.

    Exit code 1 when the split is not what it says.
    """
    need("auditing a corpus", "pyarrow")
    from powderlens.corpus.audit import audit_corpus
    from powderlens.corpus.store.drawn import DrawnCorpus

    found = audit_corpus(DrawnCorpus.open(corpus))
    if as_json:
        print_json(found.as_dict())
    else:
        _show(found, no_color=no_color)
    if found.broken:
        raise typer.Exit(1)


def _show(found: Audit, *, no_color: bool) -> None:
    from powderlens.corpus.audit import MEASURES

    screen = console(no_color)
    columns = ("parts", "kinds", "crystals", "of the other", "for example", "")
    screen.print(f"Split {found.split}: {found.statement}", markup=False)
    counts = ", ".join(f"{part} {count:,}" for part, count in found.crystals.items())
    screen.print(f"Crystals: {counts}; patterns in two parts: {found.patterns_twice:,}", markup=False)
    for measure, title in MEASURES.items():
        shown = table(columns, right=columns[1:4], title=f"\n{title}", fold=True)
        for entry in found.shared:
            if entry.measure == measure:
                first = " = ".join(entry.examples[0]) if entry.examples else ""
                shared = (f"{entry.kinds:,}", f"{entry.crystals_a:,}", f"{entry.crystals_b:,}")
                shown.add_row(f"{entry.a} and {entry.b}", *shared, first, "BROKEN" if entry.broken else "")
        screen.print(shown)
    verdict = "The split is not what it says." if found.broken else "The split is what it says."
    screen.print(f"\n{verdict}", markup=False)
