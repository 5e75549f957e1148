"""Extinction classes against those found by brute force over computed powder lines."""

import itertools
from collections.abc import Callable

import gemmi
import numpy as np
import pytest
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.symmetry.extinction import LAUE_CLASSES, extinction_class, extinction_classes, laue_class
from powderlens.symmetry.groups import crystal_system
from powderlens.symmetry.settings import operators

ALL = range(1, 231)
CUBE = np.array(list(itertools.product(range(-6, 7), repeat=3)))
PRISM = CUBE[np.abs(CUBE[:, 0] + CUBE[:, 1]) <= 6]  # mapped onto itself by every hexagonal rotation
ORDERS = [np.eye(3, dtype=int)[list(order)] for order in itertools.permutations(range(3))]
PLANES = [
    np.array([[p, 0, q], [0, 1, 0], [r, 0, s]])
    for p, q, r, s in itertools.product((-1, 0, 1), repeat=4)
    if abs(p * s - q * r) == 1
]


def holohedry(number: int) -> list[NDArray[np.int64]]:
    """Rotations of the lattice: reflections that they exchange have the same d in every cell of the system."""
    system = crystal_system(number)
    rhombohedral = number in (146, 148, 155, 160, 161, 166, 167)
    representative = {"triclinic": 2, "monoclinic": 10, "orthorhombic": 47, "tetragonal": 123, "cubic": 221}
    rotations = operators(representative.get(system, 166 if rhombohedral else 191))[0]
    return list({rotation.tobytes(): rotation for rotation in rotations}.values())


def dark_reflections(number: int, extinguished: Callable) -> NDArray[np.bool_]:
    """Grid of the reflections without intensity, -6 to 6 in each index, in monoclinic groups -12 to 12."""
    reach = 12 if crystal_system(number) == "monoclinic" else 6
    size = 2 * reach + 1
    hkl = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    return extinguished(number, hkl).reshape(size, size, size)


def absent_lines(number: int, dark: NDArray[np.bool_], change: NDArray[np.int64]) -> bytes:
    """Which powder lines are missing when the crystal is described with other axes."""
    box = PRISM if crystal_system(number) in ("trigonal", "hexagonal") else CUBE
    reach = len(dark) // 2
    line = [dark[tuple((box @ rotation @ change + reach).T)] for rotation in holohedry(number)]
    return np.packbits(np.logical_and.reduce(line)).tobytes()


def choices_of_axes(number: int) -> list[NDArray[np.int64]]:
    """Changes of axes, beyond the lattice's own rotations, that keep the shape of a general cell of the system."""
    return {"orthorhombic": ORDERS, "monoclinic": PLANES}.get(crystal_system(number), ORDERS[:1])


def test_two_groups_share_a_class_exactly_when_they_miss_the_same_powder_lines(extinguished: Callable) -> None:
    """The pattern of every group in every choice of axes; two groups are one class when any of them agree."""
    patterns = {}
    for number in ALL:
        dark = dark_reflections(number, extinguished)
        patterns[number] = {absent_lines(number, dark, change) for change in choices_of_axes(number)}
    for one, other in itertools.combinations(ALL, 2):
        if laue_class(one) != laue_class(other):
            assert extinction_class(one) != extinction_class(other)
            continue
        alike = not patterns[one].isdisjoint(patterns[other])
        assert alike == (extinction_class(one) == extinction_class(other)), (one, other)


def test_every_group_is_in_one_class_named_by_its_smallest_number() -> None:
    classes = extinction_classes()
    assert sorted(number for found in classes for number in found.groups) == list(ALL)
    assert [found.id for found in classes] == sorted(min(found.groups) for found in classes)
    assert len({found.diffraction_symbol for found in classes}) == len(classes)
    for found in classes:
        assert list(found.groups) == sorted(found.groups)
        assert {laue_class(number) for number in found.groups} == {found.laue_class}
        assert all(extinction_class(number) is found for number in found.groups)


def test_there_are_120_classes_of_which_50_hold_one_group() -> None:
    """122 when -31m and -3m1 are told apart, as 149 from 150 and 151 from 152."""
    classes = extinction_classes()
    assert len(classes) == 120
    assert extinction_class(149).groups == (149, 150, 156, 157, 162, 164)
    assert extinction_class(151).groups == (151, 152, 153, 154)
    assert sum(len(found.groups) == 1 for found in classes) == 50


@pytest.mark.parametrize(
    ("number", "symbol", "groups"),
    [
        (2, "P -", (1, 2)),
        (14, "P 1 21/c 1", (14,)),
        (51, "P - c -", (26, 28, 51)),
        (62, "P n a -", (33, 62)),
        (63, "C - c -", (36, 40, 63)),
        (64, "A e a -", (41, 64)),
        (86, "P 42/n - -", (86,)),
        (94, "P 42 21 -", (94,)),
        (95, "P 41 - -", (91, 95)),
        (141, "I a - d", (141,)),
        (143, "P - - -", (143, 147)),
        (168, "P - - -", (168, 174, 175)),
        (167, "R - c", (161, 167)),
        (194, "P - - c", (186, 190, 194)),
        (205, "P a - -", (205,)),
        (198, "P 21 - -", (198,)),
        (213, "P 41 - -", (212, 213)),
        (225, "F - - -", (209, 216, 225)),
        (227, "F d - -", (227,)),
        (230, "I a - d", (230,)),
    ],
)
def test_known_classes(number: int, symbol: str, groups: tuple[int, ...]) -> None:
    found = extinction_class(number)
    assert (found.symbol, found.groups) == (symbol, groups)


def test_enantiomorphs_share_a_class() -> None:
    pairs = ((76, 78), (91, 95), (92, 96), (144, 145), (151, 153), (152, 154), (169, 170), (171, 172), (178, 179))
    for left, right in (*pairs, (180, 181), (212, 213)):
        assert extinction_class(left) is extinction_class(right)


def test_a_class_has_the_conditions_of_its_first_group() -> None:
    assert [str(condition) for condition in extinction_class(28).conditions] == ["h0l: l=2n", "00l: l=2n"]


def test_laue_classes() -> None:
    assert {laue_class(number) for number in ALL} == set(LAUE_CLASSES)
    for number in ALL:
        theirs = gemmi.find_spacegroup_by_number(number).laue_str()
        assert laue_class(number) == {"-31m": "-3m", "-3m1": "-3m"}.get(theirs, theirs)
    assert [laue_class(number) for number in (2, 3, 16, 75, 89, 143, 149, 168, 177, 195, 207)] == list(LAUE_CLASSES)


@pytest.mark.parametrize("number", [0, 231])
def test_a_number_that_is_none_is_refused(number: int) -> None:
    for function in (extinction_class, laue_class):
        with pytest.raises(InputError, match="numbers run from 1 to 230"):
            function(number)
