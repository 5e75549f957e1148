"""The compiled renderer: whole patterns on one core, as fast as the formulas allow. Read `render_numpy.py` first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from powderlens.core import random
from powderlens.core.random import Purpose
from powderlens.diffraction.axial import DENSITY, FEWEST, MAX_NODES, MEAN_NODES, NARROW, NODES, SHORT_DEG, WEIGHTS
from powderlens.diffraction.conditions import Record
from powderlens.diffraction.kernel import inverse_symmetric
from powderlens.diffraction.noise import EXACT_MEAN
from powderlens.diffraction.phase import Phase, strength_of
from powderlens.diffraction.profile import VOIGT_COEFFICIENTS, VOIGT_FAR, VOIGT_L
from powderlens.diffraction.render_numpy import (
    FADE,
    GAUSS_REACH,
    MIN_FWHM_DEG,
    SINE_LIMIT,
    SLIT_PIVOT,
    u_total_A2,
)
from powderlens.diffraction.specimen import march_dollase, strained_metric
from powderlens.pattern.grid import Grid

_compiled = njit(cache=True, nogil=True, error_model="numpy")
_loose = njit(
    cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp", "nnan", "ninf"}
)

M0, M1 = np.uint64(random.MULTIPLIER_0), np.uint64(random.MULTIPLIER_1)
W0, W1 = np.uint64(random.WEYL_0), np.uint64(random.WEYL_1)
MASK, HALF, ROUNDS = np.uint64(random.MASK), np.uint64(32), random.ROUNDS
DEGREE = 180.0 / np.pi
VOIGT_TAIL = 20.0
# Purposes are arguments of compiled code, not its constants: for each constant it would be compiled anew.
MAIN = int(Purpose.INTENSITIES), int(Purpose.PERTURBATION), int(Purpose.OFFSETS)
IMPURITY = int(Purpose.IMPURITY_INTENSITIES), int(Purpose.IMPURITY_PERTURBATION), int(Purpose.IMPURITY_OFFSETS)
COUNTING = int(Purpose.NOISE), int(Purpose.MULTIPLICATIVE), int(Purpose.COUNTS)


@_loose
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


@_loose
def uniforms(seed, index, purpose, count):  # type: ignore[no-untyped-def]
    """(count,) float64, see `core.random.uniform`."""
    blocks = (count + 3) // 4
    words = philox_words(seed, index, purpose, blocks)
    out = np.empty(4 * blocks)
    for w in range(4):
        for b in range(blocks):
            out[4 * b + w] = (float(words[w, b]) + 0.5) * 2.0**-32
    return out[:count]


@_loose
def _pair(radius_word, turn_word, first, second):  # type: ignore[no-untyped-def]
    """Box and Muller for arrays of words, with polynomials in place of the library's log, sine and cosine.

    log x = e log 2 + 2 artanh((m - 1) / (m + 1)) for x = m 2^e, series to the 13th power: 5e-9; the exponent is read
    from the float32 of x, which rounds x by 6e-8. Sine and cosine of half the angle by their series to the 15th and
    14th power (4e-9), then doubled.
    """
    n = radius_word.shape[0]
    x = np.empty(n, np.float32)
    for i in range(n):
        w = radius_word[i]
        upper, lower = np.int32(w >> np.uint64(16)), np.int32(w & np.uint64(0xFFFF))
        x[i] = np.float32((np.float64(upper) * 65536.0 + np.float64(lower) + 0.5) * 2.0**-32)
    bits = x.view(np.int32)
    mantissa = np.empty(n, np.int32)
    exponent = np.empty(n, np.int32)
    for i in range(n):
        exponent[i] = (bits[i] >> np.int32(23)) - np.int32(127)
        mantissa[i] = (bits[i] & np.int32(0x7FFFFF)) | np.int32(0x3F800000)
    m = mantissa.view(np.float32)
    for i in range(n):
        t = (m[i] - 1.0) / (m[i] + 1.0)
        t2 = t * t
        series = 1 + t2 * (1 / 3 + t2 * (1 / 5 + t2 * (1 / 7 + t2 * (1 / 9 + t2 * (1 / 11 + t2 / 13)))))
        logarithm = np.float64(exponent[i]) * 0.6931471805599453 + 2.0 * t * series
        radius = np.sqrt(max(-2.0 * logarithm, 0.0))
        w = turn_word[i]
        upper, lower = np.int32(w >> np.uint64(16)), np.int32(w & np.uint64(0xFFFF))
        # pi (turn - 1/2), half the angle less half a turn: cos(2 pi turn) = -cos(2 h), sin(2 pi turn) = -sin(2 h).
        h = np.pi * ((np.float64(upper) * 65536.0 + np.float64(lower) + 0.5) * 2.0**-32 - 0.5)
        q = h * h
        sine = h * (
            1 - q / 6 * (1 - q / 20 * (1 - q / 42 * (1 - q / 72 * (1 - q / 110 * (1 - q / 156 * (1 - q / 210))))))
        )
        cosine = 1 - q / 2 * (1 - q / 12 * (1 - q / 30 * (1 - q / 56 * (1 - q / 90 * (1 - q / 132 * (1 - q / 182))))))
        first[i] = radius * (2.0 * sine * sine - 1.0)
        second[i] = -2.0 * radius * sine * cosine


@_loose
def normals(seed, index, purpose, count):  # type: ignore[no-untyped-def]
    """(count,) float64, see `core.random.normal`."""
    blocks = (count + 3) // 4
    words = philox_words(seed, index, purpose, blocks)
    pairs = np.empty((4, blocks))
    _pair(words[0], words[1], pairs[0], pairs[1])
    _pair(words[2], words[3], pairs[2], pairs[3])
    out = np.empty(4 * blocks)
    for b in range(blocks):
        out[4 * b] = pairs[0, b]
        out[4 * b + 1] = pairs[1, b]
        out[4 * b + 2] = pairs[2, b]
        out[4 * b + 3] = pairs[3, b]
    return out[:count]


@_compiled
def cylinder(y, mu_r):  # type: ignore[no-untyped-def]
    """`absorption.cylinder` of y = sin^2 theta."""
    root = np.sqrt(y)
    k0 = 16.0 / (3.0 * np.pi)
    k1 = (25.99978 - 0.01911 * np.sqrt(root)) * np.exp(-0.024551 * y) + 0.109561 * root - 26.04556
    k2 = -0.02489 + y * (-0.39499 + 1.219077 * root + y * (-1.31268 + 0.871081 * root - 0.2327 * y))
    k3 = 0.003045 + y * (0.018167 - 0.03305 * y)
    return np.exp(-mu_r * (k0 + mu_r * (k1 + mu_r * (k2 + mu_r * k3))))


@_compiled
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


@_compiled
def tch(gauss, lorentz):  # type: ignore[no-untyped-def]
    """FWHM and Lorentzian share, `profile.thompson_cox_hastings` for one line."""
    g, x = gauss, lorentz
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
    q = x / max(w, 1e-12)
    return w, min(max(1.36603 * q - 0.47719 * q * q + 0.11116 * q * q * q, 0.0), 1.0)


@_compiled
def lines(c, inv_d2, weight, u_total):  # type: ignore[no-untyped-def]
    """Every line of a phase: step 4 of the renderer, `render_numpy.lines`.

    Returns:
        (k, 6): position in degrees, area, Gaussian FWHM and Lorentzian FWHM in degrees, and by the shape the FWHM and
        Lorentzian share (of a Voigt, those of its stand-in).
    """
    m = inv_d2.shape[0]
    out = np.empty((3 * m, 6))
    n = 0
    a = np.cos(c.monochromator_deg / DEGREE) ** 2 * (1.0 - c.polarised_share) / c.polarised_share
    for emission in range(3):
        wavelength, share = c.ka1_A, 1.0
        if emission == 1:
            wavelength, share = c.ka2_A, c.ka2_ratio
        elif emission == 2:
            wavelength, share = c.kbeta_A, c.kbeta_ratio
        if share == 0.0:
            continue
        for i in range(m):
            sine = 0.5 * wavelength * np.sqrt(inv_d2[i])
            if sine >= SINE_LIMIT or weight[i] <= 0.0:
                continue
            cosine = np.sqrt(1.0 - sine * sine)
            tangent = sine / cosine
            cos2 = 1.0 - 2.0 * sine * sine
            area = share * weight[i] * (1.0 + a * cos2 * cos2) / ((1.0 + a) * sine * sine * cosine)
            if u_total > 0.0:
                area *= np.exp(-4.0 * np.pi * np.pi * u_total * inv_d2[i])
            if c.slits == 1:
                area *= sine
            if c.mu_t > 0.0:
                area *= 1.0 - np.exp(-2.0 * c.mu_t / sine)
            if c.mu_r > 0.0:
                area *= cylinder(sine * sine, c.mu_r)
            two_theta = 2.0 * np.arcsin(sine) * DEGREE
            shift = c.zero_shift_deg - DEGREE / c.radius_mm * (
                2.0 * c.displacement_mm * cosine + c.transparency_mm * sine * cosine
            )
            size = DEGREE * c.scherrer_k * wavelength / (10.0 * c.crystallite_size_nm * cosine)
            strain = DEGREE * 4.0 * c.microstrain * tangent
            g2 = max(c.caglioti_u_deg2 * tangent * tangent + c.caglioti_v_deg2 * tangent + c.caglioti_w_deg2, 0.0)
            x = c.lorentz_x_deg / cosine + c.lorentz_y_deg * tangent
            if c.size_shape >= 1:
                g2 += size * size
            if c.size_shape != 1:
                x += size
            if c.strain_shape >= 1:
                g2 += strain * strain
            if c.strain_shape != 1:
                x += strain
            g = np.sqrt(g2)
            if c.shape == 0 or c.shape == 4:
                w, eta = tch(g, x)
            elif c.shape == 3:
                w, eta = x, 1.0
            else:
                w, eta = g, (c.eta if c.shape == 1 else 0.0)
            out[n, 0], out[n, 1], out[n, 2], out[n, 3] = two_theta + shift, area, g, x
            out[n, 4], out[n, 5] = max(w, MIN_FWHM_DEG), eta
            n += 1
    return out[:n]


@_compiled
def split_lines(found, sample_over_l, detector_over_l):  # type: ignore[no-untyped-def]
    """`render_numpy.split_lines`: each line as the sub-lines that axial divergence makes of it."""
    total = sample_over_l + detector_over_l
    limit = total / np.sqrt(1.0 + total * total)
    plateau = max(2.0 * min(sample_over_l, detector_over_l), 1e-12)
    m = found.shape[0]
    counts, spans, width = np.empty(m, np.int64), np.empty(m), found[:, 4]
    sines, cosines = np.empty(m), np.empty(m)
    strongest = 0.0
    for i in range(m):
        strongest = max(strongest, found[i, 1] / width[i])
    for i in range(m):
        angle = found[i, 0] / DEGREE
        sine, cosine = np.sin(angle), np.cos(angle)
        sines[i], cosines[i] = sine, cosine
        height = found[i, 1] / width[i] / strongest
        # A tail is rise^2 / 2 cot(2theta) long where that is small. Twice that decides for most lines without more.
        rough = total * total * abs(cosine) / sine if sine > 0.0 else 0.0
        ratio = DEGREE * rough / width[i]
        if sine > 0.0 and DEGREE * rough < SHORT_DEG and ratio * ratio * height < NARROW * NARROW:
            counts[i], spans[i] = 1, 0.0
            continue
        psi = np.arcsin(min(limit / sine, 1.0)) if sine > 0.0 else 0.0
        spans[i] = abs(angle - np.arctan2(sine * np.cos(psi), cosine))
        ratio = DEGREE * spans[i] / width[i]
        one = ratio * ratio * height < NARROW * NARROW
        counts[i] = 1 if one else min(FEWEST + int(np.ceil(DENSITY * ratio)), MAX_NODES)
    total_count = 0
    for count in counts:
        total_count += count
    out = np.empty((total_count, 6))
    n = 0
    for i in range(found.shape[0]):
        angle = found[i, 0] / DEGREE
        sine, cosine = sines[i], cosines[i]
        count = counts[i]
        if count == 1:
            shift = (sample_over_l**2 + detector_over_l**2) / 6.0 * cosine / sine if sine > 0.0 else 0.0
            if DEGREE * spans[i] > SHORT_DEG:
                psi = np.arcsin(min(limit / sine, 1.0))
                whole, shift = 0.0, 0.0
                for j in range(MEAN_NODES):
                    turned = psi * NODES[MEAN_NODES, j]
                    up = (np.sin(turned) * sine) ** 2
                    share = WEIGHTS[MEAN_NODES, j] * min((total - np.sqrt(up / (1.0 - up))) / plateau, 1.0)
                    whole += share
                    shift += share * (angle - np.arctan2(sine * np.cos(turned), cosine))
                shift /= whole
            out[n, 0] = (angle - shift) * DEGREE
            for k in range(1, 6):
                out[n, k] = found[i, k]
            n += 1
            continue
        psi = np.arcsin(min(limit / sine, 1.0))
        whole = 0.0
        for j in range(count):
            turned = psi * NODES[count, j]
            up = (np.sin(turned) * sine) ** 2
            share = WEIGHTS[count, j] * min((total - np.sqrt(up / (1.0 - up))) / plateau, 1.0)
            whole += share
            out[n + j, 0] = DEGREE * np.arctan2(sine * np.cos(turned), cosine)
            out[n + j, 1] = share * found[i, 1]
            for k in range(2, 6):
                out[n + j, k] = found[i, k]
        for j in range(count):
            out[n + j, 1] /= whole
        n += count
    return out


@_loose
def add_lorentzian(out, ramp, lo, hi, offset, scale_x, height):  # type: ignore[no-untyped-def]
    """out[i] += height / (1 + (offset + scale_x i)^2) for lo <= i < hi."""
    for i in range(lo, hi):
        u = offset + scale_x * ramp[i]
        out[i] += height / (1.0 + u * u)


@_loose
def add_gaussian(out, lo, hi, position, start, step, fwhm, height):  # type: ignore[no-untyped-def]
    """out[i] += height * exp(-4 ln 2 (x - position)^2 / fwhm^2) for lo <= i < hi.

    Along the grid the exponential follows from two multiplications a point: exp(-(x + d)^2) is a product.
    """
    k = 4.0 * np.log(2.0) / (fwhm * fwhm)
    centre = min(max(int(np.rint((position - start) / step)), lo), hi - 1)
    x = start + step * centre - position
    first = height * np.exp(-k * x * x)
    ratio2 = np.exp(-2.0 * k * step * step)
    value, ratio = first, np.exp(-k * step * (2.0 * x + step))
    for i in range(centre, hi):
        out[i] += value
        value *= ratio
        ratio *= ratio2
    value, ratio = first, np.exp(-k * step * (step - 2.0 * x))
    for i in range(centre - 1, lo - 1, -1):
        value *= ratio
        ratio *= ratio2
        out[i] += value


@_loose
def add_voigt(out, ramp, lo, hi, position, start, step, gauss, lorentz, area):  # type: ignore[no-untyped-def]
    """Add a true Voigt, `profile.voigt`: the Faddeeva function by Weideman's series near, by its fraction far away.

    Sources: Weideman, SIAM J. Numer. Anal. 31, 1497 (1994); Humlicek, J. Quant. Spectrosc. Radiat. Transfer 27, 437
    (1982), region 2, from |z| = VOIGT_FAR on.
    """
    unit = np.sqrt(np.log(2.0)) * 2.0 / gauss  # 1 / (sigma sqrt 2)
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


@_compiled
def draw(out, ramp, start, step, found, voigt):  # type: ignore[no-untyped-def]
    """Add all lines to `out`: `render_numpy.draw`."""
    n, m = out.shape[0], found.shape[0]
    strongest = 0.0
    for i in range(m):
        strongest = max(strongest, found[i, 1] / found[i, 4])
    if strongest <= 0.0:
        return
    root, log2 = 2.0 / np.pi, np.log(2.0)
    for i in range(m):
        p, area, w, eta = found[i, 0], found[i, 1], found[i, 4], found[i, 5]
        far = max(0.5 * np.sqrt(eta * area / (w * strongest * FADE)), GAUSS_REACH)
        lo = max(0, int(np.ceil((p - far * w - start) / step)))
        hi = min(n, int(np.floor((p + far * w - start) / step)) + 1)
        if lo >= hi:
            continue
        if voigt:
            add_voigt(out, ramp, lo, hi, p, start, step, max(found[i, 2], MIN_FWHM_DEG), found[i, 3], area)
            continue
        if eta > 0.0:
            add_lorentzian(out, ramp, lo, hi, 2.0 * (start - p) / w, 2.0 * step / w, eta * area * root / w)
        if eta < 1.0:
            lo = max(0, int(np.ceil((p - GAUSS_REACH * w - start) / step)))
            hi = min(n, int(np.floor((p + GAUSS_REACH * w - start) / step)) + 1)
            if lo < hi:
                add_gaussian(out, lo, hi, p, start, step, w, (1.0 - eta) * area * 2.0 * np.sqrt(log2 / np.pi) / w)


@_compiled
def clean(  # type: ignore[no-untyped-def]
    out, ramp, records, at, lattice, rotations, hkl, strength, start, step, lo, hi, u_total, seed, index,
    jitter, perturbation,
):  # fmt: skip
    """Lines of one phase into `out`, any scale: steps 1 to 7. Whether a line stands in the measured range."""
    c = records[at]
    e = c.strain
    strain = np.empty((3, 3))
    strain[0, 0], strain[1, 1], strain[2, 2] = e[0], e[1], e[2]
    strain[1, 2] = strain[2, 1] = e[3]
    strain[0, 2] = strain[2, 0] = e[4]
    strain[0, 1] = strain[1, 0] = e[5]
    reciprocal = inverse_symmetric(strained_metric(lattice, rotations, strain))
    m = hkl.shape[0]
    inv_d2, weight = np.empty(m), strength.copy()
    for i in range(m):
        h, k, l = float(hkl[i, 0]), float(hkl[i, 1]), float(hkl[i, 2])
        inv_d2[i] = (
            h * h * reciprocal[0, 0]
            + k * k * reciprocal[1, 1]
            + l * l * reciprocal[2, 2]
            + 2.0 * (h * k * reciprocal[0, 1] + h * l * reciprocal[0, 2] + k * l * reciprocal[1, 2])
        )
    if c.march_r != 1.0:
        axis = np.empty(3)
        for i in range(3):
            axis[i] = c.texture_axis[i]
        weight *= march_dollase(hkl, reciprocal, rotations, axis, c.march_r)
    if c.intensity_jitter > 0.0:
        weight *= np.exp(c.intensity_jitter * normals(seed, index, jitter, m))
    if c.intensity_perturbation > 0.0:
        weight *= 1.0 + c.intensity_perturbation * (2.0 * uniforms(seed, index, perturbation, m) - 1.0)
    found = lines(c, inv_d2, weight, u_total)
    if c.sample_over_l + c.detector_over_l > 0.0:
        found = split_lines(found, c.sample_over_l, c.detector_over_l)
    n = out.shape[0]
    shown = False
    for i in range(found.shape[0]):
        shown = shown or start + lo * step <= found[i, 0] <= start + (hi - 1) * step
    if not shown:
        return False
    draw(out, ramp, start, step, found, c.shape == 4)
    if c.slit_tilt != 0.0:
        # exp(a + b i) along the grid by repeated multiplication.
        value = np.exp(-SLIT_PIVOT * c.slit_tilt)
        ratio = np.exp(c.slit_tilt / (n - 1))
        for i in range(n):
            out[i] *= value
            value *= ratio
    return True


@_loose
def scale(y, lo, hi):  # type: ignore[no-untyped-def]
    """The strongest point of y[lo:hi] becomes 1; without lines, zero everywhere."""
    top = 0.0
    for i in range(lo, hi):
        top = max(top, y[i])
    factor = 1.0 / top if top > 0.0 else 0.0
    for i in range(y.shape[0]):
        y[i] *= factor


@_loose
def add_background(y, ramp, records, at, start, step):  # type: ignore[no-untyped-def]
    """Chebyshev sum, humps and air: `background.under`."""
    c = records[at]
    n = y.shape[0]
    terms = c.terms
    if terms > 0:
        before, now = np.ones(n), np.empty(n)
        slope = 2.0 / (n - 1)
        first = c.chebyshev[0]
        second = c.chebyshev[1] if terms > 1 else 0.0
        for i in range(n):
            now[i] = slope * ramp[i] - 1.0
            y[i] += first + second * now[i]
        for k in range(2, terms):
            a = c.chebyshev[k]
            for i in range(n):
                x = slope * ramp[i] - 1.0
                following = 2.0 * x * now[i] - before[i]
                before[i] = now[i]
                now[i] = following
                y[i] += a * following
    for k in range(c.humps.shape[0]):
        centre, fwhm, height = c.humps[k, 0], c.humps[k, 1], c.humps[k, 2]
        if fwhm > 0.0 and height != 0.0:
            add_gaussian(y, 0, n, centre, start, step, fwhm, height)
    if c.air_scatter > 0.0:
        value, ratio = c.air_scatter * np.exp(-start / c.air_decay_deg), np.exp(-step / c.air_decay_deg)
        for i in range(n):
            y[i] += value
            value *= ratio


@_compiled
def normal_inverse(u):  # type: ignore[no-untyped-def]
    """`noise.normal_inverse` of one number."""
    q = u - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        return (
            q
            * (((59.109374720 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179)
            / (((67.187563600 * r + 78.757757664) * r + 17.895169469) * r + 1.0)
        )
    depth = np.sqrt(-np.log(min(u, 1.0 - u)))
    if depth <= 5.0:
        r = depth - 1.6
        tail = (((0.17023821103 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777) / (
            (0.12021132975 * r + 0.73700164250) * r + 1.0
        )
    else:
        r = depth - 5.0
        tail = (((0.017337203997 * r + 0.42868294337) * r + 3.0812263860) * r + 6.6579051150) / (
            (0.012258202635 * r + 0.24197894225) * r + 1.0
        )
    return tail if q > 0.0 else -tail


@_compiled
def poisson_inverse(mean, u):  # type: ignore[no-untyped-def]
    """`noise.poisson_inverse` of one number."""
    if mean > EXACT_MEAN:
        w = normal_inverse(u)
        root, w2 = np.sqrt(mean), w * w
        expanded = mean + root * w + (2.0 + w2) / 6.0 - w * (w2 + 2.0) / (72.0 * root)
        return max(np.floor(expanded + (w2 * (3.0 * w2 + 7.0) - 16.0) / (810.0 * mean)), 0.0)
    p = np.exp(-mean)
    total, k = p, 0
    while u > total and k < 1000:
        k += 1
        p *= mean / k
        total += p
    return float(k)


@_loose
def add_gaussian_noise(y, z, sigma, share):  # type: ignore[no-untyped-def]
    """y += sigma sqrt(1 + max(y, 0) / share) z, of constant width for share 0."""
    if share > 0.0:
        inverse = 1.0 / share
        for i in range(y.shape[0]):
            y[i] += sigma * np.sqrt(1.0 + max(y[i], 0.0) * inverse) * z[i]
    else:
        for i in range(y.shape[0]):
            y[i] += sigma * z[i]


@_compiled
def ends_of(y, lo, hi):  # type: ignore[no-untyped-def]
    """Smallest and largest of y[lo:hi]."""
    low, high = y[lo], y[lo]
    for i in range(lo, hi):
        low, high = min(low, y[i]), max(high, y[i])
    return low, high


@_compiled
def counted(y, records, at, seed, index, lo, hi, noise, multiplicative, counts):  # type: ignore[no-untyped-def]
    """What counting makes of a pattern, in place: `noise.counted`."""
    c = records[at]
    n = y.shape[0]
    if c.counts_at_max > 0.0:
        _, top = ends_of(y, lo, hi)
        if top > 0.0:
            u = uniforms(seed, index, counts, n)
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
        z = normals(seed, index, noise, raw * n) if c.noise_sigma > 0.0 else np.empty(0)
        f = normals(seed, index, multiplicative, raw * n) if c.multiplicative_sigma > 0.0 else np.empty(0)
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


@_compiled
def mix(y, other, share):  # type: ignore[no-untyped-def]
    """(1 - share) y + share other, in place."""
    for i in range(y.shape[0]):
        y[i] = (1.0 - share) * y[i] + share * other[i]


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
    ramp = np.arange(grid.points, dtype=np.float64)
    start, step = grid.start_deg, grid.step_deg
    lo = np.clip(np.ceil((records["first_deg"] - 1e-6 - start) / step), 0, grid.points).astype(np.int64)
    hi = np.clip(np.floor((records["last_deg"] + 1e-6 - start) / step) + 1, lo, grid.points).astype(np.int64)
    shares = records["impurity_share"]
    for at, (phase, impurity) in enumerate(zip(phases, impurities, strict=True)):
        y, number, ends = out[at], int(index[at]), (int(lo[at]), int(hi[at]))
        if not _lines(y, ramp, records, at, grid, phase, seed, number, ends, MAIN):
            continue
        if impurity is not None and shares[at] > 0:
            other = np.zeros(grid.points)
            if _lines(other, ramp, records, at, grid, impurity, seed, number, ends, IMPURITY):
                mix(y, other, float(shares[at]))
                scale(y, *ends)
        add_background(y, ramp, records, at, start, step)
        counted(y, records, at, seed, number, *ends, *COUNTING)
    return out


def _lines(
    y: NDArray[np.float64],
    ramp: NDArray[np.float64],
    records: NDArray[np.void],
    at: int,
    grid: Grid,
    phase: Phase,
    seed: int,
    index: int,
    ends: tuple[int, int],
    purposes: tuple[int, int, int],
) -> bool:
    """Lines of one phase into zeros, the strongest point 1. Whether there are any."""
    jitter, perturbation, offsets = purposes
    strength, u = _prepared(phase, records[at], seed, index, offsets)
    found = clean(
        y, ramp, records, at, phase.lattice, phase.rotations, phase.hkl, strength, grid.start_deg, grid.step_deg, *ends,
        u, seed, index, jitter, perturbation,
    )  # fmt: skip
    if found:
        scale(y, *ends)
    return bool(found)


def _prepared(phase: Phase, c: Record, seed: int, index: int, purpose: int) -> tuple[NDArray[np.float64], float]:
    """Strengths after thermal offsets, and the overall displacement."""
    u = u_total_A2(phase, c) if c["debye_temperature_K"] > 0 else float(c["u_overall_A2"])
    if c["thermal_offset_A"] == 0:
        return phase.strength, u
    a = phase.atoms
    assert a is not None, "this phase was prepared without atoms"
    z = normals(seed, index, purpose, 3 * a.sites)
    frac = moved(a.frac, a.site, a.moves, float(c["thermal_offset_A"]), z)
    return strength_of(a, phase.hkl, frac), u
