"""Compiled kernels (numba). Each has its readable twin in `reference.py`; the tests hold the two together."""

from __future__ import annotations

import numpy as np
from numba import njit

# numba's own linear algebra needs scipy, which the base install leaves out; three dimensions need no library.


@njit(cache=True, nogil=True, error_model="numpy")
def metric_of(vectors):  # type: ignore[no-untyped-def]
    """(3, 3) dot products of the rows of a (3, 3) array."""
    out = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            out[i, j] = vectors[i, 0] * vectors[j, 0] + vectors[i, 1] * vectors[j, 1] + vectors[i, 2] * vectors[j, 2]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def inverse_symmetric(m):  # type: ignore[no-untyped-def]
    """Inverse of a symmetric (3, 3) matrix by its cofactors."""
    out = np.empty((3, 3))
    out[0, 0] = m[1, 1] * m[2, 2] - m[1, 2] * m[1, 2]
    out[1, 1] = m[0, 0] * m[2, 2] - m[0, 2] * m[0, 2]
    out[2, 2] = m[0, 0] * m[1, 1] - m[0, 1] * m[0, 1]
    out[0, 1] = out[1, 0] = m[0, 2] * m[1, 2] - m[0, 1] * m[2, 2]
    out[0, 2] = out[2, 0] = m[0, 1] * m[1, 2] - m[0, 2] * m[1, 1]
    out[1, 2] = out[2, 1] = m[0, 1] * m[0, 2] - m[0, 0] * m[1, 2]
    return out / (m[0, 0] * out[0, 0] + m[0, 1] * out[0, 1] + m[0, 2] * out[0, 2])


@njit(cache=True, nogil=True, error_model="numpy")
def families(reciprocal, d_min, laue):  # type: ignore[no-untyped-def]
    """One reflection of each family of symmetry-equivalent hkl with d >= d_min.

    Args:
        reciprocal: (3, 3) rows a*, b*, c*, 1/A.
        d_min: A.
        laue: (n, 3, 3) int64 distinct rotation parts of the Laue group (with -1), acting on columns of x.

    Returns:
        hkl (m, 3) int64, the lexicographically largest of its family; multiplicity (m,); 1/d^2 (m,).
    """
    metric = metric_of(reciprocal)
    direct = inverse_symmetric(metric)
    limit = np.empty(3, np.int64)
    for i in range(3):
        limit[i] = int(np.sqrt(direct[i, i]) / d_min + 1e-9)
    n_laue = laue.shape[0]
    q_max = 1.0 / (d_min * d_min)
    capacity = 1024
    hkl = np.empty((capacity, 3), np.int64)
    multiplicity = np.empty(capacity, np.int64)
    q = np.empty(capacity)
    m = 0
    for h in range(limit[0] + 1):
        for k in range(-limit[1], limit[1] + 1):
            if h == 0 and k < 0:
                continue
            for l in range(-limit[2], limit[2] + 1):
                if h == 0 and k == 0 and l <= 0:
                    continue
                inv_d2 = (
                    h * h * metric[0, 0]
                    + k * k * metric[1, 1]
                    + l * l * metric[2, 2]
                    + 2 * (h * k * metric[0, 1] + h * l * metric[0, 2] + k * l * metric[1, 2])
                )
                if inv_d2 > q_max:
                    continue
                stabiliser = 0
                largest = True
                for r in range(n_laue):
                    a = h * laue[r, 0, 0] + k * laue[r, 1, 0] + l * laue[r, 2, 0]
                    b = h * laue[r, 0, 1] + k * laue[r, 1, 1] + l * laue[r, 2, 1]
                    c = h * laue[r, 0, 2] + k * laue[r, 1, 2] + l * laue[r, 2, 2]
                    if a > h or (a == h and (b > k or (b == k and c > l))):
                        largest = False
                        break
                    if a == h and b == k and c == l:
                        stabiliser += 1
                if not largest:
                    continue
                if m == capacity:
                    capacity *= 2
                    hkl2 = np.empty((capacity, 3), np.int64)
                    hkl2[:m] = hkl
                    hkl = hkl2
                    mult2 = np.empty(capacity, np.int64)
                    mult2[:m] = multiplicity
                    multiplicity = mult2
                    q2 = np.empty(capacity)
                    q2[:m] = q
                    q = q2
                hkl[m, 0] = h
                hkl[m, 1] = k
                hkl[m, 2] = l
                multiplicity[m] = n_laue // stabiliser
                q[m] = inv_d2
                m += 1
    return hkl[:m].copy(), multiplicity[:m].copy(), q[:m].copy()


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz", "arcp"}, error_model="numpy")
def structure_factors_squared(hkl, s2, frac, kind, occupancy, u_iso, beta, f_real, f_imag, friedel):  # type: ignore[no-untyped-def]
    """|F|^2 of each reflection, the mean of h and -h where f'' makes them differ.

    Args:
        hkl: (m, 3) int64.
        s2: (m,) 1/(4 d^2), 1/A^2.
        frac: (n, 3) coordinates of all atoms of the cell.
        kind: (n,) int64 row of each atom in the form-factor table.
        occupancy: (n,).
        u_iso: (n,) A^2, 0 where there is none.
        beta: (n, 3, 3) dimensionless, or (0, 3, 3) when no atom has one; zeros for atoms without.
        f_real: (kinds, m) f0 + f'.
        f_imag: (kinds,) f''.
        friedel: average h and -h (needed when any f_imag is not zero).

    Returns:
        (m,) electrons^2.
    """
    m, n = hkl.shape[0], frac.shape[0]
    out = np.empty(m)
    top = np.zeros(3, np.int64)
    for i in range(m):
        for x in range(3):
            top[x] = max(top[x], abs(hkl[i, x]))
    # exp(2 pi i h x) for every h by axis, so that the inner loop needs no trigonometry.
    cos = np.empty((3, 2 * top.max() + 1, n))
    sin = np.empty((3, 2 * top.max() + 1, n))
    for x in range(3):
        t = top[x]
        for h in range(t + 1):
            for j in range(n):
                phase = 2.0 * np.pi * ((h * frac[j, x]) % 1.0)
                cos[x, t + h, j] = np.cos(phase)
                sin[x, t + h, j] = np.sin(phase)
                cos[x, t - h, j] = cos[x, t + h, j]
                sin[x, t - h, j] = -sin[x, t + h, j]
    any_iso = False
    for j in range(n):
        if u_iso[j] != 0.0:
            any_iso = True
    for i in range(m):
        h, k, l = hkl[i, 0], hkl[i, 1], hkl[i, 2]
        ca, sa = cos[0, top[0] + h], sin[0, top[0] + h]
        cb, sb = cos[1, top[1] + k], sin[1, top[1] + k]
        cc, sc = cos[2, top[2] + l], sin[2, top[2] + l]
        re, im, re2, im2 = 0.0, 0.0, 0.0, 0.0
        for j in range(n):
            c1 = ca[j] * cb[j] - sa[j] * sb[j]
            s1 = sa[j] * cb[j] + ca[j] * sb[j]
            c = c1 * cc[j] - s1 * sc[j]
            s = s1 * cc[j] + c1 * sc[j]
            w = occupancy[j]
            if any_iso:
                w *= np.exp(-8.0 * np.pi * np.pi * u_iso[j] * s2[i])
            if beta.shape[0] > 0:
                b = beta[j]
                w *= np.exp(
                    -(
                        h * h * b[0, 0]
                        + k * k * b[1, 1]
                        + l * l * b[2, 2]
                        + 2 * (h * k * b[0, 1] + h * l * b[0, 2] + k * l * b[1, 2])
                    )
                )
            f = f_real[kind[j], i] * w
            re += f * c
            im += f * s
            if friedel:
                g = f_imag[kind[j]] * w
                re2 += g * c
                im2 += g * s
        # F(h) = (re - im2) + i (im + re2);  F(-h) = (re + im2) + i (-im + re2)
        out[i] = re * re + im * im + re2 * re2 + im2 * im2
    return out


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz", "arcp"}, error_model="numpy")
def draw_pseudo_voigt(out, start, step, position, area, fwhm, eta, reach):  # type: ignore[no-untyped-def]
    """Add pseudo-Voigt lines to `out` in place, each only where it matters.

    The Gaussian part is drawn to 3 FWHM at most (where it is below 1e-10 of its height), the Lorentzian to `reach`.
    Along the grid the Gaussian follows from two multiplications a point: exp(-(x+d)^2) is a product.

    Args:
        out: (n,) float64, intensities on the grid start + step * i.
        start: first grid position, degrees.
        step: spacing of the grid, degrees.
        position: (m,) line positions, degrees.
        area: (m,) integrated intensities, in intensity times degrees.
        fwhm: (m,) full widths at half maximum, degrees.
        eta: (m,) Lorentzian share, 0 to 1.
        reach: (m,) half-width of the drawn window in FWHM.
    """
    n = out.shape[0]
    log2 = np.log(2.0)
    for i in range(position.shape[0]):
        w, p = fwhm[i], position[i]
        if area[i] == 0.0:
            continue
        lo = max(0, int(np.ceil((p - reach[i] * w - start) / step)))
        hi = min(n - 1, int(np.floor((p + reach[i] * w - start) / step)))
        scale = eta[i] * area[i] * 2.0 / (np.pi * w)
        if scale > 0.0:
            for g in range(lo, hi + 1):
                u = 2.0 * (start + step * g - p) / w
                out[g] += scale / (1.0 + u * u)
        scale = (1.0 - eta[i]) * area[i] * 2.0 * np.sqrt(log2 / np.pi) / w
        if scale > 0.0:
            near = min(reach[i], 3.0) * w
            lo = max(0, int(np.ceil((p - near - start) / step)))
            hi = min(n - 1, int(np.floor((p + near - start) / step)))
            if hi < lo:
                continue
            k = 4.0 * log2 / (w * w)
            centre = min(max(int(np.rint((p - start) / step)), lo), hi)
            x = start + step * centre - p
            value0 = scale * np.exp(-k * x * x)
            ratio2 = np.exp(-2.0 * k * step * step)
            value, ratio = value0, np.exp(-k * step * (2.0 * x + step))
            for g in range(centre, hi + 1):
                out[g] += value
                value *= ratio
                ratio *= ratio2
            value, ratio = value0, np.exp(-k * step * (step - 2.0 * x))
            for g in range(centre - 1, lo - 1, -1):
                value *= ratio
                ratio *= ratio2
                out[g] += value
