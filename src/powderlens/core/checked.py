"""Tables of files that are checked when they are read: recipes, plans, protocols, records. A mistake is one line."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from powderlens.core.errors import InputError


class Part(BaseModel):
    """A table of such a file: frozen, unknown keys refused, numbers finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], content: dict[str, Any], source: object = "") -> Model:
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
        raise InputError(f"{source}: {first_mistake(error)}" if source else first_mistake(error)) from None


def first_mistake(error: ValidationError) -> str:
    """Where and what, of the first of many; tags of alternatives (@uniform) are no part of where."""
    first = error.errors()[0]
    said = first["msg"].removeprefix("Value error, ")
    where = ".".join(str(part) for part in first["loc"] if not str(part).startswith("@"))
    if not where:
        return said
    if first["type"] == "extra_forbidden":
        said = "no such key"
    got = "" if first["type"] in ("missing", "value_error") else f" (got {first['input']!r})"
    return f"{where}: {said}{got}"
