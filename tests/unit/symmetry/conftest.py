"""Cells and crystals with the symmetry of a group and nothing more."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from powderlens.symmetry.groups import crystal_system
from powderlens.symmetry.wyckoff import wyckoff_positions

Crystal = tuple[NDArray[np.float64], NDArray[np.float64], list[int]]


def cell_of(number: int) -> NDArray[np.float64]:
    """A large cell of the group's crystal system, rows are its vectors, A."""
    system = crystal_system(number)
    a, b, c = 50.0, 61.7, 73.3
    if system in ("trigonal", "hexagonal"):
        return np.array([[a, 0, 0], [-a / 2, a * np.sqrt(0.75), 0], [0, 0, c]])
    cell = np.diag({"cubic": (a, a, a), "tetragonal": (a, a, c)}.get(system, (a, b, c)))
    if system in ("monoclinic", "triclinic"):
        cell[2, 0] = -13.1
    if system == "triclinic":
        cell[1, 0], cell[2, 1] = -9.3, -11.0
    return cell


@pytest.fixture(scope="session")
def every_position() -> Callable[[int], Crystal]:
    """Cell, sites and kinds of atoms on every Wyckoff position; kind k sits on position k - 1, four on the general."""

    def make(number: int) -> Crystal:
        generator = np.random.default_rng(number)
        positions = wyckoff_positions(number)
        sites = [position.sites(generator.random(3)) for position in (*positions, *[positions[-1]] * 3)]
        kinds = [kind for kind, some in enumerate(sites, start=1) for _ in some]
        return cell_of(number), np.concatenate(sites), kinds

    return make


@pytest.fixture(scope="session")
def extinguished() -> Callable[[int, NDArray[np.int64]], NDArray[np.bool_]]:
    """Which of (n, 3) reflections have no intensity, from structure factors of two atoms in general positions.

    Nothing is used but the sum over atoms, F = sum f exp(2 pi i h.x).
    """

    def compute(number: int, hkl: NDArray[np.int64]) -> NDArray[np.bool_]:
        generator = np.random.default_rng(1000 + number)
        general = wyckoff_positions(number)[-1]
        amplitude = np.zeros(len(hkl), dtype=complex)
        for strength in (1.0, 0.43):
            sites = general.sites(generator.random(3))
            amplitude += strength * np.exp(2j * np.pi * (hkl @ sites.T)).sum(axis=1)
        return np.abs(amplitude) < 1e-9 * general.multiplicity

    return compute
