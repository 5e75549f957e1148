"""Which Wyckoff letters change places when another origin or other axes are chosen."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from powderlens.symmetry.groups import system_index
from powderlens.symmetry.tables import read_table
from powderlens.symmetry.wyckoff import wyckoff_positions


@lru_cache(maxsize=256)
def letter_permutations(number: int) -> tuple[Mapping[str, str], ...]:
    """Every permutation of the Wyckoff letters that the affine normaliser of a group induces.

    The same structure, described with another origin or other axes that leave the standard setting as it is, has its
    letters permuted by one of these. Mirror images count as the same structure. Derived from the operators, see
    scripts/make_symmetry_tables.py; compare Koch, Fischer & Mueller, International Tables A (2016), chapter 3.5.

    Args:
        number: International Tables number, 1 to 230.

    Returns:
        Maps from each letter to the one it becomes, in the order of their images, the identity first. From 1 (most
        chiral groups without free choice) to 1,344 (group 2).

    Raises:
        InputError: not a space-group number.
    """
    system_index(number)
    letters = "".join(position.letter for position in wyckoff_positions(number))
    generators = [dict(zip(letters, images, strict=True)) for images in _table()[number - 1]]
    found, new = {letters}, {letters}
    while new:
        new = {"".join(map(step.__getitem__, word)) for word in new for step in generators} - found
        found |= new
    ordered = sorted(found, key=str.swapcase)
    return tuple(MappingProxyType(dict(zip(letters, images, strict=True))) for images in ordered)


def wyckoff_sets(number: int) -> tuple[str, ...]:
    """The letters in sets of those that change places with each other, as ("ab", "c", "d") for group 62.

    Raises:
        InputError: not a space-group number.
    """
    permutations = letter_permutations(number)
    found: dict[str, None] = {}
    for letter in permutations[0]:
        found["".join(sorted({change[letter] for change in permutations}, key=str.swapcase))] = None
    return tuple(found)


@lru_cache(maxsize=1)
def _table() -> list[list[str]]:
    """For each group the permutations that generate all others, as the images of the letters in order."""
    return read_table("normaliser", "generators")
