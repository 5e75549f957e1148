"""What a network says of a pattern's space group, as one log-probability for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from powderlens.models.task import Task, extinction_class
from powderlens.symmetry.groups import SYSTEM_OF

Evidence = Literal["network", "library", "all"]
EVIDENCE: tuple[Evidence, ...] = ("network", "library", "all")

Floats = NDArray[np.float64]

GROUPS = 230
SYSTEM_OF_GROUP = np.array(SYSTEM_OF[1:])
GROUP_TO_SYSTEM = np.eye(7)[SYSTEM_OF_GROUP]

SYSTEM_PULL = 0.3
"""How far a network's head of systems corrects its head of groups, 0 to 1."""

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


def log_softmax(logits: Floats) -> Floats:
    """Log-probabilities along the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def group_belief(prediction: Prediction) -> Floats | None:
    """(b, 230) log-probabilities of the space groups after a network alone; None where it says nothing of symmetry.

    The head of space groups speaks. Without one, that of extinction classes does, and without either that of crystal
    systems: what it gives a class or system is shared evenly among the groups in it, which it cannot tell apart.
    """
    if prediction.group_logits is not None:
        return log_softmax(prediction.group_logits.astype(float))
    if prediction.class_logits is not None:
        logits, of_group = prediction.class_logits, _class_of_group()
    elif prediction.system_logits is not None:
        logits, of_group = prediction.system_logits, SYSTEM_OF_GROUP
    else:
        return None
    share = -np.log(np.bincount(of_group)[of_group])
    return log_softmax(logits.astype(float))[:, of_group] + share


@cache
def _class_of_group() -> NDArray[np.int64]:
    """(230,) place of each group's extinction class among the classes."""
    return extinction_class().labels(np.arange(1, GROUPS + 1))


def network_opinion(prediction: Prediction) -> Floats | None:
    """(230,) log-probabilities of the groups of one pattern; None where the network says nothing of symmetry.

    What its head of crystal systems says otherwise than its head of groups corrects the groups: two heads err less than
    one.
    """
    belief = group_belief(prediction)
    if belief is None:
        return None
    alone = belief[0]
    if prediction.system_logits is None or prediction.group_logits is None:
        return alone
    head = log_softmax(prediction.system_logits[0].astype(float))
    own = np.log(np.exp(alone) @ GROUP_TO_SYSTEM + 1e-12)
    return log_softmax(alone + SYSTEM_PULL * (head - own)[SYSTEM_OF_GROUP])
