"""Point groups and Bravais lattices, against gemmi."""

import gemmi
import pytest

from powderlens.core.errors import InputError
from powderlens.symmetry.groups import bravais_lattice, point_group

FOURTEEN = {"aP", "mP", "mS", "oP", "oS", "oI", "oF", "tP", "tI", "hP", "hR", "cP", "cI", "cF"}


@pytest.mark.parametrize("number", range(1, 231))
def test_against_gemmi(number: int) -> None:
    group = gemmi.SpaceGroup(number)
    assert point_group(number) == {"-4m2": "-42m", "-62m": "-6m2"}.get(group.point_group_hm(), group.point_group_hm())
    centring = group.centring_type()
    assert bravais_lattice(number)[1] == ("S" if centring in "ABC" else centring)
    family = {"triclinic": "a", "trigonal": "h"}.get(group.crystal_system_str(), group.crystal_system_str()[0])
    assert bravais_lattice(number)[0] == family


def test_there_are_32_and_14() -> None:
    assert len({point_group(number) for number in range(1, 231)}) == 32
    assert {bravais_lattice(number) for number in range(1, 231)} == FOURTEEN


@pytest.mark.parametrize("number", [0, 231])
def test_no_such_group(number: int) -> None:
    for function in (point_group, bravais_lattice):
        with pytest.raises(InputError, match="1 to 230"):
            function(number)
