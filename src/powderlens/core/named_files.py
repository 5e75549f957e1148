"""Files that ship in a folder of the package and are given by name, or are one's own and are given by path."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from powderlens.core.errors import InputError


def names_in(folder: Path) -> list[str]:
    """Of the files that ship in a folder of the package."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def find_file(name_or_path: str | Path, folder: Path, what: str) -> Path:
    """The file of a shipped name; a path ends in .toml and is taken as it is.

    Args:
        name_or_path: as the command line has it.
        folder: where those that ship lie.
        what: "recipe", for the message.

    Raises:
        InputError: no such name.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml":
        return path
    names = names_in(folder)
    if str(name_or_path) not in names:
        raise InputError(
            f"no {what} {str(name_or_path)!r}; there are {', '.join(names)}, or give a file ending in .toml"
        )
    return folder / f"{name_or_path}.toml"


def read_text(path: Path) -> str:
    """What a file holds.

    Raises:
        InputError: it cannot be read, or is not in UTF-8 as all TOML is.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not TOML: {error}") from None


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a file.

    Raises:
        InputError: it cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not TOML: {error}") from None
