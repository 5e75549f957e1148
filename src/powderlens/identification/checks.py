"""What is wrong with a pattern before anything is asked of it: noise, humps, one line, a wavelength in nanometres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from powderlens.core.constants import ANODES
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
SAME_ORDER, SHIFTS_DEG = 0.004, (-0.15, -0.1, -0.05, 0.0, 0.05, 0.1, 0.15)
"""Orders of a line stand where they should to within so much of their spacing, once all are shifted by one of these."""
SHORTEST_D_A = 1.45
"""A pattern whose longest spacing is below this was read with too short a wavelength: of 196,000 crystals, fewer than
one in a thousand has no line beyond it."""
SHORTEST_LINE_A = 0.3
"""Nor do powders show lines below this: atoms that move leave nothing of them."""
NEAR_ANODE = 0.01
"""A tenth of an anode's wavelength, to within this, is that wavelength in nanometres."""
DOUBTED_SHARE = 0.5
"""What is left of a belief that something speaks against."""


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
    if d_A.max() < SHORTEST_D_A or d_A.min() < SHORTEST_LINE_A:
        return Sight(lines, _too_short(wavelength, d_A), (), distinct)
    warnings: list[str] = []
    one_family = _one_family(lines, wavelength) > ONE_FAMILY
    if distinct < FEW_LINES:
        count = f"{distinct} line{'' if distinct == 1 else 's'} in the range"
        if one_family:
            count += ", of one spacing and its orders (an oriented specimen, or a single crystal?)"
        warnings.append(f"{count}: too few to tell cells and phases apart")
    elif one_family:
        warnings.append(
            "one line and its orders carry nearly everything: the specimen is oriented, or a single crystal"
        )
    return Sight(lines, None, tuple(warnings), distinct)


def _too_short(wavelength_A: float, d_A: Floats) -> str:
    """What is said of a pattern whose spacings are too short, with the wavelength that may be meant."""
    what = (
        f"every line has a spacing below {SHORTEST_D_A:g} A (the longest {d_A.max():.3g} A)"
        if d_A.max() < SHORTEST_D_A
        else f"lines have spacings down to {d_A.min():.2g} A, where no powder shows any"
    )
    meant = [name for name, line in ANODES.items() if abs(10 * wavelength_A / line.mean_A - 1) < NEAR_ANODE]
    if meant:
        return f"{what}: is the wavelength of {wavelength_A:.5g} in nanometres ({meant[0]} K-alpha)? It is asked in A"
    return f"{what}: is the wavelength of {wavelength_A:.5g} A in nanometres, or that of another anode?"


def _distinct(lines: Peaks, d_A: Floats) -> int:
    """Lines that are not the second of a K-alpha doublet (0.25 % apart)."""
    return int((np.abs(np.diff(np.log(np.sort(d_A)))) > 0.004).sum()) + 1


def _one_family(lines: Peaks, wavelength_A: float) -> float:
    """Share of the height that lies in the strongest line's family d / n, for the shift of all lines that suits it."""
    strongest, whole = lines.height.argmax(), lines.height.sum()
    best = 0.0
    for shift in SHIFTS_DEG:
        d_A = 0.5 * wavelength_A / np.sin(np.radians((lines.two_theta_deg + shift) / 2))
        for order in (1, 2, 3, 4):
            ratio = order * d_A[strongest] / d_A
            near = np.abs(ratio - np.rint(ratio)) < SAME_ORDER * np.maximum(ratio, 1)
            best = max(best, float(lines.height[near].sum() / whole))
    return best
