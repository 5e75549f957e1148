"""Fingerprints: known distances, and what they must not depend on."""

from dataclasses import replace

import numpy as np
import pytest

from powderlens.crystal.fingerprint import NEIGHBOURS, difference, fingerprint
from powderlens.crystal.structure import Structure, right_handed


def test_rock_salt_by_hand(minerals: dict[str, Structure]) -> None:
    """Elements Cl, Na: 12 like neighbours at sqrt(2), 6 unlike at 1 and 8 at sqrt(3), per cube of one atom."""
    prints = fingerprint(minerals["Halite"])
    assert prints.shape == (2, 2, NEIGHBOURS)
    assert prints[0, 0] == pytest.approx([np.sqrt(2)] * 8)
    assert prints[0, 1] == pytest.approx([1] * 6 + [np.sqrt(3)] * 2)
    assert prints[1, 0] == pytest.approx(prints[0, 1])


def test_size_setting_origin_hand_and_supercell_do_not_count(minerals: dict[str, Structure]) -> None:
    for mineral in minerals.values():
        n = len(mineral.elements)
        lattice, frac = right_handed(
            (mineral.lattice * [[2], [1], [1]])[[2, 0, 1]] * [1, 1, -1.3],
            np.concatenate([mineral.frac * [0.5, 1, 1], mineral.frac * [0.5, 1, 1] + [0.5, 0, 0]])[:, [2, 0, 1]] + 0.17,
        )
        doubled = Structure(
            lattice,
            mineral.elements * 2,
            frac,
            np.ones(2 * n),
            np.full(2 * n, np.nan),
        )
        doubled = replace(doubled, lattice=doubled.lattice * [1.3, 1.3, 1])
        assert difference(fingerprint(doubled), fingerprint(mineral)) < 1e-9


def test_noise_moves_it_little_and_another_polymorph_far(minerals: dict[str, Structure]) -> None:
    rutile = minerals["Rutile"]
    rng = np.random.default_rng(1)
    noisy = replace(rutile, frac=rutile.frac + rng.normal(0, 0.01, rutile.frac.shape) @ np.linalg.inv(rutile.lattice))
    assert 0 < difference(fingerprint(noisy), fingerprint(rutile)) < 0.01
    fluorite = minerals["Fluorite"]
    like_fluorite = replace(fluorite, elements=tuple({"Ca": "Ti", "F": "O"}[e] for e in fluorite.elements))
    assert difference(fingerprint(like_fluorite), fingerprint(rutile)) > 0.05


def test_shares_of_a_site_are_weights() -> None:
    """Two metal sites, iron mostly on the one with the shorter bond."""
    places = [[0, 0, 0], [0, 0, 0], [0, 0, 0.5], [0, 0, 0.5], [0, 0, 0.2], [0, 0, 0.8]]

    def crystal(iron_at_first: float) -> np.ndarray:
        shares = np.array([iron_at_first, 1 - iron_at_first, 1 - iron_at_first, iron_at_first, 1, 1])
        return fingerprint(
            Structure.from_cell((9, 9, 9, 90, 90, 90), ["Fe", "Mg"] * 2 + ["O", "O"], places, occupancy=shares)
        )

    edge = 9 / np.cbrt(4)
    assert crystal(0.8)[0, 2, 0] == pytest.approx((0.8 * 1.8 + 0.2 * 2.7) / edge)
    assert crystal(0.8)[1, 2, 0] == pytest.approx((0.2 * 1.8 + 0.8 * 2.7) / edge)
