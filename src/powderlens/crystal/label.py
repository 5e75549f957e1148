"""The symmetry that the atoms of a structure really have, found by moyo."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import gemmi
import moyopy
import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import inverse, product, turned
from powderlens.core.errors import StructureError
from powderlens.crystal.elements import NUMBER
from powderlens.crystal.onto_symmetry import (
    ROUNDING,
    metric_deviation,
    obeyed_rotations,
    onto_operators,
    symmetric_lattice,
)
from powderlens.crystal.structure import Structure

SYMPREC_A = 0.01
"""Default tolerance: atoms may be this far from where the symmetry wants them."""

# moyo reports through logging; without a handler its notes would land on stderr, one for each supercell.
logging.getLogger("moyo").addHandler(logging.NullHandler())

_SETTING = moyopy.Setting.standard()
_SAME_SITE = 5000  # bins of the cell edge: rows that share a site have the same coordinates, to printing


@dataclass(frozen=True, eq=False)
class Symmetry:
    """What `find_symmetry` found; the standardised cells are made when first asked for.

    Attributes:
        number: International Tables number.
        rotations: (m, 3, 3) operators in the basis of the structure's own cell, acting on fractional columns; where
            that cell is a supercell of lower symmetry, those that it allows (see `operators_complete`).
        translations: (m, 3), in [0, 1).
        symprec_A: the tolerance that was used; smaller than asked for where that one failed.
        wyckoff: letter of the Wyckoff position of each row of the structure, in the standard setting.
        orbit: (n,) index of the first row that is equivalent by symmetry.
        structure: the structure that was asked about.
    """

    number: int
    rotations: NDArray[np.int64]
    translations: NDArray[np.float64]
    symprec_A: float
    wyckoff: tuple[str, ...]
    orbit: NDArray[np.intp]
    structure: Structure
    _dataset: moyopy.MoyoDataset
    _rows_of: list[NDArray[np.intp]]

    @cached_property
    def operators_complete(self) -> bool:
        """Whether `rotations` hold the whole group: a supercell of lower symmetry than its crystal lacks some."""
        pure = int((self.rotations == np.eye(3, dtype=np.int64)).all(axis=(1, 2)).sum())
        group = moyopy.operations_from_number(self.number, setting=_SETTING, primitive=True)
        return len(self.rotations) == pure * len(group)

    @cached_property
    def standard(self) -> Structure:
        """Conventional cell in the standard setting of International Tables A, atoms moved onto the symmetry.

        Unique axis b and cell choice 1, hexagonal axes, origin choice 2.
        """
        d = self._dataset
        return self._rebuild(d.std_cell, np.array(d.std_linear), primitive=False)

    @cached_property
    def primitive(self) -> Structure:
        """Primitive cell of the standard setting, atoms moved onto the symmetry."""
        d = self._dataset
        return self._rebuild(d.prim_std_cell, np.array(d.prim_std_linear), primitive=True)

    @cached_property
    def standard_rows(self) -> NDArray[np.intp]:
        """Row of `structure` that each atom of `standard` comes from."""
        return self._standard_rows[0]

    @cached_property
    def _standard_rows(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        return self._rows_of_cell(self._dataset.std_cell)

    @cached_property
    def exact_translations(self) -> NDArray[np.float64]:
        """(m, 3) translations of `rotations` that close the group exactly, those of the search to its tolerance."""
        linear, origin = np.array(self._dataset.prim_std_linear), np.array(self._dataset.prim_std_origin_shift)
        group = moyopy.operations_from_number(self.number, setting=_SETTING, primitive=True)
        step = {np.array(r).tobytes(): np.array(t) for r, t in zip(group.rotations, group.translations, strict=True)}
        # Into the primitive standard cell and back: x = P x' + p, so W' = P^-1 W P, and w = p + P w' - W p, up to a
        # vector of the primitive lattice, which the search knows.
        into = inverse(linear)
        moved = np.round(product(product(into, self.rotations), linear)).astype(np.int64)
        shift = np.array([step[rotation.tobytes()] for rotation in moved])
        exact = origin + product(shift, linear.T) - turned(self.rotations, origin)
        exact += product(np.round(product(self.translations - exact, into.T)), linear.T)
        return _wrapped(exact)

    @property
    def primitive_sites(self) -> int:
        """Number of sites in the primitive cell; a mixed site counts once."""
        return self._dataset.prim_std_cell.num_atoms

    @property
    def standard_sites(self) -> int:
        """Number of sites in the conventional cell; a mixed site counts once."""
        return self._dataset.std_cell.num_atoms

    @property
    def primitive_basis_A(self) -> NDArray[np.float64]:
        """(3, 3) rows: the basis of `primitive` as the structure's own, unrefined lattice has it."""
        linear = np.array(self._dataset.prim_std_linear)
        return product(linear.T, self.structure.lattice)

    def _rows_of_cell(self, cell: moyopy.Cell) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows of the structure that the sites of a cell of moyo come from, and how many each site has."""
        d = self._dataset
        prim_frac = np.array(d.prim_std_cell.positions)
        site_of_prim = np.empty(len(prim_frac), dtype=np.intp)
        mapping = np.array(d.mapping_std_prim)
        site_of_prim[mapping[::-1]] = np.arange(len(mapping))[::-1]
        # A conventional cell repeats the primitive one: each of its atoms is one of those, modulo that lattice.
        in_prim = product(product(cell.positions, cell.basis), inverse(d.prim_std_cell.basis))
        nearest = []
        for some in np.array_split(in_prim, 1 + len(in_prim) * len(prim_frac) // 10**6):
            rest = some[:, None, :] - prim_frac[None, :, :]
            rest -= np.round(rest)
            nearest.append(np.argmin((rest**2).sum(axis=-1), axis=1))
        sites = site_of_prim[np.concatenate(nearest)]
        repeats = np.array([len(self._rows_of[site]) for site in sites], dtype=np.intp)
        return np.concatenate([self._rows_of[site] for site in sites]), repeats

    def _rebuild(self, cell: moyopy.Cell, linear: NDArray[np.float64], *, primitive: bool) -> Structure:
        """A cell of moyo with elements, occupancies and displacements of the structure put back."""
        s = self.structure
        lattice, frac = np.array(cell.basis), np.array(cell.positions)
        rows, repeats = self._rows_of_cell(cell) if primitive else self._standard_rows
        beta = None
        if s.beta is not None:
            into = inverse(linear)
            beta = product(product(into, s.beta[rows]), into.T)
        operators = moyopy.operations_from_number(self.number, setting=_SETTING, primitive=primitive)
        return replace(
            s,
            lattice=lattice,
            elements=tuple(s.elements[row] for row in rows),
            frac=np.repeat(frac, repeats, axis=0) % 1.0,
            occupancy=s.occupancy[rows],
            u_iso_A2=s.u_iso_A2[rows],
            beta=beta,
            rotations=np.array(operators.rotations, dtype=np.int64),
            translations=np.array(operators.translations) % 1.0,
            space_group=self.number,
        )


def find_symmetry(structure: Structure, symprec_A: float = SYMPREC_A) -> Symmetry:
    """Space group of the atoms as they stand, whatever the source declares.

    Rows at the same coordinates are one site, its kind the set of its elements and occupancies (to 0.001). H and D
    are the same, as they are to X-rays.

    Args:
        structure: any cell, primitive or not.
        symprec_A: how far atoms may be from where the symmetry wants them, A.

    Returns:
        `Symmetry`. Where the search fails it is repeated with tolerances 4 and 16 times smaller.

    Raises:
        StructureError: the search fails at all three.
    """
    first, site_of_row, kinds = _sites(structure)
    dataset, used = _search(structure, first, kinds, symprec_A)
    orbits = np.array(dataset.orbits)
    operations = dataset.operations
    order = np.argsort(site_of_row, kind="stable")
    return Symmetry(
        number=dataset.number,
        rotations=np.array(operations.rotations, dtype=np.int64),
        translations=_wrapped(np.array(operations.translations)),
        symprec_A=used,
        wyckoff=tuple(dataset.wyckoffs[site] for site in site_of_row),
        orbit=first[orbits[site_of_row]],
        structure=structure,
        _dataset=dataset,
        _rows_of=_runs(order, np.cumsum(np.bincount(site_of_row))),
    )


def find_space_groups(structures: Iterable[Structure], symprec_A: float = SYMPREC_A) -> Iterator[int | None]:
    """Space-group numbers of many structures, the number alone; None where the search fails.

    About 0.4 ms for a cell of 20 atoms. See `find_symmetry`.
    """
    for structure in structures:
        first, _, kinds = _sites(structure)
        try:
            yield _search(structure, first, kinds, symprec_A)[0].number
        except StructureError:
            yield None


def group_and_basis(structure: Structure, symprec_A: float) -> tuple[int, NDArray[np.float64]]:
    """Space-group number and a primitive basis (3, 3) in A, rows, as the structure's own lattice has it.

    Raises:
        StructureError: as `find_symmetry`.
    """
    first, _, kinds = _sites(structure)
    dataset, _ = _search(structure, first, kinds, symprec_A)
    return dataset.number, product(np.array(dataset.prim_std_linear).T, structure.lattice)


def with_symmetry(structure: Structure, symprec_A: float = SYMPREC_A) -> Structure:
    """The structure with operators and space group, in the basis of its own cell, which it obeys: cell and atoms are
    moved onto the symmetry, by less than the tolerance.

    Operators that the source declares (more than the identity) are kept; the cell is moved where it breaks them.

    Raises:
        StructureError: no operators are declared and the search fails.
    """
    if not _declared(structure):
        found = find_symmetry(structure, symprec_A)
        moved = onto_operators(structure, found.rotations, found.exact_translations)
        return replace(moved, space_group=found.number)
    if metric_deviation(structure.lattice, structure.rotations).max() <= ROUNDING:
        return structure
    return replace(structure, lattice=symmetric_lattice(structure.lattice, structure.rotations))


def as_it_stands(structure: Structure, symprec_A: float = SYMPREC_A) -> Structure:
    """The structure with the operators that its cell obeys to `onto_symmetry.OBEYED`: for the lines of this very cell.

    As `with_symmetry` where the cell obeys all operators that are declared or found. Where it breaks some, these are
    left out and the space group becomes None: a cell of a = 4.000 and c = 4.005 A that counts as cubic is drawn as the
    tetragonal one that it is.

    Raises:
        StructureError: as `with_symmetry`.
    """
    if _declared(structure):
        rotations, translations, number = structure.rotations, structure.translations, structure.space_group
        kept = obeyed_rotations(structure.lattice, rotations)
        if kept.all():
            return with_symmetry(structure, symprec_A)
    else:
        found = find_symmetry(structure, symprec_A)
        rotations, translations, number = found.rotations, found.exact_translations, found.number
        kept = obeyed_rotations(structure.lattice, rotations)
    moved = onto_operators(structure, rotations[kept], translations[kept])
    return replace(moved, space_group=number if kept.all() else None)


def _declared(structure: Structure) -> bool:
    return len(structure.rotations) > 1 and structure.space_group is not None


def with_whole_symmetry(structure: Structure, symprec_A: float = SYMPREC_A) -> Structure:
    """As `with_symmetry`, but a supercell in whose basis operators of its crystal are missing gives way to the
    primitive cell of the standard setting: a strain of it could otherwise lower the symmetry.

    Raises:
        StructureError: as `with_symmetry`.
    """
    labelled = with_symmetry(structure, symprec_A)
    assert labelled.space_group is not None
    there = len({rotation.tobytes() for rotation in labelled.rotations})
    if there < point_group_order(labelled.space_group):
        return find_symmetry(labelled, symprec_A).primitive
    return labelled


@lru_cache(maxsize=256)
def point_group_order(space_group: int) -> int:
    """Number of rotation parts of a space group's operators, 1 to 48."""
    return len(gemmi.SpaceGroup(space_group).operations().sym_ops)


def _sites(structure: Structure) -> tuple[NDArray[np.intp], NDArray[np.intp], list[int]]:
    """First row of each site, the site of each row, and the kind of each site."""
    bins = np.floor((structure.frac + 1.23456e-4) % 1.0 * _SAME_SITE).astype(np.int64)
    keys = bins @ np.array([_SAME_SITE**2, _SAME_SITE, 1])
    unique, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    rows = [NUMBER[e] * 10_000 + round(o * 1000) for e, o in zip(structure.elements, structure.occupancy, strict=True)]
    if len(unique) == len(keys):
        identity = np.arange(len(keys))
        return identity, identity, rows
    members: list[list[int]] = [[] for _ in unique]
    for row, site in enumerate(inverse):
        members[site].append(rows[row])
    kinds: dict[tuple[int, ...], int] = {}
    numbers = [kinds.setdefault(tuple(sorted(m)), len(kinds) + 1) for m in members]
    return first, inverse, numbers


def _search(
    structure: Structure, first: NDArray[np.intp], kinds: list[int], symprec_A: float
) -> tuple[moyopy.MoyoDataset, float]:
    cell = moyopy.Cell(structure.lattice.tolist(), structure.frac[first].tolist(), kinds)
    for tolerance in (symprec_A, symprec_A / 4, symprec_A / 16):
        try:
            return moyopy.MoyoDataset(cell, symprec=tolerance, setting=_SETTING), tolerance
        except ValueError as error:
            failure = error
    raise StructureError(f"{structure.source or structure.name}: no symmetry found ({failure})")


def _runs(order: NDArray[np.intp], ends: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Slices of an array that end where they are told to."""
    return [order[start:end] for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)]


def _wrapped(translations: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = translations % 1.0
    inside[inside > 1 - 1e-9] = 0.0
    return inside
