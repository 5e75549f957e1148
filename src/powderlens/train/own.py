"""Networks and losses from outside the package: what the command line names may be imported, and nothing else.

A loss is a function `my_loss(answer, truth, **settings) -> Tensor` of the patterns whose truth is known: logits (n, C)
and labels (n,), or cells (n, 6) twice, to one number. For networks see `powderlens.models.own`. No torch.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from powderlens.core.errors import InputError
from powderlens.models.own import find_object
from powderlens.models.registry import resolve

GROUP = "powderlens.losses"
"""Entry points of installed packages: NAME = "module:function"."""

_KNOWN: dict[str, Callable[..., Any]] = {}


def is_own(name: str) -> bool:
    """Whether a name is of a loss from outside."""
    return ":" in name or name in entry_points(group=GROUP).names


def own_loss(name: str, *, imports: bool = False) -> Callable[..., Any]:
    """The function of a name.

    Args:
        name: MODULE:FUNCTION, or one that an installed package registers.
        imports: it stands on the command line, so its module may be imported. Once imported, it is known.

    Raises:
        InputError: a module that is not there or not to be imported, or no function there.
    """
    if name not in _KNOWN:
        found = find_object(name, GROUP, "--loss", imports=imports)
        if not callable(found):
            what = "no installed package registers it" if found is None else f"no function but {type(found).__name__}"
            raise InputError(f"loss {name}: {what}; give MODULE:FUNCTION")
        _KNOWN[name] = found
    return _KNOWN[name]


def admit(network: str | None, loss: str | None) -> None:
    """Import what the command line names; a recipe or a run may name it from then on.

    Args:
        network: as the command line has it.
        loss: likewise.

    Raises:
        InputError: see `own_loss` and `powderlens.models.registry.resolve`.
    """
    if network is not None:
        resolve(network, imports=True)
    if loss is not None and is_own(loss):
        own_loss(loss, imports=True)
