"""What is wrong with a pattern before anything is asked of it: noise, humps, one line, a wavelength in nanometres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from powderlens.core.constants import ANODES, KA2_OVER_KA1
from powderlens.identification.candidates import Candidate, single_candidates
from powderlens.identification.deadline import Deadline
from powderlens.identification.hypotheses import Posterior
from powderlens.library.shelf import Shelf
from powderlens.pattern.peaks import Peaks, find_lines
from powderlens.refine.measured import Measured

Floats = NDArray[np.float64]

LEAST_HEIGHT = 8.0
"""Lines lower than this, in units of the noise after smoothing, are not counted."""
SHARE = 0.01
"""Nor are those below this share of the strongest."""
WIDEST_DEG = 1.6
"""A feature that is wider at half height is a hump, not a line."""
FEW_LINES = 5
ONE_FAMILY = 0.97
"""Share of the height in one line and its orders, above which a specimen is oriented or a single crystal."""
SHORTEST_D_A = 1.45
"""A pattern whose longest spacing is below this was read with too short a wavelength: of 196,000 crystals, fewer than
one in a thousand has no line beyond it."""


@dataclass(frozen=True, eq=False)
class Sight:
    """What stands out in a pattern.

    Attributes:
        lines: that are narrow enough.
        abstains: why nothing can be said, or None.
        warnings: what makes an answer doubtful.
        distinct: how many they are, the two of a doublet being one.
    """

    lines: Peaks
    abstains: str | None
    warnings: tuple[str, ...]
    distinct: int = 0


def look(measured: Measured) -> Sight:
    """Look at a pattern before it is searched."""
    profile, noise = measured.smoothed
    top = float(profile.max())
    least = np.maximum(LEAST_HEIGHT * noise, SHARE * top)
    everything = find_lines(measured.two_theta_deg, profile, least)
    lines = everything.take(everything.fwhm_deg <= WIDEST_DEG)
    if not len(lines):
        if len(everything):
            return Sight(lines, "only broad humps: an amorphous specimen, or an empty holder", ())
        return Sight(lines, "no reflection stands out of the noise: measure longer, or another range", ())
    wavelength = measured.mean_wavelength_A
    d_A = 0.5 * wavelength / np.sin(np.radians(lines.two_theta_deg / 2))
    distinct = _distinct(lines, d_A)
    warnings: list[str] = []
    if d_A.max() < SHORTEST_D_A:
        return Sight(
            lines,
            f"every line has a spacing below {SHORTEST_D_A:g} A (the longest {d_A.max():.3g} A): is the wavelength "
            f"of {wavelength:.5g} A in nanometres, or that of another anode?",
            (),
            distinct,
        )
    if distinct < FEW_LINES:
        warnings.append(f"{distinct} lines in the range: too few to tell cells and phases apart")
    elif _one_family(lines, d_A) > ONE_FAMILY:
        warnings.append(
            "one line and its orders carry nearly everything: the specimen is oriented, or a single crystal"
        )
    return Sight(lines, None, tuple(warnings), distinct)


def _distinct(lines: Peaks, d_A: Floats) -> int:
    """Lines that are not the second of a K-alpha doublet (0.25 % apart)."""
    return int((np.abs(np.diff(np.log(np.sort(d_A)))) > 0.004).sum()) + 1


def _one_family(lines: Peaks, d_A: Floats) -> float:
    """Share of the height that lies in the strongest line's family d / n."""
    strongest = d_A[lines.height.argmax()]
    best = 0.0
    for order in (1, 2, 3, 4):
        ratio = order * strongest / d_A
        near = np.abs(ratio - np.rint(ratio)) < 0.012 * np.maximum(ratio, 1)
        best = max(best, float(lines.height[near].sum() / lines.height.sum()))
    return best


SUSPECT_STRAIN = 0.012
"""Mean strain against a measured crystal from which on the wavelength is asked about."""
POOR = 0.85
"""Agreement, freed of noise, below which other anodes are tried."""
BETTER = 0.06
"""By so much another anode must agree better."""
DOUBTED_SHARE = 0.5
"""What is left of a belief that something speaks against."""
OTHER_ANODES = ("Cu", "Co", "Mo", "Cr", "Fe", "Ag")


def doubts(
    measured: Measured, shelf: Shelf, found: Sequence[Candidate], posterior: Posterior
) -> tuple[str | None, float]:
    """What an answer must be doubted for once phases were tried, and the share of the belief that is left.

    Args:
        measured: the pattern.
        shelf: the libraries.
        found: hypotheses with phases.
        posterior: beliefs in them.
    """
    if not found:
        return None, 1.0
    agreement = max(one.fit.agreement for one in found) / measured.ceiling
    if agreement < POOR:
        other = _other_anode(measured, shelf, agreement)
        if other is not None:
            return other, DOUBTED_SHARE
    main = np.array([one.fit.phases[0].mean_strain for one in found])
    trusted = shelf.measured[[one.rows[0] for one in found]] & (posterior.known > 0)
    weight = posterior.known * trusted
    if weight.sum() > 0.4:
        strain = float((weight * main).sum() / weight.sum())
        best = found[int(np.argmax(weight))]
        if abs(strain) > SUSPECT_STRAIN and best.fit.phases[0].shape_strain < abs(strain):
            side = "larger" if strain > 0 else "smaller"
            name = shelf.name(best.rows[0])
            return (
                f"spacings are {100 * abs(strain):.1f} % {side} than those of {name}, which they fit: is the "
                "wavelength right, or is this a solid solution, or a specimen under pressure?"
            ), DOUBTED_SHARE
    return None, 1.0


def _other_anode(measured: Measured, shelf: Shelf, agreement: float) -> str | None:
    """Whether the lines fit much better with the wavelength of another anode."""
    best, told = agreement + BETTER, None
    stated = measured.mean_wavelength_A
    for name in OTHER_ANODES:
        line = ANODES[name]
        if abs(line.mean_A / stated - 1) < 0.03:
            continue
        trial = measured.with_lines([line.ka1_A, line.ka2_A], [1.0, KA2_OVER_KA1])
        for one in single_candidates(trial, shelf, Deadline(), retrieved=20, sharpened=3):
            if one.fit.agreement / measured.ceiling > best and abs(one.fit.phases[0].mean_strain) < SUSPECT_STRAIN:
                best, told = one.fit.agreement / measured.ceiling, f"{name} K-alpha ({shelf.name(one.rows[0])})"
    if told is None:
        return None
    return f"the lines fit {told} and nothing at the stated {stated:.5g} A: is the wavelength right?"
