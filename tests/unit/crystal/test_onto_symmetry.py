"""Cells and atoms that obey their symmetry only nearly: moved onto it, or left with what they obey."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from powderlens.core.errors import StructureError
from powderlens.crystal.label import as_it_stands, find_symmetry, with_symmetry
from powderlens.crystal.onto_symmetry import (
    metric_deviation,
    obeyed_rotations,
    onto_operators,
    symmetric_lattice,
)
from powderlens.crystal.structure import Structure, lattice_from_cell

PEROVSKITE = (["Ba", "Ti", "O", "O", "O"], [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
RUTILE = (
    ["Ti", "Ti", "O", "O", "O", "O"],
    [[0, 0, 0], [0.5] * 3, [0.305, 0.305, 0], [0.695, 0.695, 0], [0.195, 0.805, 0.5], [0.805, 0.195, 0.5]],
)


def disturbed(cell, atoms, seed: int, lengths: float, places_A: float) -> Structure:
    """The cell and its atoms a little off, turned in space and about another origin."""
    rng = np.random.default_rng(seed)
    exact = Structure.from_cell(cell, *atoms)
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    lattice = exact.lattice @ (np.eye(3) + lengths * rng.uniform(-1, 1, (3, 3))) @ turn
    moved = places_A * rng.uniform(-1, 1, (len(atoms[0]), 3)) @ np.linalg.inv(lattice)
    return replace(exact, lattice=lattice, frac=exact.frac + moved + rng.random(3))


def worst_miss_A(structure: Structure) -> float:
    """How far any image of an atom is from the nearest atom of its element."""
    worst = 0.0
    kinds = np.array(structure.elements)
    for rotation, shift in zip(structure.rotations, structure.translations, strict=True):
        for kind in set(structure.elements):
            own = structure.frac[kinds == kind]
            rest = (own @ rotation.T + shift)[:, None] - own
            rest -= np.round(rest)
            worst = max(worst, float(np.linalg.norm(rest @ structure.lattice, axis=2).min(axis=1).max()))
    return worst


@pytest.mark.parametrize(
    ("cell", "atoms", "number"),
    [((4.0,) * 3 + (90,) * 3, PEROVSKITE, 221), ((4.594, 4.594, 2.959, 90, 90, 90), RUTILE, 136)],
)
def test_cell_and_atoms_are_moved_until_they_obey_the_group(cell, atoms, number: int) -> None:
    noisy = disturbed(cell, atoms, seed=number, lengths=3e-4, places_A=1e-3)
    found = with_symmetry(noisy)
    assert found.space_group == number
    assert metric_deviation(noisy.lattice, found.rotations).max() > 1e-5
    assert metric_deviation(found.lattice, found.rotations).max() < 1e-12
    assert worst_miss_A(replace(noisy, rotations=found.rotations, translations=found.translations)) > 1e-4
    assert worst_miss_A(found) < 1e-12
    # By little, and not turned: the rest between the lattices is symmetric.
    rest = np.linalg.inv(noisy.lattice) @ found.lattice - np.eye(3)
    assert np.abs(rest).max() < 1e-3
    assert rest == pytest.approx(rest.T, abs=1e-12)
    assert np.abs((found.frac - noisy.frac) @ noisy.lattice).max() < 3e-3
    assert np.array_equal(with_symmetry(found).frac, found.frac)


def test_the_mean_metric_is_that_of_the_moved_cell() -> None:
    cubic = with_symmetry(Structure.from_cell((4.0,) * 3 + (90,) * 3, *PEROVSKITE)).rotations
    lattice = symmetric_lattice(lattice_from_cell((4.0, 4.0, 4.2, 90, 90, 90)), cubic)
    assert lattice == pytest.approx(np.eye(3) * np.sqrt((4.0**2 * 2 + 4.2**2) / 3), abs=1e-12)


def test_the_cell_keeps_what_it_obeys() -> None:
    slight = Structure.from_cell((4.0, 4.0, 4.005, 90, 90, 90), *PEROVSKITE)
    assert with_symmetry(slight).space_group == 221
    assert with_symmetry(slight).cell[:3] == pytest.approx([np.sqrt((32 + 4.005**2) / 3)] * 3)
    stands = as_it_stands(slight)
    assert (len(stands.rotations), stands.space_group) == (16, None)
    assert stands.cell == pytest.approx(slight.cell, abs=1e-12)
    # Cells are written with a few digits: so little breaks nothing.
    rounded = as_it_stands(Structure.from_cell((4.0, 4.0, 4.00002, 90, 90, 90), *PEROVSKITE))
    assert (len(rounded.rotations), rounded.space_group) == (48, 221)
    assert rounded.cell[0] == pytest.approx(rounded.cell[2], abs=1e-12)


def test_declared_operators_that_the_cell_breaks() -> None:
    cubic = with_symmetry(Structure.from_cell((4.0,) * 3 + (90,) * 3, *PEROVSKITE))
    assert as_it_stands(cubic) is cubic
    broken = replace(cubic, lattice=lattice_from_cell((4.0, 4.0, 4.3, 90, 90, 90)))
    assert len(as_it_stands(broken).rotations) == 16
    moved = with_symmetry(broken)
    assert (len(moved.rotations), moved.space_group) == (48, 221)
    assert metric_deviation(moved.lattice, moved.rotations).max() < 1e-12


@pytest.mark.parametrize("seed", range(20))
def test_what_a_cell_obeys_is_always_a_group(seed: int) -> None:
    """Deviations about as large as the limit: some of a family of operators within it, some not."""
    rng = np.random.default_rng(seed)
    cubic = with_symmetry(Structure.from_cell((4.0,) * 3 + (90,) * 3, *PEROVSKITE)).rotations
    lattice = 4 * (np.eye(3) + rng.choice([0, 1e-5, 2e-5], (3, 3)) * rng.uniform(-1, 1, (3, 3)))
    kept = {w.tobytes() for w in cubic[obeyed_rotations(lattice, cubic)]}
    assert np.eye(3, dtype=np.int64).tobytes() in kept
    products = {(np.frombuffer(a, int).reshape(3, 3) @ np.frombuffer(b, int).reshape(3, 3)).tobytes()
                for a in kept for b in kept}  # fmt: skip
    assert products == kept


def test_displacements_of_equivalent_atoms_become_one() -> None:
    atoms = Structure.from_cell((4.594, 4.594, 2.959, 90, 90, 90), *RUTILE)
    beta = np.zeros((6, 3, 3))
    beta[:, [0, 1, 2], [0, 1, 2]] = [0.010, 0.012, 0.020]
    given = replace(atoms, u_iso_A2=np.array([0.01, 0.02, 0.03, 0.03, 0.03, 0.05]), beta=beta)
    found = with_symmetry(given)
    assert found.u_iso_A2 == pytest.approx([0.015] * 2 + [0.035] * 4)
    assert found.beta is not None
    assert found.beta[:, 0, 0] == pytest.approx([0.011] * 6)
    assert found.beta[:, 2, 2] == pytest.approx([0.020] * 6)


def test_a_shared_site_moves_as_one() -> None:
    cell, (elements, frac) = (4.0, 4.0, 4.0, 90, 90, 90), PEROVSKITE
    mixed = Structure.from_cell(cell, [*elements, "Sr"], [*frac, [0.0, 0.0, 0.0]])
    mixed = replace(mixed, occupancy=np.array([0.6, 1, 1, 1, 1, 0.4]))
    off = mixed.frac.copy()
    off[3] += [0.0005, 0, 0]
    found = with_symmetry(replace(mixed, frac=off))
    assert found.space_group == 221
    assert found.frac[0] == pytest.approx(found.frac[5], abs=1e-15)


def test_operators_that_do_not_bring_the_atoms_onto_each_other_are_refused() -> None:
    given = replace(Structure.from_cell((4.0,) * 3 + (90,) * 3, *PEROVSKITE), source="test:1")
    turns = find_symmetry(given).rotations
    with pytest.raises(StructureError, match="test:1: the operators do not bring its atoms onto each other"):
        onto_operators(given, turns, np.full((len(turns), 3), 0.25))
