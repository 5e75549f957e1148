"""Compiled kernels (numba). Each has its readable twin in `reference.py`; the tests hold the two together."""

from __future__ import annotations

import numpy as np

from powderlens.core.elementary_compiled import arcsin, compiled, exp, sin_cos
from powderlens.crystal.nearest import length2, move, rest
from powderlens.diffraction.scattering import AT_THE_LIMIT, EXTINCT

# numba's own linear algebra needs scipy, which the base install leaves out; three dimensions need no library.


@compiled
def metric_of(vectors):  # type: ignore[no-untyped-def]
    """(3, 3) dot products of the rows of a (3, 3) array."""
    out = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            out[i, j] = vectors[i, 0] * vectors[j, 0] + vectors[i, 1] * vectors[j, 1] + vectors[i, 2] * vectors[j, 2]
    return out


@compiled
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


@compiled
def inv_d2_of(hkl, metric):  # type: ignore[no-untyped-def]
    """(m,) 1/d^2 of (m, 3) reflections from the symmetric (3, 3) reciprocal metric tensor."""
    out = np.empty(hkl.shape[0])
    for i in range(hkl.shape[0]):
        h, k, l = float(hkl[i, 0]), float(hkl[i, 1]), float(hkl[i, 2])
        mixed = 2.0 * (h * k * metric[0, 1] + h * l * metric[0, 2] + k * l * metric[1, 2])
        out[i] = h * h * metric[0, 0] + k * k * metric[1, 1] + l * l * metric[2, 2] + mixed
    return out


@compiled
def reciprocal_of(lattice):  # type: ignore[no-untyped-def]
    """(3, 3) rows a*, b*, c* (without 2 pi) of the cell whose vectors are the rows of a (3, 3) array."""
    out = np.empty((3, 3))
    for i in range(3):
        a, b = lattice[(i + 1) % 3], lattice[(i + 2) % 3]
        out[i, 0] = a[1] * b[2] - a[2] * b[1]
        out[i, 1] = a[2] * b[0] - a[0] * b[2]
        out[i, 2] = a[0] * b[1] - a[1] * b[0]
    volume = lattice[0, 0] * out[0, 0] + lattice[0, 1] * out[0, 1] + lattice[0, 2] * out[0, 2]
    return out / volume


@compiled
def distinct(rotations, either_sign):  # type: ignore[no-untyped-def]
    """Rotation parts without repeats, the first of each, (r, 3, 3).

    Args:
        rotations: (n, 3, 3) int64.
        either_sign: count W and -W as one.
    """
    kept = np.empty(rotations.shape[0], np.int64)
    n = 0
    for r in range(rotations.shape[0]):
        known = False
        for s in range(n):
            same, opposite = True, either_sign
            for i in range(3):
                for j in range(3):
                    same = same and rotations[r, i, j] == rotations[kept[s], i, j]
                    opposite = opposite and rotations[r, i, j] == -rotations[kept[s], i, j]
                if not (same or opposite):
                    break
            if same or opposite:
                known = True
                break
        if not known:
            kept[n] = r
            n += 1
    return rotations[kept[:n]]


@compiled
def families(reciprocal, d_min, rotations):  # type: ignore[no-untyped-def]
    """One reflection of each family of symmetry-equivalent hkl with d >= d_min.

    Args:
        reciprocal: (3, 3) rows a*, b*, c*, 1/A.
        d_min: A.
        rotations: (n, 3, 3) int64 rotation parts of a full group, acting on columns of x, in any order and repeated as
            one likes; the inversion is added.

    Returns:
        hkl (m, 3) int64, the lexicographically largest of its family, in ascending order; multiplicity (m,), members
        of the family with Friedel mates; 1/d^2 (m,).
    """
    metric = metric_of(reciprocal)
    direct = inverse_symmetric(metric)
    base = 1
    for i in range(3):
        base = max(base, 2 * int(np.sqrt(direct[i, i]) / d_min + 1e-9) + 1)
    h_last = int(np.sqrt(direct[0, 0]) / d_min + 1e-9)
    # One number for each hkl, linear in it, that sorts as hkl does: h base^2 + k base + l.
    turns = distinct(rotations, np.bool_(True))
    key = np.empty((turns.shape[0], 3), np.int64)
    for r in range(turns.shape[0]):
        for i in range(3):
            key[r, i] = (turns[r, i, 0] * base + turns[r, i, 1]) * base + turns[r, i, 2]
    q_max = (1.0 + AT_THE_LIMIT) / (d_min * d_min)
    # The sphere cut by lines along c*, and its shadow on the plane h k.
    g33 = metric[2, 2]
    shadow11 = metric[0, 0] - metric[0, 2] * metric[0, 2] / g33
    shadow12 = metric[0, 1] - metric[0, 2] * metric[1, 2] / g33
    shadow22 = metric[1, 1] - metric[1, 2] * metric[1, 2] / g33
    found, q = np.empty((256, 4), np.int64), np.empty(256)
    m = 0
    for h in range(h_last + 1):
        middle = -h * shadow12 / shadow22
        half = np.sqrt(max(middle * middle - (h * h * shadow11 - q_max) / shadow22, 0.0))
        k_first = int(np.ceil(middle - half - 1e-6)) if h > 0 else 0
        for k in range(k_first, int(np.floor(middle + half + 1e-6)) + 1):
            in_plane = h * h * metric[0, 0] + k * k * metric[1, 1] + 2 * h * k * metric[0, 1]
            mixed = h * metric[0, 2] + k * metric[1, 2]
            middle_l = -mixed / g33
            half_l = np.sqrt(max(middle_l * middle_l - (in_plane - q_max) / g33, 0.0))
            l_first = int(np.ceil(middle_l - half_l - 1e-6)) if h > 0 or k > 0 else 1
            for l in range(l_first, int(np.floor(middle_l + half_l + 1e-6)) + 1):
                inv_d2 = in_plane + l * l * g33 + 2 * l * mixed
                if inv_d2 > q_max:
                    continue
                own = (h * base + k) * base + l
                stabiliser = 0
                largest = True
                for r in range(key.shape[0]):
                    image = abs(h * key[r, 0] + k * key[r, 1] + l * key[r, 2])
                    if image > own:
                        largest = False
                        break
                    if image == own:
                        stabiliser += 1
                if not largest:
                    continue
                if m == q.shape[0]:
                    found, q = np.concatenate((found, found)), np.concatenate((q, q))
                found[m, 0], found[m, 1], found[m, 2], found[m, 3] = h, k, l, 2 * key.shape[0] // stabiliser
                q[m] = inv_d2
                m += 1
    return found[:m, :3].copy(), found[:m, 3].copy(), q[:m].copy()


@compiled
def usual_members(hkl, rotations):  # type: ignore[no-untyped-def]
    """The member of each family with the fewest negative indices, of these the largest: 1 1 0 rather than 2 -1 0.

    Args:
        hkl: (m, 3) int64, the lexicographically largest of each family.
        rotations: as in `families`.

    Returns:
        (m, 3) int64.
    """
    out = hkl.copy()
    turns = distinct(rotations, np.bool_(True))
    for i in range(hkl.shape[0]):
        h, k, l = hkl[i, 0], hkl[i, 1], hkl[i, 2]
        if k >= 0 and l >= 0:
            continue
        best = 0
        for r in range(turns.shape[0]):
            a = h * turns[r, 0, 0] + k * turns[r, 1, 0] + l * turns[r, 2, 0]
            b = h * turns[r, 0, 1] + k * turns[r, 1, 1] + l * turns[r, 2, 1]
            c = h * turns[r, 0, 2] + k * turns[r, 1, 2] + l * turns[r, 2, 2]
            for _ in range(2):
                count = (a >= 0) + (b >= 0) + (c >= 0)
                x, y, z = out[i, 0], out[i, 1], out[i, 2]
                larger = a > x or (a == x and (b > y or (b == y and c > z)))
                if count > best or (count == best and larger):
                    best = count
                    out[i, 0], out[i, 1], out[i, 2] = a, b, c
                a, b, c = -a, -b, -c
    return out


@compiled
def allowed(hkl, rotations, translations):  # type: ignore[no-untyped-def]
    """Which reflections no operator of the space group extinguishes, (m,) bool.

    An operator with h W = h turns F(h) into itself times exp(2 pi i h t): extinct where h t is not whole (to 0.001),
    wherever the atoms are. Source: International Tables for Crystallography A (2016), section 1.6.3.

    Args:
        hkl: (m, 3) int64.
        rotations: (n, 3, 3) int64, with
        translations: (n, 3), all operators of the group.
    """
    out = np.ones(hkl.shape[0], np.bool_)
    for i in range(hkl.shape[0]):
        h, k, l = hkl[i, 0], hkl[i, 1], hkl[i, 2]
        for r in range(rotations.shape[0]):
            w = rotations[r]
            if (
                h * w[0, 0] + k * w[1, 0] + l * w[2, 0] == h
                and h * w[0, 1] + k * w[1, 1] + l * w[2, 1] == k
                and h * w[0, 2] + k * w[1, 2] + l * w[2, 2] == l
            ):
                phase = h * translations[r, 0] + k * translations[r, 1] + l * translations[r, 2]
                if abs(phase - np.rint(phase)) > 1e-3:
                    out[i] = False
                    break
    return out


@compiled
def form_factors(coefficients, s2):  # type: ignore[no-untyped-def]
    """Scattering amplitudes, (n, m), of rows of `scattering.coefficients` (n, 11) at (m,) values of 1/(4 d^2)."""
    n, m = coefficients.shape[0], s2.shape[0]
    out = np.empty((n, m))
    for j in range(n):
        c = coefficients[j]
        plain = c[1] == 0.0 and c[2] == 0.0
        for i in range(m):
            out[j, i] = c[0]
            if plain:
                continue
            total = 0.0
            for t in range(4):
                total += c[3 + t] * exp(-c[7 + t] * s2[i])
            out[j, i] += (c[1] + c[2] * s2[i]) * total
    return out


@compiled
def _by_scatterer(kind, u_iso):  # type: ignore[no-untyped-def]
    """Atoms of one kind and displacement side by side: their order (n,), and where each group begins (groups + 1,)."""
    n = kind.shape[0]
    group = np.empty(n, np.int64)
    heads = np.empty(n, np.int64)
    groups = 0
    for j in range(n):
        found = groups
        for g in range(groups):
            if kind[heads[g]] == kind[j] and u_iso[heads[g]] == u_iso[j]:
                found = g
                break
        if found == groups:
            heads[groups] = j
            groups += 1
        group[j] = found
    start = np.zeros(groups + 1, np.int64)
    for j in range(n):
        start[group[j] + 1] += 1
    for g in range(groups):
        start[g + 1] += start[g]
    order = np.empty(n, np.int64)
    place = start.copy()
    for j in range(n):
        order[place[group[j]]] = j
        place[group[j]] += 1
    return order, start


@compiled
def structure_factors_squared(hkl, s2, frac, kind, occupancy, u_iso, beta, f_real, f_imag, friedel):  # type: ignore[no-untyped-def]
    """|F|^2 of each reflection, the mean of h and -h where f'' makes them differ.

    Args:
        hkl: (m, 3) int64; quickest where h and k of neighbours are the same.
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
    order, start = _by_scatterer(kind, u_iso)
    top = np.zeros(3, np.int64)
    for i in range(m):
        for x in range(3):
            top[x] = max(top[x], abs(hkl[i, x]))
    # exp(2 pi i h x) for every h by axis, each the one before times exp(2 pi i x): no trigonometry in the inner loops.
    cos = np.empty((3, 2 * top.max() + 1, n))
    sin = np.empty((3, 2 * top.max() + 1, n))
    for x in range(3):
        t = top[x]
        for j in range(n):
            at = frac[order[j], x]
            phase = 2.0 * np.pi * (at - np.floor(at))
            sin1, cos1 = sin_cos(phase)
            c, s = occupancy[order[j]] if x == 0 else 1.0, 0.0
            cos[x, t, j], sin[x, t, j] = c, s
            for h in range(1, t + 1):
                c, s = c * cos1 - s * sin1, s * cos1 + c * sin1
                cos[x, t + h, j], sin[x, t + h, j] = c, s
                cos[x, t - h, j], sin[x, t - h, j] = c, -s
    cab, sab = np.empty(n), np.empty(n)
    h, k = 0, 0
    for i in range(m):
        if i == 0 or hkl[i, 0] != h or hkl[i, 1] != k:
            h, k = hkl[i, 0], hkl[i, 1]
            ca, sa = cos[0, top[0] + h], sin[0, top[0] + h]
            cb, sb = cos[1, top[1] + k], sin[1, top[1] + k]
            for j in range(n):
                cab[j] = ca[j] * cb[j] - sa[j] * sb[j]
                sab[j] = sa[j] * cb[j] + ca[j] * sb[j]
        l = hkl[i, 2]
        cc, sc = cos[2, top[2] + l], sin[2, top[2] + l]
        re, im, re2, im2 = 0.0, 0.0, 0.0, 0.0
        for g in range(start.shape[0] - 1):
            c, s = 0.0, 0.0
            if beta.shape[0] == 0:
                for j in range(start[g], start[g + 1]):
                    c += cab[j] * cc[j] - sab[j] * sc[j]
                    s += sab[j] * cc[j] + cab[j] * sc[j]
            else:
                for j in range(start[g], start[g + 1]):
                    b = beta[order[j]]
                    w = exp(
                        -(
                            h * h * b[0, 0]
                            + k * k * b[1, 1]
                            + l * l * b[2, 2]
                            + 2 * (h * k * b[0, 1] + h * l * b[0, 2] + k * l * b[1, 2])
                        )
                    )
                    c += w * (cab[j] * cc[j] - sab[j] * sc[j])
                    s += w * (sab[j] * cc[j] + cab[j] * sc[j])
            head = order[start[g]]
            if u_iso[head] != 0.0:
                w = exp(-8.0 * np.pi * np.pi * u_iso[head] * s2[i])
                c *= w
                s *= w
            f = f_real[kind[head], i]
            re += f * c
            im += f * s
            if friedel:
                f = f_imag[kind[head]]
                re2 += f * c
                im2 += f * s
        # F(h) = (re - im2) + i (im + re2);  F(-h) = (re + im2) + i (-im + re2)
        out[i] = re * re + im * im + re2 * re2 + im2 * im2
    return out


@compiled
def reflection_list(  # type: ignore[no-untyped-def]
    lattice, rotations, d_min, frac, kind, occupancy, u_iso, beta, coefficients, f_imag, friedel
):
    """Families that are not extinct, by ascending 1/d^2 (where equal, by descending hkl), from structure to |F|^2.

    Args:
        lattice: (3, 3) rows are cell vectors, A.
        rotations: as in `families`.
        d_min: A.
        frac: this and what follows as in `structure_factors_squared`.
        kind: (n,).
        occupancy: (n,).
        u_iso: (n,) A^2.
        beta: (n, 3, 3) or (0, 3, 3).
        coefficients: (kinds, 11), see `scattering.coefficients`; f' is part of the constant.
        f_imag: (kinds,).
        friedel: average h and -h.

    Returns:
        hkl (m, 3) of `usual_members`, multiplicity (m,), 1/d^2 (m,), |F|^2 (m,). Extinct is what is weaker than
        `EXTINCT` of the strongest, and of the sum of f^2 over all atoms, the mean of |F|^2 (Wilson, Nature 150, 152,
        1942), for the case that there are no others.
    """
    hkl, multiplicity, q = families(reciprocal_of(lattice), d_min, rotations)
    s2 = q / 4.0
    f_real = form_factors(coefficients, s2)
    f_squared = structure_factors_squared(hkl, s2, frac, kind, occupancy, u_iso, beta, f_real, f_imag, friedel)
    top, expected = 0.0, 0.0
    for i in range(len(q)):
        top = max(top, f_squared[i])
    if len(q) > 0:
        for j in range(len(kind)):
            expected += (occupancy[j] * f_real[kind[j], 0]) ** 2
    faintest = EXTINCT * max(top, expected)
    present = np.empty(len(q), np.int64)
    n = np.int64(0)
    # `families` ascends in hkl: turned round and sorted without exchanging equals, equals descend.
    for i in range(len(q) - 1, -1, -1):
        if f_squared[i] > faintest:
            present[n] = i
            n += 1
    order = _sorted(present, n, q)[:n]
    return usual_members(hkl[order], rotations), multiplicity[order], q[order], f_squared[order]


@compiled
def _sorted(index, n, value):  # type: ignore[no-untyped-def]
    """The first n of some indices by ascending value, equals in their order: a merge sort."""
    source, target = index, np.empty_like(index)
    width = 1
    while width < n:
        for first in range(0, n, 2 * width):
            middle, last = min(first + width, n), min(first + 2 * width, n)
            i, j = first, middle
            for k in range(first, last):
                if i < middle and (j >= last or value[source[i]] <= value[source[j]]):
                    target[k] = source[i]
                    i += 1
                else:
                    target[k] = source[j]
                    j += 1
        source, target = target, source
        width *= 2
    return source


@compiled
def peak_table(  # type: ignore[no-untyped-def]
    lattice, rotations, d_min, frac, kind, occupancy, u_iso, beta, coefficients, f_imag, friedel,
    wavelength, low, high, polarises,
):  # fmt: skip
    """The lines of `reflection_list` that a wavelength shows in a range, as `simulate.peaks` lists them.

    Args:
        lattice: this and what follows as in `reflection_list`.
        rotations: (r, 3, 3).
        d_min: A.
        frac: (n, 3).
        kind: (n,).
        occupancy: (n,).
        u_iso: (n,) A^2.
        beta: (n, 3, 3) or (0, 3, 3).
        coefficients: (kinds, 11).
        f_imag: (kinds,).
        friedel: average h and -h.
        wavelength: A.
        low: first 2theta, degrees.
        high: last 2theta, degrees.
        polarises: with the factor 1 + cos^2 2theta; without for neutrons.

    Returns:
        (4, m) int64: h, k, l and multiplicity; (3, m): d in A, 2theta in degrees, intensity, 100 for the strongest.
    """
    hkl, multiplicity, q, f_squared = reflection_list(
        lattice, rotations, d_min, frac, kind, occupancy, u_iso, beta, coefficients, f_imag, friedel
    )
    angle = np.empty(len(q))
    first, last = 0, 0
    for i in range(len(q)):
        sine = 0.5 * wavelength * np.sqrt(q[i])
        angle[i] = 2.0 * arcsin(sine) * (180.0 / np.pi) if sine < 1.0 else np.inf
        if angle[i] < low:
            first = i + 1
        if angle[i] <= high:
            last = i + 1
    n = max(last - first, 0)
    numbers, values = np.empty((4, n), np.int64), np.empty((3, n))
    top = 0.0
    for i in range(n):
        at = first + i
        for x in range(3):
            numbers[x, i] = hkl[at, x]
        numbers[3, i] = multiplicity[at]
        sine2 = 0.25 * wavelength * wavelength * q[at]
        intensity = multiplicity[at] * f_squared[at] / (sine2 * np.sqrt(1.0 - sine2))
        if polarises:
            cos2 = 1.0 - 2.0 * sine2
            intensity *= 1.0 + cos2 * cos2
        values[0, i], values[1, i], values[2, i] = 1.0 / np.sqrt(q[at]), angle[at], intensity
        top = max(top, intensity)
    for i in range(n):
        values[2, i] = 100.0 * (values[2, i] / top)
    return numbers, values


@compiled
def site_offsets(frac, lattice, reciprocal, rotations, translations, distance):  # type: ignore[no-untyped-def]
    """`thermal.site_offsets`: orbits of the atoms, and how each atom follows when its orbit's first is moved.

    Args:
        frac: (n, 3).
        lattice: (3, 3) rows, A, with
        reciprocal: (3, 3) rows, 1/A: x . a* is the fraction along a.
        rotations: (m, 3, 3) int64, with
        translations: (m, 3).
        distance: A, below which two places are one.

    Returns:
        site (n,) int64, moves (n, 3, 3).
    """
    n, m = frac.shape[0], rotations.shape[0]
    site = np.full(n, -1, np.int64)
    moves = np.empty((n, 3, 3))
    first_to = np.empty(n, np.int64)
    image, mean = np.empty(3), np.empty((3, 3))
    count = 0
    for first in range(n):
        if site[first] >= 0:
            continue
        for j in range(first, n):
            first_to[j] = -1
        mean[:, :] = 0.0
        keep = 0
        for r in range(m):
            move(frac[first], rotations[r], translations[r], image)
            for j in range(first, n):
                if site[j] >= 0 or (first_to[j] >= 0 and j != first):
                    continue
                x, y, z = rest(image, frac[j])
                if length2(x, y, z, lattice) < distance * distance:
                    if first_to[j] < 0:
                        first_to[j] = r
                    if j == first:
                        keep += 1
                        for a in range(3):
                            for b in range(3):
                                mean[a, b] += rotations[r, a, b]
        for j in range(first, n):
            if site[j] >= 0 or first_to[j] < 0:
                continue
            site[j] = count
            # W (mean of the site symmetry) into fractions
            for a in range(3):
                for b in range(3):
                    total = 0.0
                    for c in range(3):
                        for d in range(3):
                            total += rotations[first_to[j], a, c] * mean[c, d] * reciprocal[d, b]
                    moves[j, a, b] = total / keep
        count += 1
    return site, moves
