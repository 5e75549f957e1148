"""NumPy twins of the compiled kernels: slow, short, to be read. Same arguments, same results."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def families(reciprocal: Floats, d_min: float, laue: Ints) -> tuple[Ints, Ints, Floats]:
    """See `kernel.families`."""
    lengths = np.linalg.norm(np.linalg.inv(reciprocal).T, axis=1)
    limits = (lengths / d_min + 1e-9).astype(int)
    axes = [np.arange(-n, n + 1) for n in limits]
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    inv_d2 = ((hkl @ reciprocal) ** 2).sum(axis=1)
    keep = (inv_d2 <= 1 / d_min**2) & (hkl != 0).any(axis=1)
    hkl, inv_d2 = hkl[keep], inv_d2[keep]
    images = np.einsum("ni,rij->rnj", hkl, laue)
    base = 4 * int(limits.max()) + 1
    key = images @ np.array([base * base, base, 1])
    own = hkl @ np.array([base * base, base, 1])
    largest = (key <= own).all(axis=0)
    multiplicity = len(laue) // (key == own).sum(axis=0)
    return hkl[largest], multiplicity[largest], inv_d2[largest]


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


def draw_pseudo_voigt(
    out: Floats,
    start: float,
    step: float,
    position: Floats,
    area: Floats,
    fwhm: Floats,
    eta: Floats,
    reach: Floats,
) -> None:
    """See `kernel.draw_pseudo_voigt`."""
    x = start + step * np.arange(len(out))
    for p, a, w, e, r in zip(position, area, fwhm, eta, reach, strict=True):
        u = (x - p) / w
        lorentz = 2 / (np.pi * w) / (1 + 4 * u**2) * (np.abs(u) <= r)
        gauss = 2 * np.sqrt(np.log(2) / np.pi) / w * np.exp(-4 * np.log(2) * u**2) * (np.abs(u) <= min(r, 3.0))
        out += a * (e * lorentz + (1 - e) * gauss)
