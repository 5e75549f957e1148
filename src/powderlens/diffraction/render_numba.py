"""The compiled renderer: whole patterns on one core, as fast as the formulas allow. Read `render_numpy.py` first."""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from powderlens.core import random
from powderlens.core.elementary_compiled import angle_of, arcsin, compiled, exp, largest, log, sin_cos, smallest
from powderlens.core.random import Purpose
from powderlens.diffraction import absorption, axial, noise
from powderlens.diffraction.axial import (
    DENSITY,
    FEWEST,
    MAX_NODES,
    MEAN_NODES,
    NARROW,
    NEAR,
    NODES,
    STEEP,
    WEIGHTS,
    moments,
)
from powderlens.diffraction.conditions import Record
from powderlens.diffraction.kernel import inv_d2_of, inverse_symmetric
from powderlens.diffraction.noise import EXACT_MEAN
from powderlens.diffraction.phase import Phase, strength_of
from powderlens.diffraction.profile import VOIGT_COEFFICIENTS, VOIGT_FAR, VOIGT_L
from powderlens.diffraction.render_numpy import (
    FADE,
    GAUSS_FADE,
    MIN_FWHM_DEG,
    PALEST,
    SINE_LIMIT,
    SLIT_PIVOT,
    TAIL,
    u_total_A2,
)
from powderlens.diffraction.specimen import march_dollase, strained_metric
from powderlens.pattern.grid import Grid

M0, M1 = np.uint64(random.MULTIPLIER_0), np.uint64(random.MULTIPLIER_1)
W0, W1 = np.uint64(random.WEYL_0), np.uint64(random.WEYL_1)
middle, near_tail, far_tail = compiled(noise.middle), compiled(noise.near_tail), compiled(noise.far_tail)
cornish_fisher, paths = compiled(noise.cornish_fisher), compiled(absorption.paths)
centroid_shift = compiled(axial.centroid_shift)
MASK, HALF, ROUNDS = np.uint64(random.MASK), np.uint64(32), random.ROUNDS
DEGREE = 180.0 / np.pi
LOG2 = 0.6931471805599453
ROOT_LOG2, ROOT_LOG2_PI = 0.8325546111576977, 0.4697186393498257
"""Square roots of log 2, and of log 2 over pi."""
VOIGT_TAIL = 20.0
CHUNK = 512
# Purposes are arguments of compiled code, not its constants: for each constant it would be compiled anew.
MAIN = int(Purpose.INTENSITIES), int(Purpose.PERTURBATION)
IMPURITY = int(Purpose.IMPURITY_INTENSITIES), int(Purpose.IMPURITY_PERTURBATION)
OFFSETS, IMPURITY_OFFSETS = int(Purpose.OFFSETS), int(Purpose.IMPURITY_OFFSETS)
COUNTING = int(Purpose.NOISE), int(Purpose.MULTIPLICATIVE), int(Purpose.COUNTS)


class Axis(NamedTuple):
    """Where a pattern lies.

    `ramp` counts its points (float32, exact below 2^24), which begin at `start` degrees and are `step` degrees apart;
    those from `first` up to `last` are measured.
    """

    ramp: NDArray[np.float32]
    start: float
    step: float
    first: int
    last: int


class Address(NamedTuple):
    """Whose random numbers a pattern reads: its number under a seed, and the purposes of its counting."""

    seed: int
    number: int
    noise: int
    multiplicative: int
    counts: int


class Planes(NamedTuple):
    """One phase: its cell and operators, families of planes with their strengths, the overall displacement in A^2, and
    for what its strengths draw random numbers.
    """

    lattice: NDArray[np.float64]
    rotations: NDArray[np.int64]
    hkl: NDArray[np.int64]
    strength: NDArray[np.float64]
    u_total_A2: float
    jitter: int
    perturbation: int


class Tall(NamedTuple):
    """Heights of specimen and slit over the radius, and the second and fourth moment of what they do to a line."""

    sample_over_l: float
    detector_over_l: float
    second: float
    fourth: float


@compiled
def philox_words(seed, index, purpose, blocks):  # type: ignore[no-untyped-def]
    """(4, blocks) uint64 words, see `core.random.words`; word w of block b is `out[w, b]`."""
    out = np.empty((4, blocks), np.uint64)
    x0, x1, x2, x3 = out[0], out[1], out[2], out[3]
    key0, key1 = np.uint64(seed) & MASK, np.uint64(seed) >> HALF
    low, high = np.uint64(index) & MASK, np.uint64(index) >> HALF
    purpose_word = np.uint64(purpose)
    for b in range(blocks):
        c0, c1, c2, c3 = np.uint64(b) & MASK, purpose_word, low, high
        k0, k1 = key0, key1
        for _ in range(ROUNDS):
            a, d = c0 * M0, c2 * M1
            c0, c1, c2, c3 = (d >> HALF) ^ c1 ^ k0, d & MASK, (a >> HALF) ^ c3 ^ k1, a & MASK
            k0, k1 = (k0 + W0) & MASK, (k1 + W1) & MASK
        x0[b], x1[b], x2[b], x3[b] = c0, c1, c2, c3
    return out


@compiled
def uniforms(seed, index, purpose, count):  # type: ignore[no-untyped-def]
    """(count,) float64, see `core.random.uniform`."""
    blocks = (count + 3) // 4
    words = philox_words(seed, index, purpose, blocks)
    out = np.empty(4 * blocks)
    for w in range(4):
        for b in range(blocks):
            out[4 * b + w] = (float(words[w, b]) + 0.5) * 2.0**-32
    return out[:count]


_ONE, _HALF, _TWO, _PI, _LOG2 = np.float32(1), np.float32(0.5), np.float32(2), np.float32(np.pi), np.float32(LOG2)
_WORD, _UPPER = np.float32(2.0**-32), np.float32(65536)
_LOG_SERIES = tuple(np.float32(1 / (2 * k + 1)) for k in range(1, 6))
_SINE_SERIES = tuple(np.float32((-1) ** k / factorial(2 * k + 1)) for k in range(1, 7))
_COSINE_SERIES = tuple(np.float32((-1) ** k / factorial(2 * k)) for k in range(1, 7))


@compiled
def _pair(radius_word, turn_word, first, second):  # type: ignore[no-untyped-def]
    """Box and Muller for arrays of words in float32, with polynomials in place of the library's log, sine and cosine.

    log x = e log 2 + 2 artanh((m - 1) / (m + 1)) for x = m 2^e with m from 0.7 to 1.4, series to the 11th power: 2e-9.
    Sine and cosine of half the angle by their series to the 13th and 12th power (6e-8), then doubled. Rounding makes
    the numbers good to 1e-6.
    """
    n = radius_word.shape[0]
    l1, l2, l3, l4, l5 = _LOG_SERIES
    s1, s2, s3, s4, s5, s6 = _SINE_SERIES
    c1, c2, c3, c4, c5, c6 = _COSINE_SERIES
    x = np.empty(n, np.float32)
    for i in range(n):
        w = radius_word[i]
        upper, lower = np.int32(w >> np.uint64(16)), np.int32(w & np.uint64(0xFFFF))
        x[i] = (np.float32(upper) * _UPPER + (np.float32(lower) + _HALF)) * _WORD
    bits = x.view(np.int32)
    mantissa = np.empty(n, np.int32)
    exponent = np.empty(n, np.int32)
    for i in range(n):
        # 0x3F3504F3 is the float32 of sqrt(1/2): the mantissa then lies around 1.
        over = bits[i] - np.int32(0x3F3504F3)
        exponent[i] = over >> np.int32(23)
        mantissa[i] = (over & np.int32(0x7FFFFF)) + np.int32(0x3F3504F3)
    m = mantissa.view(np.float32)
    for i in range(n):
        t = (m[i] - _ONE) / (m[i] + _ONE)
        t2 = t * t
        series = _ONE + t2 * (l1 + t2 * (l2 + t2 * (l3 + t2 * (l4 + t2 * l5))))
        logarithm = np.float32(exponent[i]) * _LOG2 + _TWO * t * series
        radius = np.sqrt(max(-_TWO * logarithm, np.float32(0)))
        w = turn_word[i]
        upper, lower = np.int32(w >> np.uint64(16)), np.int32(w & np.uint64(0xFFFF))
        # pi (turn - 1/2), half the angle less half a turn: cos(2 pi turn) = -cos(2 h), sin(2 pi turn) = -sin(2 h).
        h = _PI * ((np.float32(upper) * _UPPER + (np.float32(lower) + _HALF)) * _WORD - _HALF)
        q = h * h
        sine = h * (_ONE + q * (s1 + q * (s2 + q * (s3 + q * (s4 + q * (s5 + q * s6))))))
        cosine = _ONE + q * (c1 + q * (c2 + q * (c3 + q * (c4 + q * (c5 + q * c6)))))
        first[i] = radius * (_TWO * sine * sine - _ONE)
        second[i] = -_TWO * radius * sine * cosine


@compiled
def normals(seed, index, purpose, count):  # type: ignore[no-untyped-def]
    """(count,) float64 good to float32, see `core.random.normal`."""
    blocks = (count + 3) // 4
    words = philox_words(seed, index, purpose, blocks)
    pairs = np.empty((4, blocks), np.float32)
    _pair(words[0], words[1], pairs[0], pairs[1])
    _pair(words[2], words[3], pairs[2], pairs[3])
    out = np.empty(4 * blocks)
    for b in range(blocks):
        out[4 * b] = pairs[0, b]
        out[4 * b + 1] = pairs[1, b]
        out[4 * b + 2] = pairs[2, b]
        out[4 * b + 3] = pairs[3, b]
    return out[:count]


@compiled
def cylinder(y, mu_r):  # type: ignore[no-untyped-def]
    """`absorption.cylinder` of y = sin^2 theta."""
    root = np.sqrt(y)
    return exp(-mu_r * paths(y, root, np.sqrt(root), exp(-0.024551 * y), mu_r))


@compiled
def moved(frac, site, moves, offset, z):  # type: ignore[no-untyped-def]
    """`thermal.moved_sites`; z (3 orbits,) are the normal numbers."""
    out = frac.copy()
    for i in range(frac.shape[0]):
        s = site[i]
        x, y, w = z[3 * s], z[3 * s + 1], z[3 * s + 2]
        f = offset / np.sqrt(x * x + y * y + w * w)
        for k in range(3):
            out[i, k] += f * (moves[i, k, 0] * x + moves[i, k, 1] * y + moves[i, k, 2] * w)
    return out


@compiled
def emitted(c, wavelength, share, root, weight, sine, area, gauss, lorentz, width, eta):  # type: ignore[no-untyped-def]
    """The lines of one wavelength without their positions, into the last six arrays: `render_numpy.lines`, `shapes`.

    Without branches over lines, so that it is compiled to vectors: beyond `SINE_LIMIT` the area is 0.

    c are conditions, `share` the intensity of this wavelength (the first has 1), `root` 1 / (2 d) in 1/A, `weight`
    multiplicity times |F|^2 after displacements. Filled, all (m,): sin theta, area, the two widths in degrees, and by
    the shape FWHM and Lorentzian share (of a Voigt, those of its stand-in).
    """
    m = root.shape[0]
    a = sin_cos(c.monochromator_deg / DEGREE)[1] ** 2 * (1.0 - c.polarised_share) / c.polarised_share
    size_factor = DEGREE * c.scherrer_k * wavelength / (10.0 * c.crystallite_size_nm)
    strain_factor = DEGREE * 4.0 * c.microstrain
    size_gauss = size_factor if c.size_shape >= 1 else 0.0
    size_lorentz = size_factor if c.size_shape != 1 else 0.0
    strain_gauss = strain_factor if c.strain_shape >= 1 else 0.0
    strain_lorentz = strain_factor if c.strain_shape != 1 else 0.0
    automatic = c.slits == 1
    u, v, w0 = c.caglioti_u_deg2, c.caglioti_v_deg2, c.caglioti_w_deg2
    lorentz_x, lorentz_y = c.lorentz_x_deg, c.lorentz_y_deg
    for i in range(m):
        s = min(wavelength * root[i], SINE_LIMIT)
        cosine = np.sqrt(1.0 - s * s)
        tangent = s / cosine
        cos2 = 1.0 - 2.0 * s * s
        lit = share if wavelength * root[i] < SINE_LIMIT else 0.0
        slit = s if automatic else 1.0
        sine[i] = s
        area[i] = lit * weight[i] * slit * (1.0 + a * cos2 * cos2) / ((1.0 + a) * s * s * cosine)
        size_g, strain_g = size_gauss / cosine, strain_gauss * tangent
        g2 = max((u * tangent + v) * tangent + w0, 0.0) + size_g * size_g + strain_g * strain_g
        gauss[i] = np.sqrt(g2)
        lorentz[i] = (lorentz_x + size_lorentz) / cosine + (lorentz_y + strain_lorentz) * tangent
    if c.mu_t > 0.0:
        for i in range(m):
            area[i] *= 1.0 - exp(-2.0 * c.mu_t / sine[i])
    if c.mu_r > 0.0:
        for i in range(m):
            area[i] *= cylinder(sine[i] * sine[i], c.mu_r)
    if c.shape == 0 or c.shape == 4:
        for i in range(m):
            # Thompson, Cox and Hastings; the fifth root by two steps of Newton from Olivero and Longbothum's width
            # (J. Quant. Spectrosc. Radiat. Transfer 17, 233 (1977)), which is good to 2e-4.
            g, x = gauss[i], lorentz[i]
            g2, x2 = g * g, x * x
            fifth = (
                g2 * g2 * g
                + 2.69269 * g2 * g2 * x
                + 2.42843 * g2 * g * x2
                + 4.47163 * g2 * x2 * x
                + 0.07842 * g * x2 * x2
                + x2 * x2 * x
            )
            w = max(0.5346 * x + np.sqrt(0.2166 * x2 + g2), 1e-12)
            w4 = w * w * w * w
            w -= 0.2 * (w - fifth / w4)
            w4 = w * w * w * w
            w -= 0.2 * (w - fifth / w4)
            q = x / w
            width[i] = max(w, MIN_FWHM_DEG)
            eta[i] = min(max(1.36603 * q - 0.47719 * q * q + 0.11116 * q * q * q, 0.0), 1.0)
    else:
        part = 1.0 if c.shape == 3 else (c.eta if c.shape == 1 else 0.0)
        for i in range(m):
            width[i] = max(lorentz[i] if c.shape == 3 else gauss[i], MIN_FWHM_DEG)
            eta[i] = part


@compiled
def lines(c, inv_d2, weight, u_total, fade):  # type: ignore[no-untyped-def]
    """Every line of a phase that can be seen: steps 3 to 5 of the renderer, `render_numpy.lines_of`.

    Returns:
        (k, 8): position in degrees, area, Gaussian and Lorentzian FWHM in degrees, by the shape the FWHM and Lorentzian
        share, and sine and cosine of the position. The strongest height, area over FWHM.
    """
    m = inv_d2.shape[0]
    root, left = np.empty(m), np.empty(m)
    for i in range(m):
        root[i] = 0.5 * np.sqrt(inv_d2[i])
        left[i] = max(weight[i], 0.0)
    if u_total > 0.0:
        for i in range(m):
            left[i] *= exp(-4.0 * np.pi * np.pi * u_total * inv_d2[i])
    held = np.empty((3, 6, m))
    strongest = 0.0
    emissions = 0
    for emission in range(3):
        wavelength, share = c.ka1_A, 1.0
        if emission == 1:
            wavelength, share = c.ka2_A, c.ka2_ratio
        elif emission == 2:
            wavelength, share = c.kbeta_A, c.kbeta_ratio
        if share == 0.0:
            continue
        h = held[emissions]
        emitted(c, wavelength, share, root, left, h[0], h[1], h[2], h[3], h[4], h[5])
        emissions += 1
        for i in range(m):
            strongest = max(strongest, h[1, i] / h[4, i])
    out = np.empty((emissions * m, 8))
    n = 0
    floor = fade * strongest
    if strongest <= 0.0:
        return out[:0], 0.0
    bend = 2.0 * c.displacement_mm / c.radius_mm
    deep = c.transparency_mm / c.radius_mm
    zero = c.zero_shift_deg / DEGREE
    for emission in range(emissions):
        h = held[emission]
        for i in range(m):
            if h[1, i] < floor * h[4, i] or h[1, i] <= 0.0:
                continue
            s = h[0, i]
            cosine = np.sqrt(1.0 - s * s)
            shift = zero - cosine * (bend + deep * s)
            sine2, cosine2 = 2.0 * s * cosine, 1.0 - 2.0 * s * s
            out[n, 0] = (2.0 * arcsin(s) + shift) * DEGREE
            for k in range(1, 6):
                out[n, k] = h[k, i]
            # Shifts are below 0.03 radians: their sine and cosine to fourth order.
            turn, still = shift * (1.0 - shift * shift / 6.0), 1.0 - 0.5 * shift * shift
            out[n, 6] = sine2 * still + cosine2 * turn
            out[n, 7] = cosine2 * still - sine2 * turn
            n += 1
    return out[:n], strongest


@compiled
def split(angle, sine, cosine, tall, height, width, places, shares):  # type: ignore[no-untyped-def]
    """Sub-lines of one line under axial divergence into `places` (degrees) and `shares`: `axial.axial_nodes`.

    Returns:
        How many, their centroid in degrees, and the length of the tail in degrees.
    """
    places[0], shares[0] = angle, 1.0
    if sine <= 0.0:
        return 1, angle, 0.0
    total = tall.sample_over_l + tall.detector_over_l
    limit = total / np.sqrt(1.0 + total * total) / sine
    cot = cosine / sine
    # A tail is rise^2 / 2 cot(2theta) long where that is small. Twice that decides for most lines without more.
    ratio = DEGREE * total * total * abs(cot) / width
    one = limit < STEEP and ratio * ratio * height < NARROW * NARROW
    psi, span, count = 0.0, 0.0, 1
    if not one:
        psi = arcsin(min(limit, 1.0))
        span = DEGREE * abs(angle / DEGREE - angle_of(sine * sin_cos(psi)[1], cosine))
        ratio = span / width
        one = ratio * ratio * height < NARROW * NARROW
    if one and limit <= STEEP:
        places[0] = angle - DEGREE * centroid_shift(sine, cosine, tall.second, tall.fourth)
        return 1, places[0], span
    nodes = MEAN_NODES if one else min(FEWEST + int(np.ceil(DENSITY * ratio)), MAX_NODES)
    plateau = max(2.0 * min(tall.sample_over_l, tall.detector_over_l), 1e-12)
    whole, centroid = 0.0, 0.0
    for j in range(nodes):
        turned_sine, turned_cosine = sin_cos(psi * NODES[nodes, j])
        up = (turned_sine * sine) ** 2
        share = WEIGHTS[nodes, j] * min((total - np.sqrt(up / (1.0 - up))) / plateau, 1.0)
        place = DEGREE * angle_of(sine * turned_cosine, cosine)
        whole += share
        centroid += share * place
        places[j], shares[j] = place, share
    centroid /= whole
    if one:
        places[0], shares[0] = centroid, 1.0
        return 1, centroid, span
    count = nodes
    for j in range(count):
        shares[j] /= whole
    return count, centroid, span


@compiled
def add_lorentzian(out, ramp, lo, hi, place, unit, height):  # type: ignore[no-untyped-def]
    """out[i] += height / (1 + unit^2 (i - place)^2) for lo <= i < hi; place in steps of the grid.

    In float32 from the nearest point on, which costs 3e-7 of the height: it is the division that takes the time.
    """
    centre = np.rint(place)
    offset, scale32, height32 = np.float32((centre - place) * unit), np.float32(unit), np.float32(height)
    first = np.float32(lo - centre)
    for i in range(hi - lo):
        u = offset + scale32 * (first + ramp[i])
        out[lo + i] += height32 / (_ONE + u * u)


@compiled
def add_gaussian(out, lo, hi, position, start, step, fwhm, height):  # type: ignore[no-untyped-def]
    """out[i] += height * exp(-4 ln 2 (x - position)^2 / fwhm^2) for lo <= i < hi.

    Along the grid the exponential follows from two multiplications a point: exp(-(x + d)^2) is a product. Both sides
    of the centre are walked together, which keeps the processor busy.
    """
    k = 4.0 * LOG2 / (fwhm * fwhm)
    centre = min(max(int(np.rint((position - start) / step)), lo), hi - 1)
    x = start + step * centre - position
    first = height * exp(-k * x * x)
    ratio2 = exp(-2.0 * k * step * step)
    up, up_ratio = first, exp(-k * step * (2.0 * x + step))
    down, down_ratio = first, exp(-k * step * (step - 2.0 * x))
    both = min(hi - centre, centre - lo + 1)
    out[centre] += first
    for i in range(1, both):
        up *= up_ratio
        down *= down_ratio
        up_ratio *= ratio2
        down_ratio *= ratio2
        out[centre + i] += up
        out[centre - i] += down
    for i in range(centre + both, hi):
        up *= up_ratio
        up_ratio *= ratio2
        out[i] += up
    for i in range(centre - both, lo - 1, -1):
        down *= down_ratio
        down_ratio *= ratio2
        out[i] += down


@compiled
def add_voigt(out, ramp, lo, hi, position, start, step, gauss, lorentz, area):  # type: ignore[no-untyped-def]
    """Add a true Voigt, `profile.voigt`: the Faddeeva function by Weideman's series near, by its fraction far away.

    Sources: Weideman, SIAM J. Numer. Anal. 31, 1497 (1994); Humlicek, J. Quant. Spectrosc. Radiat. Transfer 27, 437
    (1982), region 2, from |z| = VOIGT_FAR on.
    """
    unit = 2.0 * ROOT_LOG2 / gauss  # 1 / (sigma sqrt 2)
    y = 0.5 * lorentz * unit
    scale = area * unit / np.sqrt(np.pi)
    reach = np.sqrt(max(VOIGT_FAR**2 - y * y, 0.0)) / unit
    near_lo = min(max(int(np.ceil((position - reach - start) / step)), lo), hi)
    near_hi = max(min(int(np.floor((position + reach - start) / step)) + 1, hi), near_lo)
    offset, factor = (start - position) * unit, step * unit
    # Far tails, |z| > TAIL: i / (sqrt(pi) z) (1 + 1 / (2 z^2)), real part; the next term is below 2e-7.
    reach = np.sqrt(max(VOIGT_TAIL**2 - y * y, 0.0)) / unit
    tail_lo = min(max(int(np.ceil((position - reach - start) / step)), lo), near_lo)
    tail_hi = max(min(int(np.floor((position + reach - start) / step)) + 1, hi), near_hi)
    lead, y2 = scale * y * 0.5641895835477563, y * y
    for part in range(2):
        first, last = (lo, tail_lo) if part == 0 else (tail_hi, hi)
        for i in range(first, last):
            x = offset + factor * ramp[i]
            x2 = x * x
            r = 1.0 / (x2 + y2)
            out[i] += lead * r * (1.0 + 0.5 * (3.0 * x2 - y2) * r * r)
    for part in range(2):
        first, last = (tail_lo, near_lo) if part == 0 else (near_hi, tail_hi)
        for i in range(first, last):
            x = offset + factor * ramp[i]
            # z^2 = p + i q; w = i z (z^2 / sqrt(pi) - 1.4104740) / (0.75 + z^2 (z^2 - 3)), real part.
            p, q = x * x - y * y, 2.0 * x * y
            a, b = p * 0.5641895835477563 - 1.410474, q * 0.5641895835477563
            num_re, num_im = -(y * a + x * b), x * a - y * b
            den_re, den_im = 0.75 + p * (p - 3.0) - q * q, q * (2.0 * p - 3.0)
            out[i] += scale * (num_re * den_re + num_im * den_im) / (den_re * den_re + den_im * den_im)
    n = near_hi - near_lo
    if n <= 0:
        return
    zr, zi, sr, si = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    for j in range(n):
        x = offset + factor * ramp[near_lo + j]
        # Z = (L + i z) / (L - i z) = (L - y + i x) / (L + y - i x)
        ar, br = VOIGT_L - y, VOIGT_L + y
        d = 1.0 / (br * br + x * x)
        zr[j], zi[j] = (ar * br - x * x) * d, (x * br + ar * x) * d
        sr[j], si[j] = VOIGT_COEFFICIENTS[0], 0.0
    for k in range(1, VOIGT_COEFFICIENTS.shape[0]):
        a = VOIGT_COEFFICIENTS[k]
        for j in range(n):
            re = sr[j] * zr[j] - si[j] * zi[j] + a
            si[j] = sr[j] * zi[j] + si[j] * zr[j]
            sr[j] = re
    for j in range(n):
        x = offset + factor * ramp[near_lo + j]
        # w = 2 p(Z) / (L - i z)^2 + (1 / sqrt(pi)) / (L - i z), with L - i z = (L + y) - i x
        br = VOIGT_L + y
        d = 1.0 / (br * br + x * x)
        ir, ii = br * d, x * d
        jr, ji = ir * ir - ii * ii, 2.0 * ir * ii
        out[near_lo + j] += scale * (2.0 * (sr[j] * jr - si[j] * ji) + 0.5641895835477563 * ir)


@compiled
def window(centre, reach, start, step, n):  # type: ignore[no-untyped-def]
    """First point and end of what lies within `reach` degrees of `centre`."""
    lo = min(max(int(np.ceil((centre - reach - start) / step)), 0), n)
    return lo, max(min(int(np.floor((centre + reach - start) / step)) + 1, n), lo)


@compiled
def draw(out, axis, found, strongest, fade, tall, voigt):  # type: ignore[no-untyped-def]
    """Add all lines to `out`: `render_numpy.draw`."""
    n, ramp, start, step = out.shape[0], axis.ramp, axis.start, axis.step
    to_lorentz, to_gauss = 2.0 / np.pi, 2.0 * ROOT_LOG2_PI
    places, shares = np.empty(MAX_NODES), np.empty(MAX_NODES)
    axial = tall.sample_over_l + tall.detector_over_l > 0.0
    for i in range(found.shape[0]):
        area, w, eta = found[i, 1], found[i, 4], found[i, 5]
        seen = area / (w * strongest * fade)
        count, centroid, span = 1, found[i, 0], 0.0
        places[0], shares[0] = centroid, 1.0
        if axial:
            count, centroid, span = split(found[i, 0], found[i, 6], found[i, 7], tall, FADE * seen, w, places, shares)
        far = w * max(0.5 * np.sqrt(eta * seen), TAIL) if eta > 0.0 else 0.0
        core = w * np.sqrt(max(log(seen / GAUSS_FADE), 0.0) / (4.0 * LOG2))
        lo, hi = window(centroid, max(far, core) if voigt else far, start, step, n)
        if voigt:
            if lo < hi:
                g, x = max(found[i, 2], MIN_FWHM_DEG), found[i, 3]
                for j in range(count):
                    add_voigt(out, ramp, lo, hi, places[j], start, step, g, x, shares[j] * area)
            continue
        if eta > 0.0 and lo < hi:
            height, unit = eta * area * to_lorentz / w, 2.0 * step / w
            near_lo, near_hi = lo, hi
            if count > 1:
                near_lo, near_hi = window(centroid, min(span + NEAR * np.sqrt(span * w), far), start, step, n)
                place = (centroid - start) / step
                add_lorentzian(out, ramp, lo, near_lo, place, unit, height)
                add_lorentzian(out, ramp, near_hi, hi, place, unit, height)
            for j in range(count):
                place = (places[j] - start) / step
                add_lorentzian(out, ramp, near_lo, near_hi, place, unit, shares[j] * height)
        if eta < 1.0:
            height = (1.0 - eta) * area * to_gauss / w
            for j in range(count):
                lo, hi = window(places[j], core, start, step, n)
                if lo < hi:
                    add_gaussian(out, lo, hi, places[j], start, step, w, shares[j] * height)


@compiled
def clean(out, axis, records, at, planes, address, fade, moments):  # type: ignore[no-untyped-def]
    """Lines of one phase into `out`, any scale: steps 1 to 7. Whether a line stands in the measured range."""
    c = records[at]
    e = c.strain
    strain = np.empty((3, 3))
    strain[0, 0], strain[1, 1], strain[2, 2] = e[0], e[1], e[2]
    strain[1, 2] = strain[2, 1] = e[3]
    strain[0, 2] = strain[2, 0] = e[4]
    strain[0, 1] = strain[1, 0] = e[5]
    reciprocal = inverse_symmetric(strained_metric(planes.lattice, planes.rotations, strain))
    hkl, rotations = planes.hkl, planes.rotations
    m = hkl.shape[0]
    inv_d2, weight = inv_d2_of(hkl, reciprocal), planes.strength.copy()
    if c.march_r != 1.0:
        along = np.empty(3)
        for i in range(3):
            along[i] = c.texture_axis[i]
        weight *= march_dollase(hkl, reciprocal, rotations, along, c.march_r)
    if c.intensity_jitter > 0.0:
        z = normals(address.seed, address.number, planes.jitter, m)
        for i in range(m):
            weight[i] *= exp(c.intensity_jitter * z[i])
    if c.intensity_perturbation > 0.0:
        u = uniforms(address.seed, address.number, planes.perturbation, m)
        weight *= 1.0 + c.intensity_perturbation * (2.0 * u - 1.0)
    found, strongest = lines(c, inv_d2, weight, planes.u_total_A2, fade)
    n = out.shape[0]
    shown = False
    low, high = axis.start + axis.first * axis.step, axis.start + (axis.last - 1) * axis.step
    for i in range(found.shape[0]):
        shown = shown or low <= found[i, 0] <= high
    if not shown:
        return False
    tall = Tall(c.sample_over_l, c.detector_over_l, moments[0], moments[1])
    draw(out, axis, found, strongest, fade, tall, c.shape == 4)
    if c.slit_tilt != 0.0:
        # exp(a + b i) along the grid by repeated multiplication.
        value = exp(-SLIT_PIVOT * c.slit_tilt)
        ratio = exp(c.slit_tilt / (n - 1))
        for i in range(n):
            out[i] *= value
            value *= ratio
    return True


@compiled
def scale(y, lo, hi):  # type: ignore[no-untyped-def]
    """The strongest point of y[lo:hi] becomes 1; without lines, zero everywhere."""
    top = largest(y[lo:hi]) if lo < hi else 0.0
    factor = 1.0 / top if top > 0.0 else 0.0
    for i in range(y.shape[0]):
        y[i] *= factor


@compiled
def add_background(y, axis, records, at):  # type: ignore[no-untyped-def]
    """Chebyshev sum, humps and air: `background.under`."""
    c, ramp, start, step = records[at], axis.ramp, axis.start, axis.step
    n = y.shape[0]
    terms = c.terms
    if terms > 0:
        before, now, twice = np.empty(CHUNK), np.empty(CHUNK), np.empty(CHUNK)
        slope = 2.0 / (n - 1)
        first = c.chebyshev[0]
        second = c.chebyshev[1] if terms > 1 else 0.0
        # Some points at a time, which stay in the cache from one term to the next; two terms in a turn.
        for start_at in range(0, n, CHUNK):
            some, place = y[start_at : start_at + CHUNK], ramp[start_at : start_at + CHUNK]
            many = some.shape[0]
            for i in range(many):
                before[i], now[i] = 1.0, slope * place[i] - 1.0
                twice[i] = 2.0 * now[i]
                some[i] += first + second * now[i]
            for k in range(2, terms, 2):
                a, b = c.chebyshev[k], c.chebyshev[k + 1] if k + 1 < terms else 0.0
                for i in range(many):
                    before[i] = twice[i] * now[i] - before[i]
                    now[i] = twice[i] * before[i] - now[i]
                    some[i] += a * before[i] + b * now[i]
    for k in range(c.humps.shape[0]):
        centre, fwhm, height = c.humps[k, 0], c.humps[k, 1], c.humps[k, 2]
        if fwhm > 0.0 and height != 0.0:
            add_gaussian(y, np.int64(0), n, centre, start, step, fwhm, height)
    if c.air_scatter > 0.0:
        value, ratio = c.air_scatter * exp(-start / c.air_decay_deg), exp(-step / c.air_decay_deg)
        for i in range(n):
            y[i] += value
            value *= ratio


@compiled
def normal_inverse(u):  # type: ignore[no-untyped-def]
    """`noise.normal_inverse` of one number."""
    q = u - 0.5
    if abs(q) <= 0.425:
        return middle(q)
    depth = np.sqrt(-log(min(u, 1.0 - u)))
    tail = near_tail(depth) if depth <= 5.0 else far_tail(depth)
    return tail if q > 0.0 else -tail


@compiled
def poisson_inverse(mean, u):  # type: ignore[no-untyped-def]
    """`noise.poisson_inverse` of one number."""
    if mean > EXACT_MEAN:
        return max(np.floor(cornish_fisher(mean, np.sqrt(mean), normal_inverse(u))), 0.0)
    p = exp(-mean)
    total, k = p, 0
    while u > total and k < 1000:
        k += 1
        p *= mean / k
        total += p
    return float(k)


@compiled
def add_gaussian_noise(y, z, sigma, share):  # type: ignore[no-untyped-def]
    """y += sigma sqrt(1 + max(y, 0) / share) z, of constant width for share 0."""
    if share > 0.0:
        inverse = 1.0 / share
        for i in range(y.shape[0]):
            y[i] += sigma * np.sqrt(1.0 + max(y[i], 0.0) * inverse) * z[i]
    else:
        for i in range(y.shape[0]):
            y[i] += sigma * z[i]


@compiled
def ends_of(y, lo, hi):  # type: ignore[no-untyped-def]
    """Smallest and largest of y[lo:hi]."""
    return smallest(y[lo:hi]), largest(y[lo:hi])


@compiled
def counted(y, axis, records, at, address):  # type: ignore[no-untyped-def]
    """What counting makes of a pattern, in place: `noise.counted`."""
    c, lo, hi = records[at], axis.first, axis.last
    seed, index = address.seed, address.number
    n = y.shape[0]
    if c.counts_at_max > 0.0:
        _, top = ends_of(y, lo, hi)
        if top > 0.0:
            u = uniforms(seed, index, address.counts, n)
            for i in range(lo, hi):
                y[i] = poisson_inverse(c.counts_at_max * max(y[i], 0.0) / top, u[i]) * top / c.counts_at_max
    floor, span = 0.0, 1.0
    if c.rescale:
        floor, top = ends_of(y, lo, hi)
        span = top - floor
        for i in range(n):
            y[i] = (y[i] - floor) / span if span > 0.0 else 0.0
    if c.noise_sigma > 0.0 or c.multiplicative_sigma > 0.0:
        raw = c.raw_points
        z = normals(seed, index, address.noise, raw * n) if c.noise_sigma > 0.0 else np.empty(0)
        f = normals(seed, index, address.multiplicative, raw * n) if c.multiplicative_sigma > 0.0 else np.empty(0)
        mean = np.zeros(n)
        for r in range(raw):
            one = y.copy()
            if c.noise_sigma > 0.0:
                add_gaussian_noise(one, z[r * n : (r + 1) * n], c.noise_sigma, c.background_share)
            if c.multiplicative_sigma > 0.0:
                for i in range(n):
                    one[i] *= 1.0 + c.multiplicative_sigma * f[r * n + i]
            add = c.pedestal * c.noise_sigma
            if c.below_zero == 1:
                for i in range(n):
                    mean[i] += max(one[i] + add, 0.0)
            elif c.below_zero == 2:
                for i in range(n):
                    mean[i] += abs(one[i] + add)
            else:
                for i in range(n):
                    mean[i] += one[i] + add
        for i in range(n):
            y[i] = mean[i] / raw
    elif c.below_zero > 0:
        for i in range(n):
            y[i] = max(y[i], 0.0) if c.below_zero == 1 else abs(y[i])
    if c.rescale:
        low, top = ends_of(y, lo, hi)
        height = top - low
        for i in range(n):
            y[i] = (y[i] - low) / height * span + floor if height > 0.0 else floor
    y[:lo] = 0.0
    y[hi:] = 0.0


@compiled
def mix(y, other, share):  # type: ignore[no-untyped-def]
    """(1 - share) y + share other, in place."""
    for i in range(y.shape[0]):
        y[i] = (1.0 - share) * y[i] + share * other[i]


@compiled
def pattern(y, axis, records, at, planes, other, share, address, moments):  # type: ignore[no-untyped-def]
    """One pattern into zeros: `render_numpy.pattern`, with a second phase where `share` is above 0."""
    if not clean(y, axis, records, at, planes, address, FADE, moments):
        return
    lo, hi = axis.first, axis.last
    scale(y, lo, hi)
    if share > 0.0:
        second = np.zeros(y.shape[0])
        if clean(second, axis, records, at, other, address, min(FADE / share, PALEST), moments):
            scale(second, lo, hi)
            mix(y, second, share)
            scale(y, lo, hi)
    add_background(y, axis, records, at)
    counted(y, axis, records, at, address)


def render(
    phases: Sequence[Phase],
    records: NDArray[np.void],
    grid: Grid,
    seed: int,
    index: NDArray[np.int64],
    impurities: Sequence[Phase | None],
) -> NDArray[np.float64]:
    """See `render.render`."""
    out = np.zeros((len(records), grid.points))
    ramp = np.arange(grid.points, dtype=np.float32)  # exact: whole numbers below 2^24
    start, step = float(grid.start_deg), float(grid.step_deg)
    lo, hi = measured_points(records, grid)
    second, fourth = moments(np.asarray(records["sample_over_l"]), np.asarray(records["detector_over_l"]))
    # Columns as lists: a number taken from a record costs more than one from a list.
    columns = (lo, hi, np.asarray(index), second, fourth, records["impurity_share"])
    rows = zip(*(column.tolist() for column in columns), strict=True)
    special = ((records["thermal_offset_A"] > 0) | (records["debye_temperature_K"] > 0)).tolist()
    plain = records["u_overall_A2"].tolist()
    for at, (phase, impurity, row) in enumerate(zip(phases, impurities, rows, strict=True)):
        first, last, number, e2, e4, share = row
        other = phase if impurity is None else impurity
        share = 0.0 if impurity is None else share
        strength, u, other_strength, other_u = phase.strength, plain[at], other.strength, plain[at]
        if special[at]:
            strength, u = prepared(phase, records[at], seed, number, OFFSETS)
            if share > 0:
                other_strength, other_u = prepared(other, records[at], seed, number, IMPURITY_OFFSETS)
        pattern(
            out[at],
            Axis(ramp, start, step, first, last),
            records,
            at,
            Planes(phase.lattice, phase.rotations, phase.hkl, strength, u, *MAIN),
            Planes(other.lattice, other.rotations, other.hkl, other_strength, other_u, *IMPURITY),
            share,
            Address(seed, number, *COUNTING),
            (e2, e4),
        )
    return out


def measured_points(records: NDArray[np.void], grid: Grid) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(b,) first measured point of each pattern, and where its last one ends."""
    start, step = float(grid.start_deg), float(grid.step_deg)
    lo = np.clip(np.ceil((records["first_deg"] - 1e-6 - start) / step), 0, grid.points).astype(np.int64)
    hi = np.clip(np.floor((records["last_deg"] + 1e-6 - start) / step) + 1, lo, grid.points).astype(np.int64)
    return lo, hi


def prepared(phase: Phase, c: Record, seed: int, index: int, purpose: int) -> tuple[NDArray[np.float64], float]:
    """Strengths after thermal offsets, and the overall displacement."""
    u = u_total_A2(phase, c) if c["debye_temperature_K"] > 0 else float(c["u_overall_A2"])
    if c["thermal_offset_A"] == 0:
        return phase.strength, u
    a = phase.atoms
    assert a is not None, "this phase was prepared without atoms"
    z = normals(seed, index, purpose, 3 * a.sites)
    frac = moved(a.frac, a.site, a.moves, float(c["thermal_offset_A"]), z)
    return strength_of(a, phase.hkl, frac), u
