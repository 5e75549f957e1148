"""What network and library say of measured patterns, and how loudly each should speak: the choice of the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.identification.evidence import SYSTEM_OF_GROUP, Evidence, Prediction, Weights, join, system_belief
from powderlens.identification.identify import BATCH, Asked, Identifier
from powderlens.library.search import Matches
from powderlens.pattern.pattern import Pattern


@dataclass(frozen=True, eq=False)
class Gathered:
    """What network and library say of n patterns.

    Attributes:
        answered: (n,) rows of the set that could be prepared.
        prediction: of the network.
        matches: of the library.
    """

    answered: NDArray[np.int64]
    prediction: Prediction
    matches: Matches

    def take(self, at: NDArray[np.int64]) -> Gathered:
        """A part of it."""
        return Gathered(self.answered[at], self.prediction.take(at), self.matches.take(at))

    def belief(self, evidence: Evidence, weights: Weights) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n, 7) probabilities of the systems and (n, 230) of the groups."""
        asked = None if evidence == "library" else self.prediction
        group = join(asked, None if evidence == "network" else self.matches, weights)[0]
        return system_belief(group, asked, weights), group


def gather(identifier: Identifier, patterns: Sequence[Pattern]) -> Gathered:
    """Ask network and library about all patterns; those that cannot be prepared are left out.

    Raises:
        InputError: not one is left.
    """
    assert identifier.search is not None
    answered: list[int] = []
    inputs: list[Asked] = []
    for i, pattern in enumerate(patterns):
        try:
            inputs.append(identifier.prepare(pattern))
        except InputError:
            continue
        answered.append(i)
    if not answered:
        raise InputError("not one of the patterns can be answered")
    said = [identifier.evidence_of(inputs[i : i + BATCH]) for i in range(0, len(inputs), BATCH)]
    prediction = Prediction.joined([p for p, _ in said if p is not None])
    found = [m for _, m in said if m is not None]
    matches = Matches(
        np.concatenate([m.row for m in found]),
        np.concatenate([m.score for m in found]),
        np.concatenate([m.group for m in found]),
        found[0].group_share,
    )
    return Gathered(np.array(answered, np.int64), prediction, matches)


def choose_weights(gathered: Gathered, truth: NDArray[np.int64]) -> Weights:
    """The six weights of least mean log loss of group and system, over network alone and all evidence.

    Args:
        gathered: evidence for n patterns.
        truth: (n,) their space-group indices from 0.
    """
    from scipy.optimize import minimize

    system = SYSTEM_OF_GROUP[truth]
    index = np.arange(len(truth))

    def weights_of(p: NDArray[np.float64]) -> Weights:
        return Weights(
            temperature=float(np.exp(p[0])),
            system_pull=float(1 / (1 + np.exp(-p[1]))),
            sharpness=float(np.exp(p[2])),
            unknown=float(p[3]),
            kinship=float(1 / (1 + np.exp(-p[4]))),
            doubt=float(1 / (1 + np.exp(-p[5]))),
        )

    def loss(p: NDArray[np.float64]) -> float:
        total = 0.0
        kinds: tuple[Evidence, ...] = ("network", "all")
        for evidence in kinds:
            systems, groups = gathered.belief(evidence, weights_of(p))
            total -= np.log(groups[index, truth] + 1e-9).mean() + np.log(systems[index, system] + 1e-9).mean()
        return float(total)

    start = np.array([-0.1, -1.0, 4.7, -31.0, -0.3, -1.4])
    found = minimize(
        loss, start, method="Nelder-Mead", options={"maxiter": 500, "xatol": 0.01, "fatol": 1e-4, "adaptive": True}
    )
    return weights_of(found.x)
