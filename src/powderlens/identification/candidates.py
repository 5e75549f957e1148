"""From a pattern to hypotheses: phases retrieved, refined one by one, and what is measured of each fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.diffraction.phase import Phase
from powderlens.identification.deadline import Deadline
from powderlens.identification.hypotheses import LOWER, QUANTITIES, SHIFT_SD_DEG
from powderlens.library.retrieve import Axis, against, on_axis, surprise
from powderlens.library.shelf import Shelf
from powderlens.refine.candidates import Fit, fit, textured
from powderlens.refine.measured import Measured

Floats = NDArray[np.float64]

RETRIEVED = 120
"""Phases that are refined on broadened profiles."""
SHARPENED = 28
"""The best of them, refined on the profile as measured."""
NEAR, AT_LEAST = (0.12, 0.09), 14
"""Worth that a phase may be behind the best one to be refined further, on broadened profiles and on those as measured;
of 60 simulated patterns none had its phase more than 0.062 behind. So many go on in any case."""
ORIENTED = 8
"""The best of those, for which an oriented specimen is tried."""
IMPERFECT = 0.15
"""Relative error of a square root of an intensity as it is calculated."""
MOST_SQUARE = 400.0
"""A point counts as at most twenty standard deviations."""
BEST = 0.998
"""Agreements are not taken to be better than this: sizes, asymmetry and background are no matter of the crystal."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A set of phases that was refined.

    Attributes:
        rows: of the library, the main phase, with the most intensity, first.
        fit: of them together.
        phases: their lines, with the strengths of an oriented specimen where one is.
        march: March's r of each; 1 is not oriented.
        support: what speaks for the phases that were added to the first, see `mixtures`.
    """

    rows: tuple[int, ...]
    fit: Fit
    phases: tuple[Phase, ...]
    march: tuple[float, ...]
    support: float = 0.0

    @classmethod
    def of(
        cls,
        rows: Sequence[int],
        fitted: Fit,
        phases: Sequence[Phase],
        march: Sequence[float] | None = None,
        support: float = 0.0,
    ) -> Candidate:
        """Phases in any order, and their fit; a standard comes last. None is oriented where no March's r are given."""
        order = sorted(fitted.by_intensity, key=lambda p: phases[p].fixed_cell)
        known = march or [1.0] * len(rows)
        return cls(
            tuple(rows[p] for p in order),
            fitted.in_order(order),
            tuple(phases[p] for p in order),
            tuple(known[p] for p in order),
            support,
        )


class Tried(NamedTuple):
    """A phase while it is refined: its row, its lines, its fit, and whether it is a calculated crystal."""

    row: int
    phase: Phase
    fit: Fit
    calculated: bool

    def worth(self) -> float:
        """The agreement less what speaks against the phase beforehand, as retrieval has it."""
        return worth_of(self.fit, self.calculated)


def worth_of(fitted: Fit, calculated: bool) -> float:
    """The agreement of a phase alone, less what speaks against it beforehand."""
    one = fitted.phases[0]
    kind = np.full(2, calculated)
    surprises = surprise(np.array([one.mean_strain, one.shape_strain]), kind).sum()
    return float(fitted.agreement - against(surprises, np.array(one.lines), kind[0]))


def axis_of(measured: Measured) -> Axis:
    """A pattern on retrieval's axis."""
    return on_axis(
        measured.two_theta_deg,
        measured.intensity,
        measured.levels[-1].used,
        measured.mean_wavelength_A,
    )


def given_candidates(measured: Measured, library: Shelf) -> list[Candidate]:
    """The phases that are known to be there, refined together, the strongest first.

    Raises:
        InputError: one has no line in the measured range.
    """
    try:
        phases = [library.lines(row, measured.d_min_A) for row in library.given]
        fitted = fit(measured, phases, library.given_scales(axis_of(measured)))
    except InputError as error:
        raise InputError(f"{error}: it is given, and cannot show; leave it out, or measure more") from None
    return [Candidate.of(library.given, fitted, phases)]


def single_candidates(
    measured: Measured, library: Shelf, deadline: Deadline, *, retrieved: int = RETRIEVED, sharpened: int = SHARPENED
) -> list[Candidate]:
    """Phases of the library, each refined alone, best agreement first; of those that time is left for, at least one.

    Args:
        measured: the pattern.
        library: the libraries.
        deadline: when to end.
        retrieved: phases that are refined on broadened profiles.
        sharpened: of these, on the profile as measured.
    """
    found = library.retrieve(axis_of(measured), retrieved)
    calculated = ~library.measured[found.row]
    broad: list[Tried] = []
    for row, scale, kind in zip(found.row.tolist(), found.scale.tolist(), calculated.tolist(), strict=True):
        if broad and deadline.passed():
            break
        try:
            phase = library.lines(row, measured.d_min_A)
            broad.append(Tried(row, phase, fit(measured, [phase], [scale], depth=1), kind))
        except InputError:
            continue
    rough: list[Tried] = []
    for one in _near(broad, NEAR[0], 2 * sharpened):
        if rough and deadline.passed():
            break
        rough.append(one._replace(fit=fit(measured, [one.phase], [1.0], start=one.fit, depth=2)))
    sharp: list[Tried] = []
    for one in _near(rough, NEAR[1], sharpened):
        if sharp and deadline.passed():
            break
        sharp.append(one._replace(fit=fit(measured, [one.phase], [1.0], start=one.fit)))
    out = []
    for place, one in enumerate(_near(sharp, np.inf, sharpened)):
        phases: tuple[Phase, ...] = (one.phase,)
        fitted, r = one.fit, 1.0
        if place < ORIENTED and not deadline.passed():
            phases, fitted, r = textured(measured, phases, fitted)
        out.append(Candidate((one.row,), fitted, phases, (r,)))
    return sorted(out, key=lambda one: -one.fit.agreement)


def _near(tried: Sequence[Tried], margin: float, most: int) -> list[Tried]:
    """The best first, and those that are near it."""
    worth = {id(one): one.worth() for one in tried}
    order = sorted(tried, key=lambda one: -worth[id(one)])
    return [
        one for at, one in enumerate(order[:most]) if at < AT_LEAST or worth[id(one)] > worth[id(order[0])] - margin
    ]


def quantities(library: Shelf, measured: Measured, candidates: Sequence[Candidate]) -> Floats:
    """(k, `QUANTITIES`) of each candidate."""
    out = np.zeros((len(candidates), len(QUANTITIES)))
    choice = np.log(max(library.searched, 1) / 1e5)
    for i, one in enumerate(candidates):
        fitted = one.fit
        agreement = min(fitted.agreement / measured.ceiling, BEST)
        calculated = ~library.measured[list(one.rows)]
        mean = np.array([p.mean_strain for p in fitted.phases])
        shape = np.array([p.shape_strain for p in fitted.phases])
        share = np.array([p.intensity for p in fitted.phases])
        out[i] = (
            agreement,
            np.log(1 - agreement**2),
            surprise(mean, calculated).sum(),
            surprise(shape, calculated).sum(),
            np.log1p((fitted.shift_deg / SHIFT_SD_DEG) ** 2),
            float((share * np.array([p.missing for p in fitted.phases])).sum()),
            np.log([p.lines for p in fitted.phases]).sum(),
            np.abs(np.log(one.march)).sum(),
            calculated.sum(),
            np.log(library.determinations[list(one.rows)].astype(float)).sum(),
            len(one.rows) - 1,
            np.log(residual(measured, fitted)),
            one.support,
            choice * len(one.rows),
        )
    return out


def residual(measured: Measured, fitted: Fit) -> float:
    """Mean square of the residuals of square-root profiles over their expected variance: of the noise s of a point,
    s^2 / 4 (y + floor), and of strengths that are known to `IMPERFECT`.
    """
    fine = measured.levels[-1]
    calculated = np.sqrt(fitted.calculated + fine.floor) - np.sqrt(fine.floor)
    variance = measured.sigma**2 / (4 * (fitted.calculated + fine.floor)) + (IMPERFECT * calculated) ** 2
    square = (fine.root - calculated) ** 2 / np.maximum(variance, 1e-12)
    return float(np.minimum(square, MOST_SQUARE) @ fine.used) / max(float(fine.used.sum()), 1.0) + 1e-3


def groups(library: Shelf, candidates: Sequence[Candidate]) -> NDArray[np.int64]:
    """(k,) index of the group of each candidate's main phase, of an enantiomorphic pair the lower."""
    return np.asarray(LOWER[library.space_group[[one.rows[0] for one in candidates]].astype(np.int64) - 1], np.int64)
