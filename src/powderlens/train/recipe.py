"""A training recipe: one TOML file, validated, unknown keys refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from powderlens.core.named_files import find_file, read_toml
from powderlens.pattern.grid import Grid
from powderlens.train.recipe_file import RECIPES, Part, checked

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class GridRecipe(Part):
    """The network's grid."""

    start_deg: float = Field(ge=0, lt=180, description="first 2theta, degrees")
    step_deg: float = Field(gt=0, description="spacing, degrees")
    points: int = Field(gt=100, description="number of positions")
    wavelength_A: float = Field(gt=0, description="wavelength at which the angles are meant, A")

    def grid(self) -> Grid:
        """As the package's own noun."""
        return Grid(**self.model_dump())


class NetworkRecipe(Part):
    """Sizes of `prism`."""

    widths: tuple[Positive, Positive, Positive] = Field(description="channels of the three stages")
    hidden: int = Field(gt=0, description="width of the shared dense layer")
    dropout: float = Field(ge=0, lt=1, description="rate around the dense layer")


class DataRecipe(Part):
    """Which crystals, how often."""

    shares: dict[str, Share] = Field(
        min_length=1, description="database (prefix of the crystal ids) -> share of the draws, positive"
    )
    protocol: str = Field(min_length=1, description="name or file of the protocol that draws the conditions")
    validation_patterns: int = Field(gt=0, description="fixed patterns of held-out crystals that choose the model")


class Recipe(Part):
    """Everything that decides a training run, except where its data lie."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the model and of its files")
    seed: int = Field(ge=0, description="seed of weights and patterns")
    grid: GridRecipe
    network: NetworkRecipe
    data: DataRecipe
    batch: int = Field(gt=1, description="patterns per step; batch normalisation needs two")
    steps: int = Field(gt=0, description="optimiser steps; each pattern is used once")
    learning_rate: float = Field(gt=0, description="highest rate of the one-cycle schedule")
    weight_decay: float = Field(ge=0, description="AdamW weight decay")
    warmup: float = Field(gt=0, lt=1, description="share of the steps in which the rate rises")
    label_smoothing: float = Field(ge=0, lt=1, description="of both classifications")
    lattice_weight: float = Field(ge=0, description="weight of the lattice loss")
    ema_decay: float = Field(gt=0, lt=1, description="decay of the weight average that is validated and shipped")
    validate_every: int = Field(
        gt=0, description="steps between validations and checkpoints, at most `steps`; those after the last are lost"
    )

    @model_validator(mode="after")
    def _leaves_a_checkpoint(self) -> Recipe:
        if self.validate_every > self.steps:
            raise ValueError(f"validate_every {self.validate_every} is more than steps {self.steps}: no checkpoint")
        return self


def load_recipe(name_or_path: str | Path) -> Recipe:
    """A shipped recipe by name, or any by the path of its file (ending in .toml).

    Raises:
        InputError: no such recipe, bad TOML, unknown key or a value out of range; one line that names the field.
    """
    path = find_file(name_or_path, RECIPES, "recipe")
    return checked(Recipe, read_toml(path), path)
