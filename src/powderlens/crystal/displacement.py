"""Displacement parameters: from U_ij to dimensionless tensors and back, and which are believable."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import inverse, lengths, product

U_LIMIT_A2 = 0.5
"""Displacements outside (0, 0.5] A^2 are misprints or other units, and are taken as not known."""


def beta_from_u(u_A2: NDArray[np.float64], lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """Dimensionless tensors from U_ij.

    Args:
        u_A2: (n, 3, 3) mean-square displacements in A^2, in the CIF convention (basis a_i a*_i).
        lattice: (3, 3), rows are the cell vectors, A.

    Returns:
        (n, 3, 3) beta = 2 pi^2 a*_i a*_j U_ij.

    Source: Trueblood et al., Acta Cryst. A52, 770 (1996), table 1.
    """
    edges = lengths(inverse(lattice).T)
    scaled: NDArray[np.float64] = 2 * np.pi**2 * u_A2 * np.outer(edges, edges)
    return scaled


def u_from_beta(beta: NDArray[np.float64], lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """U_ij in A^2 from dimensionless tensors (n, 3, 3): the inverse of `beta_from_u`."""
    edges = lengths(inverse(lattice).T)
    scaled: NDArray[np.float64] = beta / (2 * np.pi**2 * np.outer(edges, edges))
    return scaled


def u_equivalent(beta: NDArray[np.float64], lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """Equivalent isotropic displacement (n,) in A^2: a third of the trace of the Cartesian tensor."""
    trace = (beta * product(lattice, lattice.T)).sum(axis=(1, 2))
    equivalent: NDArray[np.float64] = trace / (6 * np.pi**2)
    return equivalent


def is_physical(
    beta: NDArray[np.float64], lattice: NDArray[np.float64], tolerance_A2: float = 1e-3
) -> NDArray[np.bool_]:
    """Which tensors (n, 3, 3) describe a displacement: no principal value below -tolerance_A2, and one above 0."""
    known = np.asarray(np.isfinite(beta).all(axis=(1, 2)))
    tensors: NDArray[np.float64] = np.where(known[:, None, None], beta, 0.0)
    cartesian = product(product(lattice.T, tensors), lattice)
    values = np.linalg.eigvalsh(cartesian / (2 * np.pi**2))
    physical: NDArray[np.bool_] = known & (values[:, 0] > -tolerance_A2) & (values[:, 2] > 0)
    return physical


class Displacements(NamedTuple):
    """What is left of a source's displacements: `u_iso_A2` (n,), `beta` (n, 3, 3) or None, the number dropped."""

    u_iso_A2: NDArray[np.float64]
    beta: NDArray[np.float64] | None
    dropped: int


def believable(
    u_iso_A2: NDArray[np.float64], u_aniso_A2: NDArray[np.float64] | None, lattice: NDArray[np.float64]
) -> Displacements:
    """Displacements of listed sites, those that cannot be taken out.

    Args:
        u_iso_A2: (n,), NaN or 0 where not given.
        u_aniso_A2: (n, 3, 3) U_ij in the CIF convention, NaN where not given; or None.
        lattice: (3, 3), rows are the cell vectors, A.

    Returns:
        NaN where not known, not in (0, `U_LIMIT_A2`], or no displacement (a negative principal value). Where only the
        tensor is known, `u_iso_A2` is its equivalent.
    """
    given = np.isfinite(u_iso_A2) & (u_iso_A2 != 0)
    usable = given & (u_iso_A2 > 0) & (u_iso_A2 <= U_LIMIT_A2)
    dropped = int((given & ~usable).sum())
    u_iso = np.where(usable, u_iso_A2, np.nan)
    if u_aniso_A2 is None:
        return Displacements(u_iso, None, dropped)
    beta = beta_from_u(u_aniso_A2, lattice)
    known = np.isfinite(u_aniso_A2).all(axis=(1, 2))
    diagonal = np.nan_to_num(u_aniso_A2[:, range(3), range(3)])
    good = is_physical(beta, lattice) & (diagonal.max(axis=1) <= U_LIMIT_A2)
    dropped += int((known & ~good).sum())
    if not good.any():
        return Displacements(u_iso, None, dropped)
    beta[~good] = np.nan
    u_iso = np.where(np.isnan(u_iso) & good, u_equivalent(np.nan_to_num(beta), lattice), u_iso)
    return Displacements(u_iso, beta, dropped)
