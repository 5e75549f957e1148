"""Compiled steps of every search for neighbours: the nearest image of a place, its distance, images under operators."""

from __future__ import annotations

import numpy as np

from powderlens.core.elementary_compiled import compiled


@compiled
def rest(a, b):  # type: ignore[no-untyped-def]
    """a - b of two (3,) places, each number brought to within a half: three numbers."""
    x, y, z = a[0] - b[0], a[1] - b[1], a[2] - b[2]
    return x - np.rint(x), y - np.rint(y), z - np.rint(z)


@compiled
def length2(x, y, z, lattice):  # type: ignore[no-untyped-def]
    """Square of the length of the fractional vector x, y, z; lattice (3, 3) with the cell vectors as rows, A."""
    total = 0.0
    for k in range(3):
        step = x * lattice[0, k] + y * lattice[1, k] + z * lattice[2, k]
        total += step * step
    return total


@compiled
def move(place, rotation, translation, image):  # type: ignore[no-untyped-def]
    """Write the image of a (3,) place under an operator."""
    for k in range(3):
        image[k] = translation[k]
        for j in range(3):
            image[k] += rotation[k, j] * place[j]
