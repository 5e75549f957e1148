"""Trials of which nothing can be said, or not what the pattern seems to say: an answer must notice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.diffraction.background import humps
from powderlens.evaluate.trials.lines import Seen, families, seen_lines
from powderlens.evaluate.trials.of_phases import nothing_shows, of_one
from powderlens.evaluate.trials.setup import Floats, Setup, over_the_grid, with_radiation
from powderlens.evaluate.trials.specimen import Specimen
from powderlens.evaluate.trials.trial import Trial
from powderlens.pattern.wavelength import parse_radiation

Records = NDArray[np.void]

OTHER_ANODES = ("Co", "Cr", "Fe", "Mo", "Ag")
"""That stand in laboratories beside copper's."""
IN_NANOMETRES = (0.154, 0.1542, 0.15418, 0.15406)
"""Copper's wavelength as people write it in nm."""
OFF = 0.02
"""By how much of itself a wavelength is stated wrong."""
AMORPHOUS_DEG, AMORPHOUS_FWHM_DEG = (14.0, 34.0), (5.0, 15.0)
"""Where the first maximum of glasses and polymers lies under copper, and how broad it is."""
SECOND_HUMP = 0.6
"""Share of humps with a second, weaker one beyond."""
ONE_LINE_DEG = (8.0, 60.0)
"""Where under copper the line of an oriented specimen is looked for."""
STRONG = 0.2
"""Of the strongest line: such a line is worth orienting, or looking at."""
FEW = 4
"""Most visible lines of a range that is too short."""
SHORTEST_DEG, MARGIN_DEG = 1.5, 3.0
"""Of a range that is too short, and how far beyond its lines it may reach."""


def noise(setup: Setup, number: int, records: Records) -> Trial:
    """Background and counting of a scan in which nothing diffracts."""
    empty = np.zeros(setup.protocol.grid.points)
    return _of_nothing(setup, number, records, empty)


def hump(setup: Setup, number: int, records: Records) -> Trial:
    """What glass and polymers scatter."""
    u = setup.choices(number)[0]
    (low, high), (narrow, broad) = AMORPHOUS_DEG, AMORPHOUS_FWHM_DEG
    centre, fwhm = low + (high - low) * u[0], narrow + (broad - narrow) * u[1]
    rows = [(centre, fwhm, 1.0)]
    if u[2] < SECOND_HUMP:
        rows.append((centre + 12.0 + 14.0 * u[3], fwhm * (1.2 + u[4]), 0.1 + 0.4 * u[5]))
    over_the_grid(records)
    return _of_nothing(setup, number, records, humps(setup.protocol.grid.two_theta_deg, rows))


def one_line(setup: Setup, number: int, records: Records) -> Trial:
    """Plates that all lie flat: one family of planes and its orders."""
    over_the_grid(records)
    c = records[0]
    c["march_r"] = 1.0
    for u in setup.choices(number):
        specimen = _specimen(setup, setup.pool.pick(u), number)
        if specimen is None:
            continue
        hkl, phase = specimen.phase.hkl, specimen.phase
        area, angle = families(specimen, c)
        inside = (angle >= ONE_LINE_DEG[0]) & (angle <= ONE_LINE_DEG[1])
        if not inside.any():
            continue
        strong = np.flatnonzero(inside & (area >= STRONG * area[inside].max()))
        chosen = hkl[strong[int(u[3] * len(strong))]]
        direction = chosen // np.gcd.reduce(chosen)
        # One of each family is listed, by a rule that does not ask how long it is: orders are multiples as they stand.
        along = (np.cross(hkl, direction) == 0).all(axis=1)
        turned = replace(phase, hkl=hkl[along], strength=phase.strength[along])
        trial = of_one(setup, number, records, replace(specimen, phase=turned), setting=" ".join(map(str, direction)))
        if trial is not None:
            return trial
    raise nothing_shows(setup, number)


def other_anode(setup: Setup, number: int, records: Records) -> Trial:
    """Drawn with another anode, and said to be copper."""
    name = OTHER_ANODES[int(setup.choices(number)[0, 3] * len(OTHER_ANODES))]
    radiation = parse_radiation(f"{name}Ka")
    with_radiation(records, radiation)
    ratio = radiation.wavelength_A / setup.protocol.grid.wavelength_A
    return _of_library(setup, number, records, wavelength_ratio=ratio, setting=name)


def nanometre(setup: Setup, number: int, records: Records) -> Trial:
    """Copper's wavelength, in nm where A is meant."""
    told = IN_NANOMETRES[int(setup.choices(number)[0, 3] * len(IN_NANOMETRES))]
    return _of_library(setup, number, records, told=told, setting=f"{told:g}")


def two_percent(setup: Setup, number: int, records: Records) -> Trial:
    """A wavelength that is 2 % off, of a phase that the library holds as measured."""
    sign = 1 if setup.choices(number)[0, 3] < 0.5 else -1
    told = round(setup.protocol.grid.wavelength_A * (1 + sign * OFF), 5)
    measured = replace(setup, pool=setup.pool.only("measured"))
    return _of_library(measured, number, records, told=told, setting=f"{told:g}")


def short_range(setup: Setup, number: int, records: Records) -> Trial:
    """A range with one to four lines."""
    over_the_grid(records)
    c, grid = records[0], setup.protocol.grid
    for u in setup.choices(number):
        specimen = _specimen(setup, setup.pool.pick(u), number)
        if specimen is None:
            continue
        seen = seen_lines(specimen, c, (grid.start_deg, grid.end_deg))
        count = 1 + int(u[3] * FEW)
        firsts = [
            at
            for at in range(len(seen.area) - count + 1)
            if seen.area[at : at + count].max() >= STRONG and _room(seen, at, count, grid.start_deg, grid.end_deg)
        ]
        if not firsts:
            continue
        at = firsts[int(u[4] * len(firsts))]
        c["first_deg"], c["last_deg"] = _ends(seen, at, count, grid.start_deg, grid.end_deg)
        trial = of_one(setup, number, records, specimen, setting=f"{count} lines")
        if trial is not None:
            return trial
        over_the_grid(records)
    raise nothing_shows(setup, number)


def _room(seen: Seen, at: int, count: int, low: float, high: float) -> bool:
    first, last = _ends(seen, at, count, low, high)
    return last - first >= SHORTEST_DEG


def _ends(seen: Seen, at: int, count: int, low: float, high: float) -> tuple[float, float]:
    """First and last angle of a range that holds `count` lines from line `at` on: midway to the next, or 3 degrees."""
    x = seen.two_theta_deg
    before = (x[at - 1] + x[at]) / 2 if at else low
    after = (x[at + count - 1] + x[at + count]) / 2 if at + count < len(x) else high
    return max(before, float(x[at]) - MARGIN_DEG), min(after, float(x[at + count - 1]) + MARGIN_DEG)


def _specimen(setup: Setup, row: int, number: int, wavelength_ratio: float = 1.0) -> Specimen | None:
    """None where the phase has no reflection in range."""
    try:
        return setup.specimen(row, number, wavelength_ratio=wavelength_ratio)
    except InputError:
        return None


def _of_library(
    setup: Setup,
    number: int,
    records: Records,
    *,
    wavelength_ratio: float = 1.0,
    told: float | None = None,
    setting: str,
) -> Trial:
    """The first choice of a phase that shows lines."""
    for u in setup.choices(number):
        specimen = _specimen(setup, setup.pool.pick(u), number, wavelength_ratio)
        trial = None if specimen is None else of_one(setup, number, records, specimen, told=told, setting=setting)
        if trial is not None:
            return trial
    raise nothing_shows(setup, number)


def _of_nothing(setup: Setup, number: int, records: Records, curve: Floats) -> Trial:
    pattern = setup.pattern(setup.measured(curve, records, number), records, number)
    return Trial(kind=setup.kind, seed=setup.seed, number=number, pattern=pattern)
