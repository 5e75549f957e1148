"""The 530 settings: three programs agree on their operators, every one is a group, and all lead to the standard one."""

import gemmi
import numpy as np
import pytest
import spglib
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.symmetry.groups import symbol
from powderlens.symmetry.settings import Setting, operators, setting_of_hall_number, settings

pytestmark = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")


def as_set(rotations: NDArray[np.int64], translations: NDArray[np.float64]) -> set[tuple[int, ...]]:
    """Each operator as 9 integers and 3 in 1/24 of a cell vector."""
    grains = np.round(np.asarray(translations) * 24).astype(int) % 24
    return set(map(tuple, np.concatenate([np.round(rotations).astype(int).reshape(-1, 9), grains], axis=1).tolist()))


def test_every_group_has_settings_and_exactly_one_is_standard() -> None:
    assert [setting.hall_number for setting in settings()] == list(range(1, 531))
    for number in range(1, 231):
        standard = [setting for setting in settings(number) if setting.is_standard]
        assert len(standard) == 1
        assert as_set(*standard[0].operators()) == as_set(*operators(number))


def test_settings_by_example() -> None:
    assert [setting.choice for setting in settings(62)] == ["", "ba-c", "cab", "-cba", "bca", "a-cb"]
    first, second = settings(227)
    assert (first.choice, first.hermann_mauguin, first.to_standard) == ("1", "F d -3 m", "x-1/8,y-1/8,z-1/8")
    assert (second.choice, second.hall_symbol, second.is_standard) == ("2", "-F 4vw 2vw 3", True)
    assert [setting.choice for setting in settings(166)] == ["H", "R"]
    assert setting_of_hall_number(81).hermann_mauguin == "P 1 21/c 1"


def test_standard_settings_have_the_symbol_of_their_group() -> None:
    for setting in settings():
        if setting.is_standard and setting.number > 15:
            assert setting.hermann_mauguin.replace(" ", "") == symbol(setting.number)


@pytest.mark.parametrize("start", range(1, 531, 106))
def test_gemmi_and_spglib_have_the_same_operators(start: int) -> None:
    for setting in settings()[start - 1 : start + 105]:
        ours = as_set(*setting.operators())
        assert len(ours) == len(setting.operators()[0])
        theirs = spglib.get_symmetry_from_database(setting.hall_number)
        assert theirs is not None
        assert as_set(theirs["rotations"], theirs["translations"]) == ours
        group = gemmi.symops_from_hall(setting.hall_symbol)
        assert {(*np.ravel(op.rot) // op.DEN, *np.array(op.tran) % op.DEN) for op in group} == ours
        assert spglib.get_spacegroup_type(setting.hall_number).number == setting.number


@pytest.mark.parametrize("start", range(1, 531, 106))
def test_every_setting_is_a_group(start: int) -> None:
    for setting in settings()[start - 1 : start + 105]:
        rotations, translations = setting.operators()
        names = as_set(rotations, translations)
        assert (*np.eye(3, dtype=int).ravel().tolist(), 0, 0, 0) in names
        inverses = np.linalg.inv(rotations)
        assert as_set(inverses, -np.einsum("mij,mj->mi", inverses, translations)) == names
        products = np.einsum("aij,bjk->abik", rotations, rotations).reshape(-1, 3, 3)
        shifts = np.einsum("aij,bj->abi", rotations, translations) + translations[:, None, :]
        assert as_set(products, shifts.reshape(-1, 3)) == names


def to_standard(setting: Setting) -> set[tuple[int, ...]]:
    rotations, translations = setting.operators()
    linear, shift = setting.transformation()
    turned = linear @ rotations @ np.linalg.inv(linear)
    return as_set(turned, translations @ linear.T + shift - turned @ shift)


def test_the_transformation_leads_to_the_standard_setting() -> None:
    for setting in settings():
        standard = as_set(*operators(setting.number))
        there = to_standard(setting)
        assert there <= standard
        # The rest of the standard operators differ by a lattice translation that is a whole one in the other cell.
        volume = abs(np.linalg.det(setting.transformation()[0]))
        assert len(setting.operators()[0]) == round(len(standard) * volume)


def test_operators_are_wrapped_and_read_only() -> None:
    for number in (1, 146, 230):
        rotations, translations = operators(number)
        assert (rotations[0] == np.eye(3)).all()
        assert not translations[0].any()
        assert ((translations >= 0) & (translations < 1)).all()
        with pytest.raises(ValueError, match="read-only"):
            translations[0, 0] = 1.0


@pytest.mark.parametrize("number", [0, 231])
def test_a_number_that_is_none_is_refused(number: int) -> None:
    for function in (operators, settings):
        with pytest.raises(InputError, match=f"space group {number}: numbers run from 1 to 230"):
            function(number)


def test_a_hall_number_that_is_none_is_refused() -> None:
    for hall_number in (0, 531):
        with pytest.raises(InputError, match=f"Hall number {hall_number}: numbers run from 1 to 530"):
            setting_of_hall_number(hall_number)
