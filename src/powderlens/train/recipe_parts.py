"""Parts of a recipe: losses, data, optimiser, schedule, averaging, limits."""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from powderlens.core.checked import Part
from powderlens.generate.distance import Distances
from powderlens.pattern.spacing import AnyGrid, grid_of

SHARED = re.compile(r"[\w.-]+(\+[\w.-]+)*(/\d{1,3}-\d{1,3})?")
Share = Annotated[float, Field(gt=0)]
Range = tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]]


class CrossEntropy(Part):
    """Plain."""

    kind: Literal["cross_entropy"]


class Weighted(Part):
    """By inverse class frequency in the training part."""

    kind: Literal["weighted"]


class Smoothed(Part):
    """With label smoothing."""

    kind: Literal["smoothed"]
    smoothing: float = Field(0.1, gt=0, lt=1, description="share of the truth that is spread over all classes")


class Focal(Part):
    """Focal loss."""

    kind: Literal["focal"]
    gamma: float = Field(2.0, ge=0, description="exponent of 1 - p")
    alpha: float = Field(1.0, gt=0, description="factor of the whole")


class Gemd(Part):
    """Cross-entropy and graph earth mover's distance."""

    kind: Literal["gemd"]
    mu: float = Field(1.0, ge=0, description="weight of the expected graph distance")
    smoothing: float = Field(0.0, ge=0, lt=1, description="share of the truth that is spread over all classes")


class SquaredCell(Part):
    """Mean squared error of the cell in A and degrees."""

    kind: Literal["squared"]


class LogHuberCell(Part):
    """Huber loss of log lengths and of angles."""

    kind: Literal["log_huber"]


class CellLikelihood(Part):
    """Negative logarithm of the density at the true Niggli cell."""

    kind: Literal["likelihood"]


class OwnLoss(Part):
    """A loss from outside the package, see docs/TRAINING.md."""

    kind: Literal["own"]
    name: str = Field(
        pattern=r"^[\w.-]+(:[\w.]+)?$", description="MODULE:FUNCTION, or a name under the entry point powderlens.losses"
    )
    settings: dict[str, float] = Field(default={}, description="given to the function by name")


ClassLoss = CrossEntropy | Weighted | Smoothed | Focal | Gemd
CellLoss = SquaredCell | LogHuberCell
LossRecipe = ClassLoss | CellLoss | CellLikelihood | OwnLoss


def _kinds(losses: object) -> tuple[str, ...]:
    """The names that recipes use of the losses of a union."""
    return tuple(get_args(one.model_fields["kind"].annotation)[0] for one in get_args(losses))


CLASS_LOSSES, CELL_LOSSES = _kinds(ClassLoss), _kinds(CellLoss)

NUMBER_OF = {"smoothed": "smoothing", "focal": "gamma", "gemd": "mu"}
"""The one number of a loss that the command line can set."""


class TaskRecipe(Part):
    """One head."""

    loss: Annotated[LossRecipe, Field(discriminator="kind", description="loss of this head")]
    weight: float = Field(1.0, gt=0, description="of this head's loss in the sum")
    classes: tuple[int, ...] | Literal["all", "present"] = Field(
        "all", description="space groups that are told apart: all 230, those of the training crystals, or a list"
    )


class NoiseRecipe(Part):
    """Noise that every pattern gets anew each time it is shown (AlphaDiffract, section 5.2, eqs. 1 to 3)."""

    counts_at_max: Range = Field(description="counts at the strongest point, drawn evenly from these")
    relative_sigma: Range = Field(description="standard deviation, maximum 1, drawn evenly from these")

    @model_validator(mode="after")
    def _in_order(self) -> NoiseRecipe:
        for name in ("counts_at_max", "relative_sigma"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} {low:g} to {high:g}: the first must not be above the second")
        if self.counts_at_max[0] <= 0:
            raise ValueError("counts_at_max: counts must be above 0")
        return self


ANGLES, SPACINGS = ("start_deg", "step_deg", "wavelength_A"), ("d_max_A", "log_step")
"""What a grid of angles, and one of spacings, needs besides its points."""
FLOOR = "subtract the pedestal under the lines and scale to 1, as is done with a measured pattern that is asked about"


class CorpusData(Part):
    """The part `train` of a corpus, given on the command line, in shuffled epochs."""

    kind: Literal["corpus"]
    validation: str = Field("validation", min_length=1, description="part of the corpus that is validated on")
    validate_patterns: int | None = Field(None, gt=0, description="patterns between validations; an epoch, if left out")
    precision: Literal["float16", "float32"] = Field("float32", description="to which patterns are rounded")
    noise: NoiseRecipe | None = Field(None, description="added on the fly, in training and validation")
    floor: bool = Field(False, description=FLOOR)

    @model_validator(mode="after")
    def _in_order(self) -> CorpusData:
        if self.floor and self.noise is not None:
            raise ValueError(
                "noise: would be added to patterns whose floor is subtracted already; leave one of them out"
            )
        return self


class _Endless(Part):
    protocol: str = Field(min_length=1, description="name or file of the protocol that draws the conditions")
    epoch_patterns: int = Field(gt=0, description="patterns between validations")
    validation_patterns: int = Field(gt=0, description="fixed patterns of other crystals")
    floor: bool = Field(False, description=FLOOR)


class CrystalData(_Endless):
    """Crystals of reflection tables, given on the command line, under conditions that never repeat."""

    kind: Literal["crystals"]
    shares: dict[str, Share] = Field(
        min_length=1, description="database (prefix of the crystal ids) -> share of the draws, positive"
    )


class InstrumentsRecipe(Part):
    """How crystals are measured, see `corpus.stream.view.View`."""

    others: float = Field(0.5, ge=0, le=1, description="share of patterns of other instruments than the protocol's")
    loosened: float = Field(0.5, ge=0, le=1, description="share with another cell and other strengths of lines")
    strain: tuple[Annotated[float, Field(ge=0, le=0.05)], Annotated[float, Field(ge=0, le=0.05)]] = Field(
        (0.02, 0.04), description="the spread of the strain of those is drawn evenly between these"
    )
    jitter: float = Field(0.5, ge=0, le=2, description="spread of the log strengths of families of those")

    @model_validator(mode="after")
    def _in_order(self) -> InstrumentsRecipe:
        if self.strain[0] > self.strain[1]:
            raise ValueError(f"strain {self.strain[0]:g} to {self.strain[1]:g}: the first must not be above the second")
        return self


class MixedData(_Endless):
    """Crystals of reflection tables by share, each in its turn, on many instruments, read on a grid of spacings."""

    kind: Literal["mixed"]
    shares: dict[str, Share] = Field(
        min_length=1,
        description="databases (prefixes of the crystal ids, joined by +; behind a slash the space groups, as "
        "synthetic/1-15) -> share of the draws, positive; inside one every crystal is drawn once before any again",
    )
    instruments: InstrumentsRecipe

    @model_validator(mode="after")
    def _names(self) -> MixedData:
        for key in self.shares:
            if not SHARED.fullmatch(key):
                raise ValueError(f"shares.{key}: name databases as amcsd+triclinic-minerals or synthetic/1-15")
        return self

    @staticmethod
    def names_and_groups(key: str) -> tuple[list[str], int, int]:
        """Of a key of the shares: the databases, and the first and last space group."""
        names, _, span = key.partition("/")
        first, _, last = (span or "1-230").partition("-")
        return names.split("+"), int(first), int(last)


class SyntheticData(_Endless):
    """Synthetic crystals that never repeat."""

    kind: Literal["synthetic"]
    per_crystal: int = Field(1, gt=0, description="patterns of each crystal")
    distances: Distances = Field(
        "covalent", description="least distance of atoms: by their covalent radii, or none as published"
    )


DataRecipe = Annotated[CorpusData | CrystalData | MixedData | SyntheticData, Field(discriminator="kind")]


class GridRecipe(Part):
    """Where patterns lie: equally spaced in the angle at one wavelength, or in ln d, where any instrument is read."""

    start_deg: float | None = Field(None, ge=0, lt=180, description="first 2theta, degrees")
    step_deg: float | None = Field(None, gt=0, description="spacing, degrees")
    points: int = Field(gt=100, description="number of positions")
    wavelength_A: float | None = Field(None, gt=0, description="wavelength at which the angles are meant, A")
    d_max_A: float | None = Field(None, gt=0, description="first spacing, A")
    log_step: float | None = Field(None, gt=0, lt=0.1, description="distance of two positions in ln d")

    @model_validator(mode="after")
    def _whole(self) -> GridRecipe:
        given = {name for name in (*ANGLES, *SPACINGS) if getattr(self, name) is not None}
        if given not in (set(ANGLES), set(SPACINGS)):
            raise ValueError(f"give points with {', '.join(ANGLES)}, or with {' and '.join(SPACINGS)}; nothing else")
        return self

    @property
    def of_spacings(self) -> bool:
        """Whether it is one of spacings."""
        return self.d_max_A is not None

    def grid(self) -> AnyGrid:
        """As the package's own noun."""
        return grid_of(self.model_dump(exclude_none=True))


class OptimiserRecipe(Part):
    """Adam or AdamW."""

    kind: Literal["adam", "adamw"]
    learning_rate: float = Field(gt=0, description="highest rate of the schedule")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        (0.9, 0.999), description="decay of the running means of gradient and squared gradient"
    )
    eps: float = Field(1e-8, gt=0, description="added to the root of the squared gradient")
    weight_decay: float = Field(0.0, ge=0, description="adam: added to the gradient; adamw: apart from it")


class Constant(Part):
    """The same rate always."""

    kind: Literal["constant"]


class OneCycle(Part):
    """Up, then down to a 25,000th, by cosines; the betas move against it (torch's OneCycleLR)."""

    kind: Literal["one_cycle"]
    warmup: float = Field(gt=0, lt=1, description="share of the steps in which the rate rises")


class Halving(Part):
    """Times one half at every so many epochs: exponent floor((1 + epoch) / every), epoch from 0 (ML4pXRDs)."""

    kind: Literal["halving"]
    every_epochs: int = Field(gt=0, description="epochs between halvings")


class Triangular(Part):
    """From `lowest` to 1 and back linearly, each cycle with half the amplitude (AlphaDiffract)."""

    kind: Literal["triangular"]
    rise_epochs: float = Field(gt=0, description="epochs of a rise, and of a fall")
    lowest: float = Field(gt=0, lt=1, description="share of the highest rate at which a cycle begins and ends")


ScheduleRecipe = Annotated[Constant | OneCycle | Halving | Triangular, Field(discriminator="kind")]


class AveragingRecipe(Part):
    """A running average of weights and norms: it is validated, kept and shipped; the newest weights learn on."""

    decay: float = Field(gt=0, lt=1, description="share of the average that stays at each step")


class Limits(Part):
    """When a run ends, at whichever comes first; the same for every network that is compared."""

    epochs: int | None = Field(None, gt=0, description="times through the training part")
    steps: int | None = Field(None, gt=0, description="optimiser steps")
    patterns: int | None = Field(None, gt=0, description="patterns shown")
    seconds: float | None = Field(None, gt=0, description="time of training and validation on the machine at hand")

    @model_validator(mode="after")
    def _some(self) -> Limits:
        if all(value is None for value in (self.epochs, self.steps, self.patterns, self.seconds)):
            raise ValueError("no limit: give epochs, steps, patterns or seconds")
        return self

    def total_steps(self, batch: int, epoch_steps: int) -> int | None:
        """Steps at which the run ends; None where only time ends it."""
        steps = [self.steps]
        steps.append(None if self.epochs is None else self.epochs * epoch_steps)
        steps.append(None if self.patterns is None else -(-self.patterns // batch))
        return min((number for number in steps if number is not None), default=None)
