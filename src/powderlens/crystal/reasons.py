"""Why crystals are left out, in words that are the same for the same cause, so that equal ones count together."""

from __future__ import annotations

import re

from powderlens.crystal.structure import Structure

ENDLESS = "symmetry: the search does not end or breaks down"
"""Why a crystal is left out that has brought a process to its end."""

_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


def unreadable(reason: str) -> tuple[str, str]:
    """A reader's reason without what is this crystal's own, so that equal ones count together; and the whole."""
    general = _NUMBER.sub("N", _QUOTED.sub("'...'", " ".join(reason.split())))
    return f"unreadable: {general}", "" if general == reason else reason


def without_symmetry(structure: Structure, error: Exception) -> str:
    """Why no symmetry was found, without what is this crystal's own."""
    text = " ".join(str(error).split()).removeprefix(f"{structure.source}: ").removeprefix("symmetry: ")
    return f"symmetry: {_NUMBER.sub('N', text) or type(error).__name__}"
