"""One pattern from a crystal's reflections under given conditions: the training renderer."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from powderlens.diffraction.conditions import Conditions
from powderlens.diffraction.kernel import draw_pseudo_voigt
from powderlens.diffraction.specimen import march_dollase, strained_metric
from powderlens.pattern.grid import Grid

MIN_REACH_FWHM, MAX_REACH_FWHM = 2.0, 12.0
FADE = 2e-4
"""A Lorentzian tail is followed until it falls below this share of the strongest line's height."""


@njit(cache=True, nogil=True, error_model="numpy")
def draw_wavelength(  # type: ignore[no-untyped-def]
    out,
    start,
    step,
    inv_d2,
    strength,
    wavelength,
    share,
    u_overall,
    zero,
    displacement,
    gauss2,
    tan2,
    size_nm,
    microstrain,
):
    """Draw every family at one wavelength: Bragg's law, LP, displacement factor, shifts and widths, then the lines.

    `gauss2` and `tan2` are the Caglioti W and U in deg^2; the other arguments as in `Conditions`.
    """
    m = inv_d2.shape[0]
    position, area = np.empty(m), np.empty(m)
    fwhm, eta = np.empty(m), np.empty(m)
    degree = 180.0 / np.pi
    n = 0
    for i in range(m):
        sine = 0.5 * wavelength * np.sqrt(inv_d2[i])
        if sine >= 0.9999:
            continue
        cosine = np.sqrt(1.0 - sine * sine)
        cos2 = 1.0 - 2.0 * sine * sine
        tangent = sine / cosine
        lp = (1.0 + cos2 * cos2) / (sine * sine * cosine)
        s2 = inv_d2[i] / 4.0
        area[n] = share * strength[i] * lp * np.exp(-16.0 * np.pi * np.pi * u_overall * s2)
        position[n] = 2.0 * np.arcsin(sine) * degree + zero - displacement * cosine
        g = np.sqrt(gauss2 + tan2 * tangent * tangent)
        x = degree * (0.9 * wavelength / (10.0 * size_nm * cosine) + 4.0 * microstrain * tangent)
        g2, x2 = g * g, x * x
        fifth = (
            g2 * g2 * g
            + 2.69269 * g2 * g2 * x
            + 2.42843 * g2 * g * x2
            + 4.47163 * g2 * x2 * x
            + 0.07842 * g * x2 * x2
            + x2 * x2 * x
        )
        w = fifth**0.2
        q = x / w
        fwhm[n] = w
        eta[n] = min(max(1.36603 * q - 0.47719 * q * q + 0.11116 * q * q * q, 0.0), 1.0)
        n += 1
    strongest = 0.0
    for i in range(n):
        strongest = max(strongest, area[i] / fwhm[i])
    reach = np.empty(n)
    for i in range(n):
        tail = 0.5 * np.sqrt(eta[i] * area[i] / (fwhm[i] * strongest * FADE)) if strongest > 0.0 else 0.0
        reach[i] = min(max(tail, MIN_REACH_FWHM), MAX_REACH_FWHM)
    draw_pseudo_voigt(out, start, step, position[:n], area[:n], fwhm[:n], eta[:n], reach)


def clean_profile(
    lattice: NDArray[np.float64],
    rotations: NDArray[np.int64],
    hkl: NDArray[np.int64],
    strength: NDArray[np.float64],
    conditions: Conditions,
    grid: Grid,
    rng: np.random.Generator | None = None,
) -> NDArray[np.float64]:
    """Noise-free profile on the grid, strongest point 1.

    Args:
        lattice: (3, 3) rows, A.
        rotations: (n, 3, 3) the crystal's point-group rotations in this cell.
        hkl: (m, 3) one of each family.
        strength: (m,) multiplicity * |F|^2.
        conditions: what shapes the pattern; its background, noise and range are not used here.
        grid: where to draw. Its `wavelength_A` is not used: the conditions hold the lines.
        rng: needed only when `conditions.intensity_jitter` is not zero.

    Returns:
        (points,) intensities; all zero when no reflection falls on the grid.
    """
    c = conditions
    xx, yy, zz, yz, xz, xy = c.strain
    metric = strained_metric(lattice, rotations, np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]))
    reciprocal = np.linalg.inv(metric)
    h = hkl.astype(float)
    inv_d2 = np.einsum("ij,ij->i", h @ reciprocal, h)
    weight = strength
    if c.march_r != 1.0:
        weight = weight * march_dollase(hkl, reciprocal, rotations, np.array(c.texture_axis, dtype=float), c.march_r)
    if c.intensity_jitter > 0:
        assert rng is not None
        weight = weight * np.exp(c.intensity_jitter * rng.standard_normal(len(weight)))
    out = np.zeros(grid.points)
    lines = ((c.ka1_A, 1.0),) if c.ka2_ratio == 0 else ((c.ka1_A, 1.0), (c.ka2_A, c.ka2_ratio))
    for wavelength, share in lines:
        draw_wavelength(
            out, grid.start_deg, grid.step_deg, inv_d2, weight, wavelength, share, c.u_overall_A2, c.zero_shift_deg,
            c.displacement_deg, c.caglioti_w_deg2, c.caglioti_u_deg2, c.crystallite_size_nm, c.microstrain,
        )  # fmt: skip
    if c.slit_tilt:
        out *= np.exp(c.slit_tilt * (np.linspace(0, 1, grid.points) - 0.3))
    top = out.max()
    return out / top if top > 0 else out


def add_background_and_noise(
    profile: NDArray[np.float64], conditions: Conditions, grid: Grid, rng: np.random.Generator
) -> NDArray[np.float64]:
    """What a subtracted measured pattern keeps: broad residues, counting noise, a pedestal, cut at zero.

    Each grid point is the mean of two raw points, as the scans of RRUFF have half the step. The noise of a point is
    Gaussian with the variance of counting: sigma^2 = noise^2 (1 + y / background).
    """
    c = conditions
    y = profile.astype(np.float32)
    if c.humps:
        x = grid.two_theta_deg.astype(np.float32)
        for centre, fwhm, height in c.humps:
            y += np.float32(height) * np.exp(np.float32(-4 * np.log(2)) * ((x - centre) / fwhm) ** 2)
    if c.noise_sigma == 0:
        return y.astype(float)
    raw_sigma = c.noise_sigma * np.sqrt(1 + y / max(c.background_share, 1e-3))
    noise = rng.standard_normal((2, len(y)), dtype=np.float32)
    noise *= raw_sigma
    noise += y + np.float32(c.pedestal * c.noise_sigma)
    np.maximum(noise, 0, out=noise)
    return np.asarray((noise[0] + noise[1]) / 2, dtype=float)
