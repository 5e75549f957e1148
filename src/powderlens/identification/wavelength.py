"""Whether the stated wavelength is right, asked once phases were held against a pattern.

Another anode: the whole pattern moves along the axis of ln d, and what fitted nothing, or only large cells with lines
everywhere, fits a common phase. A wavelength that is a little off: a measured crystal fits as it stands, but for all of
its spacings, by the same share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from powderlens.core.constants import ANODES, KA2_OVER_KA1
from powderlens.identification.candidates import Candidate, axis_of, single_candidates
from powderlens.identification.deadline import Deadline
from powderlens.library.shelf import Shelf
from powderlens.refine.measured import Measured

Floats = NDArray[np.float64]
Weights = Callable[[Measured, Sequence[Candidate]], Floats]
"""Log-weights of hypotheses under a pattern, as they are weighed for the answer."""

WELL, AT_REST, MANY = 0.97, 0.01, 12
"""Agreement of measured crystals whose spacings are all within so much of their own, and how many lines there must be
for no other wavelength to suit them by chance: the one that is stated is right."""
POOR = 8.0
"""Log-odds against "none of these" below which calculated crystals too are looked through under other anodes."""
OTHER_ANODES = ("Cu", "Co", "Mo", "Cr", "Fe", "Ag")
SAME = 0.03
"""An anode whose wavelength is within so much of the stated one is no other."""
ITS_OWN = 0.003
"""Within so much of an anode's wavelength, a stated one is that."""
NEAR_ODDS = 0.5
"""Log-odds by which a phase under a near anode must lead where the stated wavelength is no anode's."""
TRIED_ANODES = 2
FEW, ALL = (16, 3), (120, 28)
"""Phases that are refined under another wavelength, on broadened profiles and of these as measured: where the stated
one has an answer, and where it has none."""
ODDS = -1.0
"""Log-odds of another anode's best phase against all that was found under the stated wavelength, above which that is
doubted."""
SUSPECT_STRAIN = 0.012
"""Mean strain against a measured crystal from which on the wavelength is asked about."""
EVEN = 0.6
"""Of that strain: most that may be left when its mean is taken off."""


@dataclass(frozen=True, eq=False)
class Tested:
    """What wavelengths are tested with.

    Attributes:
        measured: the pattern, with the wavelength as stated.
        bare: the same before lines of holders and tubes were looked for, which are others under another wavelength.
        shelf: the libraries.
        found: hypotheses with phases under the stated wavelength, at least one.
        weights: log-weights of these and other hypotheses.
        unknown: log-weight of "none of these".
        distinct: lines that stand out.
        deadline: when to end.
    """

    measured: Measured
    bare: Measured
    shelf: Shelf
    found: Sequence[Candidate]
    weights: Weights
    unknown: float
    distinct: int
    deadline: Deadline

    def under(self, anode: str) -> Measured:
        """The pattern with the wavelength of an anode."""
        line = ANODES[anode]
        return self.bare.with_lines([line.ka1_A, line.ka2_A], [1.0, KA2_OVER_KA1])

    def best(self, shelf: Shelf, trial: Measured, many: tuple[int, int] = FEW) -> tuple[float, str]:
        """Log-weight of the best phase of a shelf under another wavelength, and its name."""
        retrieved, sharpened = many
        some = single_candidates(trial, shelf, self.deadline, retrieved=retrieved, sharpened=sharpened)
        if not some:
            return -np.inf, ""
        weight = self.weights(trial, some)
        at = int(np.argmax(weight))
        return float(weight[at]), shelf.name(some[at].rows[0])


def no_anode(test: Tested) -> str | None:
    """Whether a wavelength that is no anode's, but near one, is meant to be that: what to say of it, or None.

    Tubes have their few lines, and each has two: where a phase fits as well or better with an anode's doublet, it is
    that.
    """
    stated = test.measured.mean_wavelength_A
    near = [name for name, line in ANODES.items() if abs(line.mean_A / stated - 1) < SAME]
    if not near or len(test.measured.wavelength) > 1 + len(test.measured.further):
        return None
    name = min(near, key=lambda one: abs(ANODES[one].mean_A - stated))
    line = ANODES[name]
    if min(abs(of / stated - 1) for of in (line.mean_A, line.ka1_A)) < ITS_OWN:
        return None
    weight, phase = test.best(test.shelf, test.under(name))
    if weight < float(test.weights(test.measured, test.found).max()) + NEAR_ODDS:
        return None
    return (
        f"{stated:.5g} A is no line of a tube, and the lines fit {phase} under {name} K-alpha ({line.mean_A:.5g} A): "
        "is the wavelength right?"
    )


def other_anode(test: Tested) -> str | None:
    """Whether a phase fits much better with the wavelength of another anode: what to say of it, or None."""
    measured, shelf = test.measured, test.shelf
    stated = test.weights(measured, test.found)
    if test.distinct >= MANY and _explained(measured, shelf, test.found[int(np.argmax(stated))]):
        return None
    library = shelf if stated.max() < test.unknown + POOR else shelf.of_measured()
    moved = []
    for name in OTHER_ANODES:
        if abs(ANODES[name].mean_A / measured.mean_wavelength_A - 1) < SAME or test.deadline.passed():
            continue
        trial = test.under(name)
        looked = library.retrieve(axis_of(trial), 1)
        if len(looked.row):
            moved.append((float(looked.worth[0]), name, trial))
    told, most = None, float(np.logaddexp.reduce(np.append(stated, test.unknown))) + ODDS
    for _, name, trial in sorted(moved, key=lambda one: -one[0])[:TRIED_ANODES]:
        weight, phase = test.best(library, trial, ALL if stated.max() < test.unknown else FEW)
        if weight > most:
            most, told = weight, (name, phase)
    if told is None:
        return None
    return (
        f"the lines fit {told[1]} under {told[0]} K-alpha as well as anything at the stated "
        f"{measured.mean_wavelength_A:.5g} A, or better: is the wavelength right?"
    )


def a_little_off(shelf: Shelf, found: Sequence[Candidate], posterior: Floats) -> str | None:
    """Whether all spacings are off from those of a measured crystal that fits, by the same share.

    Args:
        shelf: the libraries.
        found: hypotheses with phases.
        posterior: (k,) beliefs in them.
    """
    first = [one.fit.phases[0] for one in found]
    mean, shape = np.array([one.mean_strain for one in first]), np.array([one.shape_strain for one in first])
    weight = posterior * shelf.measured[[one.rows[0] for one in found]]
    if weight.sum() < 0.4:
        return None
    strain = float((weight * mean).sum() / weight.sum())
    best = int(np.argmax(weight))
    if abs(strain) < SUSPECT_STRAIN or shape[best] > EVEN * abs(strain):
        return None
    side = "larger" if strain > 0 else "smaller"
    return (
        f"spacings are {100 * abs(strain):.1f} % {side} than those of {shelf.name(found[best].rows[0])}, which they "
        "fit: is the wavelength right, or is this a solid solution, or a specimen under pressure?"
    )


def _explained(measured: Measured, shelf: Shelf, best: Candidate) -> bool:
    """Whether measured crystals with spacings of their own make the pattern: then its wavelength is no question."""
    return (
        best.fit.agreement / measured.ceiling > WELL
        and bool(shelf.measured[list(best.rows)].all())
        and all(abs(phase.mean_strain) < AT_REST for phase in best.fit.phases)
    )
