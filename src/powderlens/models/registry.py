"""Every network by name: `cards` lists them without torch, `build` makes one.

A network's file, `powderlens/models/FAMILY/NAME.py`, holds what `build` calls:

- `body(points, *, as_published, small, **options) -> nn.Module`: (b, 1, points) to (b, features), with the attribute
  `features`; with the attribute `channels = 2`, (b, 2, points), intensity and mask; and optionally with a method
  `for_outputs(outputs)` that is told how many classes each classification has;
- optionally `head(features, outputs, *, as_published, small) -> nn.Module`: (b, features) to logits (b, outputs); else
  it is one dense layer;
- optionally `lattice_head(features, *, as_published, small) -> nn.Module`: (b, features) to raw (b, 6), where
  `head(features, 6, as_published=False, small=small)` would not do;
- optionally `task_head(features, task) -> nn.Module`, in place of both: what of the body's answers is the task's;
- optionally `cell(raw_B6) -> Tensor`: raw lattice output to A and degrees, instead of `network.bounded_cell`.

A network from outside the package is one class, see `powderlens.models.own`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

from powderlens.core.errors import InputError
from powderlens.models.card import Card, Size
from powderlens.models.cards import FAMILIES, family_cards
from powderlens.models.own import OWN, find_own
from powderlens.models.task import Task

if TYPE_CHECKING:
    from powderlens.models.network import Network

_CARDS: dict[str, Card] = {card.name: card for family in FAMILIES for card in family_cards(family)}

NAMES: tuple[str, ...] = tuple(_CARDS)
"""Every network, in the order of the tables."""


def cards() -> tuple[Card, ...]:
    """All cards, in the order of `NAMES`."""
    return tuple(_CARDS.values())


def resolve(name: str, *, imports: bool = False) -> Card:
    """The card of a network: one of the registry, an entry point of an installed package, or `module:attribute`.

    Args:
        name: as the user or a file gives it.
        imports: it stands on the command line, so its module may be imported; whatever else names a module (a recipe,
            a run, a card) must be repeated there, for a file from a stranger runs no code. Once imported, it is known.

    Raises:
        InputError: no such network (names that look alike are listed), a module that is not there or not to be
            imported, or one that holds no network there.
    """
    if name in _CARDS:
        return _CARDS[name]
    own = find_own(name, imports=imports)
    if own is not None:
        return own.card
    near = get_close_matches(name.lower().replace("-", "").replace(" ", ""), NAMES, n=4, cutoff=0.5)
    near = near or get_close_matches(name.lower(), NAMES, n=4, cutoff=0.4)
    meant = f"near it: {', '.join(near)}; " if near else ""
    raise InputError(f"no network {name!r}; {meant}`powderlens models list` names all {len(NAMES)}")


def card(name: str) -> Card:
    """The card of a network that needs no import, or has been imported; see `resolve`.

    Raises:
        InputError: no such network; names that look alike are listed.
    """
    return resolve(name)


def check_build(
    name: str,
    tasks: Sequence[Task],
    *,
    points: int,
    mask: bool = False,
    as_published: bool = False,
    size: Size = "full",
    options: Mapping[str, Any] | None = None,
) -> Card:
    """Say whether a network can be built so, without torch.

    Args:
        name: one of `NAMES`, or one that `resolve` knows.
        tasks: one or several, of different names.
        points: length of the grid.
        mask: see `build`; every network can read one.
        as_published: see `build`.
        size: see `build`.
        options: see `build`.

    Returns:
        The network's card.

    Raises:
        InputError: unknown name, size or option, a grid that it cannot take, no task or one twice, or `as_published`
            where nothing differs.
    """
    known = card(name)
    if size not in ("full", "small"):
        raise InputError(f"size {size!r}: full or small")
    if points < known.min_points:
        raise InputError(
            f"{name}: a grid of {points} points is too short; it needs at least {known.min_points}: take a finer grid"
        )
    if as_published and known.fixed_points and points != known.points:
        raise InputError(
            f"{name}: as published it takes {known.points} points only, not {points}; "
            "put the patterns on such a grid, or leave as_published out: it then resamples them"
        )
    if as_published and not known.faults:
        raise InputError(f"{name}: as_published has no effect, nothing in it was repaired; leave it out")
    if size == "small" and known.family == OWN:
        raise InputError(f"{name}: size small has no effect on a network of your own; leave it out")
    if any(task.kind == "mixture" for task in tasks) and not known.mixture:
        able = ", ".join(one.name for one in cards() if one.mixture)
        raise InputError(f"{name}: gives no mixture density of cells; {able} does, or leave the task cell_mixture out")
    unknown = [one for one in options or {} if one not in known.options]
    if unknown:
        there = ", ".join(known.options) or "none"
        raise InputError(f"{name}: no option {unknown[0]!r}; there are: {there}")
    names = [task.name for task in tasks]
    if not names or len(set(names)) < len(names):
        raise InputError(f"{name}: tasks {', '.join(names) or 'none'}; give at least one, and none twice")
    return known


def count_parameters(name: str, tasks: Sequence[Task], **how: Any) -> int:
    """Trainable parameters of a network, counted on one that is built without memory for them; needs torch.

    Args:
        name: as for `build`.
        tasks: as for `build`.
        how: the others of `build`.

    Raises:
        InputError: see `check_build`.
    """
    check_build(name, tasks, **how)
    import torch

    with torch.device("meta"):
        network = build(name, tasks, **how)
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def build(
    name: str,
    tasks: Sequence[Task],
    *,
    points: int,
    mask: bool = False,
    as_published: bool = False,
    size: Size = "full",
    options: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Network:
    """Build a network with fresh weights; needs torch.

    Args:
        name: one of `NAMES`.
        tasks: one head each, see `powderlens.models.task`.
        points: length of the grid on which patterns come.
        mask: it reads a mask of what was measured beside the pattern, see `powderlens.models.network.Network`; weights
            of the body and the heads start as they do without.
        as_published: repeat the faults that the card lists; else the network is as its inventors meant it.
        size: "small" for the reduced network of the card.
        options: what the card lists under `options`, by name.
        seed: of the weights; None takes torch's present random state.

    Returns:
        In training mode, on the CPU.

    Raises:
        InputError: see `check_build`.
    """
    known = check_build(name, tasks, points=points, mask=mask, as_published=as_published, size=size, options=options)
    import torch

    from powderlens.models.dense import linear_head
    from powderlens.models.network import Network, bounded_cell

    own = find_own(name)
    file: Any = import_module(f"powderlens.models.{known.family}.{name}") if own is None else own
    length = known.points if known.fixed_points else points
    how = {"as_published": as_published, "small": size == "small"}
    with nullcontext() if seed is None else torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        body = file.body(length, **how, **(options or {}))
        if hasattr(body, "for_outputs"):
            body.for_outputs(tuple(task.outputs for task in tasks if task.kind == "classes"))
        head, heads = getattr(file, "head", linear_head), {}
        for task in tasks:
            if hasattr(file, "task_head"):
                heads[task.name] = file.task_head(body.features, task)
            elif task.kind == "classes":
                heads[task.name] = head(body.features, task.outputs, **how)
            elif hasattr(file, "lattice_head"):
                heads[task.name] = file.lattice_head(body.features, **how)
            else:
                heads[task.name] = head(body.features, task.outputs, **{**how, "as_published": False})
    cell = getattr(file, "cell", bounded_cell)
    return Network(known, body, heads, tasks, points=points, length=length, cell=cell, mask=mask)
