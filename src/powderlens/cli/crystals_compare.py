"""`powderlens crystals compare`: what two crystal tables have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from powderlens.cli.console import console, print_json, table
from powderlens.cli.extras import need
from powderlens.cli.options import Json, NoColor

if TYPE_CHECKING:
    from powderlens.crystals.compare import Overlap


def compare(
    a: Annotated[Path, typer.Argument(metavar="A.parquet", help="A crystal table.")],
    b: Annotated[Path, typer.Argument(metavar="B.parquet", help="Another.")],
    as_json: Json = False,
    no_color: NoColor = False,
) -> None:
    """Count the crystals that two tables share, and those that each repeats.

    By three measures: the same crystal; alike by fingerprint within composition and space group; structure type and
    composition the same.
    """
    need("comparing crystal tables", "pyarrow")
    from powderlens.crystals.compare import compare as compare_crystals
    from powderlens.crystals.table import CrystalTable

    found = compare_crystals(CrystalTable.load(a), CrystalTable.load(b))
    if as_json:
        print_json(
            {"a": str(a), "b": str(b)} | {"overlap": {measure: entry.as_dict() for measure, entry in found.items()}}
        )
        return
    _show(a.name, b.name, found, no_color=no_color)


def _show(a: str, b: str, found: dict[str, Overlap], *, no_color: bool) -> None:
    from powderlens.crystals.compare import MEASURES

    screen = console(no_color)
    sides = next(iter(found.values()))
    screen.print(f"A  {a}: {sides.a.crystals:,} crystals", markup=False)
    screen.print(f"B  {b}: {sides.b.crystals:,} crystals", markup=False)
    total = sides.a.crystals + sides.b.crystals
    columns = ("", "unique", "equivalent", "share of all")
    for measure, entry in found.items():
        screen.print(f"\n{MEASURES[measure]}:", markup=False)
        shown = table(columns, right=columns[1:])
        for name, part in (("in A alone", entry.only_a), ("in B alone", entry.only_b), ("in both", entry.both)):
            share = (part.unique + part.equivalent) / max(1, total)
            shown.add_row(name, f"{part.unique:,}", f"{part.equivalent:,}", f"{share:.1%}")
        screen.print(shown)
        for name, side, other in (("A", entry.a, "B"), ("B", entry.b, "A")):
            screen.print(
                f"{name}: {side.unique:,} kinds; {side.equivalent:,} equivalent inside; "
                f"{side.shared:,} have their like in {other} ({side.shared / max(1, side.crystals):.1%})",
                markup=False,
            )
