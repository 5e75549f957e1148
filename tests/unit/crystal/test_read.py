"""`read_structure` over CIF, POSCAR and the objects of other libraries."""

from pathlib import Path

import gemmi
import numpy as np
import pytest

from powderlens.core.errors import InputError, StructureError
from powderlens.crystal.formats.cif_write import write_cif
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.read import read_structure
from powderlens.crystal.structure import Structure

RUTILE = """data_rutile
_chemical_name_mineral Rutile
_chemical_formula_sum 'O2 Ti'
_cell_length_a 4.5937(2)
_cell_length_b 4.5937(2)
_cell_length_c 2.9587(1)
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 42/m n m'
_symmetry_Int_Tables_number 136
loop_
_symmetry_equiv_pos_as_xyz
x,y,z
-x,-y,z
1/2-y,1/2+x,1/2+z
1/2+y,1/2-x,1/2+z
1/2-x,1/2+y,1/2-z
1/2+x,1/2-y,1/2-z
y,x,-z
-y,-x,-z
-x,-y,-z
x,y,-z
1/2+y,1/2-x,1/2-z
1/2-y,1/2+x,1/2-z
1/2+x,1/2-y,1/2+z
1/2-x,1/2+y,1/2+z
-y,-x,z
y,x,z
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
_atom_site_U_iso_or_equiv
Ti1 Ti4+ 0 0 0 1.0 0.0060(2)
O1 O2- 0.3048(1) 0.3048(1) 0 0.95 ?
loop_
_atom_site_aniso_label
_atom_site_aniso_U_11
_atom_site_aniso_U_22
_atom_site_aniso_U_33
_atom_site_aniso_U_12
_atom_site_aniso_U_13
_atom_site_aniso_U_23
O1 0.006 0.006 0.004 -0.002 0 0
"""
OPERATORS = RUTILE[RUTILE.index("loop_\n_symmetry_equiv") : RUTILE.index("loop_\n_atom_site_label")]
STATED = "_symmetry_space_group_name_H-M 'P 42/m n m'\n_symmetry_Int_Tables_number 136\n"
ANISO = RUTILE[RUTILE.index("loop_\n_atom_site_aniso") :]


def cif(tmp_path: Path, *changes: tuple[str, str], text: str = RUTILE) -> Path:
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path = tmp_path / "given.cif"
    path.write_text(text)
    return path


def same(one: Structure, two: Structure) -> None:
    """The same cell with the same atoms in it, in any order."""
    assert one.cell == pytest.approx(two.cell, abs=1e-5)
    assert len(one.elements) == len(two.elements)
    for i, element in enumerate(one.elements):
        rest = two.frac - one.frac[i]
        rest -= np.round(rest)
        near = [j for j in np.flatnonzero(np.abs(rest).max(axis=1) < 1e-5) if two.elements[j] == element]
        assert len(near) == 1, (element, one.frac[i])
        assert two.occupancy[near[0]] == pytest.approx(one.occupancy[i], abs=1e-5)


def test_a_cif_becomes_a_whole_cell(tmp_path: Path) -> None:
    rutile = read_structure(cif(tmp_path))
    assert rutile.elements == ("Ti", "Ti", "O", "O", "O", "O")
    assert rutile.cell == pytest.approx((4.5937, 4.5937, 2.9587, 90, 90, 90))
    assert (rutile.space_group, len(rutile.rotations), rutile.name) == (136, 16, "Rutile")
    assert rutile.occupancy.tolist() == [1, 1] + [0.95] * 4
    assert rutile.u_iso_A2 == pytest.approx([0.006] * 2 + [0.016 / 3] * 4)
    assert rutile.beta[2, 0, 1] == pytest.approx(2 * np.pi**2 * -0.002 / 4.5937**2)
    assert np.isnan(rutile.beta[0]).all()
    assert rutile.source == "cif:given.cif"
    assert rutile.labels["stated_number"] == 136
    assert find_symmetry(rutile).number == 136
    assert read_structure(str(cif(tmp_path))).elements == rutile.elements


@pytest.mark.parametrize(
    ("tags", "number", "oxygens"),
    [
        ("_symmetry_space_group_name_H-M 'P 42/m n m'", 136, 4),
        ("_space_group_name_H-M_alt 'P 4_2/m n m'", 136, 4),
        ("_space_group_name_Hall '-P 4n 2n'", 136, 4),
        ("_space_group_IT_number 136", 136, 4),
        ("", None, 1),
    ],
)
def test_without_operators_the_symbol_or_number_serves(tmp_path: Path, tags: str, number, oxygens: int) -> None:
    stated = "_symmetry_space_group_name_H-M 'P 42/m n m'\n_symmetry_Int_Tables_number 136\n"
    path = cif(tmp_path, (stated, tags + "\n"), (OPERATORS, ""))
    found = read_structure(path)
    assert found.space_group == number
    assert found.elements.count("O") == oxygens


def test_b_factors_are_divided_by_eight_pi_squared(tmp_path: Path) -> None:
    text = cif(
        tmp_path, ("U_iso_or_equiv", "B_iso_or_equiv"), ("0.0060(2)", "0.474"), ("_aniso_U_", "_aniso_B_")
    ).read_text()
    path = tmp_path / "b.cif"
    path.write_text(text)
    found = read_structure(path)
    assert found.u_iso_A2[0] == pytest.approx(0.474 / (8 * np.pi**2))
    assert found.beta[2, 2, 2] == pytest.approx(2 * np.pi**2 * 0.004 / (8 * np.pi**2) / 2.9587**2)


def test_elements_come_from_labels_where_no_type_is_given(tmp_path: Path) -> None:
    found = read_structure(cif(tmp_path, ("_atom_site_type_symbol\n", ""), ("Ti1 Ti4+", "Ti1"), ("O1 O2-", "D1")))
    assert set(found.elements) == {"Ti", "D"}


def test_the_block_is_the_first_with_atoms_or_the_one_named(tmp_path: Path) -> None:
    other = RUTILE.replace("data_rutile", "data_second").replace("4.5937(2)", "4.7")
    path = cif(tmp_path, text="data_global\n_audit_creation_date 2020-01-01\n" + RUTILE + other)
    assert read_structure(path).cell[0] == pytest.approx(4.5937)
    assert read_structure(path, block="SECOND").cell[0] == pytest.approx(4.7)
    with pytest.raises(StructureError, match=r"given\.cif: no data block 'third'; it has global, rutile, second"):
        read_structure(path, block="third")


def test_dummies_and_empty_sites_are_left_out_and_repeats_merged(tmp_path: Path) -> None:
    sites = "O1 O 0.3048 0.3048 0 1 ?\nO2 O -0.3048 0.6952 0 1 ?\nH1 H 0 0 .5 0 ?"
    found = read_structure(cif(tmp_path, ("O1 O2- 0.3048(1) 0.3048(1) 0 0.95 ?", sites)))
    assert found.elements.count("O") == 4
    assert "H" not in found.elements


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([("Ti1 Ti4+", "X1 Xx")], "atom X1: unknown element 'Xx'; give it in _atom_site_type_symbol"),
        ([("Ti1 Ti4+ 0 0 0", "Ti1 Ti4+ 0 ? 0")], "atom Ti1 has no coordinates"),
        ([("_atom_site_fract_x", "_atom_site_Cartn_x"), ("_atom_site_fract_y", "_atom_site_Cartn_y")], "convert Cartn"),
        ([("_atom_site_fract_z", "_atom_site_note")], "the atoms have no coordinates"),
        ([("_cell_length_b 4.5937(2)\n", "")], "_cell_length_b: no number there"),
        ([("_cell_angle_gamma 90", "_cell_angle_gamma 200")], "cell angles 90, 90, 200 degrees close no cell"),
        ([("_cell_length_c 2.9587(1)", "_cell_length_c -1")], "all must be positive"),
        ([("_cell_length_b 4.5937(2)", "_cell_length_b 5.2")], "the operators do not fit the cell"),
        ([("-y,-x,-z\n", "")], "the operators are no group"),
        ([("-y,-x,-z\n", "-y,-x,-q\n")], "'-y,-x,-q' is no operator"),
        ([("0 1.0 0.0060", "0 6.0 0.0060")], "atom Ti1: occupancy 6; it must lie between 0 and 1"),
        ([("0 1.0 0.0060", "0 0 0.0060"), ("0 0.95 ?", "0 0 ?")], "every one is a dummy or has occupancy 0"),
        (
            [(OPERATORS, ""), (STATED, "_symmetry_space_group_name_H-M 'P 99/x'\n")],
            "'P 99/x' is not known; list the op",
        ),
        ([(OPERATORS, ""), ("_symmetry_space_group_name_H-M 'P 42/m n m'\n", ""), ("136", "500")], "1 to 230"),
    ],
)
def test_bad_cifs_say_what_is_wrong_in_one_line(tmp_path: Path, changes: list, message: str) -> None:
    with pytest.raises(StructureError) as caught:
        read_structure(cif(tmp_path, *changes))
    assert str(caught.value).startswith("given.cif: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no data block"),
        ("just some words\n", "not a readable CIF"),
        ("data_x\n_cell_length_a 4\nloop_\n_a\n_b\n1 2 3\n", "not a readable CIF"),
        ("data_x\n_pd_meas_2theta_range_min 5\n", "no unit cell"),
        (RUTILE[: RUTILE.index("loop_\n_atom_site_label")], "no atoms"),
        (RUTILE[RUTILE.index("loop_\n_symmetry_equiv") :].join(["data_x\n", ""]), "no unit cell"),
    ],
)
def test_files_that_are_no_structure(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "given.cif"
    path.write_text(text)
    with pytest.raises(StructureError, match=message):
        read_structure(path)


def test_binary_rubbish_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "given.cif"
    path.write_bytes(bytes(range(256)) * 20)
    with pytest.raises(StructureError, match=r"given\.cif: not a readable CIF"):
        read_structure(path)


def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StructureError, match=r"none\.cif: no such file"):
        read_structure(tmp_path / "none.cif")
    with pytest.raises(StructureError, match="is a directory"):
        read_structure(tmp_path)
    (tmp_path / "data.xyz").write_text("3\n")
    with pytest.raises(StructureError, match=r"data\.xyz: what format is it\? .*CIF.*POSCAR"):
        read_structure(tmp_path / "data.xyz")
    with pytest.raises(StructureError, match=r"builtins\.int: not a structure; give a path"):
        read_structure(3)
    with pytest.raises(StructureError, match="only a CIF has data blocks"):
        read_structure(read_structure(cif(tmp_path)), block="x")


def test_a_structure_is_handed_back(tmp_path: Path) -> None:
    rutile = read_structure(cif(tmp_path))
    assert read_structure(rutile) is rutile


def test_write_cif_keeps_symmetry_sites_and_displacements(tmp_path: Path) -> None:
    rutile = read_structure(cif(tmp_path))
    written = tmp_path / "out.cif"
    write_cif(rutile, written)
    again = read_structure(written)
    same(rutile, again)
    assert (again.space_group, again.name) == (136, "Rutile")
    assert again.u_iso_A2 == pytest.approx(rutile.u_iso_A2, rel=1e-4)
    assert again.beta == pytest.approx(rutile.beta, rel=1e-4, nan_ok=True)
    sites = gemmi.read_small_structure(str(written)).sites
    assert [site.type_symbol for site in sites] == ["Ti", "O"]


def test_write_cif_of_operators_about_an_odd_origin_lists_every_atom(tmp_path: Path) -> None:
    shifted = Structure.from_cell((4, 4, 4, 90, 90, 90), ["Cs", "Cl"], [[0.0137] * 3, [0.5137] * 3], name="a b/c")
    found = find_symmetry(shifted)
    moved = Structure(
        shifted.lattice,
        shifted.elements,
        shifted.frac,
        shifted.occupancy,
        shifted.u_iso_A2,
        rotations=found.rotations,
        translations=found.translations,
        space_group=221,
    )
    write_cif(moved, tmp_path / "out.cif")
    again = read_structure(tmp_path / "out.cif")
    same(shifted, again)
    assert (again.space_group, len(again.rotations)) == (1, 1)
    assert find_symmetry(again).number == 221


def test_write_cif_to_no_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no directory"):
        write_cif(read_structure(cif(tmp_path)), tmp_path / "nowhere" / "out.cif")
