"""Recipes and plans are TOML files, by name where they ship, else by path; a mistake in one is named in one line."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from powderlens.core.errors import InputError

RECIPES = Path(str(files("powderlens.train") / "recipes"))
"""The shipped recipes."""


class Part(BaseModel):
    """A table of such a file: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)


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


def read_toml(path: Path) -> dict[str, Any]:
    """What a file holds.

    Raises:
        InputError: it cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not TOML: {error}") from None


def checked(model: type[Model], content: dict[str, Any], source: object) -> Model:
    """The content as a model.

    Args:
        model: what it has to be.
        content: as TOML or JSON hold it.
        source: named in complaints.

    Raises:
        InputError: the first mistake, with its field and value.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ")
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "value_error" or not where:
            raise InputError(f"{source}: {where}{': ' if where else ''}{said}") from None
        got = "" if first["type"] in ("missing", "extra_forbidden") else f" (got {first.get('input')!r})"
        raise InputError(f"{source}: {where}: {said}{got}") from None
