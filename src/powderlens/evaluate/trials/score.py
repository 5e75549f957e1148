"""Whether an answer is right: what it says, as it is written, against what the pattern was drawn of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from powderlens.core.cell import CELL_NAMES
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.same_cell import same_lattice
from powderlens.crystal.structure import Structure
from powderlens.crystal.structure_type import structure_type
from powderlens.evaluate.trials.pool import reduced_of
from powderlens.evaluate.trials.trial import Trial, TruePhase
from powderlens.library.store import PhaseLibrary
from powderlens.symmetry.groups import crystal_system, either_hand

SURE = 0.9
"""An answer with a higher probability is a confident one."""
COUNTS = 0.05
"""Share of the intensity from which on a phase must be named."""
FRACTION_ERROR = 0.05
"""Absolute."""
LEAST_PROBABILITY = 1e-6
"""What a group that is not listed is taken to have, where the rest leaves nothing."""

HYDROGEN = ("H", "D")

Answer = Mapping[str, Any]
"""What `Answer.to_dict` gives; keys that are missing count as not said."""


@dataclass(frozen=True, kw_only=True)
class Named:
    """What became of one true phase.

    Attributes:
        intensity_share: of it.
        right: some phase of the answer has its structure type, and its cell to 0.5 % and 0.5 degrees.
        exact: that phase is the library's entry that it was drawn of.
        fraction_error: of its weight fraction, absolute; None where it is not named, or no fraction is given.
    """

    intensity_share: float
    right: bool
    exact: bool
    fraction_error: float | None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One answer, judged. Figures of group, system and cell are those of the strongest true phase.

    Attributes:
        kind: of the trial.
        system, group, in_five: the first answer, or one of the first five groups, is right; mirror images are one
            group.
        cell: the answer's cell is the true one to 0.5 % and 0.5 degrees.
        probability: that the answer gives its first group; 0 without groups.
        of_truth: that it gives the true group.
        phases: the true phases, in the trial's order.
        answered: phases of the best answer.
        first: the phase that the answer lists first is a true one.
        named_first: it has the name of a true one.
        first_probability: that the answer gives it.
        false: those of them that are no true phase, nor the protocol's trace of one.
        flagged: the answer says that something is wrong and is not sure of a group.
        lines: see `Trial`.
    """

    kind: str
    system: bool
    group: bool
    in_five: bool
    cell: bool
    probability: float
    of_truth: float
    phases: tuple[Named, ...]
    answered: int
    first: bool
    named_first: bool
    first_probability: float
    false: int
    flagged: bool
    lines: int | None = None

    @property
    def sure(self) -> bool:
        """Whether the answer is confident of a group."""
        return self.probability > SURE


class StructureTypes:
    """Structure types of phases by their rows; each is found once.

    Args:
        structure_of: the crystal of a row.
    """

    def __init__(self, structure_of: Callable[[int], Structure]) -> None:
        self._structure_of = structure_of
        self._known: dict[int, tuple[str, str]] = {}

    def same(self, row: int, true: TruePhase) -> bool:
        """Whether the phase of a row is a true one, or has its structure type, of which hydrogen may be no part: many
        entries leave it out, and X-rays hardly see it.
        """
        if row == true.row:
            return True
        of_true = _types_of(true.structure) if true.row < 0 else self._of(true.row)
        return any(own == other for own, other in zip(self._of(row), of_true, strict=True))

    def _of(self, row: int) -> tuple[str, str]:
        if row not in self._known:
            self._known[row] = _types_of(self._structure_of(row))
        return self._known[row]


class Judge:
    """Scores answers that name rows of one library."""

    def __init__(self, library: PhaseLibrary) -> None:
        self.library = library
        self._types = StructureTypes(library.structure)

    def score(self, answer: Answer, trial: Trial) -> Verdict:
        """Hold an answer against the truth."""
        groups = _by_group(answer.get("space_group") or [])
        order = sorted(groups, key=lambda number: -groups[number])
        probability = groups[order[0]] if order else 0.0
        said = _answered(answer)
        matches = [[self._is(phase, answer, true) for true in trial.phases] for phase in said]
        strangers = [
            not any(match) and not self._is_trace(phase, trial) for phase, match in zip(said, matches, strict=True)
        ]
        leading = next(iter(answer.get("phases") or []), None)
        first = trial.phases[0] if trial.phases else None
        true_group = 0 if first is None else _lower(first.space_group)
        systems = answer.get("crystal_system") or []
        return Verdict(
            kind=trial.kind,
            system=bool(first and systems and systems[0]["name"] == crystal_system(first.space_group)),
            group=bool(first and order and order[0] == true_group),
            in_five=bool(first and true_group in order[:5]),
            cell=bool(first and _same(_reduced(answer.get("cell")), first)),
            probability=probability,
            of_truth=groups.get(true_group, max(1.0 - sum(groups.values()), 0.0)),
            phases=tuple(
                self._named(true, [phase for phase, match in zip(said, matches, strict=True) if match[at]])
                for at, true in enumerate(trial.phases)
            ),
            answered=len(said),
            first=leading is not None and any(self._is(leading, answer, true) for true in trial.phases),
            named_first=leading is not None and any(_has_name(leading, true) for true in trial.phases),
            first_probability=0.0 if leading is None else float(leading.get("probability") or 0.0),
            false=sum(strangers),
            flagged=bool(answer.get("abstains")) and probability <= SURE,
            lines=trial.lines,
        )

    def _named(self, true: TruePhase, said: Sequence[Mapping[str, Any]]) -> Named:
        best = min(said, key=lambda phase: phase["row"] != true.row, default=None)
        fraction = None if best is None else best.get("fraction")
        return Named(
            intensity_share=true.intensity_share,
            right=best is not None,
            exact=best is not None and best["row"] == true.row,
            fraction_error=None if fraction is None else abs(float(fraction) - true.weight_fraction),
        )

    def _is(self, phase: Mapping[str, Any], answer: Answer, true: TruePhase) -> bool:
        """Whether a phase of an answer is a true one: the same structure type, and the same cell as refined."""
        row = int(phase["row"])
        reduced = _reduced(phase.get("cell"))
        if reduced is None and phase.get("name") == (answer.get("cell") or {}).get("source"):
            reduced = _reduced(answer["cell"])
        if reduced is None:
            entry = reduced_of(self.library.cell[row], int(self.library.space_group[row]))
            stretched = 1.0 + float(phase.get("strain") or 0.0)
            reduced = (*(length * stretched for length in entry[:3]), *entry[3:])
        if not _same(reduced, true):
            return False
        return self._types.same(row, true)

    def _is_trace(self, phase: Mapping[str, Any], trial: Trial) -> bool:
        return bool(trial.impurity) and self.library.name(int(phase["row"])).casefold() == trial.impurity.casefold()


def summary(verdicts: Iterable[Verdict]) -> dict[str, dict[str, float]]:
    """Figures for each kind of trial; a share of nothing is left out.

    Returns:
        Kind -> `patterns`; of all: `flagged`, `sure`, `sure_and_wrong`; of those with phases: `system`, `group`,
        `in_five`, `cell`, `phase_first`, `log_loss`, and of the sure ones `sure_right`; of phases over 5 % of the
        intensity: `named`, `exact`; of all named ones with a fraction: `fraction_within` 5 %; of all phases in answers:
        `false_phases`; of all patterns: `with_false_phase`, and `more_phases` than there are.
    """
    by_kind: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_kind.setdefault(verdict.kind, []).append(verdict)
    return {kind: _figures(found) for kind, found in sorted(by_kind.items())}


def _figures(found: Sequence[Verdict]) -> dict[str, float]:
    out: dict[str, float] = {"patterns": len(found)}
    crystals = [v for v in found if v.phases]
    phases = [phase for v in found for phase in v.phases if phase.intensity_share >= COUNTS]
    errors = [phase.fraction_error for v in found for phase in v.phases if phase.fraction_error is not None]
    answered = sum(v.answered for v in found)
    shares: dict[str, list[float]] = {
        "flagged": [v.flagged for v in found],
        "sure": [v.sure for v in found],
        "sure_and_wrong": [v.sure and not v.group for v in found],
        "sure_right": [v.group for v in crystals if v.sure],
        "system": [v.system for v in crystals],
        "group": [v.group for v in crystals],
        "in_five": [v.in_five for v in crystals],
        "cell": [v.cell for v in crystals],
        "phase_first": [v.first for v in crystals],
        "log_loss": [-float(np.log(max(v.of_truth, LEAST_PROBABILITY))) for v in crystals],
        "named": [phase.right for phase in phases],
        "exact": [phase.exact for phase in phases],
        "fraction_within": [error <= FRACTION_ERROR for error in errors],
        "with_false_phase": [v.false > 0 for v in found],
        "more_phases": [v.answered > len(v.phases) for v in found],
    }
    out |= {name: float(np.mean(values)) for name, values in shares.items() if values}
    if answered:
        out["false_phases"] = sum(v.false for v in found) / answered
    return out


def _has_name(phase: Mapping[str, Any], true: TruePhase) -> bool:
    return bool(true.name) and str(phase.get("name", "")).casefold() == true.name.casefold()


def _answered(answer: Answer) -> list[Mapping[str, Any]]:
    """The phases of the best answer: those with a fraction; where none has one, the first that it leans on."""
    phases = [phase for phase in answer.get("phases") or [] if phase.get("row") is not None]
    inside = [phase for phase in phases if phase.get("fraction") is not None]
    return inside or (phases[:1] if answer.get("leans_on") else [])


def _by_group(groups: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """Probability of each group, mirror images together under their lower number."""
    out: dict[int, float] = {}
    for group in groups:
        number = _lower(int(group["number"]))
        out[number] = out.get(number, 0.0) + float(group["probability"])
    return out


def _lower(number: int) -> int:
    return either_hand(number)


def _reduced(cell: Mapping[str, Any] | None) -> tuple[float, ...] | None:
    """The reduced cell of what an answer says of a cell; None where it says nothing."""
    found = (cell or {}).get("reduced")
    return tuple(float(found[name]) for name in CELL_NAMES) if found else None


def _same(reduced: Sequence[float] | None, true: TruePhase) -> bool:
    return reduced is not None and bool(same_lattice(true.reduced, [reduced])[0])


def _types_of(structure: Structure) -> tuple[str, str]:
    """Structure type, and that without hydrogen."""
    whole = structure_type(find_symmetry(structure))
    heavy = np.array([element not in HYDROGEN for element in structure.elements])
    if heavy.all() or not heavy.any():
        return whole, whole
    bare = replace(
        structure,
        elements=tuple(element for element in structure.elements if element not in HYDROGEN),
        frac=structure.frac[heavy],
        occupancy=structure.occupancy[heavy],
        u_iso_A2=structure.u_iso_A2[heavy],
        beta=None,
    )
    return whole, structure_type(find_symmetry(bare))
