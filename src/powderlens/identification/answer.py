"""`Answer`: what powderlens says of a pattern."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class System(NamedTuple):
    """A crystal system and its probability."""

    name: str
    probability: float


class Group(NamedTuple):
    """A space group and its probability."""

    number: int
    symbol: str
    probability: float


class KnownPhase(NamedTuple):
    """A known phase; `score` is the similarity of profiles (0 to 1), `probability` that it is this phase or its like.

    `lines` are its 2theta in degrees at the pattern's wavelength and its intensities (strongest 1).
    """

    name: str
    formula: str
    source: str
    score: float
    probability: float
    lines: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None


@dataclass(frozen=True)
class Answer:
    """Ranked candidates with probabilities.

    Attributes:
        file: where the pattern came from.
        wavelength_A: wavelength used, A.
        model: name of the network; "none" when only the library was asked.
        evidence: what was asked: network, library or all.
        crystal_system: seven, most probable first.
        space_group: most probable first; the probabilities of all 230 sum to 1. Empty where nothing that was
            asked tells groups of one system apart.
        lattice: Niggli cell, A and degrees; empty where nothing that was asked gives one.
        lattice_source: "network", the name of the phase whose cell it is, or "none".
        phases: nearest known phases, best first.
        leans_on: the phase that carries more than half of the belief, or None.
        warnings: what the reader should know.
    """

    file: str
    wavelength_A: float
    model: str
    evidence: str
    crystal_system: list[System]
    space_group: list[Group]
    lattice: dict[str, float]
    lattice_source: str
    phases: list[KnownPhase]
    leans_on: str | None = None
    warnings: list[str] = field(default_factory=list)

    def to_dict(self, *, groups: int = 10) -> dict[str, object]:
        """The answer as plain numbers and strings; the keys are documented in README and never renamed."""
        return {
            "file": self.file,
            "wavelength_A": self.wavelength_A,
            "model": self.model,
            "evidence": self.evidence,
            "warnings": list(self.warnings),
            "crystal_system": [_rounded(system) for system in self.crystal_system],
            "space_group": [_rounded(group) for group in self.space_group[: max(groups, 10)]],
            "lattice": {**{k: round(v, 4) for k, v in self.lattice.items()}, "cell": "niggli"},
            "lattice_source": self.lattice_source,
            "leans_on": self.leans_on,
            "phases": [_rounded(phase) for phase in self.phases],
        }


def _rounded(candidate: System | Group | KnownPhase) -> dict[str, object]:
    """The fields of a candidate as they are written, without lines."""
    digits = {"score": 4, "probability": 6}
    fields = {name: value for name, value in candidate._asdict().items() if name != "lines"}
    return {name: round(value, digits[name]) if name in digits else value for name, value in fields.items()}
