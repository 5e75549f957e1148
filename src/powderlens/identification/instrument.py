"""What the instrument adds to a pattern, told before a second phase is: other lines of the tube, holder and window.

All of it is looked for in what the best known phase leaves over. What is found is drawn from then on with every phase,
or taken off, so that no second phase is called for to explain it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from powderlens.core.constants import ANODES, K_BETA_A, KA2_OVER_KA1, W_L_ALPHA_A
from powderlens.core.errors import InputError
from powderlens.crystal.structure import Structure
from powderlens.diffraction.absorption import linear_absorption_per_cm
from powderlens.diffraction.phase import Phase, phase_of
from powderlens.identification.candidates import Candidate
from powderlens.library.shelf import Shelf
from powderlens.pattern.peaks import find_lines
from powderlens.refine.candidates import Fit, drawn_with, fit
from powderlens.refine.measured import FurtherLine, Measured

Floats = NDArray[np.float64]

ANODE_TOLERANCE = 2e-3
"""Relative; how near a wavelength must be to an anode's K-alpha-1."""
ANODE_NAMES = {
    "Cr": "chromium", "Mn": "manganese", "Fe": "iron", "Co": "cobalt", "Ni": "nickel", "Cu": "copper",
    "Mo": "molybdenum", "Ag": "silver",
}  # fmt: skip
MOST_K_BETA, MOST_TUNGSTEN = 0.3, 0.08
"""Of the strength of K-alpha. Without filter or monochromator K-beta has a fifth to a quarter."""
LEAST_SHARE = 0.003
WEAKEST_GHOST = 0.02
"""Ghosts below this share of the strongest say nothing."""
FIGURES_OFF = 0.15
"""By so much calculated intensities are expected to be off."""
GHOST_SIGNIFICANCE = 6.0
"""Share over its standard uncertainty, from which on a further line is believed."""
VISIBLE = 3.0
"""Ghosts that should stand out of the noise by this many standard deviations are asked for one by one."""
FAINT = 0.03
"""A share below this may show in the strongest line alone, as behind a filter; a larger one shows in two at least."""
OUTLYING = 3.0
"""Standard deviations from the median beyond which a ghost is something else."""
SEEN_SHARE = 0.75
"""Of the visible ghosts, by weight, so many must be there with 0.4 times what is expected."""
DOUBLET_GAIN = 0.004
"""By so much a pattern must agree better without K-alpha-2, or with it, than as it was stated."""


@dataclass(frozen=True, eq=False)
class Settled:
    """A pattern once the instrument is known.

    Attributes:
        measured: with further lines, another radiation, or without the lines of a holder.
        roots: the phases that were refined, again.
        remarks: what was found, in words.
        cleared: whether lines were taken off, after which other phases may come to light.
    """

    measured: Measured
    roots: list[Candidate]
    remarks: tuple[str, ...]
    cleared: bool


def settle(
    measured: Measured,
    shelf: Shelf,
    roots: list[Candidate],
    weight: Callable[[Candidate], float],
    not_the_holder: frozenset[str] = frozenset(),
) -> Settled:
    """Find what the instrument adds, by the likeliest of the phases that were refined.

    Args:
        measured: the pattern.
        shelf: the libraries.
        roots: phases refined alone, or one set of phases that is known to be there.
        weight: their log-weights.
        not_the_holder: elements that the specimen is known to have.
    """
    if not roots:
        return Settled(measured, roots, (), cleared=False)
    best = max(roots, key=weight)
    before, remarks = measured, []
    other = _other_doublet(measured, best)
    if other is not None:
        measured, best, said = other
        remarks.append(said)
    lines = further_lines(measured, best.fit, best.phases)
    if lines:
        measured = measured.with_further(lines)
        remarks += [f"{line.name}, {100 * line.share:.1f} % of K-alpha, is in the beam" for line in lines]
        best = _again(measured, shelf, best)
    own = frozenset().union(*(shelf.structure(row).elements for row in best.rows))
    pure = {element for element in own if any(set(shelf.structure(row).elements) == {element} for row in best.rows)}
    found = holder(measured, best, not_the_holder | pure)
    if found is not None:
        measured, said = found
        remarks.append(said)
    if measured is not before:
        roots = sorted((_again(measured, shelf, one) for one in roots), key=lambda one: -one.fit.agreement)
    return Settled(measured, roots, tuple(remarks), cleared=found is not None)


def _again(measured: Measured, shelf: Shelf, one: Candidate) -> Candidate:
    """A candidate refined further on a pattern whose instrument is known better; oriented phases keep their lines."""
    phases = [
        shelf.lines(row, measured.d_min_A) if r == 1.0 else phase
        for row, phase, r in zip(one.rows, one.phases, one.march, strict=True)
    ]
    return Candidate.of(one.rows, fit(measured, phases, [1.0] * len(phases), start=one.fit), phases, one.march)


def _other_doublet(measured: Measured, best: Candidate) -> tuple[Measured, Candidate, str] | None:
    """The same pattern without the K-alpha-2 that was stated, or with one that was not, where that fits better."""
    anode = anode_of(measured)
    if anode is None or measured.further:
        return None
    first = float(measured.wavelength[0])
    lines = ANODES[anode]
    if len(measured.wavelength) > 1:
        other = measured.with_lines([first], [1.0])
        said = f"no K-alpha-2 is seen: it was stripped, or the beam is K-alpha-1; fitted with {first:.5f} A alone"
    else:
        other = measured.with_lines([first, first * lines.ka2_A / lines.ka1_A], [1.0, KA2_OVER_KA1])
        said = "K-alpha-2 is seen beside the stated line; fitted with the doublet"
    fitted = fit(other, best.phases, [1.0] * len(best.phases), start=best.fit)
    if fitted.agreement < best.fit.agreement + DOUBLET_GAIN:
        return None
    return other, Candidate.of(best.rows, fitted, best.phases, best.march), said


def anode_of(measured: Measured) -> str | None:
    """The anode whose K-alpha-1 the first line of a radiation is; None for another radiation."""
    for name, lines in ANODES.items():
        if abs(measured.wavelength[0] / lines.ka1_A - 1) < ANODE_TOLERANCE:
            return name
    return None


def further_lines(measured: Measured, fitted: Fit, phases: Sequence[Phase]) -> list[FurtherLine]:
    """K-beta of the anode and L-alpha of tungsten, where ghosts of the strong lines show them.

    Tungsten comes from the filament; its line is looked for beside softer K-alpha, whose filter lets it through.

    Args:
        measured: the pattern.
        fitted: phases in it, and
        phases: their lines.
    """
    anode = anode_of(measured)
    if anode is None:
        return []
    scale = float(measured.wavelength[0]) / ANODES[anode].ka1_A
    asked = [(f"K-beta of {ANODE_NAMES[anode]}", K_BETA_A[anode] * scale, MOST_K_BETA)]
    if ANODES[anode].ka1_A > W_L_ALPHA_A:
        asked.append(("L-alpha of tungsten", W_L_ALPHA_A * scale, MOST_TUNGSTEN))
    out = []
    for name, wavelength_A, most in asked:
        share = ghost_share(measured, fitted, drawn_with(measured, fitted, phases, wavelength_A))
        if LEAST_SHARE <= share <= most:
            out.append(FurtherLine(name, wavelength_A, share))
    return out


def ghost_share(measured: Measured, fitted: Fit, ghost: Floats) -> float:
    """Strength of a further line of the tube, of K-alpha's; 0 where it is not sure to be there.

    Every ghost is measured by itself, by least squares of what a fit leaves over on its profile and a constant. The
    share is the mean of those near the weighted median, which lines of a second phase here and there do not move. It
    counts where it is significant, and nearly all ghosts that should be visible are.

    Args:
        measured: the pattern.
        fitted: the fit.
        ghost: (n,) profile of the line for a share of 1.
    """
    used = measured.levels[-1].used
    left = measured.intensity - fitted.calculated
    weight = np.where(used, 1 / (measured.sigma**2 + (FIGURES_OFF * fitted.calculated) ** 2 + 1e-12), 0.0)
    top = float(ghost.max(initial=0.0))
    if top <= 0:
        return 0.0
    share, sd = [], []
    step = measured.levels[-1].step
    for middle, width in _places(measured.two_theta_deg, ghost, WEAKEST_GHOST * top):
        reach = max(3, round(1.5 * width / step))
        at = slice(max(middle - reach, 0), middle + reach + 1)
        w, g, y = weight[at], ghost[at], left[at]
        total = float(w.sum())
        if (w > 0).sum() < 5:
            continue
        centred = g - (w * g).sum() / total
        square = float((w * centred**2).sum())
        if square > 0:
            share.append(float((w * centred * y).sum()) / square)
            sd.append(square**-0.5)
    if not share:
        return 0.0
    a, precision = np.array(share), 1 / np.array(sd)
    order = np.argsort(a)
    rising = np.cumsum(precision[order])
    median = float(a[order][np.searchsorted(rising, 0.5 * rising[-1])])
    trusted = np.abs(a - median) < np.maximum(OUTLYING / precision, 0.5 * abs(median))
    weights = np.where(trusted, precision**2, 0.0)
    found = float((weights * a).sum() / max(float(weights.sum()), 1e-12))
    visible = found * precision > VISIBLE
    seen = visible & (a > 0.4 * found)
    least_visible = 1 if found < FAINT else 2
    enough = visible.sum() >= least_visible and precision[seen].sum() >= SEEN_SHARE * precision[visible].sum()
    significant = found * np.sqrt((precision**2).sum()) > GHOST_SIGNIFICANCE
    return found if enough and significant else 0.0


def _places(two_theta_deg: Floats, profile: Floats, least: float) -> list[tuple[int, float]]:
    """Where the lines of a profile are, as points, and how wide they are, degrees."""
    found = find_lines(two_theta_deg, profile, least)
    at = np.rint((found.two_theta_deg - two_theta_deg[0]) / (two_theta_deg[1] - two_theta_deg[0])).astype(int)
    return list(zip(at.tolist(), found.fwhm_deg.tolist(), strict=True))


GRAIN_RADIUS_CM = 5e-4
"""Five micrometres, as of powder that was ground in a mortar."""
MICROABSORPTION = 0.1
"""Difference of linear absorption to the mean, times the radius of a grain, from which weights are off by a tenth and
more. Source: Brindley, Phil. Mag. 36, 347 (1945), Table 1."""


def microabsorption(measured: Measured, shelf: Shelf, one: Candidate) -> str | None:
    """What to say where the phases of a mixture absorb so differently that their weights are doubtful.

    Args:
        measured: the pattern.
        shelf: the libraries.
        one: the phases.
    """
    if len(one.rows) < 2:
        return None
    mu = np.array([linear_absorption_per_cm(shelf.structure(row), measured.mean_wavelength_A) for row in one.rows])
    mean = float((mu * np.array([phase.intensity for phase in one.fit.phases])).sum())
    if np.abs(mu - mean).max() * GRAIN_RADIUS_CM <= MICROABSORPTION:
        return None
    low, high = shelf.name(one.rows[int(mu.argmin())]), shelf.name(one.rows[int(mu.argmax())])
    return (
        f"{high} absorbs {mu.max():.0f}/cm and {low} {mu.min():.0f}/cm: unless the grains are far below "
        f"{1e4 * GRAIN_RADIUS_CM:g} micrometres, there is more of {high} than its fraction says (microabsorption)"
    )


_FACES = [[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]
HOLDERS: dict[str, Structure] = {
    "aluminium": Structure.from_cell((4.0494, 4.0494, 4.0494, 90, 90, 90), ["Al"] * 4, _FACES, name="aluminium"),
    "beryllium": Structure.from_cell(
        (2.2858, 2.2858, 3.5843, 90, 90, 120),
        ["Be"] * 2,
        [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]],
        name="beryllium",
    ),
    "silicon": Structure.from_cell(
        (5.4311, 5.4311, 5.4311, 90, 90, 90),
        ["Si"] * 8,
        [*_FACES, *(np.array(_FACES) + 0.25).tolist()],
        name="silicon",
    ),
}
"""What holders and windows are made of. Source of the cells: aluminium, Swanson and Tatge, NBS Circular 539, vol. I
(1953), p. 11; beryllium, Mackay and Hill, J. Nucl. Mater. 8, 263 (1963); silicon, certificate of NIST SRM 640f."""
SAID_OF = {
    "aluminium": "lines of aluminium: the holder?",
    "beryllium": "lines of beryllium: a window?",
    "silicon": "lines of silicon: the holder, or a standard that was mixed in?",
}
HOLDER_STRAIN = 0.004
"""Most that a cell of these may seem off, as a holder stands higher or lower than the specimen."""
UNLIKE = {"aluminium": 8.0, "beryllium": 4.0, "silicon": 4.0}
"""How far each family may be from the strength that a powder has, as a factor: rolled sheet is strongly oriented."""
ASKED_FAMILIES = 3
"""Families of longest spacing that must be there, or as many as are in the range, but at least two."""
LEAST_HEIGHT = 0.01
"""Of the strongest measured line; lines of a holder below that are left alone."""
LEAST_CLEARED = 0.6
"""Of the squares that a fit leaves over under each of these lines, the holder must explain this share."""
UNDER = 0.1
"""Of its height; where a line is higher, it is judged."""
LEAST_OF_REST = 0.4
"""Of the height of all lines that a fit leaves over, the holder must explain this share: where much else is left, a few
lines match by chance."""


@lru_cache(maxsize=16)
def _holder_lines(name: str, d_min_A: float) -> Phase:
    return phase_of(HOLDERS[name], d_min_A=d_min_A)


def holder(measured: Measured, best: Candidate, but_not: frozenset[str]) -> tuple[Measured, str] | None:
    """A pattern without the lines of holder or window, and what they are of; None where there are none.

    Rolled sheet is strongly oriented, so every family of reflections has a strength of its own, by least squares that
    are not negative.

    Args:
        measured: the pattern.
        best: the likeliest phases.
        but_not: elements that are looked for in no holder.
    """
    for name, structure in HOLDERS.items():
        if structure.elements[0] in but_not:
            continue
        try:
            phase = _holder_lines(name, round(0.99 * measured.d_min_A, 3))
        except InputError:
            continue
        profile = _holder_profile(measured, best, phase, UNLIKE[name])
        if profile is not None:
            return measured.cleared(profile), SAID_OF[name]
    return None


def _holder_profile(measured: Measured, best: Candidate, phase: Phase, unlike: float) -> Floats | None:
    """(n,) the lines of a holder, or None."""
    x = measured.two_theta_deg
    d_A = 1 / np.sqrt(((phase.hkl @ np.linalg.inv(phase.lattice).T) ** 2).sum(axis=1))
    sine = 0.5 * measured.mean_wavelength_A / d_A
    inside = np.flatnonzero((sine > np.sin(np.radians(x[0] / 2))) & (sine < np.sin(np.radians(x[-1] / 2))))
    inside = inside[np.argsort(-d_A[inside], kind="stable")]
    if len(inside) < 2:
        return None
    left = np.where(measured.levels[-1].used, measured.intensity - best.fit.calculated, 0.0)
    smooth, (_, noise) = measured.smooth_of(left), measured.smoothed
    least = np.maximum(LEAST_HEIGHT, 5 * noise)
    lines = find_lines(x, smooth, least)
    theta = np.arcsin(sine[inside[:ASKED_FAMILIES]])
    reach = np.degrees(2 * HOLDER_STRAIN * np.tan(theta)) + 0.1
    if (np.abs(lines.two_theta_deg[:, None] - np.degrees(2 * theta)) < reach).any(axis=0).sum() < 2:
        return None
    try:
        both = fit(measured, [*best.phases, phase], [1.0] * (1 + len(best.phases)), start=best.fit)
    except InputError:
        return None
    if abs(both.phases[-1].mean_strain) > HOLDER_STRAIN:
        return None
    profile = _free_families(measured, both, [*best.phases, phase], inside, least, unlike)
    if profile is None:
        return None
    at = np.rint((lines.two_theta_deg - x[0]) / measured.levels[-1].step).astype(int)
    mine = measured.smooth_of(profile)[at] > 0.5 * smooth[at]
    return profile if lines.height[mine].sum() > LEAST_OF_REST * lines.height.sum() else None


def _free_families(
    measured: Measured, both: Fit, phases: Sequence[Phase], inside: NDArray[np.int64], least: Floats, unlike: float
) -> Floats | None:
    """(n,) the lines of the last of some phases, every family with a strength of its own; None where one of the first
    is not there, or has not the shape or nearly the strength that it should.
    """
    from scipy.optimize import nnls

    families = np.stack([drawn_with(measured, both, phases, None, (-1, int(i))) for i in inside], axis=1)
    specimen = both.calculated - drawn_with(measured, both, phases, None, (-1, None))
    used, rest = measured.levels[-1].used, measured.intensity - specimen
    root = used / np.sqrt(measured.sigma**2 + (FIGURES_OFF * both.calculated) ** 2 + 1e-12)
    strength, _ = nnls(families * root[:, None], rest * root)
    alone = np.array([measured.smooth_of(one).max(initial=0.0) for one in families.T])
    first = np.arange(len(inside)) < ASKED_FAMILIES
    height, expected = strength * alone, np.median(strength[first]) * alone
    at = families.argmax(axis=0)
    # Under a line of the specimen nothing is sure.
    free = measured.smooth_of(specimen)[at] < np.maximum(height, expected)
    asked = free & (first | (expected > unlike * least[at]))
    if (free & first).sum() < 2 or (height < least[at])[free & first].any():
        return None
    if (height[asked] < expected[asked] / unlike).any() or (height[asked] > expected[asked] * unlike).any():
        return None
    profile = families @ strength
    for family in families.T[asked]:
        under = used & (family > UNDER * family.max())
        if ((rest - profile)[under] ** 2).sum() > (1 - LEAST_CLEARED) * (rest[under] ** 2).sum():
            return None
    return np.asarray(profile)
