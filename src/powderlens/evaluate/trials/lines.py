"""Which lines of a specimen a scan shows as separate ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from powderlens.core.elementary import arcsin, inverse
from powderlens.diffraction.conditions import Record
from powderlens.diffraction.reflections import lorentz_polarisation
from powderlens.diffraction.render_numpy import SINE_LIMIT
from powderlens.evaluate.trials.setup import Floats
from powderlens.evaluate.trials.specimen import Specimen

VISIBLE = 0.02
"""Of the strongest line: weaker ones do not count where lines are counted."""
APART_DEG = 0.15
"""Lines that are nearer are one."""


class Seen(NamedTuple):
    """Lines that a scan shows as separate ones: (n,) 2theta in degrees, rising, and areas, the strongest 1."""

    two_theta_deg: Floats
    area: Floats


def seen_lines(specimen: Specimen, c: Record, range_deg: tuple[float, float]) -> Seen:
    """The lines of a specimen in a range, those that are nearer than 0.15 degrees joined, those below 2 % left out."""
    area, angle = families(specimen, c)
    inside = (angle >= range_deg[0]) & (angle <= range_deg[1])
    order = np.argsort(angle[inside], kind="stable")
    angle, area = angle[inside][order], area[inside][order]
    if not len(area):
        return Seen(angle, area)
    start = np.flatnonzero(np.concatenate([[True], np.diff(angle) > APART_DEG]))
    total = np.add.reduceat(area, start)
    place = np.add.reduceat(area * angle, start) / np.maximum(total, np.finfo(float).tiny)
    kept = total >= VISIBLE * total.max()
    return Seen(place[kept], total[kept] / total[kept].max())


def families(specimen: Specimen, c: Record) -> tuple[Floats, Floats]:
    """Area and 2theta in degrees of each family at the radiation's first line; 0 and 180 where it is not reached."""
    phase = specimen.phase
    reciprocal = inverse(specimen.metric(c))
    h = phase.hkl.astype(float)
    inv_d2 = np.zeros(len(h))
    for i in range(3):
        for j in range(3):
            inv_d2 += h[:, i] * reciprocal[i, j] * h[:, j]
    sine = float(c["ka1_A"]) / 2 * np.sqrt(inv_d2)
    reached = (sine < SINE_LIMIT) & (phase.strength > 0)
    area, angle = np.zeros(len(h)), np.full(len(h), 180.0)
    angle[reached] = np.degrees(2 * arcsin(sine[reached]))
    area[reached] = phase.strength[reached] * lorentz_polarisation(angle[reached])
    return area, angle
