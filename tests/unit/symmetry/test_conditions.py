"""Absences and their rules against structure factors of random atoms and against gemmi."""

import itertools
import re
from collections.abc import Callable

import gemmi
import numpy as np
import pytest
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.symmetry.conditions import is_absent, reflection_conditions
from powderlens.symmetry.settings import operators, settings

ALL = range(1, 231)
BOX = np.array(list(itertools.product(range(-6, 7), repeat=3)))
SOME = BOX[(BOX[:, 2] >= 0) & (BOX.any(axis=1))]

# What membership in a class of reflections means.
MEMBERS = {
    "hkl": "h==h", "hkil": "h==h", "0kl": "h==0", "h0l": "k==0", "hk0": "l==0", "hki0": "l==0", "hhl": "h==k",
    "hh-2hl": "h==k", "h-h0l": "k==-h", "h00": "(k==0)&(l==0)", "0k0": "(h==0)&(l==0)", "00l": "(h==0)&(k==0)",
    "000l": "(h==0)&(k==0)", "h-h0": "(k==-h)&(l==0)", "h-h00": "(k==-h)&(l==0)",
}  # fmt: skip


def evaluate(expression: str, hkl: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.asarray(eval(expression, {}, dict(zip("hkl", hkl.T, strict=True))))


def breaks(rule: str, hkl: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether reflections break a rule such as "k+l=4n; k,l=2n"."""
    broken = np.zeros(len(hkl), dtype=bool)
    for part in rule.split("; "):
        forms, multiple = part.removesuffix("n").split("=")
        for form in forms.split(","):
            product = re.sub(r"(\d)([hkl])", r"\1*\2", form)
            broken |= evaluate(f"({product}) % {multiple} != 0", hkl)
    return broken


def test_absent_reflections_are_those_without_intensity(extinguished: Callable) -> None:
    for number in ALL:
        assert (is_absent(number, SOME) == extinguished(number, SOME)).all(), number


def test_gemmi_finds_the_same_absences() -> None:
    hall_symbols = {setting.number: setting.hall_symbol for setting in settings() if setting.is_standard}
    for number in ALL:
        theirs = gemmi.symops_from_hall(hall_symbols[number]).systematic_absences(BOX.astype(np.int32))
        assert (is_absent(number, BOX) == np.asarray(theirs)).all(), number


def test_the_rules_say_exactly_which_reflections_are_absent() -> None:
    """Absent is what breaks a rule itself or by an equivalent of the Laue class."""
    for number in ALL:
        rotations = list({rotation.tobytes(): rotation for rotation in operators(number)[0]}.values())
        equivalents = [SOME @ rotation * sign for rotation in rotations for sign in (1, -1)]
        broken = np.zeros(len(SOME), dtype=bool)
        for condition in reflection_conditions(number):
            for hkl in equivalents:
                broken |= evaluate(MEMBERS[condition.reflections], hkl) & breaks(condition.rule, hkl)
        assert (broken == is_absent(number, SOME)).all(), number


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1, ""),
        (14, "h0l: l=2n | 0k0: k=2n | 00l: l=2n"),
        (15, "hkl: h+k=2n | h0l: h,l=2n | 0kl: k=2n | hk0: h+k=2n | 0k0: k=2n | h00: h=2n | 00l: l=2n"),
        (62, "0kl: k+l=2n | hk0: h=2n | h00: h=2n | 0k0: k=2n | 00l: l=2n"),
        (92, "00l: l=4n | h00: h=2n"),
        (
            141,
            "hkl: h+k+l=2n | hk0: h,k=2n | 0kl: k+l=2n | hhl: 2h+l=4n | 00l: l=4n | h00: h=2n | h-h0: h=2n",
        ),
        (
            167,
            "hkil: -h+k+l=3n | hki0: -h+k=3n | hh-2hl: l=3n | h-h0l: h+l=3n; l=2n | 000l: l=6n | h-h00: h=3n",
        ),
        (178, "000l: l=6n"),
        (194, "hh-2hl: l=2n | 000l: l=2n"),
        (205, "0kl: k=2n | h00: h=2n"),
        (227, "hkl: h+k,h+l,k+l=2n | 0kl: k+l=4n; k,l=2n | hhl: h+l=2n | h00: h=4n"),
        (230, "hkl: h+k+l=2n | 0kl: k,l=2n | hhl: 2h+l=4n | h00: h=4n"),
    ],
)
def test_rules_as_international_tables_word_them(number: int, expected: str) -> None:
    assert " | ".join(map(str, reflection_conditions(number))) == expected


def test_large_indices_and_none_at_all() -> None:
    assert is_absent(225, np.array([[1001, 1000, 1000], [1001, 999, 1001]])).tolist() == [True, False]
    assert is_absent(225, np.zeros((0, 3), dtype=np.int32)).shape == (0,)


@pytest.mark.parametrize("hkl", [np.zeros((2, 3)), np.zeros(3, dtype=int), np.zeros((2, 2), dtype=int)])
def test_indices_of_another_kind_are_refused(hkl: NDArray) -> None:
    with pytest.raises(InputError, match=r"integers of shape \(n, 3\) are wanted"):
        is_absent(14, hkl)


@pytest.mark.parametrize("number", [0, 231])
def test_a_number_that_is_none_is_refused(number: int) -> None:
    with pytest.raises(InputError, match="numbers run from 1 to 230"):
        reflection_conditions(number)
    with pytest.raises(InputError, match="numbers run from 1 to 230"):
        is_absent(number, BOX)
