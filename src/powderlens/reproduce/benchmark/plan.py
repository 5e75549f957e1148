"""The plan of a benchmark: one TOML file, validated, unknown keys refused. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from powderlens.core.checked import Part, checked
from powderlens.core.named_files import find_file, read_toml
from powderlens.models.registry import card
from powderlens.train.recipe import Recipe, load_recipe, parse_recipe, with_choices

PLANS = Path(str(files("powderlens.reproduce.benchmark") / "plans"))
"""The shipped plans."""

TaskName = Literal["crystal_system", "space_group"]


class Crystals(Part):
    """Which crystals, under which conditions."""

    known: int = Field(ge=10, description="crystals whose patterns are learnt from, drawn at random from the table")
    unseen: int = Field(ge=10, description="crystals of the out-of-library test, none of them like a known one")
    protocol: str = Field(description="of the conditions")
    per_crystal: int = Field(ge=3, description="conditions of a known crystal: 30/1/2 of 33 train, choose and test")
    unseen_per_crystal: int = Field(ge=1, description="conditions of an unseen crystal")


class Budget(Part):
    """The same for every network."""

    patterns: int = Field(gt=0, description="shown in each training")
    rates: tuple[float, ...] = Field(min_length=1, description="highest learning rates, rising")
    first_rate: float = Field(
        description="tried first, then higher ones as long as the loss falls; where it rises at once, lower ones"
    )
    validations: int = Field(gt=0, description="points of each training's curve; the last one is its end")
    batch: int = Field(gt=1, description="patterns a step")
    size: Literal["full", "small"] = Field(description="of the networks")


class Losses(Part):
    """Other losses than the recipe's."""

    networks: tuple[str, ...]
    kinds: tuple[str, ...]
    tasks: tuple[TaskName, ...]


class Plan(Part):
    """Everything that decides a benchmark, except the table of crystals."""

    format: Literal[1]
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    seed: int = Field(ge=0, le=2**32 - 1, description="of the choice of crystals, conditions, weights and order")
    recipe: str = Field(description="shipped, or a file beside the plan; what is not said here is as there")
    networks: tuple[str, ...] = Field(min_length=1)
    tasks: tuple[TaskName, ...] = Field(min_length=1)
    as_published: bool = Field(description="train networks with published faults a second time, with them")
    crystals: Crystals
    budget: Budget
    losses: Losses | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Plan:
        for name in (*self.networks, *(self.losses.networks if self.losses else ())):
            card(name)
        for what in ("networks", "tasks"):
            if self.losses and not set(getattr(self.losses, what)) <= set(getattr(self, what)):
                raise ValueError(f"losses.{what}: some are not in the list above, where their learning rates are found")
        if list(self.budget.rates) != sorted(set(self.budget.rates)) or self.budget.rates[0] <= 0:
            raise ValueError(f"budget.rates: {', '.join(map(str, self.budget.rates))} do not rise from above 0")
        if self.budget.first_rate not in self.budget.rates:
            raise ValueError(f"budget.first_rate: {self.budget.first_rate}, not one of budget.rates")
        if self.budget.patterns < self.budget.batch:
            raise ValueError(f"budget.patterns: {self.budget.patterns}, fewer than one batch of {self.budget.batch}")
        return self


@dataclass(frozen=True)
class Variant:
    """A network, as its inventors meant it or as it was published."""

    network: str
    as_published: bool

    @property
    def name(self) -> str:
        """For folders."""
        return self.network + ("-as-published" if self.as_published else "")


@dataclass(frozen=True)
class Trial:
    """What one record is of: a variant, a task, a loss (None: the recipe's)."""

    variant: Variant
    task: str
    loss: str | None = None

    @property
    def name(self) -> str:
        """For folders."""
        return "-".join(filter(None, (self.variant.name, self.task, self.loss)))


@dataclass(frozen=True)
class Bench:
    """A plan with its recipe."""

    plan: Plan
    recipe: Recipe

    def trials(self) -> Iterator[Trial]:
        """With the recipe's loss: all networks as meant, then those with faults as published."""
        variants = [Variant(name, False) for name in self.plan.networks]
        if self.plan.as_published:
            variants += [Variant(name, True) for name in self.plan.networks if card(name).faults]
        yield from (Trial(variant, task) for variant in variants for task in self.plan.tasks)

    def loss_trials(self) -> Iterator[Trial]:
        """With other losses, at the rate that the recipe's loss chose."""
        if self.plan.losses:
            for name in self.plan.losses.networks:
                for kind, task in product(self.plan.losses.kinds, self.plan.losses.tasks):
                    yield Trial(Variant(name, False), task, kind)

    def recipe_of(self, trial: Trial, rate: float) -> Recipe:
        """What a training at a rate does; the last checkpoint counts."""
        chosen = with_choices(
            self.recipe,
            network=trial.variant.network,
            size=self.plan.budget.size,
            as_published=trial.variant.as_published,
            tasks=[trial.task],
            loss=trial.loss,
            seed=self.plan.seed,
        )
        content = chosen.model_dump(mode="json")
        budget = self.plan.budget
        content["batch"] = budget.batch
        content["data"]["validate_patterns"] = -(-budget.patterns // budget.validations)
        content["optimiser"]["learning_rate"] = rate
        content["limits"] = {"patterns": budget.patterns}
        content |= {"keep": "last", "patience": None, "min_delta": None}
        return parse_recipe(content, self.plan.name)


def load_bench(name_or_path: str | Path) -> Bench:
    """A shipped plan by name, or any by the path of its file (ending in .toml), with the recipe that it names.

    Raises:
        InputError: no such plan, bad TOML, unknown key, network or loss, a value out of range; one line that names the
            field.
    """
    path = find_file(name_or_path, PLANS, "plan")
    plan = checked(Plan, read_toml(path), path)
    bench = Bench(plan, load_recipe(path.parent / plan.recipe if plan.recipe.endswith(".toml") else plan.recipe))
    for trial in (*bench.trials(), *bench.loss_trials()):
        bench.recipe_of(trial, plan.budget.first_rate)
    return bench
