"""POSCARs written and read again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pymatgen.io.vasp import Poscar

from powderlens.core.errors import InputError, StructureError
from powderlens.crystal.formats.poscar import read_poscar
from powderlens.crystal.formats.poscar_write import write_poscar
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.structure import Structure


@pytest.mark.parametrize("name", ["Rutile", "Quartz", "Calcite", "Halite"])
def test_what_is_written_is_read(minerals: dict[str, Structure], tmp_path: Path, name: str) -> None:
    crystal = minerals[name]
    write_poscar(crystal, tmp_path / "x.vasp")
    back = read_poscar(tmp_path / "x.vasp")
    assert sorted(back.elements) == sorted(crystal.elements)
    assert back.lattice == pytest.approx(crystal.lattice)
    assert find_symmetry(back).number == crystal.space_group
    theirs = Poscar.from_file(str(tmp_path / "x.vasp")).structure
    assert theirs.composition.reduced_formula
    assert theirs.frac_coords == pytest.approx(back.frac)


def test_elements_that_alternate_are_gathered(tmp_path: Path) -> None:
    crystal = Structure.from_cell([4] * 3 + [90] * 3, ["Na", "Cl", "Na", "D"], np.arange(12).reshape(4, 3) / 13)
    write_poscar(crystal, tmp_path / "x.vasp")
    back = read_poscar(tmp_path / "x.vasp")
    assert back.elements == ("Na", "Na", "Cl", "D")
    assert back.frac == pytest.approx(crystal.frac[[0, 2, 1, 3]])


def test_what_a_poscar_cannot_say(minerals: dict[str, Structure], tmp_path: Path) -> None:
    with pytest.raises(StructureError, match="no shared or part-filled sites"):
        write_poscar(replace(minerals["Halite"], occupancy=np.full(8, 0.5)), tmp_path / "x.vasp")
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="no directory"):
        write_poscar(minerals["Halite"], tmp_path / "none" / "x.vasp")
