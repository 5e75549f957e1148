"""Distributions of one number, as protocol files write them; the grammar is in docs/PROTOCOLS.md.

Every random number has a fixed row. A distribution takes its rows when it is bound (`Rows`); drawing then reads the
same rows of any pattern, so that a pattern does not depend on which others are drawn with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from powderlens.core.checked import Part
from powderlens.core.elementary import exp, log, normal_share
from powderlens.diffraction.noise import normal_inverse

Floats = NDArray[np.float64]
Draw = Callable[[Floats, Floats], Any]
"""(rows, b) numbers and (normals, b) numbers of `Purpose.BACKGROUND` -> (b,) values or (n, b) components."""

FARTHEST = 6.34
"""Largest standard normal number that 32 random bits can give."""
SHARE_ERROR = 1e-6
"""How far shares may be from 1 in all, and the least share of a normal distribution that limits may leave."""


class Rows:
    """Hands out the random numbers of a pattern, one row for each use."""

    def __init__(self) -> None:
        self.count = 0
        self.normals = 0
        self._normal: list[tuple[int, float, float]] = []

    def uniform(self) -> int:
        """Row of a number between 0 and 1."""
        self.count += 1
        return self.count - 1

    def normal(self, low: float = 0.0, high: float = 1.0) -> int:
        """Row of a standard normal number whose cumulative probability is between two."""
        self._normal.append((self.uniform(), low, high - low))
        return self._normal[-1][0]

    def background(self, count: int) -> None:
        """Ask for normal numbers of `Purpose.BACKGROUND`; alternatives share them."""
        self.normals = max(self.normals, count)

    def prepare(self, uniforms: Floats) -> Floats:
        """(b, count) uniform numbers as (count, b) rows, normal where that was asked for."""
        u = np.ascontiguousarray(uniforms.T)
        if self._normal:
            rows, low, width = (np.array(column) for column in zip(*self._normal, strict=True))
            u[rows] = normal_inverse(low[:, None] + width[:, None] * u[rows])
        return u


Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Limit = Annotated[float, Field(strict=True, allow_inf_nan=True)]
Pair = tuple[Number, Number]
Limits = tuple[Limit, Limit]
Share = Annotated[float, Field(strict=True, gt=0, le=1)]


class Distribution(Part):
    """One number from one row."""

    kind: ClassVar[str] = ""
    logarithmic: ClassVar[bool] = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        numbers = getattr(self, self.kind)
        if len(numbers) == 3:
            _exponent(numbers)
        else:
            _rising(numbers)
        if self.logarithmic:
            _positive(numbers[:2])
        return self

    def ends(self) -> tuple[Any, ...]:
        """The farthest values that can be drawn."""
        return tuple(getattr(self, self.kind)[:2])

    def value(self, x: Floats) -> Floats:
        """From the number in its row."""
        raise NotImplementedError

    def bind(self, rows: Rows) -> Draw:
        """Take rows; how to draw."""
        row = rows.uniform()
        return lambda u, z: self.value(u[row])

    def bind_vector(self, rows: Rows, n: int) -> Draw:
        """The same for n components, each drawn for itself."""
        return stacked([self.bind(rows) for _ in range(n)])


class Uniform(Distribution):
    """Evenly from a to b."""

    kind: ClassVar[str] = "uniform"
    uniform: Pair

    def value(self, x: Floats) -> Floats:
        """a + (b - a) x."""
        a, b = self.uniform
        return a + (b - a) * x


class LogUniform(Distribution):
    """Evenly on a logarithmic scale from a to b."""

    kind: ClassVar[str] = "log_uniform"
    logarithmic: ClassVar[bool] = True
    log_uniform: Pair

    def value(self, x: Floats) -> Floats:
        """A (b / a)^x."""
        a, b = self.log_uniform
        return np.asarray(a * exp(log(b / a) * x))


class Power(Distribution):
    """From + (to - from) u^exponent: more near `from` for an exponent above 1."""

    kind: ClassVar[str] = "power"
    power: tuple[Number, Number, Number]

    def value(self, x: Floats) -> Floats:
        """From + (to - from) x^exponent."""
        a, b, exponent = self.power
        return np.asarray(a + (b - a) * exp(exponent * log(x)))


class LogPower(Distribution):
    """As `power`, on a logarithmic scale."""

    kind: ClassVar[str] = "log_power"
    logarithmic: ClassVar[bool] = True
    log_power: tuple[Number, Number, Number]

    def value(self, x: Floats) -> Floats:
        """From (to / from)^(x^exponent)."""
        a, b, exponent = self.log_power
        return np.asarray(a * exp(log(b / a) * exp(exponent * log(x))))


class Squared(Distribution):
    """The square of a number that is even from a to b: a width drawn, its square used."""

    kind: ClassVar[str] = "squared"
    squared: Pair

    @model_validator(mode="after")
    def _not_negative(self) -> Squared:
        if self.squared[0] < 0:
            raise ValueError(f"{self.squared[0]:g} is below 0: give the numbers to be squared")
        return self

    def ends(self) -> tuple[float, ...]:
        """The squares of both."""
        return self.squared[0] ** 2, self.squared[1] ** 2

    def value(self, x: Floats) -> Floats:
        """(a + (b - a) x)^2."""
        a, b = self.squared
        return np.asarray((a + (b - a) * x) ** 2)


class Integers(Distribution):
    """Whole numbers from a to b, equally likely; for hkl every vector of them but 0 0 0."""

    kind: ClassVar[str] = "integers"
    integers: tuple[int, int]

    def value(self, x: Floats) -> Floats:
        """A + floor((b - a + 1) x)."""
        a, b = self.integers
        return np.asarray(a + np.floor((b - a + 1) * x))

    def vector_ends(self, n: int) -> tuple[Any, ...]:
        """Both corners of the cube, less 0 0 0."""
        return tuple((end,) * n for end in self.integers if end != 0)

    def bind_vector(self, rows: Rows, n: int) -> Draw:
        """One row for the whole vector: its number in a list without 0 0 0."""
        a, b = self.integers
        base, row = b - a + 1, rows.uniform()
        zero = sum(-a * base**j for j in range(n)) if a <= 0 <= b else base**n
        many = base**n - (a <= 0 <= b)

        def draw(u: Floats, z: Floats) -> Floats:
            place = np.floor(many * u[row])
            place += place >= zero
            return np.stack([a + np.floor(place / base**j) % base for j in range(n)])

        return draw


class Bell(Distribution):
    """A normal number, its values cut off at limits (`within`) or moved onto them (`clip`)."""

    clip: Limits | None = None
    within: Limits | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        centre, sigma = getattr(self, self.kind)
        if not sigma > 0:
            raise ValueError(f"the spread {sigma:g} must be above 0")
        if self.kind == "log_normal":
            _positive((centre,))
        if self.clip is not None and self.within is not None:
            raise ValueError("give clip or within, not both")
        for limits in (self.clip, self.within):
            if limits is not None:
                _rising(limits)
        low, high = self._share()
        if high - low < SHARE_ERROR:
            raise ValueError(f"less than a millionth of it lies within {self.within}")
        return self

    def _share(self) -> tuple[float, float]:
        """Cumulative probability of both ends of `within`."""
        if self.within is None:
            return 0.0, 1.0
        low, high = (normal_share(self._number(limit)) for limit in self.within)
        return low, high

    def _number(self, value: float) -> float:
        """The standard normal number that gives a value."""
        centre, sigma = getattr(self, self.kind)
        if self.kind == "normal":
            return float((value - centre) / sigma)
        return float(log(value / centre)) / sigma if 0 < value < inf else (inf if value > 0 else -inf)

    def _raw(self, x: Floats) -> Floats:
        raise NotImplementedError

    def ends(self) -> tuple[float, ...]:
        """What 32 random bits can reach, or the limits."""
        low, high = self.clip or self.within or (-inf, inf)
        a, b = (float(self._raw(np.array(x))) for x in (-FARTHEST, FARTHEST))
        return max(a, low), min(b, high)

    def value(self, x: Floats) -> Floats:
        """The number itself, kept within its limits."""
        raw, limits = self._raw(x), self.clip or self.within
        return raw if limits is None else np.clip(raw, *limits)

    def bind(self, rows: Rows) -> Draw:
        """One row of normal numbers."""
        row = rows.normal(*self._share())
        return lambda u, z: self.value(u[row])


class Normal(Bell):
    """Mean and standard deviation."""

    kind: ClassVar[str] = "normal"
    normal: Pair

    def _raw(self, x: Floats) -> Floats:
        return np.asarray(self.normal[0] + self.normal[1] * x)


class LogNormal(Bell):
    """Median, and standard deviation of the natural logarithm."""

    kind: ClassVar[str] = "log_normal"
    log_normal: Pair

    def _raw(self, x: Floats) -> Floats:
        return np.asarray(self.log_normal[0] * exp(self.log_normal[1] * x))


class Choice(Part):
    """One of a list, equally likely or by weight."""

    kind: ClassVar[str] = "choice"
    choice: Annotated[tuple[bool | Limit | str | tuple[Limit, ...], ...], Field(min_length=2)]
    weights: tuple[Annotated[Number, Field(gt=0)], ...] | None = None

    @model_validator(mode="after")
    def _check(self) -> Choice:
        if self.weights is not None and len(self.weights) != len(self.choice):
            raise ValueError(f"{len(self.weights)} weights for {len(self.choice)} values")
        return self

    def ends(self) -> tuple[Any, ...]:
        """All of them."""
        return self.choice

    def bind(self, rows: Rows, n: int = 0) -> Draw:
        """One row."""
        weights = np.ones(len(self.choice)) if self.weights is None else np.array(self.weights)
        edges = np.cumsum(weights / weights.sum())[:-1]
        row = rows.uniform()
        shape = (n, len(self.choice)) if n else (len(self.choice),)
        values = np.broadcast_to(np.array(self.choice, float).T, shape).copy()
        return lambda u, z: values[..., np.searchsorted(edges, u[row], side="right")]


def stacked(draws: Sequence[Draw]) -> Draw:
    """(n, b) components from n draws."""
    return lambda u, z: np.stack([np.broadcast_to(one(u, z), u.shape[1]) for one in draws])


def _rising(pair: Sequence[float]) -> None:
    if not pair[0] < pair[1]:
        raise ValueError(f"{pair[0]:g} must be below {pair[1]:g}")


def _positive(values: Sequence[float]) -> None:
    for value in values:
        if not value > 0:
            raise ValueError(f"{value:g} must be above 0 on a logarithmic scale")


def _exponent(three: Sequence[float]) -> None:
    if three[0] == three[1]:
        raise ValueError(f"{three[0]:g} to {three[1]:g} is no range: give the number itself")
    if not three[2] > 0:
        raise ValueError(f"exponent {three[2]:g} must be above 0")
