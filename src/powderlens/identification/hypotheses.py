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
    "residual",
    "support",
    "choice",
)
"""What the log-weight of a set of phases is linear in:
agreement, the cosine of measured and calculated square-root profiles, freed of the noise; misfit, ln(1 - agreement^2);
scale and shape, the strain against the entry's cell, its mean and the rest, each as ln(1 + (strain / sd)^2) with the sd
of measured (0.3 %) or calculated (1.5 %) crystals; shift, as ln(1 + (shift / 0.1 degrees)^2);
missing, the share of strong lines that are not there; lines, the logarithm of the number of lines in the range (a phase
with many fits anything); texture, |ln r|; calculated, 1 for an entry that was not measured; determinations, the
logarithm of how many entries are this phase; more_phases, how many phases there are beside the first; residual, the
logarithm of the mean square of residuals over what noise and imperfect strengths lead one to expect, see
`candidates.residual`; support, for each phase beside the first the logarithm of the squares that it takes away, see
`mixtures`; choice, for each phase the logarithm of how many the library was searched for, over 100,000: of few, chance
finds fewer that fit."""
SHIFT_SD_DEG = 0.1

MIRROR_OF: Mapping[int, int] = dict(ENANTIOMORPHS)
LOWER: NDArray[np.int64] = np.array([either_hand(number) - 1 for number in range(1, GROUPS + 1)])
"""(230,) index of each group, of an enantiomorphic pair that of the lower number."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How much each quantity counts; made by `powderlens calibrate` from simulated patterns.

    Attributes:
        weights: by `QUANTITIES`.
        network: exponent of the network's opinion of the group of a known phase, where it is quite sure of a group; it
            falls with the network's highest probability, see `told`.
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
    network, exponent = np.full(GROUPS, -np.log(GROUPS)), 0.0
    if evidence.network is not None:
        network = corrected(evidence.network, calibration.prior, np.array(calibration.correction))
        exponent = calibration.network
    folded, none = of_groups(network[None], calibration.alone)
    if not len(evidence.group):
        group = np.exp(none[0])
        return Posterior(np.zeros(0), group, group, group @ GROUP_TO_SYSTEM)
    known = evidence.quantities @ calibration.vector() + exponent * told(folded, evidence.group[None])[0]
    found, nothing, group = (
        part[0] for part in shared_out(known[None], evidence.group[None], none, calibration.unknown, calibration.doubt)
    )
    return Posterior(found, nothing, group, group @ GROUP_TO_SYSTEM)


def corrected(network: Floats, prior: float, correction: Floats) -> Floats:
    """(..., 230) a network's log-probabilities of the groups, its training prior exchanged for that of minerals.

    Args:
        network: (..., 230) as it gives them; -inf for groups that it was not taught.
        prior: exponent of the correction.
        correction: (230,) see `Calibration`.
    """
    return log_softmax(np.maximum(network + prior * correction, -60.0))


def of_groups(opinion: Floats, alone: float) -> tuple[Floats, Floats]:
    """An opinion in which mirror images are one group, -inf for the higher of a pair; and the log-probability of each
    group for a phase that is not known; (n, 230) both.

    Args:
        opinion: (n, 230) log-probabilities.
        alone: its exponent where no phase is known.
    """
    folded = np.full_like(opinion, -np.inf)
    for group, lower in enumerate(LOWER.tolist()):
        folded[:, lower] = np.logaddexp(folded[:, lower], opinion[:, group])
    return folded, log_softmax(np.where(np.isfinite(folded), alone * folded, -np.inf))


def told(folded: Floats, group: NDArray[np.int64]) -> Floats:
    """(n, k) what an opinion says of the groups of hypotheses: its log-probabilities times its highest probability, for
    an opinion that is sure of nothing says little.

    Args:
        folded: (n, 230) log-probabilities, mirror images being one group.
        group: (n, k) index of the group of each hypothesis.
    """
    sure = np.exp(folded.max(axis=1, keepdims=True))
    return np.asarray(sure * np.take_along_axis(folded, group, axis=1))


def shared_out(
    known: Floats, group: NDArray[np.int64], none: Floats, unknown: float, doubt: float
) -> tuple[Floats, Floats, Floats]:
    """Probabilities of n patterns' hypotheses.

    Args:
        known: (n, k) log-weights of hypotheses with phases; -inf where there is none.
        group: (n, k) index of the group of each.
        none: (n, 230) log-probabilities of the groups of a phase that is not known.
        unknown: log-weight of "none of these".
        doubt: weight of the answer without any phase.

    Returns:
        (n, k) of hypotheses, (n, 230) of none, by group, and (n, 230) of groups.
    """
    share = np.exp(log_softmax(np.concatenate([known, unknown + none], axis=1)))
    k = known.shape[1]
    p_known, p_none = (1 - doubt) * share[:, :k], (1 - doubt) * share[:, k:] + doubt * np.exp(none)
    p_group = p_none.copy()
    np.add.at(p_group, (np.arange(len(known))[:, None], group), p_known)
    return p_known, p_none, p_group


def likeliest(posterior: Posterior, of_group: NDArray[np.int64], group: int) -> int | None:
    """Place of the likeliest hypothesis whose main phase has a group; None where "none of these" is likelier than all
    of them together.

    Args:
        posterior: the beliefs.
        of_group: (k,) index of the group of each hypothesis with phases.
        group: index of the group.
    """
    own = of_group == group
    if not own.any() or posterior.none[group] > posterior.known[own].sum():
        return None
    return int(np.argmax(np.where(own, posterior.known, -1.0)))


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
