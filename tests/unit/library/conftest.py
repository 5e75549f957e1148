"""A small library built here, and patterns made of its phases."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from powderlens.crystal.structure import Structure
from powderlens.diffraction.simulate import simulate
from powderlens.library.build import build_library
from powderlens.library.search import Search
from powderlens.library.table import LibraryTable
from powderlens.pattern.grid import Grid, to_grid
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.prepare import above_floor

GRID = Grid(start_deg=5.0, step_deg=0.02, points=4250, wavelength_A=1.5418711)


@pytest.fixture(scope="session")
def library(minerals: Mapping[str, Structure]) -> LibraryTable:
    """The seven minerals."""
    table, rejects = build_library(minerals.values())
    assert not rejects
    return table


@pytest.fixture(scope="session")
def search(library: LibraryTable) -> Search:
    """Searches the seven minerals on the grid of the first network."""
    return Search(library, GRID)


@pytest.fixture(scope="session")
def noisy(minerals: Mapping[str, Structure]) -> Callable[..., np.ndarray]:
    """`noisy("Rutile", wavelength="CuKa", two_theta_deg=(5, 90), zero_deg=0.0, noise=0.02)`: a network input.

    The structure's calculated pattern with Gaussian noise (in units of the strongest point) on a pedestal, put onto
    the grid.
    """

    def make(
        name: str,
        *,
        wavelength: str = "CuKa",
        two_theta_deg: tuple[float, float] = (5.0, 90.0),
        zero_deg: float = 0.0,
        noise: float = 0.02,
    ) -> np.ndarray:
        clean = simulate(minerals[name], wavelength, two_theta_deg=two_theta_deg)
        rng = np.random.default_rng(sum(map(ord, name)))
        y = clean.intensity / clean.intensity.max() + noise * (2 + rng.standard_normal(len(clean.intensity)))
        measured = Pattern(clean.two_theta_deg + zero_deg, np.maximum(y, 0.0), clean.wavelength_A)
        intensity, mask = to_grid(measured, GRID)
        return np.stack([above_floor(intensity, mask), mask]).astype(np.float32)

    return make
