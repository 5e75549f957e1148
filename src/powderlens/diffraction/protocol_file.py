"""The file of a protocol: its tables, what its fields can hold, and the draws that it stands for.

Everything is checked here, before anything is drawn, so that an error names the file and the field.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from powderlens.core.checked import Part, checked
from powderlens.core.constants import HC_KEV_A
from powderlens.core.elementary import sin
from powderlens.core.errors import InputError
from powderlens.core.random import Purpose, normal, uniform
from powderlens.diffraction import distributions as dist
from powderlens.diffraction import values as val
from powderlens.diffraction.conditions import (
    FIELDS,
    HUMPS,
    PLAIN,
    STEPS,
    TERMS,
    Conditions,
    check_field,
    from_record,
    to_record,
    write_field,
)
from powderlens.diffraction.scattering import Table
from powderlens.pattern.grid import Grid

LAST_DEG = 179.0
"""A grid must end below this: at 180 degrees the Ewald sphere ends, and the Lorentz factor has no bound."""
REACH_DEG = 2.0
"""Lines that stand this far beyond the end of the grid are still drawn, for their tails."""
WAVELENGTH_TOLERANCE = 1e-3
"""Relative: how far the grid's wavelength may lie outside the lines that are drawn."""
SHORTEST_LENGTH = 1 / 14
"""Of the grid: the shortest length of a Gaussian process that 48 Chebyshev terms reproduce to 1e-6."""
CORNERS, SAMPLES = 128, 32

_Fields = dict[str, val.Value]


class GridTable(Part):
    """The `[grid]` table; the wavelength may be given as an energy."""

    start_deg: float = Field(ge=0, lt=180, strict=True)
    step_deg: float = Field(gt=0, strict=True, allow_inf_nan=False)
    points: int = Field(ge=2)
    wavelength_A: float | None = Field(default=None, ge=0.05, le=10, strict=True)
    energy_keV: float | None = Field(default=None, gt=0, strict=True, allow_inf_nan=False)

    @model_validator(mode="after")
    def _check(self) -> GridTable:
        if (self.wavelength_A is None) == (self.energy_keV is None):
            raise ValueError("give wavelength_A or energy_keV, one of them")
        if not 0.05 <= self.grid().wavelength_A <= 10:
            raise ValueError(f"energy_keV = {self.energy_keV:g}: is outside 0.05 to 10 A")
        return self

    def grid(self) -> Grid:
        """As the package's own noun."""
        wavelength_A = HC_KEV_A / self.energy_keV if self.wavelength_A is None else self.wavelength_A  # type: ignore[operator]
        return Grid(start_deg=self.start_deg, step_deg=self.step_deg, points=self.points, wavelength_A=wavelength_A)


class ScatteringTable(Part):
    """The `[scattering]` table: how structure factors are to be computed."""

    form_factors: Table = "it92"
    dispersion: bool = Field(default=False, strict=True)


class Steps(Part):
    """One table for each step of the conditions."""

    source: _Fields = Field(default_factory=dict)
    specimen: _Fields = Field(default_factory=dict)
    profile: _Fields = Field(default_factory=dict)
    geometry: _Fields = Field(default_factory=dict)
    background: _Fields = Field(default_factory=dict)
    counting: _Fields = Field(default_factory=dict)

    def fields(self) -> Iterator[tuple[str, str, Any]]:
        """Step, field and what is said of it."""
        for step in STEPS:
            for name, value in getattr(self, step).items():
                yield step, name, value


class OneOf(Steps):
    """One alternative of a `[[one_of.NAME]]` group."""

    share: dist.Share


SecondPhases = Literal["common", "every-group"]
"""What is mixed in: the common minerals that ship with powderlens, or its synthetic crystals, one of each group."""


class ProtocolFile(Steps):
    """The whole file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    summary: str = Field(min_length=1)
    citation: str = Field(min_length=1)
    axis: Literal["two_theta", "d"] = "two_theta"
    scale: float = Field(gt=0, strict=True, allow_inf_nan=False)
    deviations: tuple[str, ...] = ()
    second_phases: SecondPhases = "common"
    grid: GridTable
    scattering: ScatteringTable = Field(default_factory=ScatteringTable)
    one_of: dict[str, Annotated[tuple[OneOf, ...], Field(min_length=2)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> ProtocolFile:
        for name, group in self.one_of.items():
            try:
                val.check_shares([one.share for one in group])
            except ValueError as error:
                raise ValueError(f"one_of.{name}: {error}") from None
        return self


@dataclass(frozen=True, eq=False)
class Plan:
    """How records are drawn: constants lie in a template, each other field has its draw.

    Attributes:
        rows: the random numbers of a pattern.
        template: (1,) record.
        draws: field and draw of what varies.
    """

    rows: dist.Rows
    template: NDArray[np.void]
    draws: tuple[tuple[str, dist.Draw], ...]

    def records(self, seed: int, index: NDArray[np.int64]) -> NDArray[np.void]:
        """(b,) records of the patterns of (b,) numbers."""
        out = np.repeat(self.template, len(index))
        if len(index) == 0:
            return out
        u = self.rows.prepare(uniform(seed, index, Purpose.CONDITIONS, self.rows.count))
        z = np.empty((0, len(index)))
        if self.rows.normals:
            z = np.ascontiguousarray(normal(seed, index, Purpose.BACKGROUND, self.rows.normals).T)
        for name, draw in self.draws:
            values = draw(u, z)
            if name == "chebyshev":
                out[name][:, : len(values)] = values.T
                there = values[::-1] != 0
                out["terms"] = np.where(there.any(axis=0), len(values) - there.argmax(axis=0), 0)
            elif name == "humps":
                out[name] = values.T.reshape(-1, HUMPS, 3)
            else:
                out[name] = values.T if np.ndim(values) == 2 else values
        return out


def read_protocol_file(text: str) -> ProtocolFile:
    """The tables of a file; its fields are checked by `Meaning`.

    Raises:
        InputError: not TOML, an unknown key, or a value of the wrong kind; one line.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"not TOML: {error}") from None
    return checked(ProtocolFile, content)


class Meaning:
    """What a file says, checked.

    `said` maps each field to its alternatives [(group, number in it, value)]; group "" is the file's own table, which
    stands where no alternative says otherwise.
    """

    def __init__(self, file: ProtocolFile) -> None:
        self.file = file
        self.grid = file.grid.grid()
        self.base: dict[str, Any] = {}
        self.group_of: dict[str, str] = {}
        self.in_group: dict[str, dict[int, Any]] = {}
        for step, name, value in file.fields():
            self.base[name] = self._checked(f"{step}.", step, name, value)
        for group, alternatives in file.one_of.items():
            for number, one in enumerate(alternatives):
                for step, name, value in one.fields():
                    where = f"one_of.{group}.{number}.{step}."
                    if self.group_of.setdefault(name, group) != group:
                        raise InputError(
                            f"{where}{name}: one_of.{self.group_of[name]} sets it too; one group must do it"
                        )
                    self.in_group.setdefault(name, {})[number] = self._checked(where, step, name, value)
        for name, numbers in self.in_group.items():
            if name in self.base and len(numbers) == len(file.one_of[self.group_of[name]]):
                group = f"one_of.{self.group_of[name]}"
                raise InputError(f"{FIELDS[name][0]}.{name}: every alternative of {group} sets it; leave it out here")

    def plan(self) -> Plan:
        """Check what concerns several fields, and bind every distribution to its random numbers."""
        self._check_grid()
        rows, template = dist.Rows(), to_record(Conditions())
        built = Plan(rows, template, tuple(self._draws(rows, template)))
        self._check_combinations(built)
        return built

    def top(self, name: str) -> float:
        """The largest number that a field can get."""
        return float(max(self._ends(name)))

    def d_min_A(self) -> float:
        """Smallest spacing, in the crystal as given, of a line that any conditions bring near the grid."""
        return self._d_drawn() / (1 + self._stretch())

    def _values(self, name: str) -> list[Any]:
        """Everything that is said of a field."""
        numbers = self.in_group.get(name, {})
        out = list(numbers.values())
        if name not in self.group_of or len(numbers) < len(self.file.one_of[self.group_of[name]]):
            out.append(self.base.get(name, PLAIN[name]))
        return out

    def _ends(self, name: str) -> list[Any]:
        return [end for value in self._values(name) for end in val.ends(value, _components(name))]

    def _size(self, name: str) -> float:
        """Largest amount, whatever its sign."""
        return float(max(abs(end) for end in self._ends(name)))

    def _draws(self, rows: dist.Rows, template: NDArray[np.void]) -> Iterator[tuple[str, dist.Draw]]:
        """Draws of the fields that vary; constants go into the template."""
        group_row = {group: rows.uniform() for group in self.file.one_of}
        for name in FIELDS:
            if name in self.group_of:
                group = self.group_of[name]
                shares = [one.share for one in self.file.one_of[group]]
                other = self.base.get(name, PLAIN[name])
                values = [self.in_group[name].get(number, other) for number in range(len(shares))]
                yield name, val.picked(group_row[group], shares, [self._bind(name, value, rows) for value in values])
            elif name in self.base:
                value = self.base[name]
                if _is_constant(value):
                    write_field(template[0], name, value)
                else:
                    yield name, self._bind(name, value, rows)

    def _bind(self, name: str, value: Any, rows: dist.Rows) -> dist.Draw:
        if name == "chebyshev":
            return self._bind_series(value, rows)
        if name == "humps" and not isinstance(value, val.Humps):
            flat = np.zeros((3 * HUMPS, 1))
            flat[: 3 * len(value), 0] = [number for row in value for number in row]
            return lambda u, z: np.broadcast_to(flat, (3 * HUMPS, u.shape[1]))
        words = FIELDS[name][1].words
        return val.bind(_coded(value, words) if words else value, rows, _components(name))

    def _bind_series(self, value: Any, rows: dist.Rows) -> dist.Draw:
        """Chebyshev coefficients, (48, b)."""
        if isinstance(value, val.Mixture):
            row = rows.uniform()
            parts = [self._bind_series(part.value, rows) for part in value.mixture]
            return val.picked(row, [part.share for part in value.mixture], parts)
        if isinstance(value, val.Polynomial):
            draw = value.bind(rows)
        elif isinstance(value, val.GaussianProcess):
            draw = value.bind(rows, self.grid.points, self.grid.end_deg - self.grid.start_deg)
        elif len(value):
            draw = val.bind(value, rows)
        else:
            return lambda u, z: np.zeros((TERMS, u.shape[1]))

        def padded(u: dist.Floats, z: dist.Floats) -> dist.Floats:
            some = draw(u, z)
            return np.concatenate([some, np.zeros((TERMS - len(some), u.shape[1]))])

        return padded

    def _checked(self, where: str, step: str, name: str, value: Any) -> Any:
        """The value itself, when the field can hold everything that it may give."""
        if name not in FIELDS or FIELDS[name][0] != step:
            there = ", ".join(field for field, (home, _) in FIELDS.items() if home == step)
            home = f"it belongs to [{FIELDS[name][0]}]" if name in FIELDS else f"there are {there}"
            raise InputError(f"{where}{name}: no such field; {home}")
        category = _category(name)
        if not _fits(category, value):
            raise InputError(f"{where}{name} = {_show(value)}: give {WANTED[category]}")
        for end in val.ends(value, _components(name)):
            try:
                check_field(name, _plain(name, end))
                if category == "axis" and not any(end):
                    raise InputError(f"{name} = 0 0 0: is no direction; give an hkl such as 0 0 1")
            except InputError as error:
                raise InputError(f"{where}{error}") from None
        span = self.grid.end_deg - self.grid.start_deg
        for part, low in _inner(value, span * SHORTEST_LENGTH):
            for end in val.ends(part[1]):
                if not low <= end < inf:
                    raise InputError(f"{where}{name}.{part[0]} = {end:g}: must be at least {low:g} and finite")
        return value

    def _check_grid(self) -> None:
        grid = self.grid
        if grid.end_deg >= LAST_DEG:
            raise InputError(
                f"grid.points = {grid.points}: the last one lies at {grid.end_deg:g} degrees; it must lie below "
                f"{LAST_DEG:g}, the Ewald sphere ends at 180 degrees"
            )
        if self.file.axis == "d" and grid.start_deg == 0:
            raise InputError("grid.start_deg = 0: has no spacing; axis d needs a start above 0 degrees")
        low, high = min(self._lines()), max(self._lines())
        if not low * (1 - WAVELENGTH_TOLERANCE) <= grid.wavelength_A <= high * (1 + WAVELENGTH_TOLERANCE):
            raise InputError(
                f"grid.wavelength_A = {grid.wavelength_A:g}: the source draws lines of {low:g} to {high:g} A; "
                "make them agree"
            )
        for name, wrong in (
            ("first_deg", self.top("first_deg") >= grid.end_deg),
            ("last_deg", min(self._ends("last_deg")) <= grid.start_deg),
        ):
            if wrong:
                raise InputError(
                    f"counting.{name} = {self._ends(name)[0]:g}: leaves nothing of the grid from {grid.start_deg:g} to "
                    f"{grid.end_deg:g} degrees"
                )

    def _lines(self, beta: bool = False) -> list[float]:
        """The ends of every wavelength that is drawn."""
        out = self._ends("ka1_A")
        out += self._ends("ka2_A") if self.top("ka2_ratio") > 0 else []
        return out + (self._ends("kbeta_A") if beta and self.top("kbeta_ratio") > 0 else [])

    def _d_drawn(self) -> float:
        """Smallest spacing, A, whose line can reach the end of the grid and 2 degrees more, whatever shifts it."""
        radius = min(self._ends("radius_mm"))
        shift = self._size("zero_shift_deg") + np.degrees(
            2 * self._size("displacement_mm") / radius + self.top("transparency_mm") / (2 * radius)
        )
        theta = np.radians(min(self.grid.end_deg + REACH_DEG + shift, 180.0) / 2)
        return float(min(self._lines(beta=True)) / (2 * sin(theta)))

    def _stretch(self) -> float:
        """Largest relative extension by strain: a bound on the eigenvalues by the sums of the rows (Gershgorin)."""
        all_ends = np.array(self._ends("strain"))
        diagonal, other = all_ends[:, :3].max(axis=0), np.abs(all_ends[:, 3:]).max(axis=0)
        yz, xz, xy = other
        return max(float((diagonal + np.array([xy + xz, xy + yz, xz + yz])).max()), 0.0)

    def _check_combinations(self, built: Plan) -> None:
        """Make conditions of many corners of what can be drawn, and of the first patterns."""
        said = [*dict.fromkeys([*self.base, *self.in_group])]
        numbers = uniform(0, np.arange(CORNERS), Purpose.CONDITIONS, len(self.file.one_of) + len(said))
        for corner in numbers:
            left = iter(corner)
            picked = {group: int(next(left) * len(many)) for group, many in self.file.one_of.items()}
            values = {}
            for name in said:
                value = self.base.get(name, PLAIN[name])
                if name in self.group_of:
                    value = self.in_group[name].get(picked[self.group_of[name]], value)
                all_ends = val.ends(value, _components(name))
                values[name] = _plain(name, all_ends[int(next(left) * len(all_ends))])
            try:
                Conditions.of(**values)
            except InputError as error:
                raise InputError(f"a combination that can be drawn is impossible: {error}") from None
        for record in built.records(0, np.arange(SAMPLES)):
            from_record(record)


WANTED = {
    "number": "a number or a distribution of numbers",
    "whole": "a whole number, integers, or a choice of whole numbers",
    "word": "a word, or a choice of words",
    "flag": "true, false, or a choice of them",
    "axis": "three whole numbers, integers, or a choice of such axes",
    "strain": "six numbers or distributions, one distribution for all six, or a table strain",
    "series": "a list of coefficients, polynomial, gaussian_process, or a mixture of them",
    "humps": "rows of centre, FWHM and height, or a table with count, centre_deg, fwhm_deg, height",
}
"""What a field takes, by its category."""
NUMBERS = (dist.Uniform, dist.LogUniform, dist.Normal, dist.LogNormal, dist.Power, dist.LogPower, dist.Squared)


def _category(name: str) -> str:
    """The kind of values that a field holds: a key of `WANTED`."""
    special = {"texture_axis": "axis", "strain": "strain", "chebyshev": "series", "humps": "humps"}
    if name in special:
        return special[name]
    if FIELDS[name][1].words:
        return "word"
    return {bool: "flag", int: "whole"}.get(type(PLAIN[name]), "number")


def _fits(category: str, value: Any) -> bool:
    """Whether a field of a category can take a constant or distribution, whatever its numbers."""
    if isinstance(value, val.Mixture) and category != "humps":
        return all(_fits(category, part.value) for part in value.mixture)
    if isinstance(value, dist.Choice) and category not in ("series", "humps"):
        return all(_fits(category, option) for option in value.choice)
    number = isinstance(value, float) and not isinstance(value, bool)
    if category == "number":
        return number or isinstance(value, NUMBERS)
    if category == "whole":
        return (number and value.is_integer()) or isinstance(value, dist.Integers)
    if category == "word":
        return isinstance(value, str)
    if category == "flag":
        return isinstance(value, bool)
    if category == "axis":
        whole = isinstance(value, tuple) and len(value) == 3 and all(_fits("whole", item) for item in value)
        return (whole and _is_constant(value)) or isinstance(value, dist.Integers)
    if category == "humps" and isinstance(value, tuple):
        return all(isinstance(row, tuple) and all(isinstance(item, float) for item in row) for row in value)
    inner = all(_fits("number", part) for (_, part), _ in _inner(value, 0.0))
    if category == "humps":
        return isinstance(value, val.Humps) and inner
    if isinstance(value, tuple):
        return all(_fits("number", item) for item in value)
    if category == "series":
        return isinstance(value, val.Polynomial | val.GaussianProcess) and inner
    return _fits("number", value) or (isinstance(value, val.Strain) and inner)


def _inner(value: Any, shortest: float) -> Iterator[tuple[tuple[str, Any], float]]:
    """The distributions inside a compound one, each with its name and the lowest number that it may give."""
    if isinstance(value, val.Mixture):
        for part in value.mixture:
            yield from _inner(part.value, shortest)
    elif isinstance(value, val.Polynomial):
        yield ("share", value.polynomial.share), 0.0
    elif isinstance(value, val.GaussianProcess):
        yield ("length_deg", value.gaussian_process.length_deg), shortest
        yield ("sum", value.gaussian_process.sum), 0.0
    elif isinstance(value, val.Strain):
        for name in ("common", "axial", "shear"):
            yield (name, getattr(value.strain, name)), -inf
    elif isinstance(value, val.Humps):
        for name in ("centre_deg", "fwhm_deg", "height"):
            yield (name, getattr(value, name)), -inf


def _components(name: str) -> int:
    """Number of components of a vector of fixed length, 0 for the other fields."""
    return {"texture_axis": 3, "strain": 6}.get(name, 0)


def _is_constant(value: Any) -> bool:
    """No distribution in it."""
    return all(_is_constant(item) for item in value) if isinstance(value, tuple) else not isinstance(value, Part)


def _plain(name: str, value: Any) -> Any:
    """A constant as `Conditions` takes it."""
    if name == "texture_axis":
        return tuple(int(item) for item in value)
    if name == "strain" and not isinstance(value, tuple):
        return (value,) * 6
    return int(value) if _category(name) == "whole" else value


def _coded(value: Any, words: tuple[str, ...]) -> Any:
    """Words as their place in the list of words, everywhere in a value."""
    if isinstance(value, str):
        return float(words.index(value))
    if isinstance(value, dist.Choice):
        return value.model_copy(update={"choice": tuple(_coded(option, words) for option in value.choice)})
    if isinstance(value, val.Mixture):
        parts = tuple(part.model_copy(update={"value": _coded(part.value, words)}) for part in value.mixture)
        return value.model_copy(update={"mixture": parts})
    return value


def _show(value: Any) -> str:
    """A value for a message."""
    return repr(value.model_dump() if isinstance(value, Part) else value)
