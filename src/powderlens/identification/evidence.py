"""Where evidence is joined: log-probabilities of the network and of the library, added.

Every source speaks as a score for each space group; a further one (cell, mixture) becomes one more term of `join`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from powderlens.core.files import atomic_write
from powderlens.library.search import Matches
from powderlens.models.task import Task, extinction_class
from powderlens.symmetry.groups import SYSTEM_OF

Evidence = Literal["network", "library", "all"]
EVIDENCE: tuple[Evidence, ...] = ("network", "library", "all")

Floats = NDArray[np.float64]

GROUPS = 230
SYSTEM_OF_GROUP = np.array(SYSTEM_OF[1:])
GROUP_TO_SYSTEM = np.eye(7)[SYSTEM_OF_GROUP]

_PART_OF = {"crystal_system": "system_logits", "extinction_class": "class_logits", "lattice": "niggli"}
"""Where the answer to a task goes in a `Prediction`."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Prediction:
    """What a network says of b patterns; a part is None where it has no such head.

    Attributes:
        system_logits: (b, 7) of the crystal systems.
        group_logits: (b, 230) of the space groups, -inf for those that it was not taught.
        class_logits: (b, 120) of the extinction classes.
        niggli: (b, 6) Niggli cell, A and degrees.
    """

    system_logits: NDArray[Any] | None = None
    group_logits: NDArray[Any] | None = None
    class_logits: NDArray[Any] | None = None
    niggli: NDArray[Any] | None = None

    @classmethod
    def of(cls, tasks: Sequence[Task], answers: Mapping[str, NDArray[Any]]) -> Self:
        """The answers of a network.

        Args:
            tasks: of its heads.
            answers: by task name, as `powderlens.models.runtime.Model` gives them.
        """
        parts: dict[str, NDArray[Any]] = {}
        for task in tasks:
            said = answers[task.name]
            if task.name == "space_group":
                parts["group_logits"] = np.full((len(said), GROUPS), -np.inf, said.dtype)
                parts["group_logits"][:, np.array(task.classes) - 1] = said
            elif task.name in _PART_OF:
                parts[_PART_OF[task.name]] = said
        return cls(**parts)

    def take(self, at: Any) -> Self:
        """Of some of the patterns."""
        return replace(self, **{name: part[at] for name, part in self._parts().items()})

    @classmethod
    def joined(cls, several: Sequence[Self]) -> Self:
        """One of several, which have the same parts."""
        return cls(**{name: np.concatenate([one._parts()[name] for one in several]) for name in several[0]._parts()})

    def _parts(self) -> dict[str, NDArray[Any]]:
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}


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
        """The weights that ship with powderlens, chosen for the network that ships."""
        return cls(**_stored()["weights"])


def weights_for(model: str) -> tuple[Weights, bool]:
    """The shipped weights for a network, and whether they were chosen for it.

    Another one's logits are taken as they are (temperature 1, no pull), and the library speaks as loudly as it does
    beside the network that ships.
    """
    weights = Weights.load()
    if _stored()["model"] == model:
        return weights, True
    return replace(weights, temperature=1.0, system_pull=0.0), False


def _stored() -> dict[str, Any]:
    stored: dict[str, Any] = json.loads((files("powderlens.identification") / "data" / "weights.json").read_text())
    return stored


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


def group_belief(prediction: Prediction, weights: Weights) -> Floats | None:
    """(b, 230) log-probabilities of the space groups after a network alone; None where it says nothing of symmetry.

    The head of space groups speaks. Without one, that of extinction classes does, and without either that of crystal
    systems: what it gives a class or system is shared evenly among the groups in it, which it cannot tell apart.
    """
    if prediction.group_logits is not None:
        return log_softmax(prediction.group_logits.astype(float) / weights.temperature)
    if prediction.class_logits is not None:
        logits, of_group = prediction.class_logits, _class_of_group()
    elif prediction.system_logits is not None:
        logits, of_group = prediction.system_logits, SYSTEM_OF_GROUP
    else:
        return None
    share = -np.log(np.bincount(of_group)[of_group])
    return log_softmax(logits.astype(float) / weights.temperature)[:, of_group] + share


@cache
def _class_of_group() -> NDArray[np.int64]:
    """(230,) place of each group's extinction class among the classes."""
    return extinction_class().labels(np.arange(1, GROUPS + 1))


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
    if prediction is None or prediction.system_logits is None:
        return marginal
    alone = group_belief(prediction, weights)
    assert alone is not None
    head = log_softmax(prediction.system_logits.astype(float) / weights.temperature)
    own = np.exp(alone) @ GROUP_TO_SYSTEM
    pull = weights.system_pull * (head - np.log(own + 1e-12))
    return np.exp(log_softmax(np.log(marginal + 1e-12) + pull))


def join(prediction: Prediction | None, matches: Matches | None, weights: Weights) -> tuple[Floats, Floats]:
    """One belief from all sources.

    A phase speaks for its group with exp(sharpness (similarity - 1)); "none of the library" speaks for every group,
    a little louder for those that are common in the library; the network's probability of the group multiplies both.
    Without a network that speaks of symmetry all groups are alike.

    Args:
        prediction: of the network for b patterns, or None.
        matches: of the library, k for each pattern, or None.
        weights: see there.

    Returns:
        (b, 230) probabilities of the groups, (b, k) probabilities of the phases (k = 0 without a library).
    """
    prior = None if prediction is None else group_belief(prediction, weights)
    if prior is None:
        assert matches is not None
        prior = np.full((len(matches.row), GROUPS), -np.log(GROUPS))
    if matches is None:
        return np.exp(prior), np.zeros((len(prior), 0))
    b = np.arange(len(prior))[:, None]
    kin = np.exp(prior) * (GROUPS * matches.group_share) ** weights.kinship
    speak = np.exp(weights.sharpness * (matches.score.astype(float) - 1.0))
    support = np.zeros_like(prior)
    np.add.at(support, (b, matches.group - 1), speak)
    joint = np.exp(prior) * support + np.exp(weights.unknown) * kin
    total = joint.sum(axis=1, keepdims=True)
    phase = np.exp(prior[b, matches.group - 1]) * speak / total
    unknown = kin / kin.sum(axis=1, keepdims=True)
    return (1 - weights.doubt) * joint / total + weights.doubt * unknown, (1 - weights.doubt) * phase
