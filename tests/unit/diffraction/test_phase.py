"""Phases: reflections as listed, atoms that follow their orbit, families that vanish only while atoms are at rest."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.crystal.structure import Structure
from powderlens.diffraction import kernel, render_numba
from powderlens.diffraction.conditions import Conditions, to_record
from powderlens.diffraction.phase import Phase, phase_of, strength_of
from powderlens.diffraction.reflections import reflections
from powderlens.diffraction.render import render
from powderlens.diffraction.specimen import strained_metric
from powderlens.diffraction.thermal import moved_sites, site_offsets
from powderlens.pattern.grid import Grid

GRID = Grid(start_deg=20.0, step_deg=0.05, points=1001, wavelength_A=1.5406)


def test_strengths_are_those_of_the_reflections(random_structure: Structure) -> None:
    found = reflections(random_structure, d_min_A=1.0)
    phase = phase_of(random_structure, d_min_A=1.0)
    np.testing.assert_array_equal(phase.hkl, found.hkl)
    np.testing.assert_allclose(phase.strength, found.multiplicity * found.f_squared)
    assert phase.atoms is None
    assert phase.space_group == random_structure.space_group


def test_with_atoms_the_same_lines_have_the_same_strength(random_structure: Structure) -> None:
    plain, moving = phase_of(random_structure, d_min_A=1.0), phase_of(random_structure, d_min_A=1.0, offsets=True)

    def by_spacing(phase) -> dict[float, float]:
        inv_d2 = ((phase.hkl @ random_structure.reciprocal) ** 2).sum(axis=1)
        sums: dict[float, float] = {}
        for key, value in zip(np.round(inv_d2, 9), phase.strength, strict=True):
            sums[key] = sums.get(key, 0.0) + value
        return {key: value for key, value in sums.items() if value > 1e-9 * phase.strength.max()}

    first, second = by_spacing(plain), by_spacing(moving)
    assert first.keys() == second.keys()
    np.testing.assert_allclose(list(first.values()), [second[key] for key in first], rtol=1e-8)


def test_orbits_follow_as_the_readable_function_says(random_structure: Structure) -> None:
    atoms = phase_of(random_structure, d_min_A=1.0, offsets=True).atoms
    assert atoms is not None
    site, moves = site_offsets(random_structure)
    np.testing.assert_array_equal(atoms.site, site)
    np.testing.assert_allclose(atoms.moves, moves, atol=1e-12)
    assert atoms.sites == site.max() + 1


def test_systematically_extinct_families_stay_so_when_atoms_move(random_structure: Structure) -> None:
    phase = phase_of(random_structure, d_min_A=1.0, offsets=True)
    atoms = phase.atoms
    assert atoms is not None
    z = np.random.default_rng(0).standard_normal((atoms.sites, 3))
    strength = strength_of(atoms, phase.hkl, moved_sites(atoms.frac, atoms.site, atoms.moves, 0.2, z))
    # Every family that is listed may have strength: none is extinct for all coordinates.
    assert (strength > 1e-9 * strength.max()).mean() > 0.95
    assert np.abs(strength / phase.strength - 1).max() > 0.01


def test_a_family_that_vanishes_only_at_rest_is_listed(make: Callable[..., Structure]) -> None:
    """The diamond structure: 222 vanishes for atoms at 8a, which the space group does not ask for."""
    structure = make("F d -3 m:2", (8.0, 8.0, 8.0, 90.0, 90.0, 90.0), [("Si", (0.125, 0.125, 0.125))])
    phase = phase_of(structure, d_min_A=1.5, offsets=True)
    rows = {tuple(sorted(np.abs(h), reverse=True)): s for h, s in zip(phase.hkl, phase.strength, strict=True)}
    assert rows[(2, 2, 2)] == pytest.approx(0, abs=1e-9 * phase.strength.max())
    assert (2, 0, 0) not in rows, "extinct by the diamond glide whatever the atoms do"
    assert rows[(1, 1, 1)] > 0


def test_nothing_in_range(rock_salt: Structure) -> None:
    for offsets in (False, True):
        with pytest.raises(InputError, match="no reflection with d of at least 9 A"):
            phase_of(rock_salt, d_min_A=9.0, offsets=offsets)


def test_nothing_is_compiled_anew_for_other_kinds_of_arrays(rock_salt: Structure) -> None:
    """Read-only ones, as tables give them, strided ones, and f'' that is a view of complex numbers."""

    def drawn(structure: Structure, phase: Phase) -> None:
        reflections(structure, d_min_A=1.0, dispersion_wavelength_A=1.5406)
        phase_of(structure, d_min_A=1.0, offsets=True)
        render([phase], to_record(Conditions()), GRID, seed=1)

    kernels = (kernel.reflection_list, kernel.families, kernel.site_offsets, kernel.distinct, render_numba.pattern)
    phase = phase_of(rock_salt, d_min_A=1.0)
    drawn(rock_salt, phase)
    before = [len(one.signatures) for one in kernels]

    def other(array: np.ndarray) -> np.ndarray:
        strided = np.repeat(array, 2, axis=-1)[..., ::2]
        strided.setflags(write=False)
        return strided

    structure = replace(
        rock_salt,
        **{name: other(getattr(rock_salt, name)) for name in ("lattice", "frac", "occupancy", "u_iso_A2", "rotations")},
        translations=other(rock_salt.translations),
    )
    drawn(
        structure,
        replace(phase, **{name: other(getattr(phase, name)) for name in ("lattice", "rotations", "hkl", "strength")}),
    )
    assert [len(one.signatures) for one in kernels] == before


def test_a_crystal_that_is_nearly_cubic_is_drawn_as_the_cubic_one_that_its_label_says() -> None:
    """Without operators, c 0.1 % longer and titanium 0.003 A off: cell, atoms and strained cells are cubic."""
    frac = [[0, 0, 0], [0.5, 0.5, 0.50075], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    given = Structure.from_cell((4.0, 4.0, 4.005, 90, 90, 90), ["Ba", "Ti", "O", "O", "O"], frac)
    phase = phase_of(given, d_min_A=0.9)
    assert phase.space_group == 221
    metric = strained_metric(phase.lattice, phase.rotations, np.array([[0.03, 0.01, 0], [0.01, -0.02, 0], [0, 0, 0.0]]))
    assert metric == pytest.approx(np.eye(3) * metric[0, 0], abs=1e-12)
    cubic = Structure.from_cell((np.linalg.norm(phase.lattice[0]),) * 3 + (90,) * 3, ["Ba", "Ti", "O", "O", "O"],
                                [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])  # fmt: skip
    exact = phase_of(cubic, d_min_A=0.9)
    np.testing.assert_array_equal(phase.hkl, exact.hkl)
    np.testing.assert_allclose(phase.strength, exact.strength, rtol=1e-9)
