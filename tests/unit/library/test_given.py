"""Phases that are given as files stand on the shelf behind the others, and are never found by a search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.crystal.common import common_minerals
from powderlens.crystal.formats.cif_write import write_cif
from powderlens.crystal.formats.poscar_write import write_poscar
from powderlens.diffraction.simulate import simulate
from powderlens.identification.candidates import axis_of
from powderlens.library.given import given_phases
from powderlens.library.shelf import ElementFilter, Shelf
from powderlens.refine.measured import Measured

MINERALS = {one.name: one for one in common_minerals()}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    write_cif(MINERALS["Quartz"], tmp_path / "quartz.cif")
    write_poscar(replace(MINERALS["Halite"], name="salt"), tmp_path / "POSCAR")
    return [tmp_path / "quartz.cif", tmp_path / "POSCAR"]


def test_what_is_given(files: list[Path], small_library: Path) -> None:
    plain = Shelf([small_library], shipped=False)
    shelf = Shelf([small_library], shipped=False, given=files, elements=ElementFilter(only=("Fe", "S")))
    assert shelf.sha256 == plain.sha256
    assert shelf.given == (len(plain), len(plain) + 1)
    assert shelf.name(shelf.given[0]) == "Quartz"
    assert "salt" in shelf.name(shelf.given[1])
    assert [shelf.identity(row) for row in shelf.given] == ["given:quartz.cif", "given:POSCAR"]
    assert shelf.measured[list(shelf.given)].tolist() == [True, False], "a CIF is taken for measured"
    assert [int(shelf.space_group[row]) for row in shelf.given] == [152, 225]
    assert shelf.cell_mass_u(shelf.given[1]) == pytest.approx(4 * 58.44, abs=0.1)
    assert plain.given == ()
    quartz = MINERALS["Quartz"]
    larger = replace(quartz, lattice=1.01 * quartz.lattice)
    axis = axis_of(Measured.of(simulate(larger, "CuKa", two_theta_deg=(15, 80))))
    assert not set(shelf.retrieve(axis, 40).row.tolist()) & set(shelf.given)
    assert shelf.given_scales(axis)[0] == pytest.approx(1.01, abs=0.002)
    assert plain.given_scales(axis) == []


def test_lines_are_those_of_the_file(files: list[Path]) -> None:
    library = given_phases(files)
    found, written = library.lines(1, 1.0), MINERALS["Halite"].cell[0]
    d = np.sort(written / np.sqrt((found.hkl**2).sum(axis=1)))[::-1]
    assert d[:3] == pytest.approx(written / np.sqrt([3, 4, 8]), rel=1e-6)


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "no atoms|empty|not a CIF|no data"), ("data_x\n_cell_length_a 3\n", "x.cif")],
)
def test_a_file_that_is_no_crystal(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x.cif").write_text(text)
    with pytest.raises(InputError, match=words):
        given_phases([tmp_path / "x.cif"])


def test_one_name_twice(files: list[Path]) -> None:
    with pytest.raises(
        InputError, match=r"quartz\.cif: a phase called Quartz, as in .*quartz\.cif; give each phase once"
    ):
        given_phases([files[0], files[0]])
