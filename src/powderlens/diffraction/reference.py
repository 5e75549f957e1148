"""NumPy twins of the compiled kernels: slow, short, to be read. Same arguments, same results."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.diffraction.scattering import AT_THE_LIMIT, EXTINCT
from powderlens.diffraction.scattering import amplitudes as form_factors

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def laue_rotations(rotations: Ints) -> Ints:
    """Distinct rotation parts with inversion added, (n, 3, 3)."""
    both = np.concatenate([rotations, -rotations])
    return np.asarray(np.unique(both.reshape(-1, 9), axis=0).reshape(-1, 3, 3))


def families(reciprocal: Floats, d_min: float, rotations: Ints) -> tuple[Ints, Ints, Floats]:
    """See `kernel.families`."""
    lengths = np.linalg.norm(np.linalg.inv(reciprocal).T, axis=1)
    limits = (lengths / d_min + 1e-9).astype(int)
    axes = [np.arange(-n, n + 1) for n in limits]
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    inv_d2 = ((hkl @ reciprocal) ** 2).sum(axis=1)
    keep = (inv_d2 <= (1 + AT_THE_LIMIT) / d_min**2) & (hkl != 0).any(axis=1)
    hkl, inv_d2 = hkl[keep], inv_d2[keep]
    laue = laue_rotations(rotations)
    images = np.einsum("ni,rij->rnj", hkl, laue)
    base = 4 * int(limits.max()) + 1
    key = images @ np.array([base * base, base, 1])
    own = hkl @ np.array([base * base, base, 1])
    largest = (key <= own).all(axis=0)
    multiplicity = len(laue) // (key == own).sum(axis=0)
    return hkl[largest], multiplicity[largest], inv_d2[largest]


def usual_members(hkl: Ints, rotations: Ints) -> Ints:
    """See `kernel.usual_members`."""
    members = np.einsum("mi,rij->mrj", hkl, laue_rotations(rotations))
    base = 2 * int(np.abs(members).max(initial=0)) + 1
    rank = members @ np.array([base**2, base, 1]) + (members >= 0).sum(axis=2) * base**3
    return np.asarray(np.take_along_axis(members, rank.argmax(axis=1)[:, None, None], axis=1)[:, 0])


def allowed(hkl: Ints, rotations: Ints, translations: Floats) -> NDArray[np.bool_]:
    """See `kernel.allowed`."""
    turned = np.einsum("mi,rij->mrj", hkl, rotations)
    phase = hkl @ translations.T
    absent = (turned == hkl[:, None]).all(axis=2) & (np.abs(phase - np.round(phase)) > 1e-3)
    return np.asarray(~absent.any(axis=1))


def structure_factors_squared(
    hkl: Ints,
    s2: Floats,
    frac: Floats,
    kind: Ints,
    occupancy: Floats,
    u_iso: Floats,
    beta: Floats,
    f_real: Floats,
    f_imag: Floats,
    friedel: bool,
) -> Floats:
    """See `kernel.structure_factors_squared`."""
    f = f_real[kind].T + (1j * f_imag[kind] if friedel else 0.0)
    weight = occupancy * np.exp(-8 * np.pi**2 * np.outer(s2, u_iso))
    if len(beta):
        weight = weight * np.exp(-np.einsum("mi,nij,mj->mn", hkl, beta, hkl))
    phase = 2j * np.pi * (hkl @ frac.T)
    plus = (f * weight * np.exp(phase)).sum(axis=1)
    minus = (f * weight * np.exp(-phase)).sum(axis=1)
    return np.asarray((np.abs(plus) ** 2 + np.abs(minus) ** 2) / 2)


def peak_table(*arguments: Any) -> tuple[Ints, Floats]:
    """See `kernel.peak_table`."""
    *crystal, wavelength, low, high, polarises = arguments
    hkl, multiplicity, q, f_squared = reflection_list(*crystal)
    sine = wavelength / 2 * np.sqrt(q)
    theta = np.arcsin(sine[sine < 1])
    angle = 2 * np.degrees(theta)
    polarised = 1 + np.cos(2 * theta) ** 2 if polarises else 1.0
    intensity = (multiplicity * f_squared)[sine < 1] * polarised / (np.sin(theta) ** 2 * np.cos(theta))
    inside = np.flatnonzero((angle >= low) & (angle <= high))
    intensity = 100.0 * (intensity[inside] / intensity[inside].max(initial=0.0))
    numbers = np.vstack([hkl[inside].T, multiplicity[inside]])
    return numbers, np.vstack([1 / np.sqrt(q[inside]), angle[inside], intensity])


def distinct(rotations: Ints, either_sign: bool) -> Ints:
    """See `kernel.distinct`."""
    rows = rotations.reshape(-1, 9)
    if either_sign:
        lead = np.take_along_axis(rows, (rows != 0).argmax(axis=1)[:, None], axis=1)
        rows = rows * np.sign(lead)
    first = np.sort(np.unique(rows, axis=0, return_index=True)[1])
    return np.asarray(rotations[first])


def reflection_list(
    lattice: Floats,
    rotations: Ints,
    d_min: float,
    frac: Floats,
    kind: Ints,
    occupancy: Floats,
    u_iso: Floats,
    beta: Floats,
    coefficients: Floats,
    f_imag: Floats,
    friedel: bool,
) -> tuple[Ints, Ints, Floats, Floats]:
    """See `kernel.reflection_list`."""
    hkl, multiplicity, q = families(np.asarray(np.linalg.inv(lattice).T, float), d_min, rotations)
    f_real = form_factors(coefficients, q / 4)
    f_squared = structure_factors_squared(hkl, q / 4, frac, kind, occupancy, u_iso, beta, f_real, f_imag, friedel)
    expected = ((occupancy * f_real[kind, :1].T) ** 2).sum(initial=0.0)
    present = f_squared > EXTINCT * f_squared.max(initial=expected)
    order = np.flatnonzero(present)[np.lexsort((*(-hkl[present].T[::-1]), q[present]))]
    return usual_members(hkl[order], rotations), multiplicity[order], q[order], f_squared[order]
