"""POSCAR in its forms."""

from pathlib import Path

import numpy as np
import pytest

from powderlens.core.errors import StructureError
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.read import read_structure

SALT = """rock salt
1.0
5.64 0 0
0 5.64 0
0 0 5.64
Na Cl
4 4
Direct
0 0 0
0 .5 .5
.5 0 .5
.5 .5 0
.5 .5 .5
.5 0 0
0 .5 0
0 0 .5
"""
CARTESIAN = """CsCl
{scale}
2 0 0
0 2 0
0 0 2
Cs Cl
1 1
Selective dynamics
Cartesian
0 0 0 T T T
1 1 1 F F F
"""


def poscar(tmp_path: Path, text: str, name: str = "POSCAR") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["POSCAR", "CONTCAR", "salt.vasp", "POSCAR-225", "POSCAR_salt"])
def test_names_that_are_read(tmp_path: Path, name: str) -> None:
    salt = read_structure(poscar(tmp_path, SALT, name))
    assert salt.elements == ("Na",) * 4 + ("Cl",) * 4
    assert salt.cell == pytest.approx((5.64, 5.64, 5.64, 90, 90, 90))
    assert salt.source == f"poscar:{name}"
    assert find_symmetry(salt).number == 225


@pytest.mark.parametrize("scale", ["2.0", "-64.0", "2 2 2"])
def test_scales_and_cartesian_coordinates(tmp_path: Path, scale: str) -> None:
    found = read_structure(poscar(tmp_path, CARTESIAN.format(scale=scale)))
    assert found.cell == pytest.approx((4, 4, 4, 90, 90, 90))
    assert found.frac[1] == pytest.approx([0.5, 0.5, 0.5])


def test_names_from_the_title_or_from_the_lines(tmp_path: Path) -> None:
    old = SALT.replace("Na Cl\n4 4", "4 4")
    assert read_structure(poscar(tmp_path, old.replace("rock salt", "Na Cl"))).elements[4] == "Cl"
    head, rest = old.split("Direct\n")
    lines = rest.splitlines()
    named = head + "Direct\n" + "\n".join(f"{x} # {'Na' if i < 4 else 'Cl'}{i}" for i, x in enumerate(lines))
    assert read_structure(poscar(tmp_path, named)).elements == ("Na",) * 4 + ("Cl",) * 4


def test_potential_names_are_elements_too(tmp_path: Path) -> None:
    assert set(read_structure(poscar(tmp_path, SALT.replace("Na Cl", "Na_pv Cl/abc"))).elements) == {"Na", "Cl"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Na Cl\n", "", "no element names; write them on the line above the counts"),
        ("Na Cl", "Na Qq", "unknown element 'Qq'"),
        ("Na Cl", "Na Cl O", "3 element names for 2 counts"),
        ("4 4", "4 40", "8 coordinate lines for 44 atoms"),
        ("4 4", "0 0", "0 atoms"),
        ("5.64 0 0\n", "0 5.64 0\n", "the cell has no volume"),
        ("0 .5 .5", "0 half .5", "not a POSCAR"),
        ("1.0\n", "", "not a POSCAR"),
        (SALT, "", "not a POSCAR"),
    ],
)
def test_bad_files(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(StructureError) as caught:
        read_structure(poscar(tmp_path, SALT.replace(old, new, 1)))
    assert str(caught.value).startswith("POSCAR: ")
    assert message in str(caught.value)


def test_coordinates_are_those_of_pymatgen(tmp_path: Path) -> None:
    from pymatgen.io.vasp import Poscar

    skew = SALT.replace("5.64 0 0\n0 5.64 0", "5.64 0.3 0\n-1.2 5.64 0.1").replace("Direct", "Cartesian")
    path = poscar(tmp_path, skew)
    expected = Poscar.from_file(str(path)).structure
    found = read_structure(path)
    assert found.lattice == pytest.approx(np.array(expected.lattice.matrix))
    assert found.frac == pytest.approx(expected.frac_coords)
