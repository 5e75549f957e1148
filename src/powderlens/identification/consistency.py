"""Whether the parts of an answer agree with each other: system, group, cell and phases are of one set of hypotheses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from powderlens.identification.answer import Answer, Six
from powderlens.symmetry.groups import SYSTEM_OF, SYSTEMS, crystal_system, either_hand, symbol

SAME_ANGLE_DEG, SAME_LENGTH = 1e-3, 1e-4


def contradictions(answer: Answer) -> list[str]:
    """What of an answer contradicts something else in it; nothing, for every answer that `identify` gives."""
    return [*_of_beliefs(answer), *_of_groups(answer), *_of_cell(answer)]


def _of_beliefs(answer: Answer) -> Iterator[str]:
    systems = [one.probability for one in answer.crystal_system]
    if not np.isclose(sum(systems), 1.0, atol=1e-6):
        yield f"systems sum to {sum(systems):.6f}"
    for name, shares in (
        ("groups", [one.probability for one in answer.space_group]),
        ("systems after the first", systems[1:]),
        ("phases", [one.probability for one in answer.phases]),
    ):
        if shares != sorted(shares, reverse=True):
            yield f"{name} are not in the order of their probability"
        if any(not -1e-12 <= share <= 1 + 1e-9 for share in shares):
            yield f"a probability of {name} is not between 0 and 1"
    if answer.leans_on is not None:
        first = answer.phases[0] if answer.phases else None
        if first is None or first.name != answer.leans_on or first.probability <= 0.5:
            yield f"{answer.leans_on}, on which the answer leans, is not first with more than half of the belief"


def _of_groups(answer: Answer) -> Iterator[str]:
    groups = answer.space_group
    if not groups:
        return
    first = groups[0].number
    if answer.crystal_system[0].name != crystal_system(first):
        yield f"first system {answer.crystal_system[0].name}, first group {first}"
    of_system = np.zeros(len(SYSTEMS))
    for group in groups:
        of_system[SYSTEM_OF[group.number]] += group.probability
    said = {one.name: one.probability for one in answer.crystal_system}
    if not np.allclose(of_system, [said[name] for name in SYSTEMS], atol=1e-6):
        yield "systems are not the sums over their groups"
    if answer.extinction_class is None or first not in answer.extinction_class[1]:
        yield f"group {first} is not in the extinction class"


def _of_cell(answer: Answer) -> Iterator[str]:
    inside, cell = answer.best_phases, answer.cell
    if not (bool(inside) == (cell is not None) == (answer.explained is not None) == (answer.rwp is not None)):
        yield "a cell, phases with fractions and a residual are there together or not at all"
    if cell is None or not inside:
        return
    main = inside[0]
    if not answer.lattice_source == cell.source == main.name:
        yield f"the cell is of {cell.source}, the lattice of {answer.lattice_source}, the main phase is {main.name}"
    if not tuple(answer.lattice.values()) == cell.reduced == main.cell.reduced:
        yield "the reduced cells of answer and main phase differ"
    if answer.space_group:
        first = answer.space_group[0].number
        if either_hand(main.space_group) != first:
            yield f"the main phase has group {main.space_group}, the answer {first}"
        if cell.centring != symbol(first)[0]:
            yield f"centring {cell.centring} of the cell, group {first}"
        if not fits_system(cell.conventional, crystal_system(first)):
            yield f"the cell is not {crystal_system(first)}"
    total = sum(phase.fraction or 0.0 for phase in inside) + (answer.amorphous or 0.0)
    if answer.amorphous is None and not np.isclose(total, 1.0, atol=1e-6):
        yield f"fractions sum to {total:.6f}"


def fits_system(cell: Six | Sequence[float], system: str) -> bool:
    """Whether a conventional cell, A and degrees, has the metric of its crystal system; b is a monoclinic axis."""
    a, b, c, alpha, beta, gamma = cell
    right = [abs(angle - 90) < SAME_ANGLE_DEG for angle in (alpha, beta, gamma)]
    ab, bc = abs(a - b) < SAME_LENGTH, abs(b - c) < SAME_LENGTH
    return {
        "triclinic": True,
        "monoclinic": right[0] and right[2],
        "orthorhombic": all(right),
        "tetragonal": all(right) and ab,
        "trigonal": ab and abs(gamma - 120) < SAME_ANGLE_DEG,
        "hexagonal": ab and abs(gamma - 120) < SAME_ANGLE_DEG,
        "cubic": all(right) and ab and bc,
    }[system]
