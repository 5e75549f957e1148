"""Found symmetry, standard cells, Niggli cells."""

import logging
from dataclasses import replace

import gemmi
import numpy as np
import pytest

from powderlens.core.errors import StructureError
from powderlens.crystal.displacement import u_equivalent
from powderlens.crystal.expand import expand_sites
from powderlens.crystal.label import find_symmetry, with_symmetry, with_whole_symmetry
from powderlens.crystal.operators import check_group, operators_from_triplets
from powderlens.crystal.reduce import niggli_cell, primitive_lattice
from powderlens.crystal.structure import Structure, lattice_from_cell

METRIC = {
    "triclinic": (5.1, 6.3, 7.7, 81, 97, 103),
    "monoclinic": (5.1, 6.3, 7.7, 90, 97, 90),
    "orthorhombic": (5.1, 6.3, 7.7, 90, 90, 90),
    "tetragonal": (5.1, 5.1, 7.7, 90, 90, 90),
    "trigonal": (5.1, 5.1, 7.7, 90, 90, 120),
    "hexagonal": (5.1, 5.1, 7.7, 90, 90, 120),
    "cubic": (9.1, 9.1, 9.1, 90, 90, 90),
}
FCC = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
GENERAL = np.array([[0.1234, 0.2171, 0.3319], [0.0413, 0.3891, 0.1777], [0.2899, 0.0671, 0.4441]])


def crystal(number: int) -> Structure:
    """Three atoms of different elements on general positions of a group: it has exactly that symmetry."""
    group = gemmi.find_spacegroup_by_number(number)
    cell = METRIC[group.crystal_system_str()]
    rotations, translations = operators_from_triplets(op.triplet() for op in group.operations())
    sites = expand_sites(
        lattice_from_cell(cell),
        ["Fe", "Si", "O"],
        GENERAL,
        np.ones(3),
        np.full(3, np.nan),
        None,
        rotations,
        translations,
    )
    return Structure.from_cell(cell, sites.elements, sites.frac)


def invariant(structure: Structure) -> bool:
    """Whether every operator takes every atom to an atom of the same element."""
    images = np.einsum("mij,nj->mni", structure.rotations, structure.frac) + structure.translations[:, None, :]
    numbers = np.unique(structure.elements, return_inverse=True)[1]

    def places(frac: np.ndarray) -> np.ndarray:
        bins = np.floor((frac + 1.234e-5) % 1.0 * 3000).astype(int)
        return bins @ np.array([3000**2, 3000, 1]) + 3000**3 * numbers

    return bool(np.isin(places(images), places(structure.frac)).all())


LOW = [1, 2, 3, 5, 9, 14, 15, 19, 29, 43, 62, 70, 76, 78, 88, 141, 144, 145, 146, 148, 155]


@pytest.mark.parametrize("number", LOW)
def test_low_symmetry_groups_are_found_in_the_crystals_own_cell(number: int) -> None:
    structure = crystal(number)
    found = find_symmetry(structure)
    assert found.number == number
    assert found.operators_complete
    check_group(found.standard.rotations, found.standard.translations)
    assert invariant(replace(structure, rotations=found.rotations, translations=found.translations))
    assert invariant(found.standard)
    assert invariant(found.primitive)


@pytest.mark.parametrize("number", [161, 167, 169, 178, 179, 194, 198, 205, 212, 213, 216, 225, 227, 230])
def test_high_symmetry_groups_are_found(number: int) -> None:
    structure = crystal(number)
    found = find_symmetry(structure)
    assert found.number == number
    assert len(found.standard.elements) == len(structure.elements)
    assert invariant(found.standard)


def test_a_shared_site_is_one_site_whatever_the_order_of_its_rows() -> None:
    cell = (4.0, 4.0, 4.0, 90, 90, 90)
    rows = [("Fe", 0, 0.6), ("Ni", 0, 0.4), ("Ni", 0.5, 0.4), ("Fe", 0.5, 0.6)]
    mixed = Structure.from_cell(
        cell, [r[0] for r in rows], [[r[1]] * 3 for r in rows], occupancy=np.array([r[2] for r in rows])
    )
    found = find_symmetry(mixed)
    assert found.number == 229
    assert found.standard.occupancy.sum() == pytest.approx(2.0)
    assert found.primitive.elements.count("Ni") == 1
    assert find_symmetry(replace(mixed, occupancy=np.array([0.6, 0.4, 0.5, 0.5]))).number == 221


def test_hydrogen_and_deuterium_are_one_kind() -> None:
    cell = (4.0, 4.0, 4.0, 90, 90, 90)
    assert find_symmetry(Structure.from_cell(cell, ["H", "D"], [[0] * 3, [0.5] * 3])).number == 229
    assert find_symmetry(Structure.from_cell(cell, ["H", "He"], [[0] * 3, [0.5] * 3])).number == 221


def test_the_tolerance_is_in_angstrom() -> None:
    cell = (4.0, 4.0, 4.0, 90, 90, 90)
    bent = Structure.from_cell(cell, ["Fe", "Fe"], [[0, 0, 0], [0.5, 0.5, 0.505]])
    assert find_symmetry(bent, symprec_A=0.1).number == 229
    assert find_symmetry(bent, symprec_A=0.001).number == 129


def test_displacements_are_carried_to_the_standard_cell() -> None:
    lattice = lattice_from_cell((4.0, 5.0, 6.0, 90, 90, 90))
    turned = lattice[[2, 0, 1]]
    frac = np.array([[0.1, 0, 0], [0.9, 0, 0], [0, 0.5, 0.5]])
    beta = np.zeros((3, 3, 3))
    beta[:, 0, 0], beta[:, 1, 1], beta[:, 2, 2] = 0.01, 0.02, 0.03
    structure = Structure(turned, ("O", "O", "Ti"), frac, np.ones(3), np.array([0.01, 0.01, 0.02]), beta, name="turned")
    standard = find_symmetry(structure).standard
    assert standard.u_iso_A2[standard.elements.index("Ti")] == 0.02
    assert sorted(u_equivalent(standard.beta, standard.lattice)) == pytest.approx(sorted(u_equivalent(beta, turned)))


def test_wyckoff_letters_and_orbits_belong_to_the_rows() -> None:
    rutile = Structure.from_cell(
        (4.594, 4.594, 2.959, 90, 90, 90),
        ["O", "Ti", "O", "O", "Ti", "O"],
        [[0.305, 0.305, 0], [0, 0, 0], [0.695, 0.695, 0], [0.195, 0.805, 0.5], [0.5, 0.5, 0.5], [0.805, 0.195, 0.5]],
    )
    found = find_symmetry(rutile)
    assert (found.number, found.wyckoff) == (136, ("f", "a", "f", "f", "a", "f"))
    assert found.orbit.tolist() == [0, 1, 0, 0, 1, 0]


def test_with_symmetry_finds_but_never_replaces() -> None:
    bare = Structure.from_cell((3.61,) * 3 + (90,) * 3, ["Cu"] * 4, FCC)
    found = with_symmetry(bare)
    assert (found.space_group, len(found.rotations)) == (225, 192)
    assert found.frac is bare.frac
    declared = replace(found, rotations=found.rotations[:2], translations=found.translations[:2], space_group=2)
    assert with_symmetry(declared) is declared


def test_a_supercell_says_that_its_operators_are_not_all(capfd: pytest.CaptureFixture[str]) -> None:
    doubled = [[a, b, c / 2 + shift] for a, b, c in FCC for shift in (0, 0.5)]
    found = find_symmetry(Structure.from_cell((3.61, 3.61, 7.22, 90, 90, 90), ["Cu"] * 8, doubled))
    assert found.number == 225
    assert not found.operators_complete
    assert len(found.rotations) == 16 * 8
    assert capfd.readouterr().err == ""
    assert logging.getLogger("moyo").handlers


def test_a_search_that_fails_says_so() -> None:
    atop = Structure.from_cell((4, 4, 4, 90, 90, 90), ["Cu", "Cu"], [[0, 0, 0], [0.001, 0, 0]])
    with pytest.raises(StructureError, match="no symmetry found"):
        find_symmetry(replace(atop, frac=np.array([[0, 0, 0], [0.0003, 0, 0]])), symprec_A=2.5)


def test_niggli_of_copper_is_the_rhombohedron() -> None:
    copper = Structure.from_cell((3.61,) * 3 + (90,) * 3, ["Cu"] * 4, FCC)
    edge = 3.61 / np.sqrt(2)
    expected = pytest.approx((edge, edge, edge, 60, 60, 60))
    assert niggli_cell(with_symmetry(copper)) == expected
    assert niggli_cell(find_symmetry(copper).primitive) == expected
    # without its operators the cell is taken as primitive
    assert niggli_cell(copper) == pytest.approx((3.61, 3.61, 3.61, 90, 90, 90))


def test_niggli_of_iron_has_obtuse_angles() -> None:
    iron = with_symmetry(Structure.from_cell((2.866,) * 3 + (90,) * 3, ["Fe"] * 2, [[0] * 3, [0.5] * 3]))
    edge = 2.866 * np.sqrt(3) / 2
    assert niggli_cell(iron) == pytest.approx((edge, edge, edge, *[109.4712206] * 3))


@pytest.mark.parametrize("number", [1, 5, 15, 22, 43, 79, 88, 146, 166, 197, 216, 230])
def test_niggli_does_not_depend_on_the_cell_that_was_chosen(number: int) -> None:
    structure = with_symmetry(crystal(number))
    expected = niggli_cell(structure)
    assert expected[0] <= expected[1] + 1e-9 <= expected[2] + 2e-9
    change = np.array([[1, 1, 0], [0, 1, 2], [0, 0, 1]])
    inverse = np.linalg.inv(change)
    skewed = Structure(
        change @ structure.lattice,
        structure.elements,
        structure.frac @ inverse,
        structure.occupancy,
        structure.u_iso_A2,
    )
    assert niggli_cell(with_symmetry(skewed)) == pytest.approx(expected, abs=1e-6)


def test_noise_of_a_relaxed_cell_does_not_turn_120_into_60() -> None:
    clean = Structure.from_cell((7.0857, 7.0857, 7.24, 90, 90, 120), ["La"], [[0, 0, 0]])
    expected = pytest.approx(niggli_cell(with_symmetry(clean)), abs=1e-3)
    noisy = Structure.from_cell((7.085700, 7.085701, 7.24, 89.99974, 89.99974, 60.00005), ["La"], [[0, 0, 0]])
    assert niggli_cell(noisy) != expected
    assert niggli_cell(with_symmetry(noisy)) == expected


def test_primitive_lattice_has_the_volume_of_the_centring() -> None:
    for number, centring in ((1, 1), (5, 2), (146, 3), (225, 4)):
        structure = with_symmetry(crystal(number))
        assert abs(np.linalg.det(primitive_lattice(structure))) == pytest.approx(structure.volume_A3 / centring)


def test_translations_that_are_no_group_are_refused() -> None:
    cell = Structure.from_cell((4, 4, 4, 90, 90, 90), ["Cu"], [[0, 0, 0]])
    wrong = replace(
        cell, rotations=np.stack([np.eye(3, dtype=int)] * 2), translations=np.array([[0, 0, 0], [0.3, 0, 0]])
    )
    with pytest.raises(StructureError, match="no group"):
        niggli_cell(wrong)


def test_a_supercell_without_its_operators_gives_way_to_the_primitive_cell() -> None:
    """Tungsten twice along a alone: the cell has not the threefold axis of the crystal."""
    doubled = Structure.from_cell(
        (6.33, 3.165, 3.165, 90, 90, 90), ["W"] * 4, [(0, 0, 0), (0.25, 0.5, 0.5), (0.5, 0, 0), (0.75, 0.5, 0.5)]
    )
    assert len(np.unique(with_symmetry(doubled).rotations, axis=0)) < 48
    for given in (doubled, with_symmetry(doubled)):
        whole = with_whole_symmetry(given)
        assert len(np.unique(whole.rotations, axis=0)) == 48
        assert (whole.space_group, len(whole.elements)) == (229, 1)
        assert whole.volume_A3 == pytest.approx(doubled.volume_A3 / 4)
    single = Structure.from_cell((3.165,) * 3 + (90,) * 3, ["W"] * 2, [(0, 0, 0), (0.5, 0.5, 0.5)])
    assert with_whole_symmetry(single).cell == single.cell
