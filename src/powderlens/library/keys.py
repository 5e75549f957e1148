"""Key lines: the strongest lines of a phase as spacings and strengths, by which a search finds it.

No wavelength is baked in. Families at one spacing are joined; a line's weight is the sum of multiplicity times |F|^2,
times d^2, the limit of the Lorentz factor 1 / (sin^2 theta cos theta) at low angle up to a constant. A reader who knows
the wavelength multiplies by (1 + cos^2 2theta) / cos theta.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import exp, inverse, log
from powderlens.diffraction.phase import Phase

D_RANGE_A = (0.7, 40.0)
"""Spacings that are kept, A."""

COPPER_D_A = 1.05
"""Copper K-alpha sees no less than this below 94.5 degrees 2theta, A."""

COPPER_LINES = 32
"""Strongest lines above `COPPER_D_A` that are kept."""

LINES = 40
"""Lines that are kept, with the strongest of all the others."""

SAME_D = 2e-4
"""Families whose spacings differ by less than this share are one line."""

WEAKEST = 0.05
"""Lines below this amplitude, square root of weight over the strongest, are left out."""

LOG_STEPS = 65535
AMPLITUDE_STEPS = 255
_LOG = (log(D_RANGE_A[0]), log(D_RANGE_A[1] / D_RANGE_A[0]))


def key_lines(phase: Phase) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Key lines of a phase, strongest first.

    Args:
        phase: its families down to `D_RANGE_A[0]`, or as far as is known.

    Returns:
        (k,) spacings, see `spacing_A`, and (k,) amplitudes, see `weight`; none where no family is in range.
    """
    d_A = spacings_A(phase)
    inside = (d_A >= D_RANGE_A[0]) & (d_A <= D_RANGE_A[1])
    order = np.argsort(-d_A[inside], kind="stable")
    d_A, strength = d_A[inside][order], phase.strength[inside][order]
    if not len(d_A) or not strength.max() > 0:
        return np.empty(0, np.uint16), np.empty(0, np.uint8)
    weight = strength * d_A * d_A
    start = np.flatnonzero(np.concatenate([[True], -np.diff(d_A) > SAME_D * d_A[1:]]))
    total = np.add.reduceat(weight, start)
    with np.errstate(invalid="ignore"):
        place = np.add.reduceat(weight * d_A, start) / total
    place = np.where(total > 0, place, d_A[start])
    amplitude = np.sqrt(total / total.max())
    # Rounded before they are sorted: which of two equal lines stands first must not hang on the last bit.
    steps = np.round(amplitude * AMPLITUDE_STEPS).astype(np.uint8)
    codes = np.round((log(place) - _LOG[0]) / _LOG[1] * LOG_STEPS).astype(np.uint16)
    by_strength = np.lexsort((-codes.astype(np.int64), -steps.astype(np.int64)))
    by_strength = by_strength[steps[by_strength] >= WEAKEST * AMPLITUDE_STEPS]
    far = np.cumsum(place[by_strength] > COPPER_D_A)
    first = (place[by_strength] > COPPER_D_A) & (far <= COPPER_LINES)
    left = np.flatnonzero(~first)[: LINES - int(first.sum())]
    first[left] = True
    kept = by_strength[first]
    return codes[kept], steps[kept]


def spacings_A(phase: Phase) -> NDArray[np.float64]:
    """(m,) spacings of a phase's families, A."""
    reciprocal = inverse(phase.lattice).T
    scattering = phase.hkl[:, :1] * reciprocal[0] + phase.hkl[:, 1:2] * reciprocal[1] + phase.hkl[:, 2:] * reciprocal[2]
    return np.asarray(1 / np.sqrt((scattering**2).sum(axis=1)))


def spacing_A(log_d: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Spacings in A of stored ones."""
    return np.asarray(exp(log_d.astype(np.float64) * (_LOG[1] / LOG_STEPS) + _LOG[0]))


def weight(amplitude: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Weights, strongest 1, of stored amplitudes."""
    return np.asarray((amplitude / AMPLITUDE_STEPS) ** 2)
