"""The Debye model against integrals and published values; offsets of atoms against spglib."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import spglib
from scipy import constants, integrate

from powderlens.core import random
from powderlens.core.random import Purpose
from powderlens.crystal.elements import NUMBER
from powderlens.crystal.structure import Structure
from powderlens.diffraction.thermal import (
    SCALE_U_K_A2,
    debye_function,
    debye_mean_square_displacement_A2,
    moved_sites,
    site_offsets,
)

pytestmark = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")  # spglib 2.8 of itself


@pytest.mark.parametrize("x", [1e-8, 0.01, 0.5, 1.0, 3.0, 10.0, 49.0, 51.0, 300.0, 1e6])
def test_debye_function_against_quadrature(x: float) -> None:
    def integrand(t: float) -> float:
        return t / np.expm1(t) if t > 0 else 1.0

    pieces = [integrate.quad(integrand, a, b, epsabs=1e-14)[0] for a, b in ((0, min(x, 5)), (5, min(max(x, 5), 80)))]
    assert debye_function(x) == pytest.approx(sum(pieces) / x, rel=1e-11)


def test_debye_function_limits() -> None:
    np.testing.assert_allclose(debye_function(np.array([0.0, 1e-4])), [1.0, 1 - 0.25e-4], rtol=1e-8)
    assert debye_function(200.0) == pytest.approx(np.pi**2 / 6 / 200, rel=1e-12)


def test_constants() -> None:
    scale = constants.hbar**2 / (constants.atomic_mass * constants.k) * 1e20
    assert pytest.approx(scale, rel=1e-8) == SCALE_U_K_A2


@pytest.mark.parametrize("temperature", [0.0, 5.0, 100.0, 293.0, 1000.0])
def test_displacement_is_the_sum_over_the_modes(temperature: float) -> None:
    """Each mode of a Debye crystal adds hbar / (2 m omega) coth(hbar omega / (2 k T)); there are omega^2 of them."""
    theta, mass = 350.0, 40.0
    top = constants.k * theta / constants.hbar

    def mode(omega: float) -> float:
        thermal = 1.0 if temperature == 0 else 1 / np.tanh(constants.hbar * omega / (2 * constants.k * temperature))
        return 3 * omega**2 / top**3 * constants.hbar / (2 * mass * constants.atomic_mass * omega) * thermal

    expected = integrate.quad(mode, top * 1e-9, top, epsabs=0, epsrel=1e-10)[0] * 1e20
    assert debye_mean_square_displacement_A2(theta, temperature, mass) == pytest.approx(expected, rel=1e-6)


def test_displacement_of_a_hot_crystal_is_classical() -> None:
    """U -> 3 hbar^2 T / (m k Theta^2): equipartition."""
    hot = debye_mean_square_displacement_A2(100.0, 5000.0, 20.0)
    assert hot == pytest.approx(3 * SCALE_U_K_A2 * 5000 / (20 * 100**2), rel=1e-4)


def test_frozen_crystals_still_move() -> None:
    u = debye_mean_square_displacement_A2(300.0, np.array([0.0, 1.0, 300.0]), 12.0)
    assert u[0] == pytest.approx(3 * SCALE_U_K_A2 / (4 * 12 * 300), rel=1e-12)
    assert u[0] < u[1] < u[2]
    assert u[1] == pytest.approx(u[0], rel=1e-3)


def number_of(structure: Structure, frac: np.ndarray, symprec_A: float = 1e-3) -> int:
    cell = (structure.lattice, frac, [NUMBER[e] for e in structure.elements])
    return spglib.get_symmetry_dataset(cell, symprec=symprec_A).number


def draw(sites: int, index: int) -> np.ndarray:
    return random.normal(7, index, Purpose.OFFSETS, 3 * sites).reshape(-1, 3)


def test_offsets_keep_the_group(random_structure: Structure) -> None:
    site, moves = site_offsets(random_structure)
    assert site.max() + 1 == 4
    assert random_structure.space_group is not None
    for index in range(5):
        frac = moved_sites(random_structure.frac, site, moves, 0.2, draw(4, index))
        assert number_of(random_structure, frac) == random_structure.space_group
        moved_A = np.linalg.norm((frac - random_structure.frac) @ random_structure.lattice, axis=1)
        np.testing.assert_allclose(moved_A, 0.2, rtol=1e-9)  # general positions: nothing is projected away


@pytest.mark.parametrize(
    ("mineral", "free"),
    [("Rutile", {"O": 1}), ("Quartz", {"Si": 1, "O": 3}), ("Corundum", {"Al": 1, "O": 1}), ("Calcite", {"O": 1}),
     ("Halite", {}), ("Fluorite", {}), ("Sphalerite", {})],
)  # fmt: skip
def test_special_positions_move_where_they_may(
    minerals: dict[str, Structure], mineral: str, free: dict[str, int]
) -> None:
    """Free coordinates by element, as International Tables list them for the sites' Wyckoff letters."""
    structure = minerals[mineral]
    site, moves = site_offsets(structure)
    freedom = {e: int(np.linalg.matrix_rank(m, tol=1e-6)) for e, m in zip(structure.elements, moves, strict=True)}
    assert {e: f for e, f in freedom.items() if f} == free
    group = number_of(structure, structure.frac, 1e-2)
    for index in range(10):
        frac = moved_sites(structure.frac, site, moves, 0.1, draw(int(site.max()) + 1, index))
        # The printed coordinates are off their sites by rounding, so that the tolerance is not smaller.
        assert number_of(structure, frac, 1e-2) == group
        moved_A = np.linalg.norm((frac - structure.frac) @ structure.lattice, axis=1)
        still = np.array([e not in free for e in structure.elements])
        np.testing.assert_allclose(moved_A[still], 0, atol=1e-12)
        assert (moved_A < 0.1 + 1e-9).all()


def test_images_follow_the_operators(random_structure: Structure) -> None:
    site, moves = site_offsets(random_structure)
    frac = moved_sites(random_structure.frac, site, moves, 0.3, draw(4, 1))
    for rotation, translation in zip(random_structure.rotations, random_structure.translations, strict=True):
        image = frac @ rotation.T + translation
        apart = image[:, None, :] - frac[None, :, :]
        assert (np.abs(apart - np.round(apart)).max(axis=2).min(axis=1) < 1e-9).all()


def test_free_offsets_break_the_group(minerals: dict[str, Structure]) -> None:
    structure = minerals["Rutile"]
    site, moves = site_offsets(structure, keep_group=False)
    assert site.tolist() == list(range(len(structure.elements)))
    frac = moved_sites(structure.frac, site, moves, 0.1, draw(len(site), 0))
    np.testing.assert_allclose(np.linalg.norm((frac - structure.frac) @ structure.lattice, axis=1), 0.1, rtol=1e-9)
    assert number_of(structure, frac) == 1


def test_a_shared_site_moves_as_one(make: Callable[..., Structure]) -> None:
    shared = make(
        "P 1 21/c 1",
        (6.2, 5.3, 7.9, 90.0, 104.0, 90.0),
        [("Fe", (0.1, 0.2, 0.3)), ("Mg", (0.1, 0.2, 0.3)), ("O", (0.4, 0.1, 0.7))],
        occupancy=[0.4, 0.6, 1.0],
    )
    site, moves = site_offsets(shared)
    assert site.max() == 1
    frac = moved_sites(shared.frac, site, moves, 0.2, draw(2, 0))
    np.testing.assert_allclose(frac[:4], frac[4:8], atol=1e-12)
    assert site_offsets(shared, keep_group=False)[0].max() == 7


def test_directions_are_spread_over_the_sphere() -> None:
    z = random.normal(3, 0, Purpose.OFFSETS, 3 * 20_000).reshape(-1, 3)
    n = len(z)
    moved = moved_sites(np.zeros((n, 3)), np.arange(n), np.broadcast_to(np.eye(3), (n, 3, 3)), 0.5, z)
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 0.5, rtol=1e-12)
    np.testing.assert_allclose(moved.mean(axis=0), 0, atol=0.01)
    np.testing.assert_allclose(moved.T @ moved / n, np.eye(3) / 12, atol=0.002)


def test_atoms_that_the_operators_do_not_reproduce_stand_alone(rock_salt: Structure) -> None:
    """Half the chlorine taken away: the operators that map the rest still tie it together, none invents an atom."""
    kept = np.array([0, 1, 2, 3, 4])
    broken = replace(
        rock_salt,
        elements=tuple(rock_salt.elements[i] for i in kept),
        frac=rock_salt.frac[kept],
        occupancy=rock_salt.occupancy[kept],
        u_iso_A2=rock_salt.u_iso_A2[kept],
    )
    site, moves = site_offsets(broken)
    assert site.tolist() == [0, 0, 0, 0, 1]
    assert np.isfinite(moves).all()
