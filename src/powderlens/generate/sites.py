"""Wyckoff positions as the generator fills them, and the atoms that they make."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import moyopy
import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import inverse, product, turned
from powderlens.crystal.label import SYMPREC_A
from powderlens.crystal.operators import primitive_basis
from powderlens.symmetry.wyckoff import WyckoffPosition, operators, wyckoff_positions

_SETTING = moyopy.Setting.standard()


@dataclass(frozen=True, eq=False)
class GroupSites:
    """The Wyckoff positions of one group, those of the primitive cell marked.

    Attributes:
        number: International Tables number.
        positions: as `wyckoff_positions`.
        basis: (3, 3) rows are the primitive vectors in fractions of the conventional cell.
        primitive: for each position, the images of one primitive cell among its images.
        multiplicity, free: (n,) of the positions.
    """

    number: int
    positions: tuple[WyckoffPosition, ...]
    basis: NDArray[np.float64]
    primitive: tuple[NDArray[np.intp], ...]
    multiplicity: NDArray[np.int64]
    free: NDArray[np.int64]

    @property
    def centring(self) -> int:
        """Lattice points in the conventional cell."""
        return round(1 / abs(float(np.linalg.det(self.basis))))

    @cached_property
    def _into_primitive(self) -> NDArray[np.float64]:
        return inverse(self.basis)

    @cached_property
    def images(self) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]:
        """For each position the (k, 3, 3) and (k, 3) that make its images in fractions of the primitive cell."""
        into = self._into_primitive.T
        return tuple(
            (
                product(into, position.linear[rows]),
                turned(into, position.shift[rows]),
            )
            for position, rows in zip(self.positions, self.primitive, strict=True)
        )

    def primitive_frac(self, places: NDArray[np.intp], xyz: NDArray[np.float64]) -> NDArray[np.float64]:
        """Atoms of the primitive cell in fractions of it, site after site.

        Args:
            places: (n,) index of each site's position.
            xyz: (n, 3) its parameters.
        """
        rows = [
            turned(self.positions[place].linear[self.primitive[place]], at)
            + self.positions[place].shift[self.primitive[place]]
            for place, at in zip(places.tolist(), xyz, strict=True)
        ]
        return np.asarray(product(np.concatenate(rows), self._into_primitive) % 1.0)


@lru_cache(maxsize=256)
def group_sites(number: int) -> GroupSites:
    """`GroupSites` of a space group.

    Raises:
        InputError: not a space-group number.
    """
    positions = wyckoff_positions(number)
    rotations, translations = operators(number)
    basis = primitive_basis(rotations, translations)
    generic = np.sqrt([0.0131, 0.0717, 0.1937])
    primitive = []
    for position in positions:
        bins = np.round(product(position.sites(generic), inverse(basis)) % 1.0, 6) % 1.0
        primitive.append(np.sort(np.unique(bins, axis=0, return_index=True)[1]))
    return GroupSites(
        number=number,
        positions=positions,
        basis=basis,
        primitive=tuple(primitive),
        multiplicity=np.array([position.multiplicity for position in positions]),
        free=np.array([position.free for position in positions]),
    )


def has_group(
    lattice: NDArray[np.float64], frac: NDArray[np.float64], kinds: list[int], number: int, cells: int = 1
) -> bool:
    """Whether atoms have this space group, and no smaller primitive cell.

    Args:
        lattice: (3, 3), rows are the cell vectors, A.
        frac: (n, 3).
        kinds: n numbers, one for each element.
        number: International Tables number.
        cells: how many primitive cells the lattice holds.
    """
    cell = moyopy.Cell(lattice.tolist(), frac.tolist(), kinds)
    try:
        found = moyopy.MoyoDataset(cell, symprec=SYMPREC_A, setting=_SETTING)
    except ValueError:
        return False
    return found.number == number and found.prim_std_cell.num_atoms * cells == len(kinds)
