"""`Structure`: one crystal, every atom of its unit cell written out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import arccos, determinant, inverse, lengths, sin_cos
from powderlens.core.errors import StructureError

Cell = tuple[float, float, float, float, float, float]
"""a, b, c in angstrom and alpha, beta, gamma in degrees."""

MAX_ATOMS = 20_000

EDGES_A = (0.1, 10_000.0)
"""Shortest and longest cell vector, A; what lies beyond is a mistake of units or of typing."""

FLATTEST = 1e-4
"""Volume over the product of the lengths, below which three vectors span no cell."""

FARTHEST = 1e6
"""Fractional coordinates beyond this are no places in a cell."""

FULLEST = 1.1
"""Refined occupancies come out a little above 1; none of one atom is beyond this."""

BAD_RECORD = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)
"""What making a structure of a stranger's record may raise: missing, of another kind, too large, too deep."""


def lattice_from_cell(cell: Sequence[float]) -> NDArray[np.float64]:
    """Lattice vectors from cell parameters.

    Args:
        cell: a, b, c in angstrom and alpha, beta, gamma in degrees.

    Returns:
        (3, 3) array, rows are the cell vectors in angstrom; a along x, b in the xy plane.

    Raises:
        StructureError: lengths not positive, or angles that close no cell.

    Source: International Tables for Crystallography B (2010), section 1.1.
    """
    a, b, c, alpha, beta, gamma = (float(v) for v in cell)
    if not all(np.isfinite([a, b, c, alpha, beta, gamma])) or min(a, b, c) <= 0:
        raise StructureError(f"cell lengths {a:g}, {b:g}, {c:g} A: all must be positive numbers")
    _check_edges(np.array([a, b, c]))
    ca, cb, cg = (sin_cos(float(np.radians(v)))[1] if v != 90.0 else 0.0 for v in (alpha, beta, gamma))
    sg = sin_cos(float(np.radians(gamma)))[0]
    volume2 = 1 - ca * ca - cb * cb - cg * cg + 2 * ca * cb * cg
    if volume2 <= 1e-8 or not all(0 < angle < 180 for angle in (alpha, beta, gamma)):
        raise StructureError(f"cell angles {alpha:g}, {beta:g}, {gamma:g} degrees close no cell")
    return np.array(
        [
            [a, 0.0, 0.0],
            [b * cg, b * sg, 0.0],
            [c * cb, c * (ca - cb * cg) / sg, c * np.sqrt(volume2) / sg],
        ]
    )


def check_lattice(lattice: NDArray[np.float64], *, either_hand: bool = False) -> None:
    """Refuse vectors that are no cell.

    Args:
        lattice: rows are the cell vectors, A.
        either_hand: let left-handed ones pass, for `right_handed`.

    Raises:
        StructureError: not three vectors of finite numbers, lengths outside `EDGES_A`, flat, or left-handed.
    """
    if lattice.shape != (3, 3) or not np.isfinite(lattice).all():
        raise StructureError("cell vectors: nine finite numbers are needed")
    if np.abs(lattice).max() > EDGES_A[1]:
        _check_edges(np.array([np.abs(lattice).max()]))
    edges = np.linalg.norm(lattice, axis=1)
    volume = float(np.linalg.det(lattice))
    if abs(volume) <= FLATTEST * float(edges.prod()):
        raise StructureError("the cell has no volume: its vectors lie in a plane")
    _check_edges(edges)
    if volume < 0 and not either_hand:
        raise StructureError("cell vectors: left-handed; exchange two of them, and the coordinates along them")


def right_handed(
    lattice: NDArray[np.float64], frac: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same atoms in the same places, by vectors that are right-handed: all three turned round where they are not.

    Programs that hold vectors and coordinates together (pymatgen, ASE, OPTIMADE) allow both hands.

    Raises:
        StructureError: vectors that are no cell, see `check_lattice`.
    """
    check_lattice(lattice, either_hand=True)
    return (-lattice, -frac) if np.linalg.det(lattice) < 0 else (lattice, frac)


def _check_edges(edges_A: NDArray[np.float64]) -> None:
    for edge in edges_A:
        if not EDGES_A[0] <= edge <= EDGES_A[1]:
            raise StructureError(f"cell vector of {edge:g} A; {EDGES_A[0]:g} to {EDGES_A[1]:g} A are possible")


def cell_from_lattice(lattice: NDArray[np.float64]) -> Cell:
    """Cell parameters (A, degrees) of a (3, 3) lattice whose rows are the cell vectors."""
    edges = lengths(lattice)
    first, second = [1, 0, 0], [2, 2, 1]
    x, y, z = (lattice[first] * lattice[second]).T
    cosines = (x + y + z) / (edges[first] * edges[second])
    alpha, beta, gamma = np.degrees(arccos(np.clip(cosines, -1.0, 1.0))).tolist()
    a, b, c = edges.tolist()
    return a, b, c, alpha, beta, gamma


def cells_from_lattices(lattices: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 6) cells, A and degrees, of (n, 3, 3) lattices, as `cell_from_lattice` has them."""
    edges = lengths(lattices)
    first, second = [1, 0, 0], [2, 2, 1]
    cosines = (lattices[:, first] * lattices[:, second]).sum(axis=2) / (edges[:, first] * edges[:, second])
    return np.concatenate([edges, np.degrees(arccos(np.clip(cosines, -1.0, 1.0)))], axis=1)


class Doubt(NamedTuple):
    """Something that a source states and the crystal made from it is not.

    Attributes:
        kind: "content" (formula, formula units, density), "symmetry" (symbol, number, origin) or "site" (overfull).
        text: what is stated, and what was found.
    """

    kind: str
    text: str


@dataclass(frozen=True)
class Reject:
    """What a source lists but cannot be used, and why; counted, never dropped."""

    source: str
    reason: str

    @classmethod
    def record(cls, source: str, error: Exception) -> Reject:
        """A record of which no structure could be made; see `BAD_RECORD`."""
        said = isinstance(error, StructureError)
        return cls(source, str(error) if said else f"record: {error or type(error).__name__}")

    @classmethod
    def of(cls, structure: Structure, error: Exception) -> Reject:
        """A structure for which a later step failed; the reason is the error's message without what is its own.

        The name before the first colon and numbers after one are left out, so that equal reasons count together.
        """
        message = str(error)
        for own in (structure.source, structure.name, "structure"):
            if own:
                message = message.removeprefix(f"{own}: ")
        return cls(structure.source, message.split(":")[0] or type(error).__name__)


@dataclass(frozen=True, eq=False)
class Structure:
    """A crystal structure with all atoms of the unit cell listed.

    A site shared by several elements is listed once for each element, at the same coordinates.

    Attributes:
        lattice: (3, 3), rows are the cell vectors, A.
        elements: n element symbols (D counts as an element of its own).
        frac: (n, 3) fractional coordinates.
        occupancy: (n,) site occupancies, 0 to 1.
        u_iso_A2: (n,) isotropic mean-square displacements in A^2; NaN where not known.
        beta: (n, 3, 3) dimensionless anisotropic tensors, exp(-h beta h^T); NaN where not known; or None.
        rotations: (m, 3, 3) integer rotation parts of the symmetry operators, acting on fractional columns.
        translations: (m, 3) their translations. Identity alone means "not known, treat as P1".
        space_group: International Tables number as the source states it or as found; None when not known.
        name: what the source calls it.
        source: where it came from.
        labels: anything else that the source says.
        doubts: what the source states of the crystal and it is not; only readers that check it have any.
        notes: what reading left out.
    """

    lattice: NDArray[np.float64]
    elements: tuple[str, ...]
    frac: NDArray[np.float64]
    occupancy: NDArray[np.float64]
    u_iso_A2: NDArray[np.float64]
    beta: NDArray[np.float64] | None = None
    rotations: NDArray[np.int64] = field(default_factory=lambda: np.eye(3, dtype=np.int64)[None])
    translations: NDArray[np.float64] = field(default_factory=lambda: np.zeros((1, 3)))
    space_group: int | None = None
    name: str = ""
    source: str = ""
    labels: Mapping[str, object] = field(default_factory=dict)
    doubts: tuple[Doubt, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.elements)
        if n == 0:
            raise StructureError(f"{self.source or self.name or 'structure'}: no atoms")
        if n > MAX_ATOMS:
            raise StructureError(f"{self.name}: {n} atoms in the cell, the limit is {MAX_ATOMS}")
        if self.frac.shape != (n, 3) or self.occupancy.shape != (n,) or self.u_iso_A2.shape != (n,):
            raise StructureError(f"{self.name}: coordinates, occupancies and elements differ in number")
        try:
            check_lattice(self.lattice)
        except StructureError as error:
            raise StructureError(f"{self.source or self.name or 'structure'}: {error}") from None
        if not np.isfinite(self.frac).all():
            raise StructureError(f"{self.name}: an atom has no coordinates")
        if not np.abs(self.frac).max() < FARTHEST:
            worst = self.frac.flat[np.abs(self.frac).argmax()]
            raise StructureError(f"{self.name}: fractional coordinate {worst:g}; the cell runs from 0 to 1")
        if not ((self.occupancy >= 0) & (self.occupancy <= FULLEST)).all():
            worst = self.occupancy[np.abs(np.nan_to_num(self.occupancy, nan=np.inf)).argmax()]
            raise StructureError(f"{self.name}: occupancy {worst:g}; it must lie between 0 and 1")

    @classmethod
    def from_cell(
        cls,
        cell: Sequence[float],
        elements: Sequence[str],
        frac: Sequence[Sequence[float]] | NDArray[np.float64],
        **more: object,
    ) -> Structure:
        """Build from cell parameters (A, degrees); occupancy 1 and unknown displacements unless given."""
        n = len(elements)
        filled: dict[str, object] = {"occupancy": np.ones(n), "u_iso_A2": np.full(n, np.nan), **more}
        return cls(
            lattice=lattice_from_cell(cell),
            elements=tuple(elements),
            frac=np.asarray(frac, dtype=float).reshape(-1, 3),
            **filled,  # type: ignore[arg-type]
        )

    @property
    def cell(self) -> Cell:
        """a, b, c in angstrom; alpha, beta, gamma in degrees."""
        return cell_from_lattice(self.lattice)

    @property
    def volume_A3(self) -> float:
        """Volume of the unit cell."""
        return float(abs(determinant(self.lattice)))

    @cached_property
    def reciprocal(self) -> NDArray[np.float64]:
        """(3, 3) rows are a*, b*, c* in 1/A, without 2 pi."""
        return inverse(self.lattice).T

    @property
    def remarks(self) -> str:
        """Notes and doubts in one line; "" where there is nothing to say."""
        return "; ".join([*self.notes, *(doubt.text for doubt in self.doubts)])

    @property
    def formula(self) -> str:
        """Composition of the cell in alphabetical order, divided by the common factor where there is one."""
        counts: dict[str, float] = {}
        for element, occupancy in zip(self.elements, self.occupancy, strict=True):
            counts[element] = counts.get(element, 0.0) + float(occupancy)
        values = np.array(list(counts.values()))
        whole = np.round(values)
        if np.allclose(values, whole, atol=0.02) and (whole > 0).all():
            values = whole / np.gcd.reduce(whole.astype(int))
        else:
            values = values / values.min() if values.min() > 0.5 else values
        parts = []
        for element, count in sorted(zip(counts, values, strict=True)):
            parts.append(element + ("" if abs(count - 1) < 0.005 else f"{count:.2f}".rstrip("0").rstrip(".")))
        return "".join(parts)
