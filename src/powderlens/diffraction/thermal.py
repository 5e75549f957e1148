"""Heat in the crystal: mean-square displacements by the Debye model, and frozen offsets of atoms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import exp, gauss_legendre
from powderlens.crystal.expand import MERGE_DISTANCE_A
from powderlens.crystal.structure import Structure

Floats = NDArray[np.float64]

HBAR_J_S = 1.054571817646e-34
"""Reduced Planck constant. Source: SI 2019, exact (CODATA 2018), rounded."""
BOLTZMANN_J_K = 1.380649e-23
"""Source: SI 2019, exact (CODATA 2018)."""
ATOMIC_MASS_KG = 1.66053906660e-27
"""Unified atomic mass unit. Source: CODATA 2018."""
SCALE_U_K_A2 = HBAR_J_S**2 / (ATOMIC_MASS_KG * BOLTZMANN_J_K) * 1e20
"""hbar^2 / (u k) in A^2 K: 48.5087."""

_X, _W = gauss_legendre(40)
NODES, WEIGHTS = (_X + 1) / 2, _W / 2
BERNOULLI = (
    1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000, 1 / 74724249600,
    -3617 / 10670622842880000, 43867 / 5109094217170944000,
)  # fmt: skip
"""t / (exp(t) - 1) = 1 - t / 2 + sum of these times t^2, t^4, ...; at t = 1 good to 1e-16."""
FAR = 50.0
"""Where the integrand of the Debye function has fallen to 1e-20."""


def debye_function(x: float | Floats) -> Floats:
    """phi(x) = (1/x) integral of t / (exp(t) - 1) from 0 to x; 1 at x = 0.

    Source: Debye, Ann. Phys. 348, 49 (1913); International Tables for X-ray Crystallography II (1959), section 5.2.
        By 40
    Gauss-Legendre nodes, to 1e-12. For x far above 1, pi^2 / (6 x).

    Args:
        x: Debye temperature over temperature, from 0 to infinity.

    Returns:
        Values, same shape.
    """
    x = np.asarray(x, float)
    upper = np.minimum(x, FAR)
    t = upper[..., None] * NODES
    square, series = t * t, np.zeros(t.shape)
    for term in reversed(BERNOULLI):
        series = (series + term) * square
    near = t < 1.0
    share = np.where(near, 1.0 - 0.5 * t + series, t / (exp(np.where(near, 1.0, t)) - 1.0))
    integral = upper * (WEIGHTS * share).sum(axis=-1)
    return np.asarray(np.where(x > 0, integral / np.where(x > 0, x, 1.0), 1.0))


def debye_mean_square_displacement_A2(
    debye_temperature_K: float | Floats, temperature_K: float | Floats, mass_u: float | Floats
) -> Floats:
    """U = <u_x^2> = 3 hbar^2 T / (m k Theta^2) (phi(Theta / T) + Theta / (4 T)), A^2; the second term: zero-point
    motion.

    Source: International Tables for X-ray Crystallography II (1959), section 5.2. Intensities fall by exp(-2 M) =
        exp(-16 pi^2 U s^2) with s = sin(theta) / lambda, M = 8 pi^2 U s^2. This is
    SimXRD's equation 7, M = 6 h^2 T / (m k Theta^2) (...) sin^2(theta) / lambda^2, with the square of lambda that its
    text leaves out: as printed, M is no pure number. Valid for one kind of atom, or a crystal as a mean one, well
    below melting.

    Args:
        debye_temperature_K: Theta, above 0.
        temperature_K: T; at 0, U = 3 hbar^2 / (4 m k Theta).
        mass_u: m, atomic mass units, above 0.

    Returns:
        U, the shape of all three.
    """
    theta, temperature, mass = (np.asarray(v, float) for v in (debye_temperature_K, temperature_K, mass_u))
    # T phi(Theta / T) = 0 at T = 0.
    warm = temperature > 0
    phi = debye_function(theta / np.where(warm, temperature, 1.0))
    return np.asarray(3 * SCALE_U_K_A2 / (mass * theta) * (np.where(warm, phi, 0.0) * temperature / theta + 0.25))


def site_offsets(structure: Structure, *, keep_group: bool = True) -> tuple[NDArray[np.int64], Floats]:
    """How every atom follows when one atom of each orbit is moved.

    The offset of the orbit's first atom is projected on what its site symmetry leaves as it is: the mean of the
    Cartesian site-symmetry rotations is that projector (International Tables for Crystallography A (2016), section
    1.4.4). The images follow by the operators, so every operator still maps the crystal onto itself; an atom at a
    site without freedom stays. Rows at the same coordinates (a shared site) move together. An atom that no operator
    brings onto another counts as an orbit of its own.

    Args:
        structure: with its operators.
        keep_group: False lets every site move freely, whatever its symmetry.

    Returns:
        site (n,): which orbit each atom belongs to, counted from 0; moves (n, 3, 3): fractional displacement of the
        atom = moves @ Cartesian offset of its orbit in A.
    """
    into_fractions = np.linalg.inv(structure.lattice.T)
    n = len(structure.elements)
    identity = np.eye(3, dtype=np.int64)
    rotations = structure.rotations if keep_group else identity[None]
    translations = structure.translations if keep_group else np.zeros((1, 3))
    site = np.full(n, -1, dtype=np.int64)
    moves = np.empty((n, 3, 3))
    for first in range(n):
        if site[first] >= 0:
            continue
        images = rotations @ structure.frac[first] + translations
        left = np.flatnonzero(site < 0)
        hit = _meet(images[:, None, :] - structure.frac[left], structure.lattice)
        stabiliser = rotations[hit[:, left == first][:, 0]]
        projector = stabiliser.mean(axis=0) @ into_fractions
        met = hit.any(axis=0)
        site[left[met]] = site.max() + 1
        moves[left[met]] = rotations[hit.argmax(axis=0)[met]] @ projector
    return site, moves


def moved_sites(frac: Floats, site: NDArray[np.int64], moves: Floats, offset_A: float, normals: Floats) -> Floats:
    """Coordinates after every orbit has moved by a vector of random direction, evenly spread over the sphere.

    Args:
        frac: (n, 3) coordinates.
        site: (n,) from `site_offsets`.
        moves: (n, 3, 3) likewise.
        offset_A: length of the vector before its projection.
        normals: (orbits, 3) standard normal numbers of the purpose OFFSETS.

    Returns:
        (n, 3) coordinates, not folded back into the cell.
    """
    direction = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    return np.asarray(frac + np.einsum("nij,nj->ni", moves, offset_A * direction[site]))


def _meet(difference: Floats, lattice: Floats) -> NDArray[np.bool_]:
    """Whether fractional differences (..., 3) are lattice vectors to within `MERGE_DISTANCE_A`."""
    rest = difference - np.round(difference)
    return np.asarray(((rest @ lattice) ** 2).sum(axis=-1) < MERGE_DISTANCE_A**2)
