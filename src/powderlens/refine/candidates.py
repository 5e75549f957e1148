"""Known phases held against a measured profile: cell, shift, widths and scale refined, alone or several together.

Residuals are those of square-root profiles, in which strong lines do not decide alone and strengths that are off by a
quarter (texture, disorder, calculated structures) are no catastrophe. The search starts on profiles that are broadened
to most of a degree, where lines find their partners from afar, and ends on the profile as measured.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.diffraction.phase import Phase
from powderlens.diffraction.reflections import plain
from powderlens.diffraction.specimen import march_dollase
from powderlens.refine.candidate_kernel import (
    SHARED,
    STRAINS,
    Lines,
    draw,
    lever,
    refine,
)
from powderlens.refine.measured import DEPTH, GEOMETRIES, FurtherLine, Level, Measured
from powderlens.refine.model import invariant_strains

Floats = NDArray[np.float64]

WIDTH_DEG = 0.12
"""FWHM at which a fit starts."""
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
MOST_LINES = 400
WEAKEST = 0.001
AT_40_DEG = (0.3420201433256687, 0.9396926207859084)
"""Sine and cosine of theta where the shift of a fit is stated."""
STRONG = 0.1
"""Lines of at least this share of the strongest are asked for: are they there?"""


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
        missing: share (by intensity) of its strong lines that the measured profile lacks. It, `covariance` and
            `ln_scale_sd` are NaN where a fit has not seen the last level.
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


def textured(
    measured: Measured, phases: Sequence[Phase], found: Fit, place: int = 0
) -> tuple[tuple[Phase, ...], Fit, float]:
    """Orientation of the crystallites of one phase along one axis, where it pays: March-Dollase, a few axes and
    strengths tried.

    Args:
        measured: the pattern.
        phases: the lines of the phases of
        found: a fit.
        place: of the phase among them.

    Returns:
        The phases, that one with the strengths of an oriented specimen, the fit of them, and March's r; what was given,
        and 1, where no orientation raises the agreement by `LEAST_TEXTURE_GAIN` of the phase's share.
    """
    phase, own = phases[place], found.phases[place]
    level = measured.levels[-1]
    metric = np.asarray(np.linalg.inv(own.lattice @ own.lattice.T))
    best, gain = None, LEAST_TEXTURE_GAIN * own.intensity
    ready = _prepare(measured, phase)
    lines = ready.alone(measured)
    start = SHARED + sum(1 + len(one.basis) for one in found.phases[:place])
    block = found.parameters[start : start + 1 + len(own.basis)]
    parameters = np.concatenate([found.parameters[:SHARED], block])
    hkl, rotations = plain(np.rint(ready.hkl), np.int64), plain(phase.rotations, np.int64)
    y, none = np.zeros(len(level.root)), np.zeros((0, len(level.root)))
    draw(parameters, level.first, level.step, lines, 0.0, True, y, none)
    total, others = float(y.sum()), found.calculated - y
    for axis in _distinct_axes(phase.rotations):
        for r in MARCH:
            factor = march_dollase(hkl, metric, rotations, np.array(axis, float), r)
            oriented = lines._replace(strength=lines.strength * factor)
            draw(parameters, level.first, level.step, oriented, 0.0, True, y, none)
            agreement = agreement_of(level, others + y * (total / max(float(y.sum()), 1e-12)))
            if agreement > found.agreement + gain:
                best, gain = (axis, r), agreement - found.agreement
    if best is None:
        return tuple(phases), found, 1.0
    factor = march_dollase(plain(phase.hkl, np.int64), metric, rotations, np.array(best[0], float), best[1])
    oriented_ones = (*phases[:place], replace(phase, strength=phase.strength * factor), *phases[place + 1 :])
    again = fit(measured, oriented_ones, [1.0] * len(phases), start=found)
    return (oriented_ones, again, best[1]) if again.agreement > found.agreement else (tuple(phases), found, 1.0)


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


def line_shift_deg(measured: Measured, fitted: Fit, sine: Floats) -> Floats:
    """How far lines stand from their Bragg angles in a fit, by their sines of theta."""
    s = np.asarray(sine, float)
    arm = lever(GEOMETRIES[measured.instrument.geometry], s, np.sqrt(1 - s * s))
    return np.asarray(fitted.zero_shift_deg + fitted.displacement_deg * arm)
