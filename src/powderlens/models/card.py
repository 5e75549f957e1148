"""What is known of a network before it is built: source, input, size, faults. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Preprocessing = Literal["max100", "max1", "sqrt_max1", "min0_max100"]

PREPROCESSING: dict[Preprocessing, str] = {
    "max100": "scaled to maximum 100",
    "max1": "scaled to maximum 1",
    "sqrt_max1": "scaled to maximum 1, then the square root",
    "min0_max100": "negatives set to 0, then scaled to minimum 0 and maximum 100",
}
"""What a network does first with the pattern, whatever its scale; part of its `forward`."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """A network's card.

    Attributes:
        name: in the registry.
        title: one line: what it is and whose idea.
        family: folder of its file, the benchmark or package that it comes from.
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
    """

    name: str
    title: str
    family: Literal["simxrd", "ml4pxrds", "alphadiffract", "powderlens"]
    paper: str
    source_licence: str
    points: int
    min_points: int
    fixed_points: bool
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
