"""`powderlens corpus info`: what a corpus holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from powderlens.cli.console import console, print_json, show_counts
from powderlens.cli.extras import need
from powderlens.cli.options import Json, NoColor


def info(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="The folder of a corpus.")],
    as_json: Json = False,
    no_color: NoColor = False,
) -> None:
    """What a corpus holds: crystals, patterns, parts of the split, conditions, rejects, files."""
    need("a corpus", "pyarrow")
    from powderlens.corpus.store.info import corpus_summary

    found = corpus_summary(corpus)
    if as_json:
        print_json(found)
    else:
        _print(found, console(no_color))


def _print(found: dict[str, Any], to: Console) -> None:
    """For people; a corpus of stored or measured patterns has fewer fields."""
    sizes = f"{found['bytes'] / 1e6:,.1f} MB in {len(found['files']) + 1} files"
    patterns = f"{found['patterns']:,} patterns" if "patterns" in found else ""
    if "per_crystal" in found:
        patterns += f" = {found['crystals']:,} crystals x {found['per_crystal']}"
    to.print(f"{found.get('name', 'corpus')}: {patterns}, {found['kind']}; {sizes}")
    if "protocol" in found:
        redrawn = found.get("redrawn", 0)
        more = f"; {redrawn:,} drawn anew because they showed no line" if redrawn else ""
        to.print(f"Protocol {found['protocol']}, seed {found['seed']}{more}")
    if "grid" in found:
        grid = found["grid"]
        end = grid["start_deg"] + grid["step_deg"] * (grid["points"] - 1)
        to.print(
            f"{grid['points']} points, {grid['start_deg']:g} to {end:g} degrees 2theta at {grid['wavelength_A']:g} A"
        )
    if "sources" in found:
        of = ", ".join(f"{name} {count:,}" for name, count in found["sources"].items())
        to.print(f"Crystals of {of}; {len(found['space_groups'])} space groups, {found['structure_types']:,} types")
        total = max(found["crystals"], 1)
        systems = [(name, f"{n:,}", f"{n / total:.1%}") for name, n in found["crystal_systems"].items()]
        show_counts(to, "Crystal systems", ("system", "crystals", "share"), systems)
    if "split" in found:
        split = found["split"]
        to.print(f"Split {split['name']}: {split['statement']}")
        parts = [(name, f"{n['crystals']:,}", f"{n['patterns']:,}") for name, n in split["parts"].items()]
        show_counts(to, "Parts", ("part", "crystals", "patterns"), parts)
    if found.get("rejects"):
        rejects = [(name, f"{n:,}") for name, n in found["rejects"].items()]
        show_counts(to, f"Not drawn, of {found.get('crystals_in', 0):,}", ("reason", "crystals"), rejects)
    files = [(name, f"{size:,}") for name, size in found["files"].items()]
    show_counts(to, "Files", ("file", "bytes"), files)
