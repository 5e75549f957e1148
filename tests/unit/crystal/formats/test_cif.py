"""CIFs: magnetic and superspace operators, sites and displacements in all their forms."""

from pathlib import Path

import numpy as np
import pytest

from powderlens.core.errors import StructureError
from powderlens.crystal.displacement import u_from_beta
from powderlens.crystal.read import read_structure
from powderlens.crystal.structure import Structure

CELL = (
    "data_x\n_cell_length_a 4\n_cell_length_b 5\n_cell_length_c 6\n"
    "_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma 90\n"
)
ATOM = "loop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\nFe1 0.1 0.2 0.3\n"


def read(tmp_path: Path, text: str, atoms: str = ATOM) -> Structure:
    path = tmp_path / "x.cif"
    path.write_text(CELL + text + atoms)
    return read_structure(path)


def loop(tag: str, *values: str) -> str:
    return f"loop_\n{tag}\n" + "".join(f"'{value}'\n" for value in values)


MAGNETIC = ("x,y,z,+1", "-x,y,-z,-1")


@pytest.mark.parametrize(
    "tag",
    [
        "_space_group_symop_magn_operation.xyz", "_space_group_symop_magn_operation_xyz",
        "_space_group_symop.magn_operation_xyz", "_space_group_symop_magn.operation_xyz",
    ],
)  # fmt: skip
def test_magnetic_operators_in_any_spelling(tmp_path: Path, tag: str) -> None:
    found = read(tmp_path, loop(tag, *MAGNETIC))
    assert (len(found.elements), found.space_group) == (2, 3)


def test_magnetic_centring_with_and_without_time_reversal_moves_atoms(tmp_path: Path) -> None:
    centring = loop("_space_group_symop_magn_centering.xyz", "x,y,z,+1", "x+1/2,y+1/2,z,+1", "x,y,z+1/2,-1",
                    "x+1/2,y+1/2,z+1/2,-1")  # fmt: skip
    found = read(tmp_path, loop("_space_group_symop_magn_operation.xyz", *MAGNETIC) + centring)
    assert (len(found.elements), len(found.rotations)) == (8, 8)


def test_a_magnetic_group_without_operators_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StructureError, match="stated by _space_group_magn_number_bns alone"):
        read(tmp_path, "_space_group_magn.number_BNS 62.448\n")


@pytest.mark.parametrize(
    "tag", ["_parent_space_group.IT_number", "_space_group_ssg_name", "_space_group.name_Schoenflies"]
)
def test_symmetry_by_a_name_that_is_not_read_is_refused_not_taken_for_none(tmp_path: Path, tag: str) -> None:
    with pytest.raises(StructureError, match="which is not read; list the operators"):
        read(tmp_path, f"{tag} 62\n")


def test_words_about_symmetry_are_no_statement_of_a_group(tmp_path: Path) -> None:
    text = "_symmetry_cell_setting triclinic\n_space_group_crystal_system triclinic\n_space_group_id 1\n"
    assert read(tmp_path, text).space_group is None


SUPERSPACE = ("x1,x2,x3,x4", "-x1,x2,-x3,-x4+1/2", "x1+1/2,x2+1/2,x3,x4+1/2", "-x1+1/2,x2+1/2,-x3,-x4")


@pytest.mark.parametrize(
    ("tag", "values"),
    [
        ("_space_group_symop_ssg_operation_algebraic", SUPERSPACE),
        ("_space_group_symop_ssg.operation_algebraic", tuple(v.replace(",", ", ") for v in SUPERSPACE)),
        ("_space_group_symop_magn_ssg_operation.algebraic", tuple(f"{v},-1" for v in SUPERSPACE)),
        ("_space_group_symop_ssg_operation_algebraic", tuple(f"{v},x5" for v in SUPERSPACE)),
    ],
)
def test_superspace_operators_make_the_average_structure(tmp_path: Path, tag: str, values: tuple[str, ...]) -> None:
    found = read(tmp_path, loop(tag, *values))
    assert (len(found.elements), found.space_group) == (4, 5)
    assert found.notes == ("modulated: the average structure is taken, without satellites",)
    assert found.doubts == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (loop("_atom_site_occ_special_func_crenel_w", "0.5"), "occupancies are steps"),
        ("_cell_subsystem_matrix_W_1_1 1\n", "composite crystal"),
    ],
)
def test_an_average_that_cannot_be_had_is_refused_with_the_reason(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(StructureError, match=reason):
        read(tmp_path, loop("_space_group_symop_ssg_operation_algebraic", *SUPERSPACE) + text)


def test_operators_that_mix_the_internal_space_in_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StructureError, match="no superspace operator"):
        read(tmp_path, loop("_space_group_symop_ssg_operation_algebraic", "x1,x2,x3,x4", "-x1+x4,x2,x3,x4"))


def test_dots_are_zero_in_coordinates_ninety_in_angles_and_one_in_occupancies(tmp_path: Path) -> None:
    atoms = ATOM.replace("_atom_site_fract_z\n", "_atom_site_fract_z\n_atom_site_occupancy\n").replace(
        "Fe1 0.1 0.2 0.3", "Fe1 0.1 . 0.3 ."
    )
    path = tmp_path / "x.cif"
    path.write_text(CELL.replace("alpha 90", "alpha .") + atoms)
    found = read_structure(path)
    assert found.frac.tolist() == [[0.1, 0.0, 0.3]]
    assert found.occupancy.tolist() == [1.0]
    assert found.cell[3] == 90
    with pytest.raises(StructureError, match="no coordinates"):
        read(tmp_path, "", ATOM.replace("0.2", "?"))


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("0.75Si + 0.25Al", {"Si": 0.75, "Al": 0.25}), ("0.75Si4+ + 0.25Al3+", {"Si": 0.75, "Al": 0.25}),
        (".75 Si+.25 Al", {"Si": 0.75, "Al": 0.25}), ("Si0.75Al0.25", {"Si": 0.75, "Al": 0.25}),
        ("Si0.75 + Al0.25", {"Si": 0.75, "Al": 0.25}), ("0.5Fe+0.3Mg+0.2Ca", {"Fe": 0.5, "Mg": 0.3, "Ca": 0.2}),
        ("0.9Fe", {"Fe": 0.9}), ("Fe3+", {"Fe": 1.0}), ("O2-", {"O": 1.0}), ("Si4+", {"Si": 1.0}),
    ],
)  # fmt: skip
def test_type_symbols_with_shares(tmp_path: Path, text: str, shares: dict[str, float]) -> None:
    atoms = ATOM.replace("_atom_site_label\n", "_atom_site_label\n_atom_site_type_symbol\n").replace(
        "Fe1", f"M1 '{text}'"
    )
    found = read(tmp_path, "", atoms)
    assert dict(zip(found.elements, found.occupancy.tolist(), strict=True)) == shares
    half = read(
        tmp_path, "", atoms.replace("fract_z\n", "fract_z\n_atom_site_occupancy\n").replace("0.3\n", "0.3 0.5\n")
    )
    assert half.occupancy == pytest.approx([share / 2 for share in shares.values()])


@pytest.mark.parametrize("text", ["0.75Xx + 0.25Al", "0.8Si + 0.7Al"])
def test_type_symbols_that_are_none(tmp_path: Path, text: str) -> None:
    atoms = ATOM.replace("_atom_site_label\n", "_atom_site_label\n_atom_site_type_symbol\n").replace(
        "Fe1", f"M1 '{text}'"
    )
    with pytest.raises(StructureError, match="atom M1"):
        read(tmp_path, "", atoms)


def test_displacements_as_u_b_and_beta_are_the_same(tmp_path: Path) -> None:
    """exp(-(beta_11 h^2 + ... + 2 beta_12 h k)), with U_ij = beta_ij / (2 pi^2 a*_i a*_j), in a cell of 4, 5, 6 A."""
    u = {"11": 0.010, "22": 0.020, "33": 0.015, "12": 0.002, "13": -0.001, "23": 0.003}
    edges = dict(zip("123", (4.0, 5.0, 6.0), strict=True))
    written = {
        "U": u,
        "B": {ij: 8 * np.pi**2 * v for ij, v in u.items()},
        "beta": {ij: 2 * np.pi**2 * v / (edges[ij[0]] * edges[ij[1]]) for ij, v in u.items()},
    }
    for kind, values in written.items():
        for dot in ("_", "."):
            table = "loop_\n" + "".join(
                f"_atom_site_aniso{dot}{tag}\n" for tag in ("label", *(f"{kind}_{ij}" for ij in u))
            )
            table += "Fe1 " + " ".join(f"{v:.9f}" for v in values.values()) + "\n"
            found = read(tmp_path, "", ATOM + table)
            assert found.beta is not None
            tensor = u_from_beta(found.beta, found.lattice)[0]
            assert [tensor[int(i) - 1, int(j) - 1] for i, j in u] == pytest.approx(list(u.values()), rel=1e-5)
            assert found.labels["displacements_dropped"] == 0


def test_formula_z_and_density_are_checked(tmp_path: Path) -> None:
    stated = "_chemical_formula_sum '{}'\n_cell_formula_units_Z {}\n_exptl_crystal_density_diffrn {}\n"
    density = 55.845 * 1.66053907 / 120
    assert read(tmp_path, stated.format("Fe", 1, f"{density:.3f}")).doubts == ()
    for formula, z, rho, text in (
        ("Fe O", 1, "?", "formula 'Fe O' stated, 'Fe1' found"),
        ("Fe", 4, "?", "Z 4 stated, 1 found"),
        ("Fe", 1, 3.1, "density 3.1 g/cm^3 stated, 0.773 found"),
    ):
        found = read(tmp_path, stated.format(formula, z, rho))
        assert found.remarks == text
        assert [doubt.kind for doubt in found.doubts] == ["content"]
