"""`powderlens models`: the networks of the registry, and their cards."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer

from powderlens.cli.console import console, print_json, table
from powderlens.cli.options import Json, NoColor
from powderlens.cli.training_options import Size

if TYPE_CHECKING:
    from powderlens.models.card import Card

app = typer.Typer(help="The networks that can be trained.", no_args_is_help=True)


@app.command("list")
def list_networks(as_json: Json = False, no_color: NoColor = False) -> None:
    """List the networks with their published input and size; space groups, one head."""
    from powderlens.models.registry import cards

    if as_json:
        print_json([_facts(card) for card in cards()])
        return
    from rich.text import Text

    columns = ("network", "points", "parameters", "MMAC", "repaired", "what it is")
    listed = table(columns, right=columns[1:4], whole=True)
    for card in cards():
        repaired = "yes" if card.faults else ""
        size = f"{card.parameters['space_group']:,}"
        listed.add_row(card.name, str(card.points), size, f"{card.macs_M:g}", repaired, Text(card.title))
    console(no_color).print(listed)


@app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A network of the list, MODULE:CLASS of your own, or weights."),
    ],
    classes: Annotated[int, typer.Option(min=2, help="Classes of its one head.")] = 230,
    points: Annotated[int | None, typer.Option(min=1, help="Points of the grid; without it, the published.")] = None,
    as_published: Annotated[
        bool, typer.Option("--as-published", help="With the faults of the published code.")
    ] = False,
    size: Annotated[Size, typer.Option(help="Full, or reduced for two cores.")] = Size.full,
    as_json: Json = False,
) -> None:
    """Show a network's card, and count its parameters by building it (needs the extra `train`).

    Of weights, shipped ones as prism-1 or a FILE of `powderlens export`, it shows how they were trained.
    """
    from powderlens.models.registry import NAMES, check_build, count_parameters, resolve
    from powderlens.models.task import Task
    from powderlens.models.weights import is_weights, read_card

    if name not in NAMES and is_weights(name):
        _show_weights(read_card(name), as_json=as_json)
        return
    known = resolve(name, imports=True)
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


def _show_weights(card: Card, *, as_json: bool) -> None:
    from powderlens.models.weights import weights_of
    from powderlens.pattern.spacing import words_of

    if as_json:
        print_json(card.to_dict())
        return
    weights = weights_of(card)
    recipe = weights.training.get("recipe", {})
    for line in (
        f"{card.id}: {card.title}",
        f"Patterns: {words_of(weights.grid)}, "
        + ("without background and floor" if weights.floor else "as measured")
        + (", with a mask of what was measured" if weights.mask else ", measured on the whole grid"),
        f"Answers: {', '.join(f'{task.name} ({task.outputs})' for task in weights.tasks)}",
        f"Parameters: {weights.parameters:,}, size {weights.size}{', as published' if weights.as_published else ''}",
        f"Trained: recipe {recipe.get('name', 'not stated')}, seed {recipe.get('seed', 'not stated')}, "
        f"step {weights.step:,}",
        f"Chosen by: {weights.chosen_by}",
        *(f"Note: {note}" for note in weights.notes),
    ):
        typer.echo(line)


def _facts(card: Card) -> dict[str, Any]:
    from powderlens.models.card import PREPROCESSING

    facts = card.to_dict()["architecture"]
    return {**facts, "preprocessing": {"name": card.preprocessing, "text": PREPROCESSING[card.preprocessing]}}


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
