"""`Card`: what is known of a network before it is built, and, where it has been trained, of its weights. No torch.

An architecture goes by one name, as `prism`; weights of it by two, as `prism.prism-1`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, TypeVar, get_args

from powderlens.core.errors import InputError
from powderlens.models.task import Task
from powderlens.pattern.spacing import AnyGrid, grid_of

FORMAT = 2
"""Of a card as JSON; raised when an older program could misread a newer one."""

Size = Literal["full", "small"]
Made = TypeVar("Made", "Weights", "Card")
Preprocessing = Literal["max100", "max1", "sqrt_max1", "min0_max100"]

PREPROCESSING: dict[Preprocessing, str] = {
    "max100": "scaled to maximum 100",
    "max1": "scaled to maximum 1",
    "sqrt_max1": "scaled to maximum 1, then the square root",
    "min0_max100": "negatives set to 0, then scaled to minimum 0 and maximum 100",
}
"""What a network does first with the pattern, whatever its scale; part of its `forward`."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """One training's part of a card: how the network was built, what it reads and says, and where its weights are from.

    Attributes:
        name: of the weights, and of their files.
        size, as_published, options: see `powderlens.models.registry.build`.
        mask: it reads a mask of what was measured; else it takes patterns that cover the whole grid only.
        floor: patterns come without background and floor, see `powderlens.pattern.prepare`; else as they are.
        grid: on which patterns come; on one of spacings the mask is the sine of theta, see
            `powderlens.pattern.spacing`.
        tasks: what it answers, in this order.
        parameters: trainable ones.
        step: of the training, at which these weights were taken.
        chosen_by: what chose them, in words.
        averaged_share: of the running average in these weights; the rest is the newest weights.
        training: `run.json` of the training.
        notes: what happened to the weights since.
    """

    name: str
    size: Size
    as_published: bool
    options: Mapping[str, Any]
    mask: bool
    floor: bool
    grid: AnyGrid
    tasks: tuple[Task, ...]
    parameters: int
    step: int
    chosen_by: str
    averaged_share: float
    training: Mapping[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Card:
    """Card of an architecture, or of weights of it.

    Attributes:
        name: of the architecture in the registry, or `module:attribute` of one of your own.
        title: one line: what it is and whose idea.
        family: folder of its file, the benchmark or package that it comes from; "own" for one from outside.
        paper: citation of the work that the network stands for, with its DOI where one is known.
        source_licence: licence of the public code that its description was read from.
        points: length of the published input.
        min_points: shortest grid that it takes.
        fixed_points: the published code takes `points` only. As published, another grid is refused; else the
            network first resamples its input to `points` by linear interpolation.
        preprocessing: key of `PREPROCESSING`.
        grid: the published input grid in words, its length first.
        trained_on: what it was trained on where it was published.
        parameters: trainable parameters by task name (`crystal_system`: 7 classes, `space_group`: 230) with this one
            head, at `points`, full size.
        published_parameters: the same as published, where a fault changes it; else empty.
        macs_M: millions of multiply-adds (convolutions, dense and recurrent layers) for one pattern, space groups, as
            published, at `points`.
        faults: what `as_published=True` repeats and the default repairs; empty when there is nothing to repair.
        notes: what else a user should know: deviations, what could not be verified.
        small: what `size="small"` changes; empty when small and full are the same network.
        no_gradient: beginnings of names of parameters that cannot get a gradient, with the reason in `notes`.
        options: what `build(..., options=...)` can set, by name.
        mixture: it can give a density of cells (task `cell_mixture`).
        weights: of one training; None on the card of the architecture.
    """

    name: str
    title: str
    family: str
    paper: str
    source_licence: str
    points: int
    min_points: int
    fixed_points: bool = False
    preprocessing: Preprocessing
    grid: str
    trained_on: str
    parameters: Mapping[str, int]
    published_parameters: Mapping[str, int] = field(default_factory=dict)
    macs_M: float
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    small: str = ""
    no_gradient: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    mixture: bool = False
    weights: Weights | None = None

    def __post_init__(self) -> None:
        if self.preprocessing not in PREPROCESSING:
            raise ValueError(f"preprocessing {self.preprocessing!r}")

    @property
    def id(self) -> str:
        """`architecture`, or `architecture.weights`."""
        return self.name if self.weights is None else f"{self.name}.{self.weights.name}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it: `format`, `name` (the id), `architecture` and, where there are any, `weights`."""
        architecture = asdict(replace(self, weights=None))
        del architecture["weights"]
        weights = {} if self.weights is None else {"weights": asdict(self.weights)}
        return {"format": FORMAT, "name": self.id, "architecture": architecture, **weights}

    @classmethod
    def from_dict(cls, content: object, source: object) -> Card:
        """Read what `to_dict` made.

        Args:
            content: of the JSON.
            source: named in complaints.

        Raises:
            InputError: not a card, or one of another version.
        """
        if not isinstance(content, dict) or not isinstance(content.get("architecture"), dict):
            raise InputError(f"{source}: not the card of a model")
        if content.get("format") != FORMAT:
            raise InputError(
                f"{source}: a card of format {content.get('format')!r}, and this powderlens reads {FORMAT}; "
                "export the run again"
            )
        try:
            weights = content.get("weights")
            return _made(cls, content["architecture"], weights=None if weights is None else _weights(weights))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{source}: not the card of a model ({str(error).splitlines()[0]})") from None


def _weights(content: Mapping[str, Any]) -> Weights:
    tasks = tuple(map(Task.from_dict, content["tasks"]))
    made = _made(Weights, content, tasks=tasks, grid=grid_of(content["grid"]))
    if made.size not in get_args(Size) or not isinstance(made.name, str) or not isinstance(made.training, Mapping):
        raise ValueError(f"weights {made.name!r} of size {made.size!r}")
    return made


def _made(kind: type[Made], content: Mapping[str, Any], **parts: Any) -> Made:
    """A record of what JSON holds; lists become tuples, and keys that it does not know are left out."""
    known = {one.name for one in fields(kind)}
    plain = {name: tuple(v) if isinstance(v, list) else v for name, v in content.items() if name in known}
    return kind(**{**plain, **parts})
