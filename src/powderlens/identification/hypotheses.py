"""One probability: hypotheses with log-likelihood and prior, of which everything that is said is a marginal.

A hypothesis is a set of known phases that was refined against the pattern, or "none of these" for one of the space
groups. Its log-weight is linear in few quantities (`QUANTITIES`), so that a calibration is a short list of numbers; the
weights are softmax shares of all hypotheses together. Cells found by indexing will be further hypotheses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write, file_sha256
from powderlens.identification.evidence import GROUP_TO_SYSTEM, GROUPS, log_softmax
from powderlens.symmetry.groups import ENANTIOMORPHS, either_hand

Floats = NDArray[np.float64]

QUANTITIES = (
    "agreement",
    "misfit",
    "scale",
    "shape",
    "shift",
    "missing",
    "lines",
    "texture",
    "calculated",
    "determinations",
    "more_phases",
)
"""What the log-weight of a set of phases is linear in:
agreement, the cosine of measured and calculated square-root profiles, freed of the noise; misfit, ln(1 - agreement^2);
scale and shape, the strain against the entry's cell, its mean and the rest, each as ln(1 + (strain / sd)^2) with the sd
of measured (0.3 %) or calculated (1.5 %) crystals; shift, as ln(1 + (shift / 0.1 degrees)^2);
missing, the share of strong lines that are not there; lines, the logarithm of the number of lines in the range (a phase
with many fits anything); texture, |ln r|; calculated, 1 for an entry that was not measured; determinations, the
logarithm of how many entries are this phase; more_phases, how many phases there are beside the first."""
SHIFT_SD_DEG = 0.1

MIRROR_OF: Mapping[int, int] = dict(ENANTIOMORPHS)
LOWER: NDArray[np.int64] = np.array([either_hand(number) - 1 for number in range(1, GROUPS + 1)])
"""(230,) index of each group, of an enantiomorphic pair that of the lower number."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How much each quantity counts; made by `powderlens calibrate` from simulated patterns.

    Attributes:
        weights: by `QUANTITIES`.
        network: exponent of the network's opinion of the group of a known phase.
        alone: the same for a phase that is not known.
        prior: exponent of mineral share over training share of a group, with which the network's opinion is corrected.
        unknown: log-weight of "none of these", which the pattern's own `noise` does not change.
        correction: (230,) ln of the share of each group among minerals over its share in the network's training.
        minerals: (230,) the former.
        doubt: 0 to 1, weight of the answer without any phase: labels and structures disagree now and then.
        model, library: sha256 of the weights and the library that it was made with.
        made: the command, seed and numbers of patterns.
    """

    weights: dict[str, float]
    network: float
    alone: float
    prior: float
    unknown: float
    doubt: float
    correction: list[float]
    minerals: list[float]
    model: str = ""
    library: str = ""
    made: str = ""

    @classmethod
    def load(cls, path: Path | None = None) -> tuple[Calibration, str]:
        """A calibration and the sha256 of its file; None takes the one that ships.

        Raises:
            InputError: no such file, or not a calibration.
        """
        where = path or Path(str(files("powderlens.identification") / "data" / "calibration.json"))
        try:
            stored: dict[str, Any] = json.loads(where.read_text(encoding="utf-8"))
            made = cls(**stored)
        except (OSError, ValueError, TypeError) as error:
            text = str(error).splitlines()[0]
            raise InputError(f"{where}: not a calibration ({text}); make one with `powderlens calibrate`") from None
        if set(made.weights) != set(QUANTITIES):
            raise InputError(f"{where}: a calibration of another version; make one with `powderlens calibrate`")
        return made, file_sha256(where)

    def save(self, path: Path) -> None:
        """Write it; aside first, then renamed."""
        with atomic_write(path) as aside:
            aside.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    def vector(self) -> Floats:
        """(quantities,) the weights in their order."""
        return np.array([self.weights[name] for name in QUANTITIES])


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of one pattern before it is weighed.

    Attributes:
        quantities: (k, quantities) of each hypothesis with phases.
        group: (k,) index of the space group of its main phase, of an enantiomorphic pair the lower.
        network: (230,) log-probabilities of a network, -inf where it was not taught; None where none was asked.
    """

    quantities: Floats
    group: NDArray[np.int64]
    network: Floats | None


@dataclass(frozen=True, eq=False)
class Posterior:
    """Beliefs that sum to 1 over `known` and `none`.

    Attributes:
        known: (k,) probability of each hypothesis with phases.
        none: (230,) probability of "none of these, and it has this group".
        group: (230,) of each group; 0 for the higher number of an enantiomorphic pair.
        system: (7,) of each crystal system, the sum over its groups.
    """

    known: Floats
    none: Floats
    group: Floats
    system: Floats


def weigh(evidence: Known, calibration: Calibration) -> Posterior:
    """The belief in every hypothesis."""
    opinion = np.full(GROUPS, -np.log(GROUPS))
    if evidence.network is not None:
        opinion = log_softmax(
            np.maximum(evidence.network + calibration.prior * np.array(calibration.correction), -60.0)
        )
    folded = np.full(GROUPS, -np.inf)
    np.logaddexp.at(folded, LOWER, opinion)
    none = log_softmax(np.where(np.isfinite(folded), calibration.alone * folded, -np.inf))
    if not len(evidence.group):
        group = np.exp(none)
        return Posterior(np.zeros(0), group, group, group @ GROUP_TO_SYSTEM)
    exponent = calibration.network if evidence.network is not None else 0.0
    known = evidence.quantities @ calibration.vector() + exponent * folded[evidence.group]
    everything = np.concatenate([known, calibration.unknown + none])
    share = np.exp(log_softmax(everything))
    doubt = calibration.doubt
    p_known, p_none = (1 - doubt) * share[: len(known)], (1 - doubt) * share[len(known) :] + doubt * np.exp(none)
    group = p_none.copy()
    np.add.at(group, evidence.group, p_known)
    return Posterior(p_known, p_none, group, group @ GROUP_TO_SYSTEM)


def tempered(posterior: Posterior, calibration: Calibration, share: float) -> Posterior:
    """A belief of which only a share is left, as something is wrong with the pattern; the rest goes to "none of these",
    spread over the groups as minerals are.
    """
    rest = np.zeros(GROUPS)
    np.add.at(rest, LOWER, np.array(calibration.minerals) / sum(calibration.minerals))
    none = share * posterior.none + (1 - share) * rest
    known = share * posterior.known
    group = share * posterior.group + (1 - share) * rest
    return Posterior(known, none, group, group @ GROUP_TO_SYSTEM)
