"""Which crystals are the same: other descriptions are, near relatives are not."""

import itertools
from dataclasses import replace

import gemmi
import numpy as np
import pytest

from powderlens.core.errors import StructureError
from powderlens.crystal.duplicates import (
    ATOM_LIMIT_A,
    STRETCH_LIMIT,
    bucket_of,
    composition_bucket,
    find_duplicates,
    fit_of,
    primitive_crystals,
    same_structure,
)
from powderlens.crystal.expand import expand_sites
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.match_kernel import largest_stretch
from powderlens.crystal.operators import operators_from_triplets
from powderlens.crystal.structure import Structure, lattice_from_cell

CELLS = {
    "triclinic": (7.1, 8.3, 9.7, 81, 97, 103),
    "monoclinic": (7.1, 8.3, 9.7, 90, 97, 90),
    "orthorhombic": (7.1, 8.3, 9.7, 90, 90, 90),
    "tetragonal": (9.1, 9.1, 12.7, 90, 90, 90),
    "trigonal": (9.1, 9.1, 12.7, 90, 90, 120),
    "hexagonal": (9.1, 9.1, 12.7, 90, 90, 120),
    "cubic": (21.1, 21.1, 21.1, 90, 90, 90),
}
GENERAL = np.array([[0.1234, 0.2171, 0.3319], [0.0413, 0.3891, 0.1777]])


def crystal(number: int) -> Structure:
    """Two atoms on general positions of a group."""
    group = gemmi.find_spacegroup_by_number(number)
    cell = CELLS[group.crystal_system_str()]
    rotations, translations = operators_from_triplets(op.triplet() for op in group.operations())
    ones, unknown = np.ones(2), np.full(2, np.nan)
    sites = expand_sites(lattice_from_cell(cell), ["Fe", "O"], GENERAL, ones, unknown, None, rotations, translations)
    return Structure.from_cell(cell, sites.elements, sites.frac)


def in_axes(structure: Structure, axes: np.ndarray) -> Structure:
    """The crystal in a cell whose rows are whole-number combinations of its own."""
    inverse = np.linalg.inv(axes)
    reach = np.abs(axes).sum()
    points = np.array(list(itertools.product(range(-reach, reach + 1), repeat=3)))
    inside = points @ inverse
    points = points[((inside > -1e-9) & (inside < 1 - 1e-9)).all(axis=1)]
    rows = np.repeat(np.arange(len(structure.elements)), len(points))
    frac = (structure.frac[:, None, :] + points).reshape(-1, 3) @ inverse
    return replace(
        structure,
        lattice=axes @ structure.lattice,
        elements=tuple(structure.elements[row] for row in rows),
        frac=frac % 1.0,
        occupancy=structure.occupancy[rows],
        u_iso_A2=structure.u_iso_A2[rows],
        rotations=np.eye(3, dtype=np.int64)[None],
        translations=np.zeros((1, 3)),
        space_group=None,
    )


def disguised(structure: Structure, seed: int, noise_A: float = 0.01) -> Structure:
    """Doubled in skewed axes, mirrored, turned, its origin moved, its atoms moved and shuffled."""
    rng = np.random.default_rng(seed)
    big = in_axes(structure, np.array([[1, 1, 0], [0, 1, 1], [0, 0, 2]]))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    lattice = big.lattice @ turn
    moved = big.frac + rng.random(3) + rng.normal(0, noise_A, big.frac.shape) @ np.linalg.inv(lattice)
    order = rng.permutation(len(big.elements))
    return replace(
        big,
        lattice=lattice,
        frac=moved[order] % 1.0,
        elements=tuple(big.elements[i] for i in order),
        occupancy=big.occupancy[order],
    )


@pytest.mark.parametrize(
    "number", [1, 2, 5, 9, 14, 15, 19, 43, 62, 70, 82, 88, 122, 141, 148, 155, 167, 176, 194, 205, 220, 225]
)
def test_a_crystal_is_found_in_every_disguise(number: int) -> None:
    original = crystal(number)
    assert same_structure(original, disguised(original, number))
    assert same_structure(disguised(original, number + 1), original)


def test_minerals_are_found_and_told_apart(minerals: dict[str, Structure]) -> None:
    for name, mineral in minerals.items():
        for other, relative in minerals.items():
            assert same_structure(disguised(mineral, 7), relative) == (name == other)


def test_noise_breaks_the_group_but_not_the_bucket(minerals: dict[str, Structure]) -> None:
    noisy = disguised(minerals["Corundum"], 3)
    assert find_symmetry(noisy).number == 1
    assert bucket_of(find_symmetry(noisy)) == bucket_of(find_symmetry(minerals["Corundum"])) == "Al2 O3"


def strained(structure: Structure, stretch: float) -> Structure:
    return replace(structure, lattice=structure.lattice @ np.diag([1 + stretch, 1, 1]))


def test_limits_of_strain_and_displacement(minerals: dict[str, Structure]) -> None:
    rutile = minerals["Rutile"]
    for sign in (-1, 1):
        assert same_structure(rutile, strained(rutile, sign * 0.95 * STRETCH_LIMIT))
        assert not same_structure(rutile, strained(rutile, sign * 1.05 * STRETCH_LIMIT))
        assert not same_structure(rutile, replace(rutile, lattice=rutile.lattice * (1 + sign * 1.05 * STRETCH_LIMIT)))
    # One atom of six moves along the axis: the shift of the origin takes a sixth of the way off.
    for factor, same in ((0.95, True), (1.05, False)):
        frac = rutile.frac.copy()
        frac[0] += [0, 0, factor * ATOM_LIMIT_A * 6 / 5 / rutile.cell[2]]
        assert same_structure(rutile, replace(rutile, frac=frac)) is same


def test_exchanged_atoms_make_another_crystal(minerals: dict[str, Structure]) -> None:
    doubled = in_axes(minerals["Fluorite"], np.diag([1, 1, 2]))
    elements = list(doubled.elements)
    i, j = elements.index("Ca"), elements.index("F")
    elements[i], elements[j] = "F", "Ca"
    wrong = replace(doubled, elements=tuple(elements))
    assert composition_bucket(wrong) == composition_bucket(minerals["Fluorite"])
    assert not same_structure(minerals["Fluorite"], wrong)
    assert same_structure(wrong, disguised(wrong, 5))


def test_both_hands_and_both_hydrogens_are_one(minerals: dict[str, Structure]) -> None:
    quartz = minerals["Quartz"]
    other_hand = replace(quartz, frac=-quartz.frac % 1.0)
    assert {find_symmetry(quartz).number, find_symmetry(other_hand).number} == {152, 154}
    assert same_structure(quartz, other_hand)
    ice = Structure.from_cell((4, 4, 4, 90, 90, 90), ["O", "H"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert same_structure(ice, replace(ice, elements=("O", "D")))


def mixed(iron: float, order: tuple[int, ...] = (0, 1, 2)) -> Structure:
    """(Mg, Fe)O with three rows in any order."""
    cell = Structure.from_cell((3.0, 3.1, 3.2, 80, 85, 95), ["Mg", "Fe", "O"], [[0, 0, 0], [0, 0, 0], [0.5, 0.5, 0.5]])
    occupancy = np.array([1 - iron, iron, 1.0])
    return replace(
        cell,
        elements=tuple(cell.elements[i] for i in order),
        frac=cell.frac[list(order)],
        occupancy=occupancy[list(order)],
    )


def test_occupancies_count() -> None:
    assert composition_bucket(mixed(0.3)) == "Fe Mg O ~"
    assert same_structure(mixed(0.3), mixed(0.33, (2, 1, 0)))
    assert not same_structure(mixed(0.3), mixed(0.4))
    assert not same_structure(mixed(0.3), mixed(0.7))
    assert same_structure(mixed(0.3), in_axes(mixed(0.3), np.array([[1, 1, 0], [0, 1, 0], [0, 0, 3]])))


def stacked(layers: str) -> Structure:
    places = {"A": (0, 0), "B": (1 / 3, 2 / 3), "C": (2 / 3, 1 / 3)}
    frac = [[*places[layer], level / len(layers)] for level, layer in enumerate(layers)]
    return Structure.from_cell((2.507, 2.507, 2.035 * len(layers), 90, 90, 120), ["Co"] * len(layers), frac)


def test_polytypes_are_counted_right() -> None:
    """Close-packed stackings of 2 to 6 layers: 1, 1, 1, 1 and 2 kinds (International Tables C, Table 9.2.1.1)."""
    words = [
        "".join(word)
        for count in range(2, 7)
        for word in itertools.product("ABC", repeat=count)
        if all(word[i] != word[i - 1] for i in range(count))
    ]
    crystals = [stacked(word) for word in words]
    first = find_duplicates([composition_bucket(c) for c in crystals], crystals.__getitem__)
    of_length = [{int(first[i]) for i, word in enumerate(words) if len(word) == count} for count in range(2, 7)]
    assert [len(kinds) for kinds in of_length] == [1, 1, 2, 1, 4]
    # Of four layers ABAB is that of two, ABCB is new; of six, ABABAB and ABCABC (and ACB...) are old, two are new.
    assert len(set().union(*of_length)) == 6
    assert first[words.index("ABCABC")] == words.index("ABC")


def test_the_first_of_each_kind_and_only_what_has_company_is_loaded(minerals: dict[str, Structure]) -> None:
    crystals = [minerals["Rutile"], minerals["Quartz"], disguised(minerals["Rutile"], 1), minerals["Halite"]]
    crystals += [disguised(minerals["Quartz"], 2), disguised(minerals["Rutile"], 3)]
    loaded = []

    def load(index: int) -> Structure:
        loaded.append(index)
        return crystals[index]

    first = find_duplicates([composition_bucket(c) for c in crystals], load)
    assert first.tolist() == [0, 1, 0, 3, 1, 0]
    assert first.dtype == np.int64
    assert sorted(loaded) == [0, 1, 2, 4, 5]
    assert find_duplicates([], crystals.__getitem__).tolist() == []


def test_likeness_is_not_passed_along(minerals: dict[str, Structure]) -> None:
    chain = [strained(minerals["Rutile"], step * 0.015) for step in range(4)]
    buckets = [composition_bucket(c) for c in chain]
    assert find_duplicates(buckets, chain.__getitem__).tolist() == [0, 0, 2, 2]


def test_a_superstructure_at_the_limit_matches_in_either_cell() -> None:
    """Every second atom 0.04 A off: whether the small cell is found depends on the tolerance, the answer does not."""
    chain = Structure.from_cell((3, 4, 10, 90, 90, 90), ["Cu", "Cu"], [[0, 0, 0], [0, 0, 0.504]])
    assert [len(form.kinds) for form in primitive_crystals(chain)] == [2, 1]
    assert same_structure(chain, Structure.from_cell((3, 4, 5, 90, 90, 90), ["Cu"], [[0, 0, 0]]))
    assert same_structure(chain, disguised(chain, 2))


def test_a_smaller_cell_holds_the_mean_of_what_it_repeats() -> None:
    places = [[0, 0, 0], [0, 0, 0.504], [0, 0, 0.25], [0, 0, 0.75]]
    chain = Structure.from_cell((3, 4, 10, 90, 90, 90), ["Cu", "Cu", "O", "O"], places)
    small = primitive_crystals(chain)[-1]
    step = np.diff(small.frac @ small.lattice, axis=0)[0] % [3, 4, 5]
    assert sorted([step.max(), 5 - step.max()]) == pytest.approx([2.48, 2.52])


def test_a_long_thin_cell_may_reduce_another_way() -> None:
    """A shear within the limit moves the far end by nearly two of its short edges."""
    lattice = np.diag([3.0, 4.0, 150.0])
    lattice[2, 0] = 0.2
    thin = replace(Structure.from_cell((3, 4, 150, 90, 90, 90), ["Cu", "O"], [[0] * 3, [0, 0, 0.4]]), lattice=lattice)
    sheared = replace(thin, lattice=lattice @ [[1, 0, 0], [0, 1, 0], [0.036, 0, 1]])
    assert same_structure(thin, sheared)


def test_fit_is_what_was_done(minerals: dict[str, Structure]) -> None:
    halite = minerals["Halite"]
    (one,), (other,) = primitive_crystals(halite), primitive_crystals(strained(halite, 0.01))
    assert one.kinds.tolist() == [0, 1] or one.kinds.tolist() == [1, 0]
    fit = fit_of(one, other)
    assert fit is not None
    assert fit.stretch == pytest.approx(0.01, abs=1e-6)
    assert fit.farthest_A == pytest.approx(0, abs=1e-6)


def test_stretch_is_that_of_singular_values() -> None:
    rng = np.random.default_rng(4)
    for _ in range(50):
        lattice = rng.normal(size=(3, 3)) + 3 * np.eye(3)
        change = np.eye(3) + rng.normal(size=(3, 3)) * rng.choice([1e-7, 0.01, 0.3])
        other = lattice @ change
        expected = np.abs(np.linalg.svd(change, compute_uv=False) - 1).max()
        assert largest_stretch(np.linalg.inv(lattice), other @ other.T) == pytest.approx(expected, abs=1e-7)


def test_what_cannot_be_reduced_equals_nothing() -> None:
    good = Structure.from_cell((3, 4, 5, 90, 90, 90), ["Cu"], [[0, 0, 0]])
    flat = replace(good)
    object.__setattr__(flat, "lattice", np.zeros((3, 3)))
    with pytest.raises(StructureError, match="cannot be reduced"):
        same_structure(good, flat)
    assert find_duplicates(["Cu"] * 3, [flat, good, good].__getitem__).tolist() == [0, 1, 1]
