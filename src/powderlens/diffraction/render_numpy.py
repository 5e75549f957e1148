"""The renderer to read: one pattern from a crystal's reflections under given conditions, step by step.

The compiled (`render_numba.py`) and the batched (`render_torch.py`) renderers do the same and are held against this
one. The numbers of the steps are used in all three.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from powderlens.core import random
from powderlens.core.random import Purpose
from powderlens.diffraction import absorption, axial, background, instrument, noise, profile
from powderlens.diffraction.conditions import SHAPES, SLITS, Record
from powderlens.diffraction.phase import Phase
from powderlens.diffraction.reference import structure_factors_squared
from powderlens.diffraction.reflections import lorentz_polarisation
from powderlens.diffraction.specimen import march_dollase, strained_metric
from powderlens.diffraction.thermal import debye_mean_square_displacement_A2, moved_sites
from powderlens.pattern.grid import Grid

Floats = NDArray[np.float64]

SINE_LIMIT = 0.9999
"""sin(theta) beyond which a line is left out: the Lorentz factor diverges at 1."""
MIN_FWHM_DEG = 1e-4
FADE = 2e-5
"""Lines weaker than this share of the strongest line of the pattern are left out; a Lorentzian tail ends there."""
TAIL = 3.0
"""A Lorentzian tail is at least so many FWHM long: those of many weak lines add up."""
GAUSS_FADE = 0.05
"""A Gaussian is followed until it falls below this share of where a Lorentzian ends."""
PALEST = 0.5
"""Largest share of its own strongest line that may be left out of a second phase, however little there is of it."""
SLIT_PIVOT = 0.3
"""Where along the grid the slits' tilt leaves intensities alone."""


def render(
    phases: Sequence[Phase],
    records: NDArray[np.void],
    grid: Grid,
    seed: int,
    index: NDArray[np.int64],
    impurities: Sequence[Phase | None],
) -> Floats:
    """See `render.render`."""
    return np.stack(
        [
            pattern(phase, record, grid, seed, int(i), impurity)
            for phase, record, i, impurity in zip(phases, records, index, impurities, strict=True)
        ]
    )


def pattern(phase: Phase, c: Record, grid: Grid, seed: int, index: int, impurity: Phase | None = None) -> Floats:
    """One pattern, (points,): lines of the phase and of an impurity, background, counting."""
    x = grid.two_theta_deg
    measured = inside(c, x)
    found = lines_of(phase, c, seed, index, Purpose.INTENSITIES, Purpose.PERTURBATION, Purpose.OFFSETS)
    if not measured.any() or not shows(found, x[measured]):
        return np.zeros(grid.points)
    y = scaled(smeared(found, c, grid), measured)
    if impurity is not None and c["impurity_share"] > 0:
        share = c["impurity_share"]
        fade = min(FADE / share, PALEST)
        found = lines_of(
            impurity, c, seed, index,
            Purpose.IMPURITY_INTENSITIES, Purpose.IMPURITY_PERTURBATION, Purpose.IMPURITY_OFFSETS, fade,
        )  # fmt: skip
        if shows(found, x[measured]):
            y = scaled((1 - share) * y + share * scaled(smeared(found, c, grid, fade), measured), measured)
    y = y + background.under(c, x)
    return noise.counted(y, c, seed, index, measured)


def inside(c: Record, two_theta_deg: Floats) -> NDArray[np.bool_]:
    """(points,) True where the scan measured."""
    return (two_theta_deg >= c["first_deg"] - 1e-6) & (two_theta_deg <= c["last_deg"] + 1e-6)


def shows(found: Floats, measured_deg: Floats) -> bool:
    """Whether a line stands in the measured range; the tail of one outside is no pattern of the phase."""
    return bool(((found[:, 0] >= measured_deg[0]) & (found[:, 0] <= measured_deg[-1])).any())


def scaled(y: Floats, measured: NDArray[np.bool_]) -> Floats:
    """The strongest measured point becomes 1; a pattern without lines stays zero."""
    top = y[measured].max(initial=0.0)
    return y / top if top > 0 else np.zeros_like(y)


def lines_of(
    phase: Phase,
    c: Record,
    seed: int,
    index: int,
    jitter: Purpose,
    perturbation: Purpose,
    offsets: Purpose,
    fade: float = FADE,
) -> Floats:
    """Position, area and widths of the lines of one phase, (k, 4), areas in any scale (steps 1 to 5)."""
    # 1. Cell and spacings.
    xx, yy, zz, yz, xz, xy = c["strain"]
    metric = strained_metric(phase.lattice, phase.rotations, np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]))
    reciprocal = np.linalg.inv(metric)
    inv_d2 = np.einsum("mi,ij,mj->m", phase.hkl, reciprocal, phase.hkl)
    # 2. Weights of the families.
    m = len(inv_d2)
    weight = moved_strength(phase, c, seed, index, offsets) if c["thermal_offset_A"] > 0 else phase.strength
    if c["march_r"] != 1:
        axis = c["texture_axis"].astype(float)
        weight = weight * march_dollase(phase.hkl, reciprocal, phase.rotations, axis, c["march_r"])
    if c["intensity_jitter"] > 0:
        weight = weight * np.exp(c["intensity_jitter"] * random.normal(seed, index, jitter, m))
    if c["intensity_perturbation"] > 0:
        weight = weight * (1 + c["intensity_perturbation"] * (2 * random.uniform(seed, index, perturbation, m) - 1))
    # 3. Displacements.
    weight = weight * np.exp(-16 * np.pi**2 * u_total_A2(phase, c) * inv_d2 / 4)
    # 4. Lines: position, area, and the two widths; 5. those that can be seen.
    found = lines(c, inv_d2, weight)
    height = found[:, 1] / shapes(found, c)[0]
    return found[height >= fade * height.max(initial=0.0)]


def smeared(found: Floats, c: Record, grid: Grid, fade: float = FADE) -> Floats:
    """(points,) the shapes of all lines, and what is left of slits and absorption (steps 6 and 7)."""
    y = draw(found, c, grid.two_theta_deg, fade)
    return y * np.exp(c["slit_tilt"] * (np.linspace(0, 1, grid.points) - SLIT_PIVOT))


def u_total_A2(phase: Phase, c: Record) -> float:
    """Overall mean-square displacement, A^2: as given, and by the Debye model."""
    u = float(c["u_overall_A2"])
    if c["debye_temperature_K"] > 0:
        u += float(debye_mean_square_displacement_A2(c["debye_temperature_K"], c["temperature_K"], phase.mean_mass_u))
    return u


def moved_strength(phase: Phase, c: Record, seed: int, index: int, purpose: Purpose) -> Floats:
    """(m,) multiplicity * |F|^2 after every site has moved by a random offset that its symmetry allows."""
    frac = offset_frac(phase, c, seed, index, purpose)
    a = phase.atoms
    assert a is not None
    f_squared = structure_factors_squared(
        phase.hkl, a.inv_d2 / 4, frac, a.kind, a.weight, a.u_iso_A2, a.beta, a.f_real, a.f_imag, a.friedel
    )
    return a.multiplicity * f_squared


def offset_frac(phase: Phase, c: Record, seed: int, index: int, purpose: Purpose) -> Floats:
    """(n, 3) coordinates after the offsets."""
    a = phase.atoms
    assert a is not None, "this phase was prepared without atoms"
    z = random.normal(seed, index, purpose, 3 * a.sites).reshape(-1, 3)
    return moved_sites(a.frac, a.site, a.moves, float(c["thermal_offset_A"]), z)


def lines(c: Record, inv_d2: Floats, weight: Floats) -> Floats:
    """Position in degrees, area, Gaussian FWHM and Lorentzian FWHM in degrees of every line, (k, 4)."""
    ratio = instrument.polarisation_ratio(c["monochromator_deg"], c["polarised_share"])
    out = []
    for wavelength_A, share in ((c["ka1_A"], 1.0), (c["ka2_A"], c["ka2_ratio"]), (c["kbeta_A"], c["kbeta_ratio"])):
        sine = wavelength_A / 2 * np.sqrt(inv_d2)
        reached = (sine < SINE_LIMIT) & (weight > 0)
        if share == 0 or not reached.any():
            continue
        theta = np.arcsin(sine[reached])
        angle, tangent = np.degrees(2 * theta), np.tan(theta)
        area = share * weight[reached] * lorentz_polarisation(angle, ratio)
        area = area * instrument.slit_factor(angle, SLITS[int(c["slits"])])
        if c["mu_t"] > 0:
            area = area * absorption.flat_plate(angle, c["mu_t"])
        if c["mu_r"] > 0:
            area = area * absorption.cylinder(angle, c["mu_r"])
        shift = instrument.line_shift_deg(
            angle, c["zero_shift_deg"], c["displacement_mm"], c["radius_mm"], c["transparency_mm"]
        )
        size = profile.scherrer_fwhm_deg(angle, wavelength_A, c["crystallite_size_nm"], c["scherrer_k"])
        strain = profile.microstrain_fwhm_deg(angle, c["microstrain"])
        gauss2 = profile.caglioti_fwhm_deg(angle, c["caglioti_u_deg2"], c["caglioti_v_deg2"], c["caglioti_w_deg2"]) ** 2
        lorentz = c["lorentz_x_deg"] / np.cos(theta) + c["lorentz_y_deg"] * tangent
        for width, shape in ((size, c["size_shape"]), (strain, c["strain_shape"])):
            gauss2 = gauss2 + (width**2 if shape >= 1 else 0)
            lorentz = lorentz + (width if shape != 1 else 0)
        out.append(np.column_stack([angle + shift, area, np.sqrt(gauss2), lorentz]))
    return np.concatenate(out) if out else np.zeros((0, 4))


def shapes(found: Floats, c: Record) -> tuple[Floats, Floats]:
    """FWHM in degrees and Lorentzian share of each line by the conditions' shape; of a Voigt, those of its stand-in."""
    gauss, lorentz = found[:, 2], found[:, 3]
    name = SHAPES[int(c["shape"])]
    if name in ("tch", "voigt"):
        fwhm, eta = profile.thompson_cox_hastings(gauss, lorentz)
        eta = np.clip(eta, 0, 1)
    elif name == "lorentzian":
        fwhm, eta = lorentz, np.ones(len(found))
    else:
        fwhm, eta = gauss, np.full(len(found), float(c["eta"]) if name == "pseudo-voigt" else 0.0)
    return np.maximum(fwhm, MIN_FWHM_DEG), eta


def draw(found: Floats, c: Record, x: Floats, fade: float = FADE) -> Floats:
    """(points,) the sum of all lines, each drawn where it matters, as the sub-lines that axial divergence makes of it.

    Args:
        found: (k, 4) from `lines`.
        c: conditions.
        x: (points,) 2theta, degrees.
        fade: what of the strongest line's height does not matter; FADE, or more for a phase of which there is little.
    """
    y = np.zeros(len(x))
    if len(found) == 0:
        return y
    heights = float(c["sample_over_l"]), float(c["detector_over_l"])
    fwhm, eta = shapes(found, c)
    height = found[:, 1] / fwhm
    seen = height / (fade * height.max())
    span = axial.axial_span_deg(found[:, 0], *heights)
    count = axial.axial_count(span, fwhm, FADE * seen)
    far = np.where(eta > 0, fwhm * np.maximum(0.5 * np.sqrt(eta * seen), TAIL), 0.0)
    core = fwhm * np.sqrt(np.log(seen / GAUSS_FADE) / (4 * np.log(2)))
    near = np.where(count > 1, np.minimum(axial.near_deg(span, fwhm), far), far)
    voigt = SHAPES[int(c["shape"])] == "voigt"
    for i, (position, area, gauss, lorentz) in enumerate(found):
        w, share = fwhm[i], eta[i]
        places, parts = axial.axial_nodes(position, *heights, int(count[i]))
        centroid = places @ parts
        if voigt:
            drawn = np.abs(x - centroid) <= max(far[i], core[i])
            for place, part in zip(places, parts, strict=True):
                y[drawn] += part * area * profile.voigt(x[drawn] - place, max(gauss, MIN_FWHM_DEG), lorentz)
            continue
        inside = np.abs(x - centroid) <= near[i]
        tail = (np.abs(x - centroid) <= far[i]) & ~inside
        y[tail] += area * share * profile.lorentzian(x[tail] - centroid, w)
        for place, part in zip(places, parts, strict=True):
            if share > 0:
                y[inside] += part * area * share * profile.lorentzian(x[inside] - place, w)
            if share < 1:
                drawn = np.abs(x - place) <= core[i]
                y[drawn] += part * area * (1 - share) * profile.gaussian(x[drawn] - place, w)
    return y
