"""Trials of library phases: one that is known or to be unknown, and mixtures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from powderlens.core import random
from powderlens.core.elementary import determinant, log
from powderlens.core.errors import InputError
from powderlens.core.random import Purpose
from powderlens.crystal.same_cell import same_lattice
from powderlens.diffraction.draw import pick_impurities, second_phases
from powderlens.diffraction.mixture import scale_of_weight
from powderlens.diffraction.render import render
from powderlens.evaluate.trials.lines import seen_lines
from powderlens.evaluate.trials.setup import ATTEMPTS, CHOICES, MAX_PHASES, Floats, Setup, only_once
from powderlens.evaluate.trials.specimen import Specimen
from powderlens.evaluate.trials.trial import Trial
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.wavelength import Radiation
from powderlens.symmetry.groups import either_hand

LEAST_WEIGHT = 0.05
"""Of a phase in a mixture."""
OWN = (
    "texture_axis",
    "march_r",
    "intensity_jitter",
    "intensity_perturbation",
    "strain",
    "thermal_offset_A",
    "u_overall_A2",
    "debye_temperature_K",
    "crystallite_size_nm",
    "microstrain",
)
"""What each phase of a mixture has for itself; all else belongs to the instrument or to the scan."""
ALIKE_LENGTH, ALIKE_ANGLE_DEG = 0.01, 1.0
"""Two phases of one space group whose cells differ by less are not mixed: nothing could tell them apart."""

Records = NDArray[np.void]


def known(setup: Setup, number: int, records: Records) -> Trial:
    """One phase of the library, with what the protocol adds."""
    for u in setup.choices(number):
        row = setup.pool.pick(u)
        try:
            specimen = setup.specimen(row, number)
        except InputError:
            continue
        only_once(records, [specimen])
        phase, index = specimen.phase, np.array([setup.address(number)])
        others = [one for one in second_phases(setup.protocol) if one.name.casefold() != specimen.name.casefold()]
        (second,) = pick_impurities(phase, others, records[:1], setup.seed, index)
        (y,) = render(
            [phase], records[:1], setup.protocol.grid, seed=setup.seed, index=index, impurities=[second]
        )  # fmt: skip
        if y.any():
            pattern = setup.pattern(y, records, number)
            return Trial(
                kind=setup.kind,
                seed=setup.seed,
                number=number,
                pattern=pattern,
                phases=(specimen.truth(records[0], weight_fraction=1.0, intensity_share=1.0),),
                impurity="" if second is None else second.name,
                hidden=setup.pool.hidden_with(row) if setup.kind == "removed" else np.empty(0, np.int64),
                lines=_lines(specimen, records, pattern),
            )
    raise nothing_shows(setup, number)


def single(setup: Setup, number: int, records: Records) -> Trial:
    """One phase of the library and nothing else, which no second one must be found in."""
    records["impurity_share"] = 0.0
    return known(setup, number, records)


def mixture(setup: Setup, number: int, records: Records) -> Trial:
    """Two to four phases of the library, weights from 5 to 95 %, and none of the protocol's own."""
    on_one_instrument(records)
    for u in setup.choices(number):
        count = 2 + int(u[0] * (MAX_PHASES - 1))
        rows = [setup.pool.pick(u[1 + 3 * at : 4 + 3 * at]) for at in range(count)]
        if not _distinct(setup, rows):
            continue
        try:
            specimens = [setup.specimen(row, number, at) for at, row in enumerate(rows)]
        except InputError:
            continue
        curves = setup.curves(specimens, records, number)
        area = curves[:, setup.inside(records)].sum(axis=1)
        if not (area > 0).all():
            continue
        weight = _weights(setup, number, count)
        scale = np.array([_scale(*of) for of in zip(specimens, records, weight, strict=False)])
        shares = scale * area / (scale * area).sum()
        total = (scale[:, None] * curves).sum(axis=0)
        found = [
            one.truth(c, weight_fraction=float(w), intensity_share=float(share))
            for one, c, w, share in zip(specimens, records, weight, shares, strict=False)
        ]
        return Trial(
            kind=setup.kind,
            seed=setup.seed,
            number=number,
            pattern=setup.pattern(setup.measured(total, records, number), records, number),
            phases=tuple(sorted(found, key=lambda phase: -phase.intensity_share)),
        )
    raise nothing_shows(setup, number)


def on_one_instrument(records: Records) -> None:
    """Give all phases of a specimen the first one's instrument and scan, in place."""
    for name in records.dtype.names or ():
        if name not in OWN:
            records[name] = records[name][0]


def of_one(
    setup: Setup,
    number: int,
    records: Records,
    specimen: Specimen,
    *,
    told: float | Radiation | None = None,
    setting: str = "",
) -> Trial | None:
    """A pattern of one specimen; None where no line of it lies in the measured range.

    Args:
        setup: of the trials.
        number: of this one.
        records: its conditions.
        specimen: what is drawn.
        told: the wavelength that is stated, see `Setup.pattern`.
        setting: what was varied on purpose.
    """
    (curve,) = setup.curves([specimen], records, number)
    if not curve.any():
        return None
    pattern = setup.pattern(setup.measured(curve, records, number), records, number, told)
    return Trial(
        kind=setup.kind,
        seed=setup.seed,
        number=number,
        pattern=pattern,
        phases=(specimen.truth(records[0], weight_fraction=1.0, intensity_share=1.0),),
        setting=setting,
        lines=_lines(specimen, records, pattern),
    )


def _lines(specimen: Specimen, records: Records, pattern: Pattern) -> int:
    """How many lines of a specimen stand apart in its pattern, the weak ones left out."""
    first, last = pattern.two_theta_deg[[0, -1]].tolist()
    return len(seen_lines(specimen, records[0], (first, last)).area)


def nothing_shows(setup: Setup, number: int) -> InputError:
    """What is said where no choice of phases shows a line."""
    return InputError(
        f"trial {number} of kind {setup.kind}: none of {ATTEMPTS} choices among {len(setup.pool.rows)} phases shows "
        f"lines under protocol {setup.protocol.name}; allow more rows, or another protocol"
    )


def _scale(specimen: Specimen, c: np.void, weight: float) -> float:
    volume = float(np.sqrt(determinant(specimen.metric(c))))
    return scale_of_weight(weight, specimen.mass_u, volume)


def _weights(setup: Setup, number: int, count: int) -> Floats:
    """Evenly over all weights that are at least `LEAST_WEIGHT`."""
    # Behind the numbers of the choices, so that the weights do not hang on which of them was taken.
    u = random.uniform(setup.seed, setup.address(number), Purpose.TRIAL, ATTEMPTS * CHOICES + MAX_PHASES)
    share = -log(u[-MAX_PHASES:][:count])
    return np.asarray(LEAST_WEIGHT + (1 - count * LEAST_WEIGHT) * share / share.sum())


def _distinct(setup: Setup, rows: list[int]) -> bool:
    """Whether the phases of a mixture can be told apart."""
    pool = setup.pool
    group = [either_hand(number) for number in pool.library.space_group[rows].tolist()]
    for at, row in enumerate(rows):
        for before, other in enumerate(rows[:at]):
            near = {"length": ALIKE_LENGTH, "angle_deg": ALIKE_ANGLE_DEG}
            if group[at] == group[before] and same_lattice(pool.reduced(row), [pool.reduced(other)], **near)[0]:
                return False
    return True
