"""The compiled kernels against their readable twins."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from powderlens.crystal.structure import Structure, lattice_from_cell
from powderlens.diffraction import kernel, reference, scattering
from powderlens.diffraction.reflections import laue_rotations, reflections

D_MIN_A = 0.95


def sorted_families(code, reciprocal: NDArray, d_min: float, laue: NDArray):
    hkl, multiplicity, inv_d2 = code.families(reciprocal, d_min, laue)
    order = np.lexsort(hkl.T)
    return hkl[order], multiplicity[order], inv_d2[order]


def arguments(structure: Structure, *, friedel: bool, tensors: bool):
    """What `structure_factors_squared` takes, for the families of a structure."""
    hkl, _, inv_d2 = sorted_families(reference, structure.reciprocal, D_MIN_A, laue_rotations(structure.rotations))
    kinds, kind = np.unique(structure.elements, return_inverse=True)
    beta = np.zeros((0, 3, 3))
    if tensors:
        beta = np.random.default_rng(5).uniform(0, 0.01, (len(structure.elements), 3, 3))
        beta = (beta + beta.transpose(0, 2, 1)) / 2
    return (
        hkl,
        inv_d2 / 4,
        structure.frac,
        kind.astype(np.int64),
        structure.occupancy,
        np.nan_to_num(structure.u_iso_A2),
        beta,
        scattering.form_factors(list(kinds), inv_d2 / 4),
        np.linspace(0.5, 4.0, len(kinds)) if friedel else np.zeros(len(kinds)),
        friedel,
    )


def test_families(random_structure: Structure) -> None:
    laue = laue_rotations(random_structure.rotations)
    fast = sorted_families(kernel, random_structure.reciprocal, D_MIN_A, laue)
    slow = sorted_families(reference, random_structure.reciprocal, D_MIN_A, laue)
    np.testing.assert_array_equal(fast[0], slow[0])
    np.testing.assert_array_equal(fast[1], slow[1])
    np.testing.assert_allclose(fast[2], slow[2], rtol=1e-12)


def test_families_hold_every_reflection_once(random_structure: Structure) -> None:
    laue = laue_rotations(random_structure.rotations)
    hkl, multiplicity, _ = kernel.families(random_structure.reciprocal, D_MIN_A, laue)
    members = {tuple(row) for index in hkl for row in index @ laue}
    n = 16
    every = np.stack(np.meshgrid(*[np.arange(-n, n + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    reached = ((every @ random_structure.reciprocal) ** 2).sum(axis=1) <= 1 / D_MIN_A**2
    assert members == {tuple(row) for row in every[reached] if row.any()}
    assert multiplicity.sum() == len(members)


def test_families_need_no_order_among_the_rotations(random_structure: Structure) -> None:
    """Repeats, as the operators of a centred group have them, any order, and the inversion added or not."""
    rotations = random_structure.rotations
    mixed = np.concatenate([-rotations[::-1], rotations, rotations])
    plain = kernel.families(random_structure.reciprocal, D_MIN_A, rotations)
    for found in (mixed, laue_rotations(rotations)):
        for a, b in zip(kernel.families(random_structure.reciprocal, D_MIN_A, found), plain, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("angles", [(33.0, 33.0, 33.0), (118.0, 117.0, 119.0), (20.0, 85.0, 100.0)])
def test_families_of_oblique_cells(angles: tuple[float, float, float]) -> None:
    """Where the box around the sphere is far larger than the sphere."""
    lattice = (
        lattice_from_cell((7.1, 8.3, 9.7, *angles)) if angles[0] != 33.0 else lattice_from_cell((8, 8, 8, *angles))
    )
    reciprocal = np.linalg.inv(lattice).T
    identity = np.eye(3, dtype=np.int64)[None]
    fast = sorted_families(kernel, reciprocal, D_MIN_A, identity)
    slow = sorted_families(reference, reciprocal, D_MIN_A, identity)
    assert len(fast[0]) > 200
    for a, b in zip(fast[:2], slow[:2], strict=True):
        np.testing.assert_array_equal(a, b)


def test_reciprocal_cell(random_structure: Structure) -> None:
    np.testing.assert_allclose(kernel.reciprocal_of(random_structure.lattice), random_structure.reciprocal, atol=1e-15)
    np.testing.assert_allclose(
        kernel.reciprocal_of(-random_structure.lattice), -random_structure.reciprocal, atol=1e-15
    )


def test_usual_members(random_structure: Structure) -> None:
    hkl = sorted_families(reference, random_structure.reciprocal, D_MIN_A, random_structure.rotations)[0]
    found = kernel.usual_members(hkl, random_structure.rotations)
    np.testing.assert_array_equal(found, reference.usual_members(hkl, random_structure.rotations))
    for index, usual in zip(hkl[:100], found, strict=False):
        members = {tuple(row) for row in index @ laue_rotations(random_structure.rotations)}
        assert tuple(usual) == max(members, key=lambda v: (sum(x >= 0 for x in v), v))


def test_a_usual_member_may_begin_with_a_minus() -> None:
    identity = np.eye(3, dtype=np.int64)[None]
    np.testing.assert_array_equal(
        kernel.usual_members(np.array([[1, -1, -2], [1, 0, -2]]), identity), [[-1, 1, 2], [1, 0, -2]]
    )


@pytest.mark.parametrize("either_sign", [False, True])
def test_distinct_rotations(random_structure: Structure, either_sign: bool) -> None:
    repeated = np.concatenate([random_structure.rotations, random_structure.rotations[::-1]])
    found = kernel.distinct(repeated, either_sign)
    np.testing.assert_array_equal(found, reference.distinct(repeated, either_sign))
    kept = {tuple(row) for row in found.reshape(-1, 9)}
    assert len(kept) == len(found)
    for row in repeated.reshape(-1, 9):
        assert tuple(row) in kept or (either_sign and tuple(-row) in kept)
        assert not (either_sign and tuple(row) in kept and tuple(-row) in kept)


def test_allowed_reflections(random_structure: Structure) -> None:
    """What is not allowed has no structure factor, whatever is allowed has one: atoms in general position."""
    rotations, translations = random_structure.rotations, random_structure.translations
    hkl = sorted_families(reference, random_structure.reciprocal, D_MIN_A, rotations)[0]
    found = kernel.allowed(hkl, rotations, translations)
    np.testing.assert_array_equal(found, reference.allowed(hkl, rotations, translations))
    f_squared = kernel.structure_factors_squared(*arguments(random_structure, friedel=False, tensors=False))
    np.testing.assert_array_equal(found, f_squared > 1e-12 * f_squared.max())


@pytest.mark.parametrize("table", ["it92", "pymatgen", "neutron"])
def test_form_factors(table: scattering.Table) -> None:
    s2 = np.linspace(0.0, 1.0, 50)
    elements = ["H", "O", "Fe", "U"]
    fast = kernel.form_factors(scattering.coefficients(elements, table), s2)
    np.testing.assert_allclose(fast, scattering.form_factors(elements, s2, table), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("friedel", [False, True])
@pytest.mark.parametrize("tensors", [False, True])
def test_structure_factors(random_structure: Structure, friedel: bool, tensors: bool) -> None:
    given = arguments(random_structure, friedel=friedel, tensors=tensors)
    slow = reference.structure_factors_squared(*given)
    np.testing.assert_allclose(kernel.structure_factors_squared(*given), slow, rtol=1e-9, atol=1e-12 * slow.max())


def test_structure_factors_do_not_depend_on_the_order_of_reflections_or_atoms(random_structure: Structure) -> None:
    hkl, s2, frac, kind, occupancy, u_iso, beta, f_real, f_imag, friedel = arguments(
        random_structure, friedel=True, tensors=True
    )
    expected = kernel.structure_factors_squared(hkl, s2, frac, kind, occupancy, u_iso, beta, f_real, f_imag, friedel)
    rng = np.random.default_rng(1)
    mixed, atoms = rng.permutation(len(hkl)), rng.permutation(len(frac))
    found = kernel.structure_factors_squared(
        hkl[mixed], s2[mixed], frac[atoms] + 3.0, kind[atoms], occupancy[atoms], u_iso[atoms], beta[atoms],
        np.ascontiguousarray(f_real[:, mixed]), f_imag, friedel,
    )  # fmt: skip
    np.testing.assert_allclose(found, expected[mixed], rtol=1e-9, atol=1e-12 * expected.max())


def test_structure_factors_of_arrays_that_are_not_contiguous(random_structure: Structure) -> None:
    given = list(arguments(random_structure, friedel=True, tensors=True))
    expected = kernel.structure_factors_squared(*given)
    for i in (0, 1, 2, 4, 5, 6, 7):
        array = given[i]
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
        wide[..., ::2] = array
        given[i] = wide[..., ::2]
        assert not given[i].flags.c_contiguous
    np.testing.assert_allclose(kernel.structure_factors_squared(*given), expected, rtol=1e-12, atol=1e-9)


def test_threads_change_nothing(random_structure: Structure) -> None:
    given = arguments(random_structure, friedel=True, tensors=True)
    alone = kernel.structure_factors_squared(*given)
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda _: kernel.structure_factors_squared(*given), range(24)))
    assert all(found.tobytes() == alone.tobytes() for found in together)


@pytest.mark.parametrize(("table", "wavelength"), [("it92", 1.54), ("pymatgen", None), ("neutron", None)])
def test_both_backends_make_the_same_reflections(
    random_structure: Structure, table: scattering.Table, wavelength: float | None
) -> None:
    fast, slow = (
        reflections(
            random_structure, d_min_A=D_MIN_A, dispersion_wavelength_A=wavelength, form_factors=table, backend=backend
        )
        for backend in ("numba", "numpy")
    )
    # Families that coincide in d come in either order, by the last digit.
    first, second = np.lexsort(fast.hkl.T), np.lexsort(slow.hkl.T)
    np.testing.assert_array_equal(fast.hkl[first], slow.hkl[second])
    np.testing.assert_array_equal(fast.multiplicity[first], slow.multiplicity[second])
    np.testing.assert_allclose(
        fast.f_squared[first], slow.f_squared[second], rtol=1e-8, atol=1e-9 * slow.f_squared.max()
    )
