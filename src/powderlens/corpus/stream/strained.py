"""Cells of crystals as strained conditions show them."""

from __future__ import annotations

from collections.abc import Sequence

import moyopy
import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary_compiled import angle_of, compiled
from powderlens.diffraction.kernel import metric_of
from powderlens.diffraction.phase import Phase
from powderlens.diffraction.specimen import strain_tensor, strained_metric

CENTRINGS: tuple[tuple[NDArray[np.float64], float], ...] = tuple(
    (np.array(rows, float), share)
    for rows, share in (
        ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], 1.0),
        ([[0.5, 0.5, 0], [0, 1, 0], [0, 0, 1]], 0.5),
        ([[1, 0, 0], [0, 0.5, 0.5], [0, 0, 1]], 0.5),
        ([[1, 0, 0], [0, 1, 0], [0.5, 0, 0.5]], 0.5),
        ([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0.5]], 0.5),
        ([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]], 0.25),
        ([[2 / 3, 1 / 3, 1 / 3], [-1 / 3, 1 / 3, 1 / 3], [-1 / 3, -2 / 3, 1 / 3]], 1 / 3),
        ([[1 / 3, 2 / 3, 1 / 3], [-2 / 3, -1 / 3, 1 / 3], [1 / 3, -1 / 3, 1 / 3]], 1 / 3),
    )
)
"""Rows of a primitive basis in fractions of the cell, and its volume: P, C, A, B, I, F, R obverse, R reverse."""
SAME = 2e-3
"""Relative difference of lengths up to which two reduced cells are the same."""
NEAR = 0.02
"""Likewise of volumes."""
DEGREES = 180.0 / np.pi


def strained_cells(
    phases: Sequence[Phase | None], cell: NDArray[np.float64], niggli: NDArray[np.float64], strain: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Conventional and Niggli cells under small strains, projected on the symmetry as the renderer does it.

    Args:
        phases: n crystals.
        cell: (n, 6) of them at rest, A and degrees.
        niggli: (n, 6) likewise; they say how the cell of a phase is centred, which its reflections do not.
        strain: (n, 6) xx, yy, zz, yz, xz, xy, see `diffraction.conditions.Specimen`.

    Returns:
        (n, 6) each. A Niggli cell that cannot be told, as of a supercell, is NaN where there is strain.
    """
    cells, reduced = np.array(cell, float), np.array(niggli, float)
    for at, phase in enumerate(phases):
        assert phase is not None
        if not strain[at].any():
            continue
        metric = strained_metric(phase.lattice, phase.rotations, strain_tensor(strain[at]))
        cells[at] = cell_of_metric(metric)
        basis = _basis(phase.lattice, niggli[at])
        reduced[at] = np.nan if basis is None else _reduced(basis, metric)
    return cells, reduced


@compiled
def cell_of_metric(metric):  # type: ignore[no-untyped-def]
    """(6,) lengths, A, and angles, degrees, of a (3, 3) metric tensor."""
    out = np.empty(6)
    for i in range(3):
        out[i] = np.sqrt(metric[i, i])
    for i in range(3):
        j, k = (1, 2) if i == 0 else ((0, 2) if i == 1 else (0, 1))
        cosine = min(max(metric[j, k] / (out[j] * out[k]), -1.0), 1.0)
        out[3 + i] = DEGREES * angle_of(np.sqrt(1.0 - cosine * cosine), cosine)
    return out


@compiled
def rows_of_metric(metric, basis):  # type: ignore[no-untyped-def]
    """(3, 3) rows of a lattice of the metric B G B^T, in any orientation: its Cholesky factor."""
    g = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            for k in range(3):
                for m in range(3):
                    g[i, j] += basis[i, k] * metric[k, m] * basis[j, m]
    rows = np.zeros((3, 3))
    for i in range(3):
        for j in range(i + 1):
            rest = g[i, j]
            for k in range(j):
                rest -= rows[i, k] * rows[j, k]
            rows[i, j] = np.sqrt(rest) if i == j else rest / rows[j, j]
    return rows


def _basis(lattice: NDArray[np.float64], niggli: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The primitive basis with which a lattice has this Niggli cell, None where no centring gives it."""
    metric = metric_of(lattice)
    ratio = _volume(niggli) / _volume(cell_of_metric(metric))
    likely = [basis for basis, share in CENTRINGS if abs(ratio / share - 1) < NEAR]
    if len(likely) == 1:
        return likely[0]
    for basis in likely:
        found = _reduced(basis, metric)
        # Angles of a lattice that is nearly symmetric may end at 60 or at 120 degrees: lengths decide.
        if np.abs(found[:3] / niggli[:3] - 1).max() < SAME:
            return basis
    return None


def _reduced(basis: NDArray[np.float64], metric: NDArray[np.float64]) -> NDArray[np.float64]:
    """(6,) Niggli cell, NaN where it cannot be found."""
    try:
        rows, _ = moyopy.niggli_reduce(rows_of_metric(metric, basis).tolist())
    except ValueError:
        return np.full(6, np.nan)
    made: NDArray[np.float64] = cell_of_metric(metric_of(np.array(rows)))
    return made


def _volume(cell: NDArray[np.float64]) -> float:
    """In A^3; only compared."""
    a, b, c = np.cos(np.radians(cell[3:])).tolist()
    return float(cell[0] * cell[1] * cell[2]) * max(1 - a * a - b * b - c * c + 2 * a * b * c, 1e-12) ** 0.5
