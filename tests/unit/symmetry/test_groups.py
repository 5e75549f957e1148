"""Numbers, systems and symbols of the space groups."""

import subprocess
import sys

import gemmi
import pytest

from powderlens.core.errors import InputError
from powderlens.symmetry.groups import ENANTIOMORPHS, SYSTEMS, crystal_system, either_hand, symbol, system_index


def test_systems_agree_with_gemmi_for_all_230_groups() -> None:
    for number in range(1, 231):
        assert crystal_system(number) == gemmi.find_spacegroup_by_number(number).crystal_system_str()
        assert SYSTEMS[system_index(number)] == crystal_system(number)


@pytest.mark.parametrize(
    ("number", "expected"),
    [(1, "P1"), (2, "P-1"), (14, "P21/c"), (62, "Pnma"), (148, "R-3"), (166, "R-3m"), (225, "Fm-3m"), (230, "Ia-3d")],
)
def test_symbols(number: int, expected: str) -> None:
    assert symbol(number) == expected


def test_symbols_are_all_different_and_gemmi_finds_the_group_by_each() -> None:
    assert len({symbol(number) for number in range(1, 231)}) == 230
    for number in range(1, 231):
        assert gemmi.find_spacegroup_by_name(symbol(number)).number == number


@pytest.mark.parametrize("number", [0, 231, -3])
def test_a_number_that_is_none_is_refused_with_the_limits(number: int) -> None:
    for function in (symbol, crystal_system, system_index):
        with pytest.raises(InputError, match=f"space group {number}: numbers run from 1 to 230"):
            function(number)


def test_importing_the_table_does_not_import_gemmi() -> None:
    code = "import sys, powderlens.symmetry.groups; print('gemmi' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_enantiomorphic_pairs_are_mirror_images() -> None:
    """Inversion takes the operators of one to those of the other, and those of no other group to another number."""
    for number in range(1, 231):
        turned = [gemmi.Op(op.triplet()) for op in gemmi.find_spacegroup_by_number(number).operations()]
        for op in turned:
            op.tran = [-t for t in op.tran]
        other = gemmi.find_spacegroup_by_ops(gemmi.GroupOps([op.wrap() for op in turned]))
        assert either_hand(number) == min(number, other.number if other else number)
    assert len(ENANTIOMORPHS) == 11
