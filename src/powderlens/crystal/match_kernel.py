"""Compiled search for the map that lays one crystal on another: lattice vectors, axes, origin, atoms."""

from __future__ import annotations

import numpy as np

from powderlens.core.elementary_compiled import compiled
from powderlens.crystal.nearest import length2, rest

FARTHEST = 2
"""Largest whole number in a change of axes. Between two reduced cells of one lattice none is above 1; a strain that
reduces a long thin cell another way needs 2."""


@compiled
def nearest(place, kind, weights, frac, kinds, occupancy, lattice, limit_A, weight_limit, taken):  # type: ignore[no-untyped-def]
    """Nearest free atom of a kind to a place, modulo the lattice.

    Args:
        place: (3,) fractional.
        kind: what the atom must be.
        weights: (m,) its occupancies.
        frac: (n, 3) atoms to look among.
        kinds: (n,).
        occupancy: (n, m).
        lattice: (3, 3) rows in A; shortest images are those of a reduced cell to well beyond any limit used here.
        limit_A: farthest distance that counts.
        weight_limit: largest difference of an occupancy that counts.
        taken: (n,) atoms that are given away already.

    Returns:
        Its index, -1 where there is none, and the fractional vector (3,) from the place to it.
    """
    best, found = limit_A * limit_A, -1
    v0 = v1 = v2 = 0.0
    for i in range(len(kinds)):
        if kinds[i] != kind or taken[i]:
            continue
        d0, d1, d2 = rest(frac[i], place)
        square = length2(d0, d1, d2, lattice)
        if square < best:
            alike = True
            for k in range(occupancy.shape[1]):
                alike = alike and abs(occupancy[i, k] - weights[k]) <= weight_limit
            if alike:
                best, found = square, i
                v0, v1, v2 = d0, d1, d2
    return found, v0, v1, v2


@compiled
def _laid(  # type: ignore[no-untyped-def]
    frac_a, kinds, occupancy_a, frac_b, kinds_b, occupancy_b, lattice, first, trial, limit_A, weight_limit, met, steps
):
    """Whether the shift from atom `first` of a to atom `trial` of b brings each atom of a near one of its kind in b.

    Writes into met (n,) which atom that is, and into steps (n, 3) the rest of the way to it.
    """
    n = len(kinds)
    place = np.empty(3)
    taken = np.zeros(n, np.bool_)
    for i in range(n):
        for c in range(3):
            place[c] = frac_a[i, c] + frac_b[trial, c] - frac_a[first, c]
        j, steps[i, 0], steps[i, 1], steps[i, 2] = nearest(
            place, kinds[i], occupancy_a[i], frac_b, kinds_b, occupancy_b, lattice, limit_A, weight_limit, taken
        )
        if j < 0:
            return False
        taken[j] = True
        met[i] = j
    return True


@compiled
def pure_translations(frac, kinds, occupancy, lattice, limit_A, weight_limit, first):  # type: ignore[no-untyped-def]
    """Translations that lay a crystal on itself, each atom within `limit_A` of one of its kind.

    Args:
        frac: (n, 3).
        kinds: (n,) kind of each atom, from 0.
        occupancy: (n, m).
        lattice: (3, 3) rows in A, reduced.
        limit_A: how far an atom may be from where the translation wants it.
        weight_limit: largest difference of an occupancy.
        first: an atom of the rarest kind; its images are the trial translations.

    Returns:
        (k, 3) mean fractional translations, zero first, and (k, n) the atom onto which each atom goes.
    """
    n = len(kinds)
    shifts = np.zeros((n, 3))
    images = np.empty((n, n), np.int32)
    for i in range(n):
        images[0, i] = i
    steps = np.empty((n, 3))
    count = 1
    for trial in range(n):
        if trial == first or kinds[trial] != kinds[first]:
            continue
        if _laid(
            frac, kinds, occupancy, frac, kinds, occupancy, lattice, first, trial, limit_A, weight_limit,
            images[count], steps,
        ):  # fmt: skip
            for c in range(3):
                total = 0.0
                for i in range(n):
                    total += steps[i, c]
                shifts[count, c] = frac[trial, c] - frac[first, c] + total / n
            count += 1
    return shifts[:count].copy(), images[:count].copy()


@compiled
def largest_stretch(inverse, metric):  # type: ignore[no-untyped-def]
    """Largest relative change of any length between two cells.

    Args:
        inverse: (3, 3) inverse of the first cell's vectors as rows.
        metric: (3, 3) dot products of the second cell's vectors.

    Returns:
        max |s - 1| over the three principal stretches s.

    Source: eigenvalues of a symmetric matrix by Smith, Commun. ACM 4, 168 (1961).
    """
    e = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            for k in range(3):
                for l in range(3):
                    e[i, j] += inverse[i, k] * metric[k, l] * inverse[j, l]
    mean = (e[0, 0] + e[1, 1] + e[2, 2]) / 3
    off = e[0, 1] ** 2 + e[0, 2] ** 2 + e[1, 2] ** 2
    spread = (e[0, 0] - mean) ** 2 + (e[1, 1] - mean) ** 2 + (e[2, 2] - mean) ** 2 + 2 * off
    p = np.sqrt(spread / 6)
    if p < 1e-12:
        return abs(np.sqrt(max(mean, 0.0)) - 1)
    a, b, c = (e[0, 0] - mean) / p, (e[1, 1] - mean) / p, (e[2, 2] - mean) / p
    d, f, g = e[0, 1] / p, e[0, 2] / p, e[1, 2] / p
    half = (a * (b * c - g * g) - d * (d * c - g * f) + f * (d * g - b * f)) / 2
    phi = np.arccos(min(1.0, max(-1.0, half))) / 3
    high = mean + 2 * p * np.cos(phi)
    low = mean + 2 * p * np.cos(phi + 2 * np.pi / 3)
    return max(abs(np.sqrt(max(high, 0.0)) - 1), abs(np.sqrt(max(low, 0.0)) - 1))


@compiled
def _vectors_like(lengths, lattice, reach, stretch):  # type: ignore[no-untyped-def]
    """Lattice vectors as long as each of three lengths: (3, m, 3) whole numbers, and how many of each."""
    found = np.zeros((3, (2 * FARTHEST + 1) ** 3, 3), np.int64)
    counts = np.zeros(3, np.int64)
    longest = (1 + stretch) * lengths.max()
    n0 = min(FARTHEST, int(longest * reach[0]))
    n1 = min(FARTHEST, int(longest * reach[1]))
    n2 = min(FARTHEST, int(longest * reach[2]))
    for h in range(-n0, n0 + 1):
        for k in range(-n1, n1 + 1):
            for l in range(-n2, n2 + 1):
                length = np.sqrt(length2(h, k, l, lattice))
                for axis in range(3):
                    if abs(length / lengths[axis] - 1) <= stretch:
                        found[axis, counts[axis], 0] = h
                        found[axis, counts[axis], 1] = k
                        found[axis, counts[axis], 2] = l
                        counts[axis] += 1
    return found, counts


@compiled
def _atoms_match(  # type: ignore[no-untyped-def]
    frac_a, kinds, occupancy_a, frac_b, kinds_b, occupancy_b, lattice, first, limit_A, weight_limit
):
    """Whether a shift of the origin lays the atoms of b on those of a, in one cell whose rows are `lattice`."""
    n = len(kinds)
    met = np.empty(n, np.int32)
    steps = np.empty((n, 3))
    for trial in range(n):
        # The atom that sets the origin is itself off by up to the limit.
        if kinds_b[trial] != kinds[first] or not _laid(
            frac_a, kinds, occupancy_a, frac_b, kinds_b, occupancy_b, lattice, first, trial, 2 * limit_A, weight_limit,
            met, steps,
        ):  # fmt: skip
            continue
        mean = np.zeros(3)
        for i in range(n):
            for c in range(3):
                mean[c] += steps[i, c] / n
        worst = total = 0.0
        for i in range(n):
            square = length2(steps[i, 0] - mean[0], steps[i, 1] - mean[1], steps[i, 2] - mean[2], lattice)
            worst = max(worst, square)
            total += square
        if worst <= limit_A * limit_A:
            return True, np.sqrt(total / n), np.sqrt(worst)
    return False, 0.0, 0.0


@compiled
def match(  # type: ignore[no-untyped-def]
    lattice_a, inverse_a, frac_a, kinds_a, occupancy_a, lattice_b, reach_b, frac_b, kinds_b, occupancy_b, first,
    stretch, limit_A, weight_limit,
):  # fmt: skip
    """Lay a primitive cell on another: every choice of axes, either hand, every origin.

    Args:
        lattice_a: (3, 3) rows in A, reduced.
        inverse_a: its inverse.
        frac_a: (n, 3).
        kinds_a: (n,) kind of each atom, the same numbers in both crystals.
        occupancy_a: (n, m).
        lattice_b: as `lattice_a`, likewise what follows.
        reach_b: (3,) lengths of the reciprocal vectors, 1/A: how far whole numbers must run.
        frac_b: (n, 3).
        kinds_b: (n,).
        occupancy_b: (n, m).
        first: an atom of a of the rarest kind.
        stretch: largest relative change of a length.
        limit_A: largest distance of an atom from its counterpart.
        weight_limit: largest difference of an occupancy.

    Returns:
        Whether a map was found; and its largest stretch, its rms distance and its largest distance in A.
    """
    lengths = np.empty(3)
    for i in range(3):
        lengths[i] = np.sqrt(lattice_a[i, 0] ** 2 + lattice_a[i, 1] ** 2 + lattice_a[i, 2] ** 2)
    vectors, counts = _vectors_like(lengths, lattice_b, reach_b, stretch)
    gram = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            for c in range(3):
                gram[i, j] += lattice_a[i, c] * lattice_a[j, c]
    n = len(kinds_a)
    axes = np.empty((3, 3))
    metric = np.empty((3, 3))
    moved = np.empty((n, 3))
    slack = 4 * stretch + 1e-9
    for p in range(counts[0]):
        u = vectors[0, p]
        for c in range(3):
            axes[0, c] = u[0] * lattice_b[0, c] + u[1] * lattice_b[1, c] + u[2] * lattice_b[2, c]
        for q in range(counts[1]):
            v = vectors[1, q]
            for c in range(3):
                axes[1, c] = v[0] * lattice_b[0, c] + v[1] * lattice_b[1, c] + v[2] * lattice_b[2, c]
            dot = axes[0, 0] * axes[1, 0] + axes[0, 1] * axes[1, 1] + axes[0, 2] * axes[1, 2]
            if abs(dot - gram[0, 1]) > slack * lengths[0] * lengths[1]:
                continue
            for r in range(counts[2]):
                w = vectors[2, r]
                # Cofactors: rows of the inverse of the whole-number matrix with rows u, v, w, whose determinant is 1.
                x0, x1, x2 = v[1] * w[2] - v[2] * w[1], v[2] * w[0] - v[0] * w[2], v[0] * w[1] - v[1] * w[0]
                determinant = u[0] * x0 + u[1] * x1 + u[2] * x2
                if determinant != 1 and determinant != -1:
                    continue
                for c in range(3):
                    axes[2, c] = w[0] * lattice_b[0, c] + w[1] * lattice_b[1, c] + w[2] * lattice_b[2, c]
                for i in range(3):
                    for j in range(3):
                        metric[i, j] = axes[i, 0] * axes[j, 0] + axes[i, 1] * axes[j, 1] + axes[i, 2] * axes[j, 2]
                change = largest_stretch(inverse_a, metric)
                if change > stretch:
                    continue
                y0, y1, y2 = w[1] * u[2] - w[2] * u[1], w[2] * u[0] - w[0] * u[2], w[0] * u[1] - w[1] * u[0]
                z0, z1, z2 = u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]
                for i in range(n):
                    f0, f1, f2 = frac_b[i, 0], frac_b[i, 1], frac_b[i, 2]
                    moved[i, 0] = (f0 * x0 + f1 * x1 + f2 * x2) / determinant
                    moved[i, 1] = (f0 * y0 + f1 * y1 + f2 * y2) / determinant
                    moved[i, 2] = (f0 * z0 + f1 * z1 + f2 * z2) / determinant
                same, rms, worst = _atoms_match(
                    frac_a, kinds_a, occupancy_a, moved, kinds_b, occupancy_b, lattice_a, first,
                    limit_A, weight_limit,
                )  # fmt: skip
                if same:
                    return True, change, rms, worst
    return False, 0.0, 0.0, 0.0
