"""Where evidence is joined: log-probabilities of the network and of the library, added.

Every source speaks as a score for each space group; a further one (cell, mixture) becomes one more term of `join`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from powderlens.core.files import atomic_write
from powderlens.library.search import Matches
from powderlens.models.runtime import Prediction
from powderlens.symmetry.groups import SYSTEM_OF

Evidence = Literal["network", "library", "all"]
EVIDENCE: tuple[Evidence, ...] = ("network", "library", "all")

Floats = NDArray[np.float64]

SYSTEM_OF_GROUP = np.array(SYSTEM_OF[1:])
GROUP_TO_SYSTEM = np.eye(7)[SYSTEM_OF_GROUP]


@dataclass(frozen=True, kw_only=True)
class Weights:
    """How loudly each source speaks; chosen on validation patterns (`data/weights.json` says which and how).

    Attributes:
        temperature: divides the network's logits.
        system_pull: 0 to 1, how far the network's system head corrects the systems that follow from the groups.
        sharpness: log-weight of a phase per unit of similarity.
        unknown: log-weight of "none of the library", relative to a phase of similarity 1.
        kinship: 0 to 1, how far an unknown phase is thought to fall into the groups that are common in the library.
        doubt: 0 to 1, weight of the answer without any phase, however similar one is: labels and structures
            disagree now and then.
    """

    temperature: float
    system_pull: float
    sharpness: float
    unknown: float
    kinship: float
    doubt: float

    @classmethod
    def load(cls) -> Weights:
        """The weights that ship with powderlens."""
        stored = json.loads((files("powderlens.identification") / "data" / "weights.json").read_text())
        return cls(**stored["weights"])


def write_weights(path: Path, weights: Weights, *, chosen_on: str, model: str) -> None:
    """Write weights with what chose them."""
    stored = {
        "model": model,
        "chosen_on": f"{chosen_on}: least log loss of group and system, network alone and all evidence",
        "command": f"powderlens evaluate measured {chosen_on} --choose-weights {path.name}",
        "weights": {name: round(value, 4) for name, value in asdict(weights).items()},
    }
    with atomic_write(path) as aside:
        aside.write_text(json.dumps(stored, indent=2) + "\n")


def log_softmax(logits: Floats) -> Floats:
    """Log-probabilities along the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def system_belief(group: Floats, prediction: Prediction | None, weights: Weights) -> Floats:
    """(b, 7) probabilities of the crystal systems.

    They follow from the groups, corrected by what the network's system head says otherwise than its group head: two
    heads err less than one. So they need not add up to the groups' to the last digit.

    Args:
        group: (b, 230) joint probabilities of the groups.
        prediction: of the network, or None.
        weights: see there.
    """
    marginal = group @ GROUP_TO_SYSTEM
    if prediction is None:
        return marginal
    head = log_softmax(prediction.system_logits.astype(float) / weights.temperature)
    own = np.exp(log_softmax(prediction.group_logits.astype(float) / weights.temperature)) @ GROUP_TO_SYSTEM
    pull = weights.system_pull * (head - np.log(own + 1e-12))
    return np.exp(log_softmax(np.log(marginal + 1e-12) + pull))


def join(prediction: Prediction | None, matches: Matches | None, weights: Weights) -> tuple[Floats, Floats]:
    """One belief from all sources.

    A phase speaks for its group with exp(sharpness (similarity - 1)); "none of the library" speaks for every group,
    a little louder for those that are common in the library; the network's probability of the group multiplies both.
    Without a network all groups are alike.

    Args:
        prediction: of the network for b patterns, or None.
        matches: of the library, k for each pattern, or None.
        weights: see there.

    Returns:
        (b, 230) probabilities of the groups, (b, k) probabilities of the phases (k = 0 without a library).
    """
    if prediction is not None:
        prior = log_softmax(prediction.group_logits.astype(float) / weights.temperature)
    else:
        assert matches is not None
        prior = np.full((len(matches.row), 230), -np.log(230.0))
    if matches is None:
        return np.exp(prior), np.zeros((len(prior), 0))
    b = np.arange(len(prior))[:, None]
    kin = np.exp(prior) * (230 * matches.group_share) ** weights.kinship
    speak = np.exp(weights.sharpness * (matches.score.astype(float) - 1.0))
    support = np.zeros_like(prior)
    np.add.at(support, (b, matches.group - 1), speak)
    joint = np.exp(prior) * support + np.exp(weights.unknown) * kin
    total = joint.sum(axis=1, keepdims=True)
    phase = np.exp(prior[b, matches.group - 1]) * speak / total
    unknown = kin / kin.sum(axis=1, keepdims=True)
    return (1 - weights.doubt) * joint / total + weights.doubt * unknown, (1 - weights.doubt) * phase
