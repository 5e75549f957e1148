"""The rules by which published data sets chose their crystals, each of which can be left out.

Sources: SimXRD-4M (Cao et al., ICLR 2025), "Crystal Filtering"; AlphaDiffract (2026), section 5.1. What the papers
leave open is decided here and said in each rule's text.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property

import moyopy
import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary_compiled import compiled
from powderlens.core.errors import InputError
from powderlens.crystal.content import TOLERANCE
from powderlens.crystal.expand import FULL, IMPOSSIBLE_A
from powderlens.crystal.label import SYMPREC_A, Symmetry
from powderlens.crystal.nearest import length2, rest
from powderlens.crystal.stability import groups_at
from powderlens.crystal.structure import Structure, cell_from_lattice
from powderlens.symmetry.groups import crystal_system

MAX_SITES = 500
MAX_VOLUME_A3 = 100_000.0
NIGGLI_TOLERANCE = 1e-3
TIGHT = (0.01, 0.1)
LOOSE = (0.1, 5.0)
STEPS = (TIGHT, (0.0215, 0.37), (0.0464, 1.36), LOOSE)
"""From the tightest to the loosest published tolerance (A, degrees), evenly spaced in their logarithms."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A crystal whose symmetry has been found, as the rules see it."""

    symmetry: Symmetry

    @property
    def structure(self) -> Structure:
        """The crystal as the source gives it."""
        return self.symmetry.structure

    @cached_property
    def loose_group(self) -> int | None:
        """Space group at the loosest tolerance."""
        return groups_at(self.symmetry, (LOOSE,))[0]


Objection = Callable[[Candidate], str | None]


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        name: for the command line and the counts.
        text: what it asks for, with its limits.
        objection: why a candidate fails, or None; None in place of a function where the whole collection is needed.
    """

    name: str
    text: str
    objection: Objection | None


def declared_group(structure: Structure) -> int | None:
    """The space group that the source states: by its operators, or as a label.

    The identity alone is no statement: it is how every atom of a cell is listed.
    """
    if len(structure.rotations) > 1 and structure.space_group is not None:
        return structure.space_group
    stated = structure.labels.get("spacegroup")
    if isinstance(stated, int | float | str) and str(stated).strip().isdigit() and 1 <= int(stated) <= 230:
        return int(stated)
    return None


RULES: dict[str, Rule] = {}
"""All rules by name."""


def _rule(name: str, text: str) -> Callable[[Objection], Objection]:
    """Makes a rule of what objects to a candidate."""

    def added(objection: Objection) -> Objection:
        RULES[name] = Rule(name, text, objection)
        return objection

    return added


def _of_kind(kind: str) -> Objection:
    """What of one kind the source states and the crystal is not."""

    def objection(candidate: Candidate) -> str | None:
        return "; ".join(doubt.text for doubt in candidate.structure.doubts if doubt.kind == kind) or None

    return objection


_rule(
    "content",
    f"formula, formula units and density are those that the source states, to {TOLERANCE:.0%}; hydrogen may be missing",
)(_of_kind("content"))
_rule(
    "stated-symmetry",
    "symbol, number and operators that the source states are of one group, in a setting that it makes clear",
)(_of_kind("symmetry"))


@_rule("atoms", f"at most {MAX_SITES} sites in the primitive cell; a shared site counts once")
def _too_many_atoms(candidate: Candidate) -> str | None:
    sites = candidate.symmetry.primitive_sites
    return f"{sites} atoms" if sites > MAX_SITES else None


@_rule(
    "distances",
    f"no two sites, together filled more than {FULL:g}, within {IMPOSSIBLE_A:g} A of each other (the shortest bond "
    "known, H-H, has 0.74 A)",
)
def _too_close(candidate: Candidate) -> str | None:
    structure = candidate.structure
    shortest = float(shortest_distance_A(structure.lattice, structure.frac, structure.occupancy, IMPOSSIBLE_A))
    return f"{shortest:.3f} A" if shortest < IMPOSSIBLE_A else None


@_rule("declared", f"the group that the source declares, where it declares one, is the one found at {SYMPREC_A:g} A")
def _other_than_declared(candidate: Candidate) -> str | None:
    declared, found = declared_group(candidate.structure), candidate.symmetry.number
    return f"declared {declared}, found {found}" if declared not in (None, found) else None


@_rule(
    "broken-symmetry",
    f"no higher group is nearly there: the group at {LOOSE[0]:g} A and {LOOSE[1]:g} degrees, at which the Materials "
    f"Project records groups, is the one at {SYMPREC_A:g} A",
)
def _broken(candidate: Candidate) -> str | None:
    loose, found = candidate.loose_group, candidate.symmetry.number
    return f"{found}, loosely {loose or 'none'}" if loose != found else None


@_rule("stable", "one group at " + ", ".join(f"({a:g} A, {b:g} degrees)" for a, b in STEPS))
def _unstable(candidate: Candidate) -> str | None:
    found = candidate.symmetry.number
    groups = [*groups_at(candidate.symmetry, STEPS[:-1]), candidate.loose_group]
    return f"{found}, then {', '.join(str(g or 'none') for g in groups)}" if set(groups) != {found} else None


@_rule(
    "niggli",
    "lengths and angles of the Niggli cell as given are those that its crystal system makes of it to a relative "
    f"{NIGGLI_TOLERANCE:g}",
)
def _niggli_differs(candidate: Candidate) -> str | None:
    misfit = niggli_misfit(candidate.symmetry)
    if misfit <= NIGGLI_TOLERANCE:
        return None
    return f"not {crystal_system(candidate.symmetry.number)} by {misfit:.2g}"


@_rule("volume", f"conventional cell below {MAX_VOLUME_A3:,.0f} A^3")
def _too_large(candidate: Candidate) -> str | None:
    volume = candidate.symmetry.standard.volume_A3
    return f"{volume:.0f} A^3" if volume >= MAX_VOLUME_A3 else None


DUPLICATES = "the first of each set of equal crystals stays, in the order of the sources"
RULES["duplicates"] = Rule("duplicates", DUPLICATES, None)

SOURCE_RULES = ("content", "stated-symmetry")
"""Rules by which a crystal is left out that its source contradicts; ours, and first in every protocol."""

PROTOCOLS: dict[str, tuple[str, ...]] = {
    "simxrd": (*SOURCE_RULES, "atoms", "distances", "declared", "broken-symmetry", "duplicates"),
    "alphadiffract": (*SOURCE_RULES, "atoms", "distances", "stable", "niggli", "volume"),
}
"""Rules of each protocol, in the order in which a crystal meets them."""


def chosen_rules(protocol: str, without: Collection[str] = ()) -> tuple[Rule, ...]:
    """Rules of a protocol less those left out.

    Raises:
        InputError: no such protocol, or a rule that it does not have.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"protocol {protocol!r}: there are {', '.join(PROTOCOLS)}")
    names = PROTOCOLS[protocol]
    for name in without:
        if name not in names:
            raise InputError(f"rule {name!r}: {protocol} has {', '.join(names)}; leave out one of these")
    return tuple(RULES[name] for name in names if name not in without)


def niggli_misfit(symmetry: Symmetry) -> float:
    """Largest relative difference between the Niggli cell as given and the one refined to its space group.

    Both are taken in the basis that reduces the refined lattice, so that a change of reduction is no difference.
    """
    refined = symmetry.primitive.lattice
    reduced, _ = moyopy.niggli_reduce(refined.tolist())
    change = np.round(np.array(reduced) @ np.linalg.inv(refined))
    given = np.array(cell_from_lattice(change @ symmetry.primitive_basis_A))
    wanted = np.array(cell_from_lattice(change @ refined))
    return float(np.abs(given / wanted - 1).max())


@compiled
def shortest_distance_A(  # type: ignore[no-untyped-def]
    lattice: NDArray[np.float64], frac: NDArray[np.float64], occupancy: NDArray[np.float64], limit_A: float
):
    """Shortest distance below a limit, A, of two atoms that cannot both be there; the limit where there is none.

    Args:
        lattice: (3, 3), rows are the cell vectors, A.
        frac: (n, 3).
        occupancy: (n,); atoms that fill at most `FULL` together may lie where they like.
        limit_A: how far to look; cells whose planes are closer than this are looked at one cell far.
    """
    best = limit_A * limit_A
    n = len(frac)
    for i in range(n):
        for j in range(i, n):
            if occupancy[i] + occupancy[j] <= FULL:
                continue
            x, y, z = rest(frac[i], frac[j])
            for a in range(-1, 2):
                for b in range(-1, 2):
                    for c in range(-1, 2):
                        if i != j or a != 0 or b != 0 or c != 0:
                            best = min(best, length2(x + a, y + b, z + c, lattice))
    return np.sqrt(best)
