"""Wyckoff positions: what the operators demand of them, and what spglib says of atoms put on them."""

from collections.abc import Callable

import numpy as np
import pytest
import spglib
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.symmetry.settings import operators, settings
from powderlens.symmetry.wyckoff import WyckoffPosition, parse_coordinates, wyckoff_positions

pytestmark = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")

ALL = range(1, 231)


def by_letter(number: int) -> dict[str, WyckoffPosition]:
    return {position.letter: position for position in wyckoff_positions(number)}


def stabiliser(number: int, site: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rotation parts of the operators that leave a site where it is."""
    rotations, translations = operators(number)
    moved = rotations @ site + translations - site
    return rotations[(np.abs(moved - np.round(moved)) < 1e-9).all(axis=1)]


def test_international_tables_count_1731_positions() -> None:
    assert sum(len(wyckoff_positions(number)) for number in ALL) == 1731


def test_positions_by_example() -> None:
    nacl = by_letter(225)
    assert [nacl[letter].multiplicity for letter in "abcdefghijkl"] == [4, 4, 8, 24, 24, 32, 48, 48, 48, 96, 96, 192]
    assert (nacl["f"].site_symmetry, nacl["f"].coordinates, nacl["f"].free) == (".3m", "x,x,x", 1)
    assert (nacl["h"].site_symmetry, nacl["h"].coordinates) == ("m.m2", "0,y,y")
    assert nacl["h"].which_free == (False, True, False)
    assert by_letter(62)["c"].coordinates == "x,1/4,z"
    assert by_letter(62)["c"].which_free == (True, False, True)
    corundum = by_letter(167)
    assert (corundum["c"].multiplicity, corundum["c"].site_symmetry) == (12, "3.")
    assert (corundum["e"].multiplicity, corundum["e"].coordinates) == (18, "x,0,1/4")


def test_letters_run_from_a_and_the_27th_of_group_47_is_capital() -> None:
    for number in ALL:
        letters = "".join(position.letter for position in wyckoff_positions(number))
        assert "abcdefghijklmnopqrstuvwxyzA".startswith(letters)
    assert wyckoff_positions(47)[-1].letter == "A"


def test_the_last_position_is_the_general_one() -> None:
    for number in ALL:
        *special, general = wyckoff_positions(number)
        assert (general.coordinates, general.site_symmetry, general.free) == ("x,y,z", "1", 3)
        assert general.multiplicity == len(operators(number)[0])
        assert all(position.multiplicity < general.multiplicity for position in special)


def test_site_symmetry_and_multiplicity_are_those_of_the_operators() -> None:
    generator = np.random.default_rng(4)
    for number in ALL:
        for position in wyckoff_positions(number):
            sites = position.sites(generator.random(3))
            assert sites.shape == (position.multiplicity, 3)
            group = stabiliser(number, sites[0])
            assert len(group) * position.multiplicity == len(operators(number)[0])
            # The symbol in place, as "2.mm", has the characters of the point group's own, "mm2".
            point_group = spglib.get_pointgroup(group)[0].strip()
            assert sorted(position.site_symmetry.replace(".", "")) == sorted(point_group)


def test_an_orbit_is_closed_and_has_no_site_twice() -> None:
    generator = np.random.default_rng(5)
    for number in ALL:
        rotations, translations = operators(number)
        for position in wyckoff_positions(number):
            sites = position.sites(generator.random(3))
            names = {tuple(row) for row in (np.round(sites * 1e6).astype(int) % 10**6).tolist()}
            assert len(names) == position.multiplicity
            images = rotations @ sites[-1] + translations
            assert {tuple(row) for row in (np.round(images * 1e6).astype(int) % 10**6).tolist()} == names


def test_only_free_parameters_count() -> None:
    for number in ALL:
        for position in wyckoff_positions(number):
            used = position.linear.any(axis=(0, 1))
            assert tuple(used.tolist()) == position.which_free
            assert set("xyz") & set(position.coordinates) == {n for n, free in zip("xyz", used, strict=True) if free}
            assert np.linalg.matrix_rank(position.linear[0]) == position.free
            assert ((position.shift >= 0) & (position.shift < 1)).all()


def test_spglib_gives_the_same_letters_and_site_symmetries(every_position: Callable) -> None:
    hall_numbers = {setting.number: setting.hall_number for setting in settings() if setting.is_standard}
    for number in ALL:
        cell, sites, kinds = every_position(number)
        found = spglib.get_symmetry_dataset((cell, sites, kinds), symprec=1e-4, hall_number=hall_numbers[number])
        assert found.number == number
        positions = wyckoff_positions(number)
        expected = [positions[min(kind, len(positions)) - 1] for kind in kinds]
        assert list(found.wyckoffs) == [position.letter for position in expected]
        assert list(found.site_symmetry_symbols) == [position.site_symmetry for position in expected]


def test_positions_are_the_same_object_when_asked_again_and_cannot_be_changed() -> None:
    first = wyckoff_positions(12)
    assert wyckoff_positions(12) is first
    with pytest.raises(ValueError, match="read-only"):
        first[0].shift[0, 0] = 0.5


@pytest.mark.parametrize("number", [0, 231])
def test_a_number_that_is_none_is_refused(number: int) -> None:
    with pytest.raises(InputError, match="numbers run from 1 to 230"):
        wyckoff_positions(number)


def test_coordinates_are_parsed() -> None:
    linear, shift = parse_coordinates("x, -2x, z+1/4")
    assert linear.tolist() == [[1, 0, 0], [-2, 0, 0], [0, 0, 1]]
    assert shift.tolist() == [0, 0, 0.25]
    linear, shift = parse_coordinates("-x+y,1/2-y,0")
    assert linear.tolist() == [[-1, 1, 0], [0, -1, 0], [0, 0, 0]]
    assert shift.tolist() == [0, 0.5, 0]


@pytest.mark.parametrize("text", ["x,y", "x,y,w", "x,,z", "x,y,z,0", "x*2,y,z"])
def test_text_that_is_no_site_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="coordinate"):
        parse_coordinates(text)
