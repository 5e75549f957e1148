"""`powderlens models`: the networks of the registry, and their cards."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer

from powderlens.cli.console import console, print_json
from powderlens.cli.options import Json, NoColor

if TYPE_CHECKING:
    from powderlens.models.card import Card

app = typer.Typer(help="The networks that can be trained.", no_args_is_help=True)


class Size(StrEnum):
    """As published, or reduced so that two cores train it."""

    full = "full"
    small = "small"


@app.command("list")
def list_networks(as_json: Json = False, no_color: NoColor = False) -> None:
    """List the networks with their published input and size; space groups, one head."""
    from powderlens.models.registry import cards

    if as_json:
        print_json([_facts(card) for card in cards()])
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("network", no_wrap=True)
    for name in ("points", "parameters", "MMAC"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("repaired", no_wrap=True)
    table.add_column("what it is")
    for card in cards():
        repaired = "yes" if card.faults else ""
        size = f"{card.parameters['space_group']:,}"
        table.add_row(card.name, str(card.points), size, f"{card.macs_M:g}", repaired, Text(card.title))
    console(no_color).print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A network of the list.")],
    classes: Annotated[int, typer.Option(min=2, help="Classes of its one head.")] = 230,
    points: Annotated[int | None, typer.Option(min=1, help="Points of the grid; without it, the published.")] = None,
    as_published: Annotated[
        bool, typer.Option("--as-published", help="With the faults of the published code.")
    ] = False,
    size: Annotated[Size, typer.Option(help="Full, or reduced for two cores.")] = Size.full,
    as_json: Json = False,
) -> None:
    """Show a network's card, and count its parameters by building it (needs the extra `train`)."""
    from powderlens.models.registry import card, check_build, count_parameters
    from powderlens.models.task import Task

    known = card(name)
    length = known.points if points is None else points
    task = Task("classes", "classes", classes, tuple(range(classes)))
    how_built: dict[str, Any] = {"points": length, "as_published": as_published, "size": size.value}
    check_build(name, [task], **how_built)
    parameters = None if find_spec("torch") is None else count_parameters(name, [task], **how_built)
    if as_json:
        print_json(
            {"name": name, "parameters": parameters, "built": {"classes": classes, **how_built}, "card": _facts(known)}
        )
        return
    for line in _lines(known):
        typer.echo(line)
    how = f"{classes} classes, {length} points, size {size.value}{', as published' if as_published else ''}"
    counted = "counting needs torch: pip install 'powderlens[train]'" if parameters is None else f"{parameters:,}"
    typer.echo(f"Parameters with {how}: {counted}")


def _facts(card: Card) -> dict[str, Any]:
    from powderlens.models.card import PREPROCESSING

    return {**asdict(card), "preprocessing": {"name": card.preprocessing, "text": PREPROCESSING[card.preprocessing]}}


def _lines(card: Card) -> list[str]:
    from powderlens.models.card import PREPROCESSING

    fixed = "; its dense layer fixes that length, other grids are resampled" if card.fixed_points else ""
    return [
        f"{card.name}: {card.title}",
        f"Paper: {card.paper}",
        f"Licence of the source: {card.source_licence}",
        f"Input: {card.grid}; {PREPROCESSING[card.preprocessing]}{fixed}",
        f"At least {card.min_points} points",
        f"Trained on: {card.trained_on}",
        f"Small size: {card.small or 'the same network'}",
        *(f"Repaired unless --as-published: {fault}" for fault in card.faults),
        *(f"Note: {note}" for note in card.notes),
    ]
