"""Structure types: one text for all descriptions of a crystal, and of its kin."""

from dataclasses import replace

import numpy as np
import pytest

from powderlens.crystal.label import find_symmetry
from powderlens.crystal.structure import Structure
from powderlens.crystal.structure_type import structure_type
from powderlens.symmetry.groups import ENANTIOMORPHS
from powderlens.symmetry.wyckoff import wyckoff_positions

CUBE = (90.0, 90.0, 90.0)


def type_of(structure: Structure) -> str:
    return structure_type(find_symmetry(structure))


def test_textbook_types(minerals: dict[str, Structure]) -> None:
    assert {name: type_of(mineral) for name, mineral in minerals.items()} == {
        "Rutile": "AB2 136 a f",
        "Quartz": "AB2 152 a c",
        "Halite": "AB 225 a b",
        "Fluorite": "AB2 225 a c",
        "Corundum": "A2B3 167 c e",
        "Calcite": "ABC3 167 a b e",
        "Sphalerite": "AB 216 a c",
    }


def test_another_origin_is_the_same_type(minerals: dict[str, Structure]) -> None:
    for name, shift in (("Halite", (0.5, 0.5, 0.5)), ("Rutile", (0.5, 0.5, 0)), ("Sphalerite", (0.25, 0.25, 0.25))):
        mineral = minerals[name]
        assert type_of(replace(mineral, frac=(mineral.frac + shift) % 1)) == type_of(mineral)


def test_kin_share_a_type_and_strangers_do_not(minerals: dict[str, Structure]) -> None:
    halite = minerals["Halite"]
    periclase = replace(halite, elements=tuple({"Na": "O", "Cl": "Mg"}[e] for e in halite.elements))
    assert type_of(replace(periclase, lattice=periclase.lattice * 0.75)) == type_of(halite)
    caesium_chloride = Structure.from_cell((4.1, 4.1, 4.1, *CUBE), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert type_of(caesium_chloride) == "AB 221 a b"


def test_perovskite_by_either_choice_of_origin() -> None:
    faces = [[0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    perovskite = Structure.from_cell((3.9, 3.9, 3.9, *CUBE), ["Sr", "Ti", *"OOO"], [[0, 0, 0], [0.5] * 3, *faces])
    moved = replace(perovskite, frac=(perovskite.frac + 0.5) % 1)
    anti = replace(perovskite, elements=("N", "Sn", "Ca", "Ca", "Ca"))
    assert {type_of(perovskite), type_of(moved), type_of(anti)} == {"ABC3 221 a b c"}


def test_a_solid_solution_has_the_type_of_its_end_member(minerals: dict[str, Structure]) -> None:
    halite = minerals["Halite"]
    sodium = [i for i, e in enumerate(halite.elements) if e == "Na"]
    mixture = Structure(
        halite.lattice,
        (*halite.elements, *["K"] * len(sodium)),
        np.concatenate([halite.frac, halite.frac[sodium]]),
        np.array([0.7 if e == "Na" else 1.0 for e in halite.elements] + [0.3] * len(sodium)),
        np.full(len(halite.elements) + len(sodium), np.nan),
    )
    assert type_of(mixture) == type_of(halite)


def test_a_shared_site_counts_for_what_fills_most_of_it() -> None:
    places = [[0, 0, 0], [0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]
    shares = np.array([0.7, 0.3, 0.3, 0.7])
    ordered = Structure.from_cell((2.9, 2.9, 2.9, *CUBE), ["Fe", "Al", "Fe", "Al"], places, occupancy=shares)
    assert type_of(ordered) == "AB 221 a b"
    assert type_of(replace(ordered, elements=("Al", "Fe", "Fe", "Al"))) == "A 229 a"


def test_a_supercell_has_the_type_of_its_crystal(minerals: dict[str, Structure]) -> None:
    corundum = minerals["Corundum"]
    n = len(corundum.elements)
    doubled = Structure(
        corundum.lattice * [[2], [1], [1]],
        corundum.elements * 2,
        np.concatenate([corundum.frac * [0.5, 1, 1], corundum.frac * [0.5, 1, 1] + [0.5, 0, 0]]),
        np.ones(2 * n),
        np.full(2 * n, np.nan),
    )
    assert type_of(doubled) == "A2B3 167 c e"


@pytest.mark.parametrize("number", sorted(number for pair in ENANTIOMORPHS for number in pair))
def test_mirror_images_share_a_type(number: int) -> None:
    """Every position of the group occupied alone, with a framework on general positions, and its mirror image."""
    cell = (7.1, 7.1, 7.1, *CUBE) if number > 194 else (7.1, 7.1, 9.7, 90, 90, 90 if number < 140 else 120)
    positions = wyckoff_positions(number)
    general = positions[-1].sites(np.array([0.137, 0.271, 0.0643]))
    for position in positions:
        sites = position.sites(np.array([0.2113, 0.3671, 0.1739]))
        elements = ["O"] * len(general) + ["Fe"] * len(sites)
        one = find_symmetry(Structure.from_cell(cell, elements, np.concatenate([general, sites])))
        other = find_symmetry(replace(one.structure, frac=-one.structure.frac % 1))
        assert one.number == number
        assert {one.number, other.number} in [{low, high} for low, high in ENANTIOMORPHS]
        assert structure_type(one) == structure_type(other)
