"""Known phases held against a measured profile: cell, shift, widths and scale refined, alone or several together.

Residuals are those of square-root profiles, in which strong lines do not decide alone and strengths that are off by a
quarter (texture, disorder, calculated structures) are no catastrophe. The search starts on profiles that are broadened
to most of a degree, where lines find their partners from afar, and ends on the profile as measured.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError, WavelengthError
from powderlens.diffraction.instrument import polarisation_ratio
from powderlens.diffraction.phase import Phase
from powderlens.diffraction.reflections import plain
from powderlens.diffraction.specimen import march_dollase
from powderlens.pattern.background import noise_sigma, subtract_background
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.wavelength import infer_radiation
from powderlens.refine.candidate_kernel import (
    CAPILLARY,
    REFLECTION,
    SHARED,
    STRAINS,
    TRANSMISSION,
    Lines,
    draw,
    lever,
    refine,
)
from powderlens.refine.model import invariant_strains

Floats = NDArray[np.float64]

STEP_DEG = 0.04
LEVELS = ((0.8, 0.2), (0.3, 0.08))
"""FWHM that is added to every line, and step of the grid, degrees; the last level is the profile as measured."""
DEPTH = len(LEVELS) + 1
POINTS = 2600
"""Most points of the finest grid."""
WIDTH_DEG = 0.12
"""FWHM at which a fit starts."""
FLOOR = 0.002
"""Least share of the strongest point that is added under the root; noise raises it."""
EVIDENCE = 400.0
"""Weight of the squares of a root profile of norm 1 against priors: some 60 independent values, known to about a tenth
of the whole."""
SHIFT_SD_DEG = 0.07
STRAIN_SD = 0.015
"""How far a cell moves from the scale that retrieval found, relative; how likely its strain is, others weigh."""
WIDTH_SD = 0.7
"""Of the logarithm of a width."""
AXES = ((0, 0, 1), (1, 0, 0), (0, 1, 0), (1, 1, 0), (1, 1, 1))
"""Axes along which crystallites may be oriented."""
MARCH = (0.4, 0.6, 0.8, 1.25, 1.6)
LEAST_TEXTURE_GAIN = 0.01
"""Of the agreement; with less a specimen counts as not oriented."""
MOST_NOISE = 0.6
"""Of the squares of a root profile; patterns with more are taken to have no more."""
SURROUNDINGS_DEG, LEAST_NOISE = 5.0, 0.7
"""The noise of a point is that of so many degrees about it, and at least this share of that of the whole."""
MOST_LINES = 400
WEAKEST = 0.001
AT_40_DEG = (0.3420201433256687, 0.9396926207859084)
"""Sine and cosine of theta where the shift of a fit is stated."""
STRONG = 0.1
"""Lines of at least this share of the strongest are asked for: are they there?"""


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
    def prepared(self) -> dict[int, tuple[Phase, _Prepared]]:
        """Phases that were made ready for this pattern, by their identity."""
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

    def line_shift_deg(self, fitted: Fit, sine: Floats) -> Floats:
        """How far lines stand from their Bragg angles in a fit, by their sines of theta."""
        s = np.asarray(sine, float)
        arm = lever(GEOMETRIES[self.instrument.geometry], s, np.sqrt(1 - s * s))
        return np.asarray(fitted.zero_shift_deg + fitted.displacement_deg * arm)

    @classmethod
    def of(cls, pattern: Pattern, instrument: Instrument | None = None) -> Measured:
        """Take the background off a pattern, and lay it on the grids.

        Raises:
            WavelengthError: no wavelength.
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
        """What is left of the profile when a calculated one, (n,) on the finest grid, is taken off."""
        fine = self.levels[-1]
        rest = np.where(fine.used, np.maximum(self.intensity - calculated, -2 * self.sigma), 0.0)
        bare = Measured.on_grids(self.two_theta_deg[fine.used], rest[fine.used], self.wavelength, self.share)
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


@dataclass(frozen=True, eq=False)
class PhaseFit:
    """One phase in a fit.

    Attributes:
        lattice: (3, 3) refined, rows are cell vectors, A.
        strain: (3, 3) symmetric, Cartesian, of the entry's cell.
        covariance: of the amounts of `basis`, (k, k).
        basis: (k, 3, 3) invariant strains.
        scale: of multiplicity * |F|^2 * LP, area in degrees; ln_scale_sd, standard deviation of its logarithm.
        intensity: share of this phase in the calculated intensity.
        missing: share (by intensity) of its strong lines that the measured profile lacks. Like both of the former, it
            is NaN where a fit has not seen the last level.
        lines: how many families are in the range, the weakest left out.
    """

    lattice: Floats
    strain: Floats
    covariance: Floats
    basis: Floats
    scale: float
    ln_scale_sd: float
    intensity: float
    missing: float
    lines: int

    @property
    def mean_strain(self) -> float:
        """Relative change of spacings, its mean over directions."""
        return float(np.trace(self.strain) / 3)

    @property
    def shape_strain(self) -> float:
        """Root mean square over the axes of what is left of the strain."""
        rest = self.strain - self.mean_strain * np.eye(3)
        return float(np.sqrt((rest**2).sum() / 3))


@dataclass(frozen=True, eq=False)
class Fit:
    """A set of phases refined together.

    Attributes:
        phases: one for each, in the order given.
        zero_shift_deg, displacement_deg: a line stands at 2theta + zero + displacement times the `lever` of the
            geometry, cos(theta) in reflection.
        shift_deg: shift of a line at 40 degrees.
        constant_deg, rising_deg: FWHM = constant + rising tan(theta).
        agreement: cosine of measured and calculated square-root profiles, 0 to 1.
        explained: share of the measured intensity under the calculated profile.
        calculated: (n,) on the finest grid of the `Measured`.
        parameters: the whole vector, for fits that go on from here.
        depth: how many levels it has seen.
    """

    phases: tuple[PhaseFit, ...]
    zero_shift_deg: float
    displacement_deg: float
    shift_deg: float
    constant_deg: float
    rising_deg: float
    agreement: float
    explained: float
    calculated: Floats
    parameters: Floats
    depth: int = DEPTH

    @property
    def by_intensity(self) -> list[int]:
        """Places of the phases, the one with the most intensity first."""
        return sorted(range(len(self.phases)), key=lambda p: -self.phases[p].intensity)

    def in_order(self, places: Sequence[int]) -> Fit:
        """The same fit with its phases in another order."""
        ends = np.cumsum([SHARED, *(1 + len(phase.basis) for phase in self.phases)])
        own = [self.parameters[ends[p] : ends[p + 1]] for p in places]
        parameters = np.concatenate([self.parameters[:SHARED], *own])
        return replace(self, phases=tuple(self.phases[p] for p in places), parameters=parameters)


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A phase ready for a pattern: its cell, its invariant strains and the amounts of them that stretch all directions
    alike, its lines in the range, what their strengths were divided by, how many are not from further lines of the
    tube.
    """

    reciprocal: Floats
    lattice: Floats
    basis: Floats
    alike: Floats
    hkl: Floats
    strength: Floats
    top: float
    in_range: int

    def alone(self, measured: Measured) -> Lines:
        """What the kernels read of this phase and the radiation."""
        return _lines_of([self], np.array([SHARED]), measured)


_KEPT: dict[bytes, tuple[Floats, Floats]] = {}


def _strains(phase: Phase) -> tuple[Floats, Floats]:
    """Invariant strains, and the amounts whose sum is nearest to the unit tensor. Cells in the usual orientation (a
    along x, b in the xy plane) that obey their rotations have those of any other with these rotations: they are kept.
    """
    lattice = phase.lattice
    if phase.fixed_cell:
        return np.zeros((0, 3, 3)), np.zeros(0)
    key = b""
    if abs(lattice[0, 1]) + abs(lattice[0, 2]) + abs(lattice[1, 2]) <= 1e-9 * lattice[0, 0]:
        key = phase.rotations.tobytes()
        if key in _KEPT:
            return _KEPT[key]
    basis = invariant_strains(lattice, phase.rotations)
    alike: Floats = np.asarray(
        np.linalg.lstsq(basis.reshape(len(basis), 9).T, np.eye(3).ravel(), rcond=None)[0], np.float64
    )
    if key:
        _KEPT[key] = basis, alike
    return basis, alike


def _prepare(measured: Measured, phase: Phase) -> _Prepared:
    """Lines in the range, the weakest left out, scaled to a strongest of 1 with LP; kept with the pattern."""
    known = measured.prepared.get(id(phase))
    if known is None or known[0] is not phase:
        known = measured.prepared[id(phase)] = phase, _prepared(measured, phase)
    return known[1]


def _prepared(measured: Measured, phase: Phase) -> _Prepared:
    reciprocal: Floats = np.ascontiguousarray(np.linalg.inv(phase.lattice).T, np.float64)
    q = ((phase.hkl @ reciprocal) ** 2).sum(axis=1)
    first = np.sin(np.radians(max(measured.levels[-1].first - 0.7, 0.3) / 2)) ** 2
    last = np.sin(np.radians(min(measured.last_deg + 0.7, 178.0) / 2)) ** 2

    def area_of(wavelength_A: float) -> Floats:
        """With LP where a line is near the range, else 0."""
        sine2 = 0.25 * wavelength_A**2 * q
        near = (sine2 > 0.94 * first) & (sine2 < min(1.06 * last, 0.999))
        out = np.zeros(len(q))
        out[near] = phase.strength[near] * measured.line_strength(np.sqrt(sine2[near]))
        return out

    area = own = area_of(float(measured.wavelength[0]))
    top = own.max(initial=0.0)
    if not top > 0:
        raise InputError(f"{phase.name or 'phase'}: no reflection in the measured range")
    for line in measured.further:
        area = np.maximum(area, line.share * area_of(line.wavelength_A))
    hkl, strength = phase.hkl.astype(float), phase.strength
    keep = np.flatnonzero(area >= WEAKEST * top)
    if len(keep) > MOST_LINES:
        keep = keep[np.argsort(-area[keep])[:MOST_LINES]]
    basis, alike = _strains(phase)
    in_range = int((own[keep] >= WEAKEST * top).sum())
    return _Prepared(reciprocal, phase.lattice, basis, alike, hkl[keep], strength[keep] / top, float(top), in_range)


def fit(
    measured: Measured,
    phases: Sequence[Phase],
    scales: Sequence[float],
    *,
    start: Fit | None = None,
    depth: int = DEPTH,
) -> Fit:
    """Refine phases together.

    Args:
        measured: the pattern.
        phases: their lines, see `diffraction.phase.phase_of`.
        scales: spacings of the pattern over those of each entry, as retrieval found them.
        start: a fit of the first of these phases to go on from; only the last phase is then searched for.
        depth: on how many levels, the broadest first; a fit of the same phases goes on where its start ended.

    Raises:
        InputError: a phase without lines in the range.
    """
    ready = [_prepare(measured, phase) for phase in phases]
    offset, size = [], SHARED
    for one in ready:
        offset.append(size)
        size += 1 + len(one.basis)
    lines = _lines_of(ready, np.array(offset), measured)
    par, centre, ridge = np.zeros(size), np.zeros(size), np.zeros(size)
    par[2], par[3] = np.log(measured.instrument.width_deg or (WIDTH_DEG, 0.05))
    centre[:] = par
    ridge[:2], ridge[2:4] = SHIFT_SD_DEG**-2, WIDTH_SD**-2
    known = 0 if start is None else len(start.phases)
    for p, (one, scale) in enumerate(zip(ready, scales, strict=True)):
        o, k = offset[p], len(one.basis)
        par[o + 1 : o + 1 + k] = centre[o + 1 : o + 1 + k] = (scale - 1) * one.alike
        ridge[o + 1 : o + 1 + k] = STRAIN_SD**-2
    if start is not None:
        # The prior of a cell is about what retrieval found, not about the entry.
        par[: len(start.parameters)] = start.parameters
        centre[SHARED : len(start.parameters)] = start.parameters[SHARED:]
    normal = np.zeros((size, size))
    for number, level in enumerate(measured.levels):
        last = number == DEPTH - 1
        if number >= depth:
            break
        if start is not None and len(ready) == known and number < min(start.depth, depth - 1):
            continue
        n = len(level.root)
        y, slope = np.zeros(n), np.zeros((size, n))
        load = EVIDENCE / max(float((level.root**2).sum()), 1e-12)
        free = np.ones(size, bool)
        free[2:4] = last
        if number == 0:
            _set_scales(par, offset, known if start is not None else 0, level, lines, y, slope)
        rounds, tolerance = ((8, 3e-3), (6, 3e-3), (10, 1e-3))[min(number, 2)]
        refine(
            par, free, centre, ridge, level.root, level.used, level.floor, load, level.first, level.step,
            lines, level.blur, last, rounds, tolerance, y, slope, normal,
        )  # fmt: skip
    return _result(measured, ready, par, y, slope, lines, normal, depth)


def drawn_with(
    measured: Measured,
    fitted: Fit,
    phases: Sequence[Phase],
    wavelength_A: float | None,
    only: tuple[int, int | None] | None = None,
) -> Floats:
    """(n,) the profile of a fit under other conditions, on the finest grid.

    Args:
        measured: the pattern.
        fitted: the fit, and
        phases: the lines of its phases.
        wavelength_A: of a line as strong as the whole radiation, drawn in its place; None for the radiation itself.
        only: draw this phase alone, and of it this family alone, or all of them where that is None.
    """
    if wavelength_A is None:
        reaching = drawn = measured
    else:
        reaching = measured.with_further([FurtherLine("", wavelength_A, 1.0)])
        drawn = replace(measured, wavelength=np.array([wavelength_A]), share=np.array([1.0]), further=())
    ready = [_prepare(reaching, phase) for phase in phases]
    if only is not None:
        place, family = range(len(phases))[only[0]], only[1]
        for p, one in enumerate(ready):
            kept = np.full(len(one.hkl), p == place)
            if family is not None:
                kept &= (one.hkl == phases[p].hkl[family]).all(axis=1) if p == place else False
            ready[p] = replace(one, strength=np.where(kept, one.strength, 0.0))
    offset = np.cumsum([SHARED, *(1 + len(one.basis) for one in ready)])[:-1]
    level = measured.levels[-1]
    y, slope = np.zeros(len(level.root)), np.zeros((len(fitted.parameters), len(level.root)))
    lines = _lines_of(ready, offset, drawn)
    draw(fitted.parameters, level.first, level.step, lines, 0.0, True, y, slope)
    return y


def textured(measured: Measured, phase: Phase, found: Fit) -> tuple[Phase, Fit, float]:
    """Orientation of the crystallites along one axis, where it pays: March-Dollase, a few axes and strengths tried.

    Args:
        measured: the pattern.
        phase: the lines of the one phase.
        found: its fit.

    Returns:
        The phase with the strengths of an oriented specimen, the fit of that, and March's r; what was given, and 1,
        where no orientation raises the agreement by `LEAST_TEXTURE_GAIN`.
    """
    level = measured.levels[-1]
    metric = np.asarray(np.linalg.inv(found.phases[0].lattice @ found.phases[0].lattice.T))
    best, gain = None, LEAST_TEXTURE_GAIN
    ready = _prepare(measured, phase)
    lines = ready.alone(measured)
    hkl, rotations = plain(np.rint(ready.hkl), np.int64), plain(phase.rotations, np.int64)
    y, none = np.zeros(len(level.root)), np.zeros((0, len(level.root)))
    for axis in _distinct_axes(phase.rotations):
        for r in MARCH:
            factor = march_dollase(hkl, metric, rotations, np.array(axis, float), r)
            oriented = lines._replace(strength=lines.strength * factor)
            draw(found.parameters, level.first, level.step, oriented, 0.0, True, y, none)
            agreement = agreement_of(level, y * (found.calculated.sum() / max(float(y.sum()), 1e-12)))
            if agreement > found.agreement + gain:
                best, gain = (axis, r), agreement - found.agreement
    if best is None:
        return phase, found, 1.0
    factor = march_dollase(plain(phase.hkl, np.int64), metric, rotations, np.array(best[0], float), best[1])
    other = replace(phase, strength=phase.strength * factor)
    again = fit(measured, [other], [1.0], start=found)
    return (other, again, best[1]) if again.agreement > found.agreement else (phase, found, 1.0)


def agreement_of(level: Level, calculated: Floats) -> float:
    """Cosine of the root profiles, measured and calculated, (n,) on the grid of the level."""
    root = np.where(level.used, np.sqrt(calculated + level.floor) - np.sqrt(level.floor), 0.0)
    norm = float(np.sqrt((level.root @ level.root) * (root @ root)))
    return float(level.root @ root) / norm if norm > 0 else 0.0


def _distinct_axes(rotations: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Of `AXES` those that no rotation turns into one before."""
    out: list[tuple[int, int, int]] = []
    seen: set[tuple[int, ...]] = set()
    for axis in AXES:
        if axis not in seen:
            out.append(axis)
            images = np.array(axis) @ rotations
            seen |= {tuple(row) for row in images.tolist()} | {tuple(row) for row in (-images).tolist()}
    return out


def _lines_of(ready: Sequence[_Prepared], offset: NDArray[np.int64], measured: Measured) -> Lines:
    """What the kernels read of the phases and of the radiation."""
    basis = np.zeros((len(ready), STRAINS, 3, 3))
    for p, one in enumerate(ready):
        basis[p, : len(one.basis)] = one.basis
    return Lines(
        np.concatenate([one.hkl for one in ready]),
        np.concatenate([one.strength for one in ready]),
        np.repeat(np.arange(len(ready)), [len(one.hkl) for one in ready]),
        np.stack([one.reciprocal for one in ready]),
        basis,
        np.array([len(one.basis) for one in ready]),
        offset,
        measured.wavelength,
        measured.share,
        GEOMETRIES[measured.instrument.geometry],
        measured.instrument.polarised,
    )


def _set_scales(
    par: Floats, offset: list[int], known: int, level: Level, lines: Lines, y: Floats, slope: Floats
) -> None:
    """Scales at which the areas of calculated and measured profile agree, for phases that have none yet."""
    for o in offset[known:]:
        par[o] = 0.0
    alone = len(offset) == 1
    draw(par, level.first, level.step, lines, level.blur, False, y, slope[:0] if alone else slope)
    edge = np.sqrt(level.floor)
    root = np.sqrt(np.maximum((level.root + edge) ** 2 - level.floor, 0.0)) * level.used
    for o in offset[known:]:
        shape = np.maximum(y if alone else slope[o], 0.0)
        # In root space: sum root * sqrt(shape) / sum shape, squared.
        overlap = float(root @ np.sqrt(shape))
        par[o] = 2 * np.log(max(overlap / max(float(shape @ level.used), 1e-12), 1e-6))


def _result(
    measured: Measured,
    ready: list[_Prepared],
    par: Floats,
    y: Floats,
    slope: Floats,
    lines: Lines,
    normal: Floats,
    depth: int,
) -> Fit:
    """What is kept of a fit that ended with these parameters, profile and derivatives on its last level; covariance and
    missing lines of the finest one only.
    """
    level, offset = measured.levels[depth - 1], lines.offset
    used = level.used
    observed = np.where(used, (level.root + np.sqrt(level.floor)) ** 2 - level.floor, 0.0)
    seen = np.where(used, y, 0.0)
    explained = float(np.minimum(observed, seen).sum()) / max(float(observed.sum()), 1e-12)
    covariance = np.full_like(normal, np.nan)
    if depth == DEPTH:
        with contextlib.suppress(np.linalg.LinAlgError):
            covariance = np.asarray(np.linalg.inv(normal), np.float64)
    total = float(seen.sum())
    out = []
    for p, one in enumerate(ready):
        o, k = int(offset[p]), len(one.basis)
        amounts = par[o + 1 : o + 1 + k]
        strain = (amounts @ one.basis.reshape(k, 9)).reshape(3, 3)
        own = np.where(used, slope[o], 0.0)
        missing = np.nan
        if depth == DEPTH:
            strong = own > STRONG * slope[o].max(initial=0.0)
            lacking = np.maximum(own - (observed + np.maximum(own - y, 0)) / 0.5, 0.0)
            missing = float(lacking @ strong) / max(float(own @ strong), 1e-12)
        out.append(
            PhaseFit(
                one.lattice @ (np.eye(3) + strain), strain, covariance[o + 1 : o + 1 + k, o + 1 : o + 1 + k], one.basis,
                float(np.exp(par[o])) / one.top, float(np.sqrt(max(covariance[o, o], 0.0))),
                float(own.sum()) / max(total, 1e-12),
                missing,
                one.in_range,
            )
        )  # fmt: skip
    return Fit(
        tuple(out),
        float(par[0]),
        float(par[1]),
        float(par[0] + par[1] * lever(lines.geometry, *AT_40_DEG)),
        float(np.exp(par[2])),
        float(np.exp(par[3])),
        agreement_of(level, y),
        explained,
        y,
        par,
        depth,
    )


def smoothed(measured: Measured) -> tuple[Floats, Floats]:
    """(n,) the profile after a mean of about 0.1 degrees, and (n,) the noise that is left in it.

    Counts are noisier where there are more of them, as on an amorphous hump: the noise is that of the surroundings.
    """
    used = measured.levels[-1].used
    profile = smooth_of(measured, np.where(used, measured.intensity, 0.0))
    known = np.flatnonzero(used)
    parts = np.array_split(known, max(1, round(len(known) * measured.levels[-1].step / SURROUNDINGS_DEG)))
    lag = _smooth_points(measured) + 1
    noise = [noise_sigma(profile[part], lag) for part in parts]
    least = LEAST_NOISE * noise_sigma(profile[known], lag)
    local = np.interp(np.arange(len(profile)), [float(part.mean()) for part in parts], noise)
    return np.where(used, profile, 0.0), np.maximum(local, least)


def smooth_of(measured: Measured, profile: Floats) -> Floats:
    """Another profile, (n,) on the finest grid, after the same mean."""
    count = _smooth_points(measured)
    return np.asarray(np.convolve(profile, np.full(count, 1.0 / count), mode="same"))


def _smooth_points(measured: Measured) -> int:
    return max(1, 2 * round(0.05 / measured.levels[-1].step) + 1)
