"""Networks from outside the package: a class of your own, by `module:attribute` or as an entry point.

The class is the body, a torch module made by `MyNet(points)`: (b, 1, points) to (b, features), with the attribute
`features`. What it may say of itself besides, as attributes of the class, all with a default:

- `preprocessing`: a key of `powderlens.models.card.PREPROCESSING`; "max1".
- `channels`: 2 takes (b, 2, points), intensity and mask; 1.
- `min_points`: shortest grid; 1.
- `points`: it takes this length only, other grids are resampled to it; any.
- `options`: names of arguments of the class that a recipe may set; none.
- `head(features, outputs)`: static, (b, features) to logits (b, outputs); one dense layer.
- `lattice_head(features)`: static, to raw (b, 6); as `head`.
- `cell(raw_B6)`: static, raw lattice output to A and degrees; `powderlens.models.network.bounded_cell`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from powderlens.core.errors import InputError
from powderlens.models.card import PREPROCESSING, Card

OWN = "own"
"""Family of these networks."""
GROUP = "powderlens.networks"
"""Entry points of installed packages: NAME = "module:attribute"."""

_KNOWN: dict[str, Own] = {}


class Own:
    """A class as `powderlens.models.registry.build` calls it.

    Args:
        name: as the user gives it.
        made_by: the class.

    Attributes:
        card: what the class says of itself.

    Raises:
        InputError: it is no body of a network.
    """

    def __init__(self, name: str, made_by: Any) -> None:
        from torch import nn

        if not (isinstance(made_by, type) and issubclass(made_by, nn.Module)):
            raise InputError(f"{name}: is no network but {type(made_by).__name__}; give a class of torch.nn.Module")
        self.made_by: Any = made_by
        points: int | None = getattr(made_by, "points", None)
        preprocessing = getattr(made_by, "preprocessing", "max1")
        if preprocessing not in PREPROCESSING:
            raise InputError(f"{name}: preprocessing {preprocessing!r}; there are {', '.join(PREPROCESSING)}")
        channels = getattr(made_by, "channels", 1)
        if channels not in (1, 2):
            raise InputError(f"{name}: channels {channels!r}; 1 (intensity) or 2 (intensity and mask)")
        shortest = int(getattr(made_by, "min_points", 1))
        self.card = Card(
            name=name,
            title=(made_by.__doc__ or name).strip().splitlines()[0].rstrip("."),
            family=OWN,
            paper="none stated",
            source_licence="none stated",
            points=points or shortest,
            min_points=shortest,
            fixed_points=points is not None,
            preprocessing=preprocessing,
            grid="any" if points is None else f"{points} points",
            trained_on="nothing yet",
            parameters={},
            macs_M=0.0,
            options=tuple(getattr(made_by, "options", ())),
        )
        if hasattr(made_by, "head"):
            self.head = lambda features, outputs, **how: made_by.head(features, outputs)
        if hasattr(made_by, "lattice_head"):
            self.lattice_head = lambda features, **how: made_by.lattice_head(features)
        if hasattr(made_by, "cell"):
            self.cell = made_by.cell

    def body(self, points: int, *, as_published: bool, small: bool, **options: Any) -> Any:
        """The class's module, after a look at what it makes of two empty patterns.

        Raises:
            InputError: it cannot be made or asked, or gives something else than features.
        """
        import torch

        name = self.card.name
        try:
            body = self.made_by(points, **options)
            features, channels = getattr(body, "features", None), getattr(body, "channels", 1)
            with torch.no_grad():
                shape = tuple(body.eval()(torch.zeros(2, channels, points)).shape)
            body.train()
        except Exception as error:  # whatever the user's code may raise
            said = (str(error).splitlines() or [""])[0]
            raise InputError(
                f"{name}: cannot be made for {points} points, or not asked ({type(error).__name__}: {said})"
            ) from None
        if shape != (2, features):
            raise InputError(
                f"{name}: makes {shape} of two patterns of {points} points, and its features are {features}; "
                "its forward must return (patterns, features)"
            )
        return body


def find_own(name: str, *, imports: bool = False) -> Own | None:
    """A network from outside, or None where the name is not of such a one.

    Args:
        name: of an entry point, or `module:attribute`.
        imports: see `powderlens.models.registry.resolve`.

    Raises:
        InputError: see there.
    """
    if name not in _KNOWN:
        made_by = find_object(name, GROUP, "--network", imports=imports)
        if made_by is None:
            return None
        _KNOWN[name] = Own(name, made_by)
    return _KNOWN[name]


def find_object(name: str, group: str, option: str, *, imports: bool) -> Any:
    """What a name from outside stands for: an entry point of an installed package, or `module:attribute`.

    Args:
        name: as the user or a file gives it.
        group: of entry points.
        option: of the command line, which must repeat a module that a file names.
        imports: the name stands on the command line.

    Returns:
        The object; None where the name is neither.

    Raises:
        InputError: a module that is not there, fails, has no such attribute, or is not to be imported.
    """
    if ":" not in name:
        from importlib.metadata import entry_points  # 15 ms that no network of the package needs

        found = [point for point in entry_points(group=group) if point.name == name]
        if not found:
            return None
        name, imports = found[0].value, True
    if not imports:
        raise InputError(
            f"{name}: is of a module, and one that a file names is imported only if the command line names it too; "
            f"if you trust it, add {option} {name}"
        )
    module, _, attribute = name.partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)  # the program's own folder stands first, not the one where the user works
    try:
        found_in: Any = import_module(module)
    except ModuleNotFoundError as error:
        wanted = "" if error.name == module else f", which wants {error.name!r},"
        raise InputError(f"{name}: no module {module!r}{wanted} here or among what is installed") from None
    except Exception as error:
        raise InputError(f"{name}: its module cannot be imported ({type(error).__name__}: {error})") from None
    finally:
        if here in sys.path:
            sys.path.remove(here)
    try:
        for part in attribute.split("."):
            found_in = getattr(found_in, part)
    except AttributeError:
        raise InputError(f"{name}: its module holds no {attribute!r}") from None
    return found_in
