"""What a command needs beyond the base install."""

from __future__ import annotations

from powderlens.core.errors import MissingExtraError


def need(what: str, *modules: str, extra: str = "train") -> None:
    """Stop with one clear line when a module of an extra is not installed.

    Args:
        what: the work that needs it, as the message's first words.
        modules: names of the modules.
        extra: the extra that brings them.

    Raises:
        MissingExtraError: one or several are missing.
    """
    from importlib.util import find_spec

    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"{what} needs {', '.join(missing)}: pip install 'powderlens[{extra}]'")
