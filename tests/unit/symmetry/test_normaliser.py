"""Permutations of Wyckoff letters: known sets, and what moyo makes of crystals moved to other axes and origins."""

from collections.abc import Callable

import moyopy
import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.symmetry.groups import crystal_system
from powderlens.symmetry.normaliser import letter_permutations, wyckoff_sets
from powderlens.symmetry.wyckoff import wyckoff_positions

ALL = range(1, 231)
INFINITE = (2, 3, 10, 11, 12, 13, 14, 15)
"""Groups whose affine normaliser moves letters as no isometry of a general cell does."""


def images(number: int) -> set[str]:
    return {"".join(change.values()) for change in letter_permutations(number)}


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1, {"a"}),
        (19, {"a"}),
        (62, {"abcd", "bacd"}),
        (167, {"abcdef"}),
        (194, {"abcdefghijkl", "abdcefghijkl"}),
        (225, {"abcdefghijkl", "bacdefgihjkl"}),
        (227, {"abcdefghi", "badcefghi"}),
        (229, {"abcdefghijkl"}),
    ],
)
def test_known_groups(number: int, expected: set[str]) -> None:
    assert images(number) == expected


def test_the_four_points_of_zincblende_turn_in_a_ring_and_over() -> None:
    rings = {"abcd", "badc", "cdba", "dcab", "abdc", "bacd", "cdab", "dcba"}
    assert {word[:4] for word in images(216)} == rings


def test_sets_by_example() -> None:
    assert wyckoff_sets(2) == ("abcdefgh", "i")
    assert wyckoff_sets(47) == ("abcdefgh", "ijklmnopqrst", "uvwxyz", "A")
    assert wyckoff_sets(221)[0] == "ab"
    assert len(letter_permutations(2)) == 1344  # the affine maps of eight points over the field of two elements


def test_they_form_a_group_and_keep_what_a_position_is() -> None:
    for number in ALL:
        permutations = letter_permutations(number)
        positions = {position.letter: position for position in wyckoff_positions(number)}
        assert list(permutations[0].items()) == [(letter, letter) for letter in positions]
        for change in permutations:
            for letter, other in change.items():
                assert positions[letter].multiplicity == positions[other].multiplicity
                assert positions[letter].free == positions[other].free
        if len(permutations) <= 48:
            words = images(number)
            assert len(words) == len(permutations)
            assert {"".join(a[b[letter]] for letter in a) for a in permutations for b in permutations} == words


def dataset(cell: np.ndarray, sites: np.ndarray, kinds: list[int]) -> moyopy.MoyoDataset:
    return moyopy.MoyoDataset(
        moyopy.Cell(cell.tolist(), sites.tolist(), kinds), symprec=1e-4, setting=moyopy.Setting.standard()
    )


def test_moyo_finds_the_same_permutations_by_the_euclidean_normaliser(every_position: Callable) -> None:
    """With the most symmetric cell the isometries are the whole affine normaliser, but for the infinite ones."""
    for number in range(1, 231, 3):
        cell, sites, kinds = every_position(number)
        if crystal_system(number) == "orthorhombic":
            cell = np.eye(3) * 60.0
        found = dataset(cell, sites, kinds).normalizer_wyckoff_positions()
        before = [position.letter for position in found.wyckoffs]
        theirs = set()
        for _, after in found.coset_representatives:
            change = dict(zip(before, (position.letter for position in after), strict=True))
            theirs.add("".join(change[letter] for letter in letter_permutations(number)[0]))
        assert theirs <= images(number)
        assert theirs == images(number) or number in INFINITE


def test_another_description_of_a_crystal_changes_letters_as_the_table_allows(every_position: Callable) -> None:
    """Sheared axes and a moved origin: moyo's letters are ours, permuted."""
    generator = np.random.default_rng(11)
    seen = 0
    for number in [*INFINITE, 5, 16, 47, 62, 75, 123, 166, 191, 194, 198, 215, 216, 221, 225, 227]:
        cell, sites, kinds = every_position(number)
        letters = [position.letter for position in wyckoff_positions(number)]
        for _ in range(6):
            change = np.eye(3, dtype=int)
            change[tuple(generator.permutation(3)[:2])] = generator.integers(-1, 2)
            change = change[generator.permutation(3)]
            moved = (sites + generator.random(3)) @ np.linalg.inv(change)
            found = dataset(change @ cell, moved, kinds)
            assert found.number == number
            became = {letters[min(k, len(letters)) - 1]: new for k, new in zip(kinds, found.wyckoffs, strict=True)}
            assert "".join(became[letter] for letter in letters) in images(number)
            seen += became != {letter: letter for letter in letters}
    assert seen > 20


@pytest.mark.parametrize("number", [0, 231])
def test_a_number_that_is_none_is_refused(number: int) -> None:
    for function in (letter_permutations, wyckoff_sets):
        with pytest.raises(InputError, match="numbers run from 1 to 230"):
            function(number)
