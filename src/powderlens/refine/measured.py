"""A measured profile ready for many candidates: on three grids, as roots, with what is known of the instrument."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError, WavelengthError
from powderlens.diffraction.instrument import polarisation_ratio
from powderlens.pattern.background import noise_sigma, subtract_background
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.wavelength import infer_radiation
from powderlens.refine.candidate_kernel import CAPILLARY, REFLECTION, TRANSMISSION

Floats = NDArray[np.float64]

STEP_DEG = 0.04
LEVELS = ((0.8, 0.2), (0.3, 0.08))
"""FWHM that is added to every line, and step of the grid, degrees; the last level is the profile as measured."""
DEPTH = len(LEVELS) + 1
LEAST_SPAN_DEG = 1.0
POINTS = 2600
"""Most points of the finest grid."""
FLOOR = 0.002
"""Least share of the strongest point that is added under the root; noise raises it."""
MOST_NOISE = 0.6
"""Of the squares of a root profile; patterns with more are taken to have no more."""
HIDDEN, HIDDEN_NOISE = 0.3, 2.0
"""Where more than this share of the profile, and so many times its noise, is calculated, what is left says nothing."""
SURROUNDINGS_DEG, LEAST_NOISE = 5.0, 0.7
"""The noise of a point is that of so many degrees about it, and at least this share of that of the whole."""

GEOMETRIES = {"reflection": REFLECTION, "transmission": TRANSMISSION, "capillary": CAPILLARY}
"""How the beam meets the specimen, and the number that the kernels know it by."""


@dataclass(frozen=True)
class Instrument:
    """What a diffractometer does to the strength and the place of lines.

    Attributes:
        geometry: "reflection" (a flat specimen), "transmission" (a flat specimen, met symmetrically) or "capillary".
            Absorption is left to the freedom of a fit: that of a plate of the best thickness, 1 / mu, changes with the
            angle in second order only.
        monochromator_two_theta_deg: 2theta of a crystal monochromator, before or behind the specimen; None for none.
        width_deg: FWHM that the instrument alone gives a line, as constant and rising width of a `Fit`, from which fits
            start; None where it is not known.
    """

    geometry: str = "reflection"
    monochromator_two_theta_deg: float | None = None
    width_deg: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.geometry not in GEOMETRIES:
            raise InputError(f"geometry {self.geometry!r}: choose one of {', '.join(GEOMETRIES)}")
        angle = self.monochromator_two_theta_deg
        if angle is not None and not 0 < angle < 180:
            raise InputError(
                f"monochromator {angle:g} degrees: give its 2theta, above 0 and below 180, such as 26.6 for graphite "
                "and copper"
            )

    @property
    def polarised(self) -> float:
        """Strength of the beam in the plane of diffraction over that across it, see `instrument.polarisation_ratio`."""
        return polarisation_ratio(self.monochromator_two_theta_deg or 0.0)


@dataclass(frozen=True)
class FurtherLine:
    """A line of the tube that is not the one wanted.

    Attributes:
        name: such as "K-beta of copper".
        wavelength_A: A.
        share: of the strength of the radiation that is wanted.
    """

    name: str
    wavelength_A: float
    share: float


@dataclass(frozen=True, eq=False)
class Level:
    """A measured profile on one grid.

    Attributes:
        first, step: degrees; blur: standard deviation that was added to every line, degrees.
        root: (n,) sqrt(y + floor) - sqrt(floor), norm 1 for a floor of the same scale.
        used: (n,) whether it was measured.
        floor: under the root.
    """

    first: float
    step: float
    blur: float
    root: Floats
    used: NDArray[np.bool_]
    floor: float


@dataclass(frozen=True, eq=False)
class Measured:
    """A pattern ready for many candidates.

    Attributes:
        levels: the profile from the coarsest grid to the finest.
        intensity: (n,) on the finest grid, without background and floor, strongest 1.
        sigma: noise of a point there.
        unit: intensity of the pattern where `intensity` is 1.
        background: (n,) what was taken off, in units of the pattern.
        wavelength, share: lines of the radiation, A, those that are wanted first, shares summing to 1; then `further`.
        last_deg: end of the range.
        instrument: how it was measured.
        further: lines of the tube that are not wanted.
        holder: (n,) lines of holder or window, which were taken off `intensity`, in the same units; None for none.
    """

    levels: tuple[Level, ...]
    intensity: Floats
    sigma: float
    unit: float
    background: Floats
    wavelength: Floats
    share: Floats
    last_deg: float
    instrument: Instrument = Instrument()
    further: tuple[FurtherLine, ...] = ()
    holder: Floats | None = None

    @property
    def mean_wavelength_A(self) -> float:
        """Of the radiation that is wanted, its lines weighted by their strength."""
        wanted = len(self.wavelength) - len(self.further)
        return float((self.wavelength * self.share)[:wanted].sum() / self.share[:wanted].sum())

    @property
    def two_theta_deg(self) -> Floats:
        """(n,) the finest grid."""
        fine = self.levels[-1]
        return np.asarray(fine.first + fine.step * np.arange(len(fine.root)))

    @cached_property
    def prepared(self) -> dict[int, Any]:
        """Phases that `candidates.fit` made ready for this pattern, by their identity."""
        return {}

    @cached_property
    def ceiling(self) -> float:
        """The agreement that a perfect model would reach in spite of the noise.

        Noise of deviation s moves a root by s / (2 sqrt(y + floor)). What it holds of the squares of the root profile
        no model explains.
        """
        fine = self.levels[-1]
        y = np.maximum(self.intensity[fine.used], 0.0) + fine.floor
        noise = float((self.sigma**2 / (4 * y)).sum())
        whole = float((fine.root[fine.used] ** 2).sum())
        return float(np.sqrt(1 - min(noise / max(whole, 1e-12), MOST_NOISE)))

    @cached_property
    def smoothed(self) -> tuple[Floats, Floats]:
        """(n,) the profile after a mean of about 0.1 degrees, and (n,) the noise that is left in it.

        Counts are noisier where there are more of them, as on an amorphous hump: the noise is that of the surroundings.
        """
        used = self.levels[-1].used
        profile = self.smooth_of(np.where(used, self.intensity, 0.0))
        known = np.flatnonzero(used)
        parts = np.array_split(known, max(1, round(len(known) * self.levels[-1].step / SURROUNDINGS_DEG)))
        lag = self._smooth_points + 1
        noise = [noise_sigma(profile[part], lag) for part in parts]
        least = LEAST_NOISE * noise_sigma(profile[known], lag)
        local = np.interp(np.arange(len(profile)), [float(part.mean()) for part in parts], noise)
        return np.where(used, profile, 0.0), np.maximum(local, least)

    def smooth_of(self, profile: Floats) -> Floats:
        """Another profile, (n,) on the finest grid, after the same mean."""
        count = self._smooth_points
        return np.asarray(np.convolve(profile, np.full(count, 1.0 / count), mode="same"))

    @property
    def _smooth_points(self) -> int:
        return max(1, 2 * round(0.05 / self.levels[-1].step) + 1)

    @property
    def d_min_A(self) -> float:
        """Smallest spacing in the range, with a margin for cells that shrink."""
        return float(0.96 * self.wavelength.min() / (2 * np.sin(np.radians(min(self.last_deg + 0.5, 178.0) / 2))))

    def with_lines(self, wavelength_A: Sequence[float], share: Sequence[float]) -> Measured:
        """The same with another radiation, and no further lines; shares of any scale."""
        part = np.array(share, float)
        return replace(self, wavelength=np.array(wavelength_A, float), share=part / part.sum(), further=())

    def with_further(self, lines: Sequence[FurtherLine]) -> Measured:
        """The same with further lines of the tube."""
        return replace(
            self,
            wavelength=np.append(self.wavelength, [line.wavelength_A for line in lines]),
            share=np.append(self.share, [line.share for line in lines]),
            further=(*self.further, *lines),
        )

    def line_strength(self, sine: Floats) -> Floats:
        """Lorentz and polarisation factor at sines of theta, up to a constant."""
        s2 = np.asarray(sine) ** 2
        return np.asarray((1 + self.instrument.polarised * (1 - 2 * s2) ** 2) / (s2 * np.sqrt(1 - s2)))

    @classmethod
    def of(cls, pattern: Pattern, instrument: Instrument | None = None) -> Measured:
        """Take the background off a pattern, and lay it on the grids.

        Raises:
            WavelengthError: no wavelength.
            InputError: less than `LEAST_SPAN_DEG` was measured.
        """
        if pattern.wavelength_A is None:
            raise WavelengthError(
                f"{pattern.source or 'pattern'}: no wavelength known; give one (angstrom, CuKa, MoKa, ...)"
            )
        flat, _ = subtract_background(pattern)
        known = flat.measured_only()
        radiation = pattern.radiation or infer_radiation(pattern.wavelength_A)
        if radiation.ka2_A is None:
            wavelength, share = np.array([radiation.ka1_A]), np.array([1.0])
        else:
            wavelength, share = np.array([radiation.ka1_A, radiation.ka2_A]), np.array([1.0, radiation.ka2_ratio])
        span = float(known.two_theta_deg[-1] - known.two_theta_deg[0])
        if span < LEAST_SPAN_DEG:
            raise InputError(
                f"{pattern.source or 'pattern'}: {span:g} degrees were measured; nothing can be told from less than "
                f"{LEAST_SPAN_DEG:g}: measure more"
            )
        under = pattern.measured_only().intensity - known.intensity
        measured = cls.on_grids(known.two_theta_deg, known.intensity, wavelength, share / share.sum(), under)
        return measured if instrument is None else replace(measured, instrument=instrument)

    @classmethod
    def on_grids(
        cls, x: Floats, y: Floats, wavelength: Floats, share: Floats, background: Floats | None = None
    ) -> Measured:
        """From (n,) measured points without background, and the background that was taken off."""
        median = float(np.median(np.diff(x)))
        step = max(STEP_DEG, median, (x[-1] - x[0]) / POINTS)
        count = int((x[-1] - x[0]) / step) + 1
        grid = x[0] + step * np.arange(count)
        if len(x) == count and np.abs(x - grid).max() < 1e-6 * step:
            fine, used = y, np.ones(count, bool)  # it is on this grid already
        else:
            fine, used = _binned(x, y, grid, step, median)
        under = np.zeros(count) if background is None else np.interp(grid, x, background)
        return cls._levelled(grid, step, fine, used, wavelength, share, under)

    @classmethod
    def _levelled(
        cls,
        grid: Floats,
        step: float,
        fine: Floats,
        used: NDArray[np.bool_],
        wavelength: Floats,
        share: Floats,
        under: Floats,
    ) -> Measured:
        """From the profile on the finest grid."""
        floor = _floor(fine[used])
        fine = np.where(used, fine - floor, 0.0)
        top = float(fine.max())
        unit = top if top > 0 else 1.0
        fine = fine / unit
        # Neighbours on the grid share measured points.
        sigma = noise_sigma(fine[used], lag=2)
        levels = []
        for fwhm, coarse in LEVELS:
            every = max(1, round(coarse / step))
            sd = fwhm / 2.354820045
            smooth = _blurred(np.maximum(fine, -3 * sigma), used, sd / step)
            part = slice(every // 2, None, every)
            levels.append(
                _level(grid[part][0], step * every, sd, smooth[part], used[part], sigma * np.sqrt(step / (3.545 * sd)))
            )
        levels.append(_level(grid[0], step, 0.0, fine, used, sigma))
        return cls(tuple(levels), fine, sigma, unit, under + floor, wavelength, share, float(grid[-1]))

    def cleared(self, holder: Floats) -> Measured:
        """The same without the lines of holder or window, (n,) on the finest grid, which it keeps beside it."""
        bare = Measured._levelled(
            self.two_theta_deg,
            self.levels[-1].step,
            self.unit * (self.intensity - holder),
            self.levels[-1].used,
            self.wavelength,
            self.share,
            self.background,
        )
        return replace(bare, instrument=self.instrument, further=self.further, holder=holder * self.unit / bare.unit)

    def without(self, calculated: Floats) -> Measured:
        """What is left of the profile when a calculated one, (n,) on the finest grid, is taken off. Where most of what
        is there is calculated, strengths are not known well enough to tell what is left: it counts as not measured.
        """
        fine = self.levels[-1]
        profile, _ = self.smoothed
        drawn = self.smooth_of(calculated)
        used = fine.used & ~((drawn > HIDDEN * profile) & (drawn > HIDDEN_NOISE * self.sigma))
        if not used.any():
            used = fine.used
        rest = np.where(fine.used, np.maximum(self.intensity - calculated, -2 * self.sigma), 0.0)
        none = np.zeros(len(rest))
        bare = Measured._levelled(self.two_theta_deg, fine.step, rest, used, self.wavelength, self.share, none)
        return replace(bare, instrument=self.instrument, further=self.further)


def _binned(x: Floats, y: Floats, grid: Floats, step: float, median: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Mean of the joined profile over each cell of a grid, and whether anything was measured there."""
    edges = np.concatenate([grid - step / 2, [grid[-1] + step / 2]])
    total = np.concatenate([[0.0], np.cumsum(np.diff(x) * (y[1:] + y[:-1]) / 2)])
    inside = np.clip(edges, x[0], x[-1])
    width = np.diff(inside)
    mean = np.diff(np.interp(inside, x, total)) / np.maximum(width, 1e-9)
    near = np.minimum(np.searchsorted(x, grid), len(x) - 1)
    gap = np.minimum(np.abs(x[near] - grid), np.abs(x[np.maximum(near - 1, 0)] - grid))
    return mean, (width > 0.25 * step) & (gap <= max(step, 3 * median))


def _floor(y: Floats) -> float:
    """The pedestal that noise stands on: the 30th percentile, where it is above zero."""
    return float(np.quantile(y, 0.3)) if len(y) else 0.0


def _blurred(y: Floats, used: NDArray[np.bool_], sd_points: float) -> Floats:
    reach = int(np.ceil(3.3 * sd_points))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sd_points) ** 2)
    kernel /= kernel.sum()
    middle = slice(reach, reach + len(y))  # of the whole: where the kernel is longer than y, "same" is not y's length
    weight = np.convolve(used.astype(float), kernel)[middle]
    out: Floats = np.convolve(np.where(used, y, 0.0), kernel)[middle] / np.maximum(weight, 0.3)
    return out


def _level(first: float, step: float, blur: float, y: Floats, used: NDArray[np.bool_], sigma: float) -> Level:
    floor = max(FLOOR * float(y.max(initial=1e-9)), 2.0 * sigma)
    root = np.where(used, np.sqrt(np.maximum(y, 0.0) + floor) - np.sqrt(floor), 0.0)
    return Level(float(first), float(step), float(blur), root, np.ascontiguousarray(used), float(floor))
