"""Kernel density estimates: shapes of unit-volume lattices, and the volume given the volume of the atoms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import cube_root, determinant, exp, log, turned
from powderlens.core.errors import StructureError
from powderlens.crystal.structure import lattice_from_cell
from powderlens.generate.occupation import Cell
from powderlens.generate.stream import Stream
from powderlens.symmetry.groups import SYSTEMS

Number = TypeVar("Number", bound=np.generic)

SHAPE_PARAMETERS: dict[str, tuple[str, ...]] = {
    "triclinic": ("log(b/a)", "log(c/a)", "alpha_deg", "beta_deg", "gamma_deg"),
    "monoclinic": ("log(b/a)", "log(c/a)", "beta_deg"),
    "orthorhombic": ("log(b/a)", "log(c/a)"),
    "tetragonal": ("log(c/a)",),
    "trigonal": ("log(c/a)",),
    "hexagonal": ("log(c/a)",),
    "cubic": (),
}
"""What describes a lattice of unit volume, by crystal system: its edges and angles follow from these."""

assert tuple(SHAPE_PARAMETERS) == SYSTEMS


def shape_of(system: str, cell: Cell) -> list[float]:
    """The `SHAPE_PARAMETERS` of a cell."""
    a, b, c, alpha, beta, gamma = cell
    values = {
        "log(b/a)": np.log(b / a),
        "log(c/a)": np.log(c / a),
        "alpha_deg": alpha,
        "beta_deg": beta,
        "gamma_deg": gamma,
    }
    return [float(values[name]) for name in SHAPE_PARAMETERS[system]]


def cell_of_shape(system: str, shape: NDArray[np.float64], volume_A3: float) -> Cell:
    """The cell of a system with these `SHAPE_PARAMETERS` and exactly this volume.

    Raises:
        StructureError: the angles close no cell.
    """
    given = dict(zip(SHAPE_PARAMETERS[system], shape.tolist(), strict=True))
    b, c = exp(given.get("log(b/a)", 0.0)), exp(given.get("log(c/a)", 0.0))
    gamma = 120.0 if system in ("trigonal", "hexagonal") else given.get("gamma_deg", 90.0)
    angles = given.get("alpha_deg", 90.0), given.get("beta_deg", 90.0), gamma
    a = cube_root(float(volume_A3 / determinant(lattice_from_cell((1.0, b, c, *angles)))))
    return (a, a * b, a * c, *angles)


@dataclass(frozen=True, eq=False)
class LatticeShapes:
    """Gaussian kernel density estimate of the lattice shapes of a crystal system.

    The published estimate is of edges and angles at unit volume; here it is of the logarithms of their ratios, so that
    every draw is a cell of exactly unit volume with positive edges.

    Attributes:
        system: crystal system.
        crystals: how many crystals were seen.
        points: (m, d) their `SHAPE_PARAMETERS`, thinned evenly.
        bandwidth: d rows of the (d, d) lower triangle: Cholesky factor of the kernel's covariance, Scott's factor
            crystals^(-1 / (d + 4)) times that of the data. Source: Scott, Multivariate Density Estimation (1992).
    """

    system: str
    crystals: int
    points: NDArray[np.float64]
    bandwidth: NDArray[np.float64]

    @classmethod
    def of(cls, system: str, shapes: NDArray[np.float64], points: int) -> LatticeShapes:
        """The estimate of (n, d) shapes, of which at most `points` are kept."""
        n, d = shapes.shape
        bandwidth = np.zeros((d, d))
        if d and n > 1:
            covariance = np.atleast_2d(np.cov(shapes, rowvar=False)) + 1e-12 * np.eye(d)
            bandwidth = np.linalg.cholesky(covariance) * n ** (-1 / (d + 4))
        return cls(system, n, thinned(shapes, points), bandwidth)

    def draw(self, stream: Stream, volume_A3: float) -> Cell:
        """A cell of this volume.

        Raises:
            StructureError: the angles drawn close no cell.
        """
        at = int(stream.number() * len(self.points))
        shape = self.points[at] + turned(self.bandwidth, stream.normal(self.points.shape[1]))
        if "alpha_deg" not in SHAPE_PARAMETERS[self.system]:
            return cell_of_shape(self.system, shape, volume_A3)
        if not ((shape[2:] > 0) & (shape[2:] < 180)).all():
            raise StructureError("cell angles beyond 180 degrees")
        return cell_of_shape(self.system, shape, volume_A3)


@dataclass(frozen=True, eq=False)
class Volumes:
    """Volume of the cell, conditioned on the summed volume of its atoms; and that one, on the number of elements.

    A Gaussian kernel density estimate of the logarithm of the density factor (volume of the cell over that of the
    atoms) given the logarithm of the atoms' volume, bandwidths by the normal reference rule 1.06 s n^(-1/6). The
    published one is of the volumes themselves; their logarithms keep the volume positive and serve small and large
    cells alike.

    Attributes:
        crystals: how many crystals were seen.
        atomic_A3: (m,) summed volume of the atoms of the conventional cell, thinned evenly, increasing.
        factor: (m,) density factors of the same crystals.
        elements: (m,) their numbers of elements.
        bandwidth: of log(atomic_A3) and of log(factor).
    """

    crystals: int
    atomic_A3: NDArray[np.float64]
    factor: NDArray[np.float64]
    elements: NDArray[np.int64]
    bandwidth: tuple[float, float]

    @classmethod
    def of(
        cls, atomic_A3: NDArray[np.float64], volume_A3: NDArray[np.float64], elements: NDArray[np.int64], points: int
    ) -> Volumes:
        """The estimate of (n,) crystals, of which at most `points` are kept."""
        order = np.lexsort((volume_A3, elements, atomic_A3))
        atomic, factor = atomic_A3[order], (volume_A3 / atomic_A3)[order]
        rule = 1.06 * len(atomic) ** (-1 / 6)
        widths = float(rule * np.log(atomic).std()), float(rule * np.log(factor).std())
        few = thinned(np.arange(len(order)), points)
        return cls(len(order), atomic[few], factor[few], elements[order][few], widths)

    @cached_property
    def _logs(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return log(self.atomic_A3), log(self.factor)

    def draw_atomic(self, stream: Stream, elements: int) -> float:
        """A summed volume of the atoms, A^3, of crystals with so many elements (of all where there are none)."""
        alike = np.flatnonzero(self.elements == elements)
        u = stream.number()
        return float(self.atomic_A3[alike[int(u * len(alike))] if len(alike) else int(u * len(self.atomic_A3))])

    @cached_property
    def _by_factor(self) -> NDArray[np.intp]:
        return np.argsort(self.factor, kind="stable")

    def draw(self, stream: Stream, atomic_A3: float, rank: tuple[float, float] | None = None) -> float:
        """A volume of the cell, A^3, for this summed volume of the atoms.

        Args:
            stream: random numbers.
            atomic_A3: summed volume of the atoms.
            rank: of `draw_rank`: as dense for its atoms as others of this rank; None draws anew.
        """
        atomic, factor = self._logs
        far = ((atomic - log(float(atomic_A3))) / max(self.bandwidth[0], 1e-3)) ** 2
        weight = exp(-0.5 * (far - far.min()))
        order = slice(None) if rank is None else self._by_factor
        ends = np.cumsum(weight[order])
        u, z = self.draw_rank(stream) if rank is None else rank
        at = min(int(np.searchsorted(ends, u * ends[-1], side="right")), len(ends) - 1)
        return float(atomic_A3 * exp(float(factor[order][at] + self.bandwidth[1] * z)))

    def draw_rank(self, stream: Stream) -> tuple[float, float]:
        """A place in 0..1 among density factors in their order, and a standard normal number, the kernel's."""
        return stream.number(), float(stream.normal(1)[0])


def thinned(values: NDArray[Number], count: int) -> NDArray[Number]:
    """At most `count` rows, evenly spaced."""
    if len(values) <= count:
        return values
    return values[(np.arange(count) * len(values)) // count]
