"""`Conditions`: everything about specimen and instrument that shapes one pattern, in frozen steps with their units.

Each step holds the settings of the functions in the module of the same subject, which name the source of each formula.
Any number of conditions is also one structured array (`RECORD`), the form in which the three backends take them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from math import inf
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from powderlens.core.constants import ANODES, CU_K_BETA_A
from powderlens.core.errors import InputError

SHAPES = ("tch", "pseudo-voigt", "gaussian", "lorentzian", "voigt")
BROADENINGS = ("lorentzian", "gaussian", "both")
SLITS = ("fixed", "automatic")
BELOW_ZERO = ("keep", "cut", "fold")
TERMS = 48
"""Most terms of a smooth background."""
HUMPS = 4


@dataclass(frozen=True)
class Range:
    """What a field may hold: its unit, its limits and, for words, the list of them."""

    unit: str = ""
    low: float = -inf
    high: float = inf
    above: bool = False
    words: tuple[str, ...] = ()
    items: int = 0
    rows: int = 0


def _number(default: float, unit: str = "", low: float = -inf, high: float = inf, *, above: bool = False) -> Any:
    return field(default=default, metadata={"range": Range(unit, low, high, above)})


def _word(default: str, words: tuple[str, ...]) -> Any:
    return field(default=default, metadata={"range": Range(words=words)})


def _numbers(
    default: tuple[Any, ...], unit: str, items: int, rows: int = 0, low: float = -inf, high: float = inf
) -> Any:
    return field(default=default, metadata={"range": Range(unit, low, high, items=items, rows=rows)})


class Step:
    """One part of the conditions; every field is checked when it is made."""

    title: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for f in fields(self):  # type: ignore[arg-type]
            check_field(f.name, getattr(self, f.name))


@dataclass(frozen=True, kw_only=True)
class Source(Step):
    """The radiation and its polarisation (`instrument.py`).

    Attributes:
        ka1_A, ka2_A, kbeta_A: the lines, A.
        ka2_ratio, kbeta_ratio: their integrated intensities relative to the first; 0 for none.
        monochromator_deg: 2theta of a crystal monochromator; 0 for none.
        polarised_share: share of the beam polarised perpendicular to the plane of diffraction: 0.5 from a tube, near 1
            at a synchrotron.
    """

    title: ClassVar[str] = "source"
    ka1_A: float = _number(ANODES["Cu"].ka1_A, "A", 0.05, 10.0)
    ka2_A: float = _number(ANODES["Cu"].ka2_A, "A", 0.05, 10.0)
    ka2_ratio: float = _number(0.5, "", 0.0, 1.0)
    kbeta_A: float = _number(CU_K_BETA_A, "A", 0.05, 10.0)
    kbeta_ratio: float = _number(0.0, "", 0.0, 1.0)
    monochromator_deg: float = _number(0.0, "degrees", 0.0, 90.0)
    polarised_share: float = _number(0.5, "", 0.5, 1.0)


@dataclass(frozen=True, kw_only=True)
class Geometry(Step):
    """Where the diffractometer shows a line, and how much of it (`instrument.py`, `axial.py`).

    Attributes:
        zero_shift_deg: added to every 2theta.
        displacement_mm: how far the surface of the specimen lies below the focusing circle.
        radius_mm: of the goniometer.
        transparency_mm: penetration depth 1 / mu of the specimen.
        slits: "fixed" opening, or "automatic" for a fixed illuminated length.
        slit_tilt: log of a linear trend of the intensity from the first to the last point (what absorption, spill-over
            and slits leave uncorrected).
        sample_over_l, detector_over_l: half height of specimen and of detector slit over the goniometer radius (S/L and
            H/L).
    """

    title: ClassVar[str] = "geometry"
    zero_shift_deg: float = _number(0.0, "degrees", -5.0, 5.0)
    displacement_mm: float = _number(0.0, "mm", -5.0, 5.0)
    radius_mm: float = _number(200.0, "mm", 0.0, above=True)
    transparency_mm: float = _number(0.0, "mm", 0.0, 10.0)
    slits: str = _word("fixed", SLITS)
    slit_tilt: float = _number(0.0, "", -3.0, 3.0)
    sample_over_l: float = _number(0.0, "", 0.0, 0.2)
    detector_over_l: float = _number(0.0, "", 0.0, 0.2)


@dataclass(frozen=True, kw_only=True)
class Profile(Step):
    """Shape and widths of a line (`profile.py`).

    The Gaussian width adds Caglioti and Gaussian broadening in squares, the Lorentzian width adds X, Y and Lorentzian
    broadening.

    Attributes:
        shape: "tch" (Thompson, Cox and Hastings) and "voigt" take both widths; "gaussian" and "pseudo-voigt" take the
            Gaussian width alone, "lorentzian" the Lorentzian one alone.
        eta: Lorentzian share of "pseudo-voigt".
        caglioti_u_deg2, caglioti_v_deg2, caglioti_w_deg2: FWHM^2 = U tan^2 + V tan + W of the instrument.
        lorentz_x_deg, lorentz_y_deg: FWHM = X / cos(theta) + Y tan(theta).
        crystallite_size_nm: mean size (Scherrer); inf for no broadening.
        scherrer_k: shape constant.
        size_shape: whether size broadens the "lorentzian", the "gaussian" or "both" widths.
        microstrain: spread of spacings epsilon, FWHM = 4 epsilon tan(theta).
        strain_shape: as `size_shape`.
    """

    title: ClassVar[str] = "profile"
    shape: str = _word("tch", SHAPES)
    eta: float = _number(0.5, "", 0.0, 1.0)
    caglioti_u_deg2: float = _number(0.0, "degrees^2", -1.0, 10.0)
    caglioti_v_deg2: float = _number(0.0, "degrees^2", -10.0, 10.0)
    caglioti_w_deg2: float = _number(0.0049, "degrees^2", -1.0, 10.0)
    lorentz_x_deg: float = _number(0.0, "degrees", 0.0, 10.0)
    lorentz_y_deg: float = _number(0.0, "degrees", 0.0, 10.0)
    crystallite_size_nm: float = _number(200.0, "nm", 0.0, inf, above=True)
    scherrer_k: float = _number(0.9, "", 0.5, 2.0)
    size_shape: str = _word("lorentzian", BROADENINGS)
    microstrain: float = _number(0.0, "", 0.0, 0.1)
    strain_shape: str = _word("lorentzian", BROADENINGS)

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes, strains = np.isfinite(self.crystallite_size_nm), self.microstrain > 0
        shapes = [name for name, there in (("size_shape", sizes), ("strain_shape", strains)) if there]
        lorentz = [name for name in ("lorentz_x_deg", "lorentz_y_deg") if getattr(self, name) != 0]
        lorentz += [name for name in shapes if getattr(self, name) != "gaussian"]
        gauss = [f"caglioti_{k}_deg2" for k in "uvw" if getattr(self, f"caglioti_{k}_deg2") != 0]
        gauss += [name for name in shapes if getattr(self, name) != "lorentzian"]
        if self.shape in ("gaussian", "pseudo-voigt") and lorentz:
            raise InputError(
                f"shape = {self.shape}: {lorentz[0]} = {getattr(self, lorentz[0])} gives a Lorentzian width, which it "
                "leaves out; choose tch or voigt, or make that broadening gaussian"
            )
        if self.shape == "lorentzian" and gauss:
            raise InputError(
                f"shape = lorentzian: {gauss[0]} = {getattr(self, gauss[0])} gives a Gaussian width, which it leaves "
                "out; choose tch or voigt, or make that broadening lorentzian"
            )


@dataclass(frozen=True, kw_only=True)
class Specimen(Step):
    """What the powder is like (`specimen.py`, `thermal.py`, `absorption.py`).

    Attributes:
        texture_axis: hkl of the March-Dollase axis.
        march_r: March parameter; 1 is no texture.
        intensity_jitter: sigma of the lognormal scatter of single families (few, large grains).
        intensity_perturbation: half width of a uniform scatter of single families, relative (SimXRD's orientation).
        strain: xx, yy, zz, yz, xz, xy of a small strain of the cell, projected on the crystal's symmetry.
        thermal_offset_A: length of a random offset of every atom; the space group is kept.
        u_overall_A2: mean-square displacement added to every atom.
        debye_temperature_K, temperature_K: mean characteristic temperature of the crystal (0: no such factor) and the
            temperature of the specimen.
        mu_r: linear absorption times radius of a cylindrical specimen; 0 for a flat one.
        mu_t: linear absorption times thickness of a flat specimen; 0 for a thick one.
        impurity_share: share a of a second phase, (1 - a) I + a I', both with the strongest point 1.
    """

    title: ClassVar[str] = "specimen"
    texture_axis: tuple[int, int, int] = _numbers((0, 0, 1), "", 3)
    march_r: float = _number(1.0, "", 0.05, 20.0)
    intensity_jitter: float = _number(0.0, "", 0.0, 3.0)
    intensity_perturbation: float = _number(0.0, "", 0.0, 1.0)
    strain: tuple[float, ...] = _numbers((0.0,) * 6, "", 6, low=-0.25, high=0.25)
    thermal_offset_A: float = _number(0.0, "A", 0.0, 1.0)
    u_overall_A2: float = _number(0.0, "A^2", 0.0, 1.0)
    debye_temperature_K: float = _number(0.0, "K", 0.0, 5000.0)
    temperature_K: float = _number(293.0, "K", 0.0, 5000.0)
    mu_r: float = _number(0.0, "", 0.0, 2.5)
    mu_t: float = _number(0.0, "", 0.0, 1000.0)
    impurity_share: float = _number(0.0, "", 0.0, 0.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not any(self.texture_axis):
            raise InputError("texture_axis = 0 0 0: is no direction; give an hkl such as 0 0 1")
        if self.mu_r > 0 and self.mu_t > 0:
            raise InputError(
                f"mu_r = {self.mu_r:g} and mu_t = {self.mu_t:g}: a specimen is a cylinder or flat; give one"
            )


@dataclass(frozen=True, kw_only=True)
class Background(Step):
    """What lies under the lines, in units of the strongest point (`background.py`).

    Attributes:
        chebyshev: coefficients of Chebyshev polynomials over the grid, at most 48; polynomials and Gaussian processes
            are turned into these.
        humps: up to four broad residues as (centre in degrees, FWHM in degrees, height).
        air_scatter, air_decay_deg: height at 2theta = 0 and decay length of scattering by air.
    """

    title: ClassVar[str] = "background"
    chebyshev: tuple[float, ...] = _numbers((), "", TERMS)
    humps: tuple[tuple[float, float, float], ...] = _numbers((), "", 3, HUMPS)
    air_scatter: float = _number(0.0, "", 0.0, 100.0)
    air_decay_deg: float = _number(10.0, "degrees", 0.0, 180.0, above=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        for centre, width, height in self.humps:
            if not width > 0:
                raise InputError(f"humps = {centre:g} {width:g} {height:g}: the FWHM must be above 0 degrees")


@dataclass(frozen=True, kw_only=True)
class Counting(Step):
    """How the pattern was counted and what was done to it afterwards (`noise.py`), in the order of application.

    Attributes:
        counts_at_max: Poisson counts of the strongest point; 0 for no Poisson noise.
        rescale: AlphaDiffract's equations 1 to 3: after counting to 0..1, and after the Gaussian noise back again.
        noise_sigma: standard deviation of Gaussian noise far from lines, in units of the strongest point.
        background_share: counts under the lines, subtracted before; sigma^2 grows as 1 + y / share. 0: it is constant.
        multiplicative_sigma: standard deviation of a factor of mean 1.
        pedestal: added, in units of noise_sigma.
        below_zero: what becomes of negative values: "keep", "cut" at zero, or "fold" to their absolute value.
        raw_points: 2 when each point is the mean of two scanned ones, each with its noise (and cut or fold).
        first_deg, last_deg: what was measured; outside is zero.
    """

    title: ClassVar[str] = "counting"
    counts_at_max: float = _number(0.0, "counts", 0.0, 1e9)
    rescale: bool = False
    noise_sigma: float = _number(0.0, "", 0.0, 10.0)
    background_share: float = _number(0.0, "", 0.0, 1000.0)
    multiplicative_sigma: float = _number(0.0, "", 0.0, 1.0)
    pedestal: float = _number(0.0, "", -10.0, 100.0)
    below_zero: str = _word("keep", BELOW_ZERO)
    raw_points: int = _number(1, "", 1, 2)
    first_deg: float = _number(0.0, "degrees", 0.0, 180.0)
    last_deg: float = _number(180.0, "degrees", 0.0, 180.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.first_deg < self.last_deg:
            raise InputError(f"first_deg = {self.first_deg:g}: must be below last_deg = {self.last_deg:g} degrees")


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """All steps of one pattern. The defaults are a sharp, clean laboratory scan without background or noise."""

    source: Source = field(default_factory=Source)
    specimen: Specimen = field(default_factory=Specimen)
    profile: Profile = field(default_factory=Profile)
    geometry: Geometry = field(default_factory=Geometry)
    background: Background = field(default_factory=Background)
    counting: Counting = field(default_factory=Counting)

    @classmethod
    def of(cls, **values: object) -> Conditions:
        """Build from field names alone: `Conditions.of(march_r=0.6, noise_sigma=0.01)`.

        Raises:
            InputError: an unknown name, or a value out of its range.
        """
        by_step: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            if name not in FIELDS:
                raise InputError(f"conditions have no field {name!r}; there are {', '.join(FIELDS)}")
            by_step.setdefault(FIELDS[name][0], {})[name] = value
        return cls(**{step: STEPS[step](**given) for step, given in by_step.items()})

    def values(self) -> dict[str, Any]:
        """Every field by its name."""
        return {name: getattr(getattr(self, step), name) for name, (step, _) in FIELDS.items()}

    def changes(self) -> dict[str, Any]:
        """The fields that are not at their default."""
        return {name: value for name, value in self.values().items() if value != PLAIN[name]}


STEPS: dict[str, Any] = {
    "source": Source,
    "specimen": Specimen,
    "profile": Profile,
    "geometry": Geometry,
    "background": Background,
    "counting": Counting,
}
FIELDS: dict[str, tuple[str, Range]] = {
    f.name: (step, f.metadata.get("range", Range())) for step, kind in STEPS.items() for f in fields(kind)
}
"""Field name -> its step and its range."""


def check_field(name: str, value: object) -> None:
    """Refuse a value that a field cannot hold.

    Raises:
        InputError: with the field, the value and the limit.
    """
    limits = FIELDS[name][1]
    if limits.words:
        if value not in limits.words:
            raise InputError(f"{name} = {value!r}: choose one of {', '.join(limits.words)}")
        return
    if isinstance(value, bool):
        return
    if limits.rows:
        rows = list(value)  # type: ignore[call-overload]
        if len(rows) > limits.rows or any(len(row) != limits.items for row in rows):
            raise InputError(f"{name} = {value}: give at most {limits.rows} rows of {limits.items} numbers")
        numbers: list[Any] = [item for row in rows for item in row]
    elif limits.items:
        numbers = list(value)  # type: ignore[call-overload]
        exact = limits.items != TERMS
        if len(numbers) > limits.items or (exact and len(numbers) != limits.items):
            raise InputError(f"{name} = {value}: give {'' if exact else 'at most '}{limits.items} numbers")
    else:
        numbers = [value]
    for number in numbers:
        low = number > limits.low if limits.above else number >= limits.low
        infinite = limits.high == inf and number == inf and limits.low == 0.0
        if not (low and number <= limits.high and (np.isfinite(number) or infinite)):
            below = f"above {limits.low:g}" if limits.above else f"at least {limits.low:g}"
            within = below if limits.high == inf else f"{below} and at most {limits.high:g}"
            unit = f" {limits.unit}" if limits.unit else ""
            raise InputError(f"{name} = {number:g}{unit}: must be {within}{unit}")


PLAIN = Conditions().values()
"""Field name -> its default."""


def _dtype_of(name: str, default: Any) -> tuple[Any, ...]:
    limits = FIELDS[name][1]
    if limits.words or isinstance(default, (bool, int)):
        return (name, np.int64)
    if limits.rows:
        return (name, np.float64, (limits.rows, limits.items))
    if limits.items:
        return (name, np.float64, (limits.items,))
    return (name, np.float64)


Record = Any
"""One element of a `RECORD` array; what it holds is known when it runs."""

RECORD = np.dtype(
    [_dtype_of(f.name, f.default) for kind in STEPS.values() for f in fields(kind)] + [("terms", np.int64)], align=True
)
"""One pattern's conditions as numbers: words are their place in the list, `terms` counts the Chebyshev coefficients."""


def to_record(conditions: Conditions | Iterable[Conditions]) -> NDArray[np.void]:
    """Conditions as a structured array of `RECORD`.

    Returns:
        (n,) records.
    """
    many = [conditions] if isinstance(conditions, Conditions) else list(conditions)
    out = np.zeros(len(many), RECORD)
    for row, one in zip(out, many, strict=True):
        for name, value in one.values().items():
            write_field(row, name, value)
    return out


def write_field(record: Record, name: str, value: Any) -> None:
    """Put one value of `Conditions` into a record."""
    limits = FIELDS[name][1]
    if limits.words:
        record[name] = limits.words.index(value)
    elif limits.rows or limits.items == TERMS:
        record[name][: len(value)] = value if len(value) else 0.0
        if not limits.rows:
            record["terms"] = len(value)
    else:
        record[name] = value


def from_record(record: NDArray[np.void]) -> Conditions:
    """The conditions of one record, checked.

    Raises:
        InputError: a value out of its range.
    """
    values: dict[str, object] = {}
    for name, (_, limits) in FIELDS.items():
        raw = record[name]
        if limits.words:
            values[name] = limits.words[int(raw)]
        elif limits.rows:
            values[name] = tuple(tuple(row) for row in raw.tolist() if row[1] > 0)
        elif limits.items:
            kind = int if name == "texture_axis" else float
            values[name] = tuple(map(kind, raw[: record["terms"] if limits.items == TERMS else None]))
        else:
            values[name] = type(PLAIN[name])(raw)
    return Conditions.of(**values)
