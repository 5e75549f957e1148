"""A `Structure` of what readers find: of every atom of a cell, or of the sites that symmetry makes the others from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from powderlens.crystal.expand import Sites, check_sites
from powderlens.crystal.operators import Operators
from powderlens.crystal.structure import BAD_RECORD, Reject, Structure, right_handed


def whole_cell(
    lattice: NDArray[np.float64],
    elements: Sequence[str],
    frac: ArrayLike,
    occupancy: ArrayLike | None = None,
    **more: Any,
) -> Structure:
    """A structure of all its atoms, without symmetry and displacements, as most databases list them.

    Args:
        lattice: (3, 3), rows are the cell vectors of either hand, A.
        elements: n symbols.
        frac: (n, 3).
        occupancy: (n,); 1 unless given.
        more: other fields of the structure.

    Raises:
        StructureError: vectors that are no cell, two atoms on one site, or what `Structure` refuses.
    """
    lattice, places = right_handed(lattice, np.array(frac, dtype=float).reshape(-1, 3))
    filled = np.ones(len(elements)) if occupancy is None else np.array(occupancy, dtype=float)
    check_sites(lattice, elements, places, filled)
    unknown = np.full(len(elements), np.nan)
    return Structure(lattice=lattice, elements=tuple(elements), frac=places, occupancy=filled, u_iso_A2=unknown, **more)


def symmetric_cell(lattice: NDArray[np.float64], sites: Sites, operators: Operators, **more: Any) -> Structure:
    """A structure of the atoms that operators made, with these operators and other fields."""
    atoms = {name: value for name, value in sites._asdict().items() if name != "origin"}
    return Structure(lattice=lattice, **atoms, rotations=operators[0], translations=operators[1], **more)


def attempt(source: str, make: Callable[..., Structure], *arguments: Any) -> Structure | Reject:
    """What is made of a stranger's record, or why nothing can be."""
    try:
        return make(*arguments)
    except BAD_RECORD as error:
        return Reject.record(source, error)
