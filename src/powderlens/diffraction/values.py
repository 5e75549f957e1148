"""What a protocol says of one field: a constant, a distribution, or one made of several; how it is bounded and drawn.

All arithmetic goes element by element: a matrix product may round differently for another number of patterns.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Discriminator, Field, Tag, model_validator
from typing_extensions import TypeAliasType

from powderlens.core.checked import Part
from powderlens.core.elementary import cos
from powderlens.diffraction import background
from powderlens.diffraction.conditions import HUMPS, TERMS
from powderlens.diffraction.distributions import (
    SHARE_ERROR,
    Choice,
    Distribution,
    Draw,
    Floats,
    Integers,
    Limit,
    LogNormal,
    LogPower,
    LogUniform,
    Normal,
    Power,
    Rows,
    Share,
    Squared,
    Uniform,
    stacked,
)

NODES = 257
"""Where the lowest and highest point of a background are looked for; misses at most 0.1 % of its height."""
CHUNK = 128
"""Patterns whose backgrounds are worked on together, to stay in the cache."""


class Alternative(Part):
    """One part of a mixture."""

    share: Share
    value: Value


class Mixture(Part):
    """One of several distributions or constants, by shares that add up to 1."""

    kind: ClassVar[str] = "mixture"
    mixture: Annotated[tuple[Alternative, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _check(self) -> Mixture:
        check_shares([part.share for part in self.mixture])
        return self


class Strain(Part):
    """A strain tensor: xx, yy and zz are `common` plus an `axial` part each, yz, xz and xy are `shear`."""

    kind: ClassVar[str] = "strain"

    class Parts(Part):
        """Its three distributions."""

        common: Value = 0.0
        axial: Value = 0.0
        shear: Value = 0.0

    strain: Parts

    def vector_ends(self) -> tuple[Any, ...]:
        """All components low, all high."""
        common, axial, shear = (ends(part) for part in (self.strain.common, self.strain.axial, self.strain.shear))
        return tuple((pick(common) + pick(axial),) * 3 + (pick(shear),) * 3 for pick in (min, max))

    def bind(self, rows: Rows) -> Draw:
        """One row for the common part, three each for the others, where they are not constant."""
        common = bind(self.strain.common, rows)
        axial, shear = bind(self.strain.axial, rows, 3), bind(self.strain.shear, rows, 3)

        def draw(u: Floats, z: Floats) -> Floats:
            b = u.shape[1]
            three = np.broadcast_to(common(u, z) + axial(u, z), (3, b))
            return np.concatenate([three, np.broadcast_to(shear(u, z), (3, b))])

        return draw


class Polynomial(Part):
    """A random background: sum of n_k x^k, x = -1 to 1 over the grid, lowest point 0, highest point `share`."""

    kind: ClassVar[str] = "polynomial"

    class Parts(Part):
        """Its degree, and its height in units of the strongest point."""

        degree: Annotated[int, Field(ge=1, lt=TERMS)]
        share: Value

    polynomial: Parts

    @property
    def terms(self) -> int:
        """Number of coefficients."""
        return self.polynomial.degree + 1

    def bind(self, rows: Rows) -> Draw:
        """Normal coefficients of the powers, and the rows of its height."""
        n, share = self.terms, bind(self.polynomial.share, rows)
        rows.background(n)
        powers = np.zeros((n, n))
        for k in range(n):
            powers[: k + 1, k] = background.polynomial_to_chebyshev([0.0] * k + [1.0])

        def draw(u: Floats, z: Floats) -> Floats:
            c = np.zeros((n, u.shape[1]))
            for k in range(n):
                c += powers[:, k, None] * z[k]
            low, high = extremes(c)
            c[0] -= low
            return np.asarray(c * (share(u, z) / (high - low)))

        return draw


class GaussianProcess(Part):
    """A random background of ML4pXRDs, SI S4.2: lowest point 0, all points of the grid add up to `sum`."""

    kind: ClassVar[str] = "gaussian_process"
    terms: ClassVar[int] = TERMS

    class Parts(Part):
        """Its length scale in degrees, and the sum in units of the strongest point."""

        length_deg: Value
        sum: Value

    gaussian_process: Parts

    def bind(self, rows: Rows, points: int, span_deg: float) -> Draw:
        """48 normal numbers, and the rows of length and sum."""
        length, total = bind(self.gaussian_process.length_deg, rows), bind(self.gaussian_process.sum, rows)
        rows.background(TERMS)
        sums = chebyshev_sums(TERMS, points)

        def draw(u: Floats, z: Floats) -> Floats:
            b = u.shape[1]
            lengths = np.broadcast_to(np.asarray(length(u, z), float), b)
            c = np.empty((TERMS, b))
            for start in range(0, b, CHUNK):
                some = slice(start, start + CHUNK)
                c[:, some] = background.gaussian_process_chebyshev(lengths[some], span_deg, z[:TERMS, some].T).T
            c[0] -= extremes(c)[0]
            area = np.zeros(b)
            for k in range(TERMS):
                area += sums[k] * c[k]
            return np.asarray(c * (total(u, z) / area))

        return draw


class Humps(Part):
    """With probability `share`, some broad residues; how many is drawn from the whole numbers of `count`."""

    kind: ClassVar[str] = "count"
    count: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(le=HUMPS)]]
    centre_deg: Value
    fwhm_deg: Value
    height: Value
    share: Share = 1.0

    @model_validator(mode="after")
    def _check(self) -> Humps:
        if self.count[0] > self.count[1]:
            raise ValueError(f"count {self.count[0]} is above {self.count[1]}")
        return self

    def ends(self) -> tuple[Any, ...]:
        """All low, all high."""
        values = [ends(part) for part in (self.centre_deg, self.fwhm_deg, self.height)]
        return tuple((tuple(pick(v) for v in values),) * self.count[1] for pick in (min, max))

    def bind(self, rows: Rows) -> Draw:
        """Two rows for how many, and those of each."""
        there, many = rows.uniform(), rows.uniform()
        low, high = self.count
        each = [bind(part, rows) for _ in range(high) for part in (self.centre_deg, self.fwhm_deg, self.height)]

        def draw(u: Floats, z: Floats) -> Floats:
            number = np.where(u[there] < self.share, low + np.floor((high - low + 1) * u[many]), 0)
            out = np.zeros((3 * HUMPS, u.shape[1]))
            for i, part in enumerate(each):
                out[i] = np.where(number > i // 3, part(u, z), 0.0)
            return out

        return draw


KINDS: dict[str, type[Part]] = {
    kind.kind: kind
    for kind in (
        Uniform, LogUniform, Normal, LogNormal, Power, LogPower, Squared, Integers, Choice, Mixture, Strain, Polynomial,
        GaussianProcess, Humps,
    )
}  # fmt: skip
"""The key that names a distribution -> its class."""


def _kind_of(value: object) -> str | None:
    """The tag of a value, from the key that names its distribution."""
    if isinstance(value, dict):
        named = [key for key in KINDS if key in value]
        return f"@{named[0]}" if named else None
    if isinstance(value, Part):
        return f"@{value.kind}"  # type: ignore[attr-defined]
    for tag, types in (("@flag", bool), ("@number", (int, float)), ("@word", str), ("@list", (list, tuple))):
        if isinstance(value, types):
            return tag
    return None


if TYPE_CHECKING:
    Value = Any
else:
    Value = TypeAliasType(
        "Value",
        Annotated[
            Annotated[bool, Tag("@flag")]
            | Annotated[Limit, Tag("@number")]
            | Annotated[str, Tag("@word")]
            | Annotated[tuple["Value", ...], Tag("@list")]
            | reduce(or_, (Annotated[kind, Tag(f"@{name}")] for name, kind in KINDS.items())),
            Discriminator(
                _kind_of,
                custom_error_type="kind",
                custom_error_message=f"must be a constant or a table with one of the keys {', '.join(KINDS)}",
            ),
        ],
    )


def ends(value: Any, n: int = 0) -> tuple[Any, ...]:
    """The farthest values that can be drawn, as `Conditions` takes them.

    Args:
        value: a constant, a list or a distribution.
        n: number of components; 0 for a single one.
    """
    if isinstance(value, Mixture):
        return tuple(end for part in value.mixture for end in ends(part.value, n))
    if isinstance(value, Strain):
        return value.vector_ends()
    if isinstance(value, Polynomial | GaussianProcess):
        return ((0.0,) * value.terms,)
    if isinstance(value, Integers) and n:
        return value.vector_ends(n)
    if isinstance(value, Distribution):
        return tuple((end,) * n for end in value.ends()) if n else value.ends()
    if isinstance(value, Choice | Humps):
        return value.ends()
    if isinstance(value, tuple) and not any(isinstance(item, tuple) for item in value):
        each = [ends(item) for item in value]
        return tuple(dict.fromkeys(tuple(pick(one) for one in each) for pick in (min, max)))
    return ((value,) * n,) if n and not isinstance(value, tuple) else (value,)


def bind(value: Any, rows: Rows, n: int = 0) -> Draw:
    """How to draw a number, or n components.

    Args:
        value: a constant, a list of n, or a distribution; words as their place in the list of words.
        rows: hands out random numbers.
        n: number of components; 0 for a single one.
    """
    if isinstance(value, Mixture):
        row = rows.uniform()
        return picked(
            row, [part.share for part in value.mixture], [bind(part.value, rows, n) for part in value.mixture]
        )
    if isinstance(value, Choice):
        return value.bind(rows, n)
    if isinstance(value, Strain | Humps):
        return value.bind(rows)
    if isinstance(value, Distribution):
        return value.bind_vector(rows, n) if n else value.bind(rows)
    if isinstance(value, tuple):
        return stacked([bind(item, rows) for item in value])
    constant = np.full((n, 1), float(value)) if n else float(value)
    return lambda u, z: constant


def picked(row: int, shares: Sequence[float], draws: Sequence[Draw]) -> Draw:
    """One of several by the number in a row; the last share takes what is left of 1."""
    edges = np.cumsum(shares)[:-1]

    def draw(u: Floats, z: Floats) -> Any:
        out = draws[0](u, z)
        for edge, other in zip(edges, draws[1:], strict=True):
            out = np.where(u[row] >= edge, other(u, z), out)
        return out

    return draw


def check_shares(shares: Sequence[float]) -> None:
    """Refuse shares that do not add up to 1.

    Raises:
        ValueError: with their sum.
    """
    if abs(sum(shares) - 1) > SHARE_ERROR:
        raise ValueError(
            f"the shares {' + '.join(f'{share:g}' for share in shares)} = {sum(shares):g} must add up to 1"
        )


def extremes(c: Floats) -> tuple[Floats, Floats]:
    """Lowest and highest value of Chebyshev series.

    Args:
        c: (k, b) coefficients.

    Returns:
        (b,) and (b,), at the best of 257 Chebyshev points.
    """
    turns = np.pi * np.arange(NODES) / (NODES - 1)
    t = cos(np.arange(len(c))[:, None] * turns)
    low, high = np.empty(c.shape[1]), np.empty(c.shape[1])
    for start in range(0, c.shape[1], CHUNK):
        part = c[:, start : start + CHUNK]
        heights = np.zeros((NODES, part.shape[1]))
        for k in range(len(c)):
            heights += t[k, :, None] * part[k]
        low[start : start + CHUNK], high[start : start + CHUNK] = heights.min(axis=0), heights.max(axis=0)
    return low, high


def chebyshev_sums(terms: int, points: int) -> Floats:
    """(terms,) sum of each Chebyshev polynomial over the points of a grid."""
    return np.polynomial.chebyshev.chebvander(np.linspace(-1, 1, points), terms - 1).sum(axis=0)


for _model in (Alternative, Mixture, Strain.Parts, Strain, Polynomial.Parts, GaussianProcess.Parts, Humps):
    _model.model_rebuild()
