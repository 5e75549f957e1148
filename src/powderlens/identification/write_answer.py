"""From beliefs to an `Answer`: marginals by name; of the best hypothesis cell, fractions, curve and what is left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from powderlens.core.cell import CELL_NAMES
from powderlens.crystal.reduce import niggli_of_group
from powderlens.crystal.structure import cell_from_lattice, cells_from_lattices
from powderlens.identification.answer import (
    Answer,
    Curve,
    Group,
    KnownPhase,
    Lines,
    RefinedCell,
    Six,
    System,
    UnexplainedPeak,
    named_cell,
)
from powderlens.identification.candidates import Candidate, groups
from powderlens.identification.checks import LEAST_HEIGHT, Sight
from powderlens.identification.hypotheses import LOWER, MIRROR_OF, Posterior, likeliest
from powderlens.identification.instrument import microabsorption
from powderlens.library.shelf import Shelf
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.peaks import find_lines
from powderlens.pattern.prepare import Prepared
from powderlens.refine.candidates import Fit, PhaseFit, line_shift_deg
from powderlens.refine.measured import Measured
from powderlens.symmetry.extinction import extinction_class
from powderlens.symmetry.groups import SYSTEM_OF, SYSTEMS, symbol

Floats = NDArray[np.float64]

SHOWN_PHASES = 10
SYMBOLS = tuple(symbol(number) for number in range(1, 231))
UNEXPLAINED_SHARE = 0.02
"""Lines below this share of the strongest are not listed as unexplained."""
MOST_UNEXPLAINED = 20
FLATTEST = 1e-6
SCHERRER, SIZE_AT_DEG, LEAST_BROADER = 0.9, 50.0, 1.33
TOO_MUCH = 2.0
"""Standard uncertainties below nothing from which on an amorphous share is doubted."""
_STEP = 1e-6


@dataclass(frozen=True, eq=False)
class Asked:
    """A pattern that can be asked about.

    Attributes:
        pattern: as it came.
        prepared: on the network's grid; None where nothing lies on it, and the answer abstains.
        measured: ready to be fitted.
        sight: what stands out.
        network_reads: (points,) what the network reads of it; None where it is not asked.
        network_sees: (points,) what it reads as its mask; likewise.
        warnings: what the reader should know.
    """

    pattern: Pattern
    prepared: Prepared | None
    measured: Measured
    sight: Sight
    network_reads: NDArray[np.float32] | None
    network_sees: NDArray[np.bool_] | NDArray[np.float32] | None
    warnings: list[str]


def write_answer(
    asked: Asked,
    found: Sequence[Candidate],
    posterior: Posterior,
    shelf: Shelf | None,
    *,
    evidence: str,
    model: str,
    network_cell: NDArray[np.float32] | None,
    tells_groups: bool,
    calibration: str,
    abstains: str | None,
    remarks: Sequence[str],
    standard_weight: float | None = None,
) -> Answer:
    """The answer.

    Args:
        asked: the pattern.
        found: hypotheses with phases.
        posterior: beliefs in them, and in none.
        shelf: the libraries.
        evidence: what was asked.
        model: name of the network.
        network_cell: (6,) Niggli cell of the network's guess.
        tells_groups: whether anything that was asked tells groups of one system apart.
        calibration: sha256, or "uncalibrated".
        abstains: why the answer commits itself to nothing, or None.
        remarks: warnings that go with every answer.
        standard_weight: share of the weight that the standard of the shelf has; None where it is not known.
    """
    pattern = asked.pattern
    assert pattern.wavelength_A is not None
    group = list(_ranked(posterior.group))
    first = group[0][0]
    # Of the first group, so that the cell cannot contradict it.
    at = likeliest(posterior, groups(shelf, found), first) if shelf is not None and found else None
    best = None if at is None else found[at]
    phases: list[KnownPhase] = []
    cell: RefinedCell | None = None
    explained = rwp = curve = None
    unexplained: list[UnexplainedPeak] = []
    leans_on = amorphous = None
    if shelf is not None and found:
        shares = [] if best is None else weight_fractions(best, shelf)
        if best is not None and standard_weight is not None and shelf.standard in best.rows:
            shares, amorphous = of_the_whole(shares, best.rows.index(shelf.standard), standard_weight)
            if amorphous[0] < -TOO_MUCH * amorphous[1]:
                remarks = [
                    *remarks,
                    f"the phases add up to {100 * (1 - amorphous[0]):.0f} % of the weight: is the share of the "
                    "standard right, and does it absorb as the specimen does?",
                ]
        phases = _phases(asked.measured, found, posterior, shelf, best, shares)
        if phases and phases[0].probability > 0.5:
            leans_on = phases[0].name
        if best is not None:
            cell = refined_cell(best.fit.phases[0], best.rows[0], shelf)
            explained, rwp = _explained(asked.measured, best.fit), profile_residual(asked.measured, best.fit)
            curve = _curve(asked.measured, best.fit)
            unexplained = _unexplained(asked.measured, best.fit)
            doubtful = microabsorption(asked.measured, shelf, best)
            remarks = remarks if doubtful is None else [*remarks, doubtful]
    lattice: dict[str, float] = {}
    lattice_source = "none"
    if cell is not None:
        lattice, lattice_source = named_cell(cell.reduced), cell.source
    elif network_cell is not None:
        lattice = {name: float(v) for name, v in zip(CELL_NAMES, network_cell, strict=True)}
        lattice_source = "network"
    known = extinction_class(first + 1) if tells_groups else None
    return Answer(
        file=pattern.source,
        wavelength_A=float(pattern.wavelength_A),
        model=model,
        evidence=evidence,
        crystal_system=_systems(posterior, first),
        space_group=_groups(group) if tells_groups else [],
        extinction_class=None if known is None else (known.symbol, known.groups),
        cell=cell,
        lattice=lattice,
        lattice_source=lattice_source,
        phases=phases,
        leans_on=leans_on,
        explained=explained,
        rwp=rwp,
        unexplained_peaks=unexplained,
        abstains=abstains,
        warnings=[*asked.warnings, *asked.sight.warnings, *remarks],
        library="" if shelf is None else shelf.sha256,
        calibration=calibration,
        amorphous=None if amorphous is None else max(amorphous[0], 0.0),
        amorphous_esd=None if amorphous is None else amorphous[1],
        curve=curve,
    )


def _systems(posterior: Posterior, first: int) -> list[System]:
    """Crystal systems, that of the first group leading: several groups together can make another one likelier."""
    own = int(SYSTEM_OF[first + 1])
    ranked = sorted(_ranked(posterior.system), key=lambda of: of[0] != own)
    return [System(SYSTEMS[s], p) for s, p in ranked]


def _groups(ranked: Sequence[tuple[int, float]]) -> list[Group]:
    return [Group(g + 1, SYMBOLS[g], p, MIRROR_OF.get(g + 1)) for g, p in ranked if LOWER[g] == g]


def _phases(
    measured: Measured,
    found: Sequence[Candidate],
    posterior: Posterior,
    shelf: Shelf,
    best: Candidate | None,
    shares: Sequence[tuple[float, float]],
) -> list[KnownPhase]:
    """Phases by name and group, each with the probability that it is there, the likeliest entry leading."""
    total: dict[tuple[str, int], float] = {}
    leading: dict[tuple[str, int], tuple[float, Candidate, int]] = {}
    for one, p in zip(found, posterior.known.tolist(), strict=True):
        for place, row in enumerate(one.rows):
            kind = shelf.kind(row)
            total[kind] = total.get(kind, 0.0) + p
            if kind not in leading or p > leading[kind][0]:
                leading[kind] = (p, one, place)
    in_best: dict[tuple[str, int], tuple[Candidate, int]] = {}
    fractions: dict[tuple[str, int], tuple[float, float]] = {}
    if best is not None:
        for place, (row, share) in enumerate(zip(best.rows, shares, strict=True)):
            in_best[shelf.kind(row)] = (best, place)
            fractions[shelf.kind(row)] = share
    ranked = sorted(total, key=lambda kind: (-total[kind], -leading[kind][1].fit.agreement, kind))
    out: list[KnownPhase] = []
    shown = [kind for place, kind in enumerate(ranked) if place < SHOWN_PHASES or kind in fractions]
    for kind in shown:
        _, one, place = leading[kind]
        if kind in in_best:
            one, place = in_best[kind]
        row, fitted = one.rows[place], one.fit.phases[place]
        own = fractions.get(kind)
        out.append(
            KnownPhase(
                name=shelf.name(row),
                formula=shelf.formula(row),
                source=shelf.identity(row),
                reference=shelf.reference(row),
                score=one.fit.agreement,
                probability=min(total[kind], 1.0),
                row=row,
                space_group=int(shelf.space_group[row]),
                strain=fitted.mean_strain,
                cell=refined_cell(fitted, row, shelf),
                fraction=None if own is None else own[0],
                fraction_esd=None if own is None or not np.isfinite(own[1]) else own[1],
                size_nm=crystallite_size_nm(measured, one.fit) if one is best and place == 0 else None,
                lines=lines_of(measured, shelf, row, one.fit, place) if own is not None or len(out) < 3 else None,
            )
        )
    return out


def weight_fractions(one: Candidate, shelf: Shelf) -> list[tuple[float, float]]:
    """Share of the crystalline weight of each phase, and its standard uncertainty, from the scales.

    W is proportional to S Z M V, with S the scale of multiplicity |F|^2 LP, Z M the mass and V the volume of the cell.
    Source: Hill and Howard, J. Appl. Cryst. 20, 467 (1987). Of 160 phases in simulated mixtures 68 % were
    within 0.99 of their uncertainty.
    """
    weight, relative = [], []
    for row, fitted in zip(one.rows, one.fit.phases, strict=True):
        volume = abs(float(np.linalg.det(fitted.lattice)))
        weight.append(fitted.scale * shelf.cell_mass_u(row) * volume)
        relative.append(fitted.ln_scale_sd)
    share = np.array(weight) / sum(weight)
    variance = np.array(relative) ** 2
    out = []
    for p, w in enumerate(share):
        others = share.copy()
        others[p] -= 1.0
        out.append((float(w), float(w * np.sqrt((others**2 * variance).sum()))))
    return out


def crystallite_size_nm(measured: Measured, fitted: Fit) -> float | None:
    """Mean size by Scherrer's formula, K lambda / (B cos theta) with K = 0.9, at 50 degrees of 2theta.

    B is the width of a line less that of the instrument, as widths of Lorentzians add, which small crystallites
    nearly make. Strain is not told apart. Source: Klug and Alexander, "X-Ray Diffraction Procedures" (1974), chapter 9.
    Crystallites of 10 to 100 nm that were simulated with a width of 0.07 degrees come out within 10 %.

    Returns:
        The size; None without an instrument, and where lines are not broader by a third.
    """
    width = measured.instrument.width_deg
    if width is None:
        return None
    theta = np.radians(SIZE_AT_DEG / 2)
    own, whole = width[0] + width[1] * np.tan(theta), fitted.constant_deg + fitted.rising_deg * np.tan(theta)
    if whole < LEAST_BROADER * own:
        return None
    return float(0.1 * SCHERRER * measured.mean_wavelength_A / (np.radians(whole - own) * np.cos(theta)))


def of_the_whole(
    shares: Sequence[tuple[float, float]], standard: int, weight: float
) -> tuple[list[tuple[float, float]], tuple[float, float]]:
    """Shares of the whole weight, and what is left for the amorphous rest, each with its standard uncertainty.

    Args:
        shares: of the crystalline weight, with their uncertainties.
        standard: place of the standard among them.
        weight: share of the whole that the standard has.
    """
    own, sd = shares[standard]
    scale = weight / own
    whole = []
    for place, (share, esd) in enumerate(shares):
        # Of shares that sum to 1, one rises where the standard's falls.
        relative = 0.0 if place == standard else esd / max(share, 1e-12) + sd / own
        whole.append((share * scale, share * scale * relative))
    return whole, (1 - scale, scale * sd / own)


def refined_cell(fitted: PhaseFit, row: int, shelf: Shelf) -> RefinedCell:
    """The cell of a fit with its standard uncertainties, by differences of the cell along the strains."""
    six = np.array(cell_from_lattice(fitted.lattice))
    moved = cells_from_lattices(fitted.lattice @ (np.eye(3) + _STEP * np.array([np.zeros((3, 3)), *fitted.basis])))
    slope = (moved[1:] - moved[0]) / _STEP
    known = np.nan_to_num(fitted.covariance)
    variance = np.einsum("ki,kl,li->i", slope, known, slope)
    volume, trace = abs(float(np.linalg.det(fitted.lattice))), np.trace(fitted.basis, axis1=1, axis2=2)
    esd = np.where(variance > 1e-16, np.sqrt(np.maximum(variance, 0.0)), 0.0)
    # What symmetry fixes is fixed: 90 and 120 degrees come out of vectors with their last digits.
    fixed = np.abs(slope).max(axis=0, initial=0.0) < FLATTEST
    six = np.where(fixed, np.round(six, 6), six)
    esd = np.where(fixed, 0.0, esd)
    group = int(shelf.space_group[row])
    return RefinedCell(
        conventional=_six(six),
        esd=_six(esd),
        centring=SYMBOLS[group - 1][0],
        reduced=niggli_of_group(fitted.lattice, group),
        volume_A3=volume,
        volume_esd_A3=volume * float(np.sqrt(max(trace @ known @ trace, 0.0))),
        source=shelf.name(row),
    )


def profile_residual(measured: Measured, fitted: Fit) -> float:
    """Weighted profile residual, sqrt(sum w (o - c)^2 / sum w o^2), w = 1 / variance as counting would have it: the
    noise, and growing with the intensity.
    """
    used = measured.levels[-1].used
    o, c = measured.intensity[used], fitted.calculated[used]
    w = 1 / (measured.sigma**2 + np.maximum(o, 0.0) * max(measured.sigma, 1e-4) + 1e-8)
    return float(np.sqrt((w * (o - c) ** 2).sum() / (w * o**2).sum()))


def lines_of(measured: Measured, shelf: Shelf, row: int, fitted: Fit, place: int) -> Lines:
    """Lines of one phase of a fit in its refined cell, where they stand in the pattern, over the measured range."""
    phase = shelf.lines(row, measured.d_min_A)
    reciprocal = np.linalg.inv(fitted.phases[place].lattice).T
    q = ((phase.hkl @ reciprocal) ** 2).sum(axis=1)
    sine = np.minimum(0.5 * measured.mean_wavelength_A * np.sqrt(q), 1.0)
    angle = 2 * np.degrees(np.arcsin(sine)) + line_shift_deg(measured, fitted, sine)
    inside = (sine < 1) & (angle >= measured.levels[-1].first) & (angle <= measured.last_deg)
    intensity = phase.strength[inside] * measured.line_strength(sine[inside])
    order = np.argsort(angle[inside])
    top = intensity.max(initial=0.0)
    keep = order[intensity[order] >= 1e-3 * top]
    return Lines(phase.hkl[inside][keep], angle[inside][keep], intensity[keep] / max(top, 1e-12))


def _explained(measured: Measured, fitted: Fit) -> float:
    """Share of the measured intensity that phases and holder explain."""
    if measured.holder is None:
        return fitted.explained
    used = measured.levels[-1].used
    rest, holder = float(np.maximum(measured.intensity[used], 0.0).sum()), float(measured.holder[used].sum())
    return (fitted.explained * rest + holder) / max(rest + holder, 1e-12)


def _curve(measured: Measured, fitted: Fit) -> Curve:
    used = measured.levels[-1].used
    under = measured.background[used]
    holder = 0.0 if measured.holder is None else measured.holder
    return Curve(
        measured.two_theta_deg[used],
        (measured.intensity + holder)[used] * measured.unit + under,
        (fitted.calculated + holder)[used] * measured.unit + under,
        under,
    )


def _unexplained(measured: Measured, fitted: Fit) -> list[UnexplainedPeak]:
    """Lines of what is measured beyond what is calculated, where less than a third of them is."""
    profile, noise = measured.smoothed
    lines = find_lines(measured.two_theta_deg, profile, np.maximum(LEAST_HEIGHT * noise, UNEXPLAINED_SHARE))
    drawn = measured.smooth_of(fitted.calculated)
    step, first = measured.levels[-1].step, measured.levels[-1].first
    wavelength = measured.mean_wavelength_A
    out = []
    for angle, height in zip(lines.two_theta_deg.tolist(), lines.height.tolist(), strict=True):
        at = round((angle - first) / step)
        near = drawn[max(at - 3, 0) : at + 4].max(initial=0.0)
        if near < height / 3:
            out.append(UnexplainedPeak(angle, float(0.5 * wavelength / np.sin(np.radians(angle / 2))), 100 * height))
    return sorted(out, key=lambda peak: -peak.intensity)[:MOST_UNEXPLAINED]


def _six(values: Floats) -> Six:
    a, b, c, alpha, beta, gamma = values.tolist()
    return a, b, c, alpha, beta, gamma


def _ranked(probability: Floats) -> Iterator[tuple[int, float]]:
    order = np.argsort(-probability, kind="stable")
    return zip(order.tolist(), probability[order].tolist(), strict=True)
