"""How `powderlens crystals info` prints what it found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from powderlens.symmetry.groups import symbol

SHOWN = 15


def print_summary(found: dict[str, Any], to: Console) -> None:
    """Counts, crystal systems, the commonest space groups, rejects by reason; of a curated table, each rule alone."""
    groups: dict[int, int] = found["space_groups"]
    total = max(found["crystals"], 1)
    to.print(
        f"{found['crystals']:,} crystals of {', '.join(found['sources'])}; {len(groups)} space groups, "
        f"{found['extinction_classes']} extinction classes, {found['structure_types']:,} structure types, "
        f"{found['elements']} elements"
    )
    systems = [(name, f"{n:,}", f"{n / total:.1%}") for name, n in found["crystal_systems"].items()]
    _print(to, "Crystal systems", ("system", "crystals", "share"), systems)
    commonest = sorted(groups.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]
    rows = [(str(g), symbol(g), f"{n:,}", f"{n / total:.1%}") for g, n in commonest]
    _print(to, f"The commonest of {len(groups)} space groups", ("number", "symbol", "crystals", "share"), rows)
    if "rejects" not in found:
        return
    curated = "protocol" in found
    made_by = f"Protocol {found['protocol']}" if curated else found.get("origin", "Of its manifest").capitalize()
    to.print(f"{made_by}: {found['crystals_in']:,} in, {found['crystals_kept']:,} kept")
    rejects = [(name, f"{n:,}") for name, n in found["rejects"].items()]
    _print(to, "Rejects" + ", each by the first rule that it failed" * curated, ("reason", "crystals"), rejects)
    if curated:
        alone = [(name, f"{n:,}") for name, n in found["each_rule_alone"].items()]
        _print(to, "What each rule alone would take", ("rule", "crystals"), alone)


def _print(to: Console, title: str, head: Iterable[str], rows: Sequence[tuple[str, ...]]) -> None:
    if not rows:
        return
    table = Table(title=title, title_justify="left")
    for i, name in enumerate(head):
        table.add_column(name, justify="left" if i == 0 or name == "symbol" else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    to.print(table)
