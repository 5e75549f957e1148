"""A recipe: one TOML file for any network, validated, unknown keys refused. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from powderlens.core.checked import Part, checked
from powderlens.core.errors import InputError
from powderlens.core.named_files import find_file, read_toml
from powderlens.models.registry import card
from powderlens.models.task import TASKS
from powderlens.train.own import is_own
from powderlens.train.recipe_parts import (
    CELL_LOSSES,
    CLASS_LOSSES,
    NUMBER_OF,
    AveragingRecipe,
    CellLikelihood,
    CellLoss,
    ClassLoss,
    CorpusData,
    CrossEntropy,
    DataRecipe,
    Gemd,
    GridRecipe,
    Limits,
    MixedData,
    OneCycle,
    OptimiserRecipe,
    OwnLoss,
    ScheduleRecipe,
    SquaredCell,
    TaskRecipe,
)

RECIPES = Path(str(files("powderlens.train") / "recipes"))
"""The shipped recipes."""

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
"""Short names of precisions."""


class NetworkRecipe(Part):
    """Which network."""

    name: str = Field(description="in the registry, see `powderlens models list`")
    size: Literal["full", "small"] = Field("full", description="small is the reduced network of the card")
    as_published: bool = Field(False, description="repeat the faults that the card lists")
    mask: bool = Field(False, description="read which points were measured beside the pattern")
    options: dict[str, int | float | tuple[int | float, ...]] = Field(
        default={}, description="what else its card lists, by name, as widths of prism"
    )


class Recipe(Part):
    """Everything that decides a training run, except where its data lie."""

    format: Literal[2] = Field(description="of this file")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="of the experiment")
    seed: int = Field(ge=0, le=2**32 - 1, description="of weights, order, dropout and noise")
    network: NetworkRecipe
    tasks: dict[str, TaskRecipe] = Field(min_length=1, description="a head each")
    data: DataRecipe
    grid: GridRecipe | None = Field(None, description="of endless data; left out, the protocol's. A corpus has its own")
    optimiser: OptimiserRecipe
    schedule: ScheduleRecipe
    batch: int = Field(gt=1, description="patterns per step, of all devices together; some networks need two")
    limits: Limits
    patience: int | None = Field(None, gt=0, description="validations without improvement after which the run stops")
    min_delta: float | None = Field(
        None, ge=0, description="by how much the validation loss must fall to count as improvement; with patience only"
    )
    keep: Literal["best", "last"] = Field("best", description="which checkpoint counts")
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = Field(
        "32-true", description="of the arithmetic, as Lightning names it; weights stay in 32 bits"
    )
    gradient_clip: float | None = Field(None, gt=0, description="largest norm of the gradient")
    averaging: AveragingRecipe | None = Field(None, description="of the weights over the steps")
    checkpoint_steps: int | None = Field(
        None, gt=0, description="steps between checkpoints, in addition to those of validations"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        card(self.network.name)
        for name, task in self.tasks.items():
            _check_task(name, task)
        if isinstance(self.schedule, OneCycle) and self.limits.total_steps(self.batch, 1) is None:
            raise ValueError(
                "schedule one_cycle: needs to know its end; limit epochs, steps or patterns, not only seconds"
            )
        if self.min_delta is not None and self.patience is None:
            raise ValueError("min_delta: has no effect without patience; leave it out, or give a patience")
        if isinstance(self.data, MixedData) != (self.grid is not None and self.grid.of_spacings):
            raise ValueError("grid: one of spacings (d_max_A, log_step, points) goes with data of kind mixed, no other")
        if isinstance(self.data, MixedData) and not (self.data.floor and self.network.mask):
            raise ValueError("data.floor and network.mask: patterns on a grid of spacings need both; set them to true")
        if isinstance(self.data, CorpusData):
            if self.grid is not None:
                raise ValueError("grid: has no effect, a corpus has its own; leave it out")
            if self.data.validation == "test" and (self.keep == "best" or self.patience is not None):
                raise ValueError(
                    'data.validation: the test part must choose nothing; set keep = "last" and no patience'
                )
        return self


def load_recipe(name_or_path: str | Path) -> Recipe:
    """A shipped recipe by name, or any by the path of its file (ending in .toml).

    Raises:
        InputError: no such recipe, bad TOML, unknown key, network or task, a value out of range or without effect; one
            line that names the field.
    """
    path = find_file(name_or_path, RECIPES, "recipe")
    return parse_recipe(read_toml(path), str(path))


def parse_recipe(content: dict[str, Any], source: str) -> Recipe:
    """Check the content of a recipe.

    Args:
        content: as TOML or JSON hold it.
        source: named in complaints.

    Raises:
        InputError: see `load_recipe`.
    """
    if "format" not in content:
        raise InputError(
            f"{source}: states no format, as recipes of prism did once; write it as the shipped recipe prism is now "
            "(format = 2)"
        )
    return checked(Recipe, content, source)


def with_choices(
    recipe: Recipe,
    *,
    network: str | None = None,
    size: Literal["full", "small"] | None = None,
    as_published: bool = False,
    mask: bool = False,
    tasks: Sequence[str] = (),
    loss: str | None = None,
    averaging: float | None = None,
    precision: str | None = None,
    seed: int | None = None,
    patterns: int | None = None,
) -> Recipe:
    """The recipe with what the command line chooses.

    Args:
        recipe: as read.
        network: another network; MODULE:CLASS for one's own.
        size: another size.
        as_published: with its faults.
        mask: read which points were measured.
        tasks: these heads only. One that the recipe does not have learns by cross-entropy, the lattice by mean square.
        loss: of all heads with classes: one of `CLASS_LOSSES`, or NAME=NUMBER as `gemd=2`; MODULE:FUNCTION for one's
            own.
        averaging: average the weights with this decay.
        precision: a key or value of `PRECISIONS`.
        seed: another seed.
        patterns: end after so many, in place of all limits; a schedule that knows its end ends there.

    Raises:
        InputError: no such network, task, loss or precision, or a loss that does not fit.
    """
    content = recipe.model_dump(mode="json")
    chosen = content["network"]
    if network not in (None, chosen["name"]):
        chosen.update({"name": network, "options": {}})
    chosen["size"] = size or chosen["size"]
    chosen["as_published"] = chosen["as_published"] or as_published
    chosen["mask"] = chosen["mask"] or mask
    if tasks:
        kept = {}
        for name in tasks:
            if name not in TASKS:
                raise InputError(f"no task {name!r}; there are {', '.join(TASKS)}")
            default = {"lattice": SquaredCell(kind="squared"), "cell_mixture": CellLikelihood(kind="likelihood")}.get(
                name, CrossEntropy(kind="cross_entropy")
            )
            kept[name] = content["tasks"].get(name, {"loss": default.model_dump()})
        content["tasks"] = kept
    if loss is not None:
        wanted = _parse_loss(loss)
        with_classes = [name for name in content["tasks"] if name not in ("lattice", "cell_mixture")]
        if not with_classes:
            raise InputError(f"loss {loss}: has no effect, there is no head with classes; leave it out")
        for name in with_classes:
            content["tasks"][name]["loss"] = wanted
    if averaging is not None:
        content["averaging"] = {"decay": averaging}
    if precision is not None:
        content["precision"] = PRECISIONS.get(precision, precision)
    if seed is not None:
        content["seed"] = seed
    if patterns is not None:
        content["limits"] = {"patterns": patterns}
    return parse_recipe(content, recipe.name)


def _parse_loss(text: str) -> dict[str, Any]:
    name, _, number = text.partition("=")
    if is_own(name):
        return {"kind": "own", "name": text}
    if name not in CLASS_LOSSES:
        raise InputError(
            f"no loss {name!r} of classes; there are {', '.join(CLASS_LOSSES)}, and one's own as MODULE:FUNCTION"
        )
    if not number:
        return {"kind": name}
    if name not in NUMBER_OF:
        raise InputError(f"loss {text}: {name} takes no number; give {name}")
    return {"kind": name, NUMBER_OF[name]: number}


def _check_task(name: str, task: TaskRecipe) -> None:
    if name not in TASKS:
        raise ValueError(f"tasks.{name}: no such task; there are {', '.join(TASKS)}")
    kinds_of = {"lattice": (CellLoss, CELL_LOSSES), "cell_mixture": (CellLikelihood, ("likelihood",))}
    wanted, there = kinds_of.get(name, (ClassLoss, CLASS_LOSSES))
    if not isinstance(task.loss, (OwnLoss, wanted)):  # type: ignore[arg-type]
        kinds = ", ".join(there)
        raise ValueError(f"tasks.{name}.loss: {task.loss.kind} does not fit; there are {kinds}")
    if isinstance(task.loss, Gemd) and name != "space_group":
        raise ValueError(f"tasks.{name}.loss: graph distances are between space groups; take another loss")
    if task.classes != "all" and name != "space_group":
        raise ValueError(f"tasks.{name}.classes: only space groups can be listed; leave it out")
