"""What recipes and plans are made of, and how they are checked: a mistake is named in one line."""

from __future__ import annotations

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
