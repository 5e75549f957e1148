"""Groups as files state them: every origin, every centring, symbols in their spellings, and what contradicts them."""

from pathlib import Path

import gemmi
import numpy as np
import pytest

from powderlens.core.errors import StructureError
from powderlens.crystal.expand import expand_sites
from powderlens.crystal.operators import operators_from_triplets
from powderlens.crystal.read import read_structure
from powderlens.crystal.stated_symmetry import settings_of_symbol
from powderlens.crystal.structure import Structure, lattice_from_cell

TABLE = list(gemmi.spacegroup_table())
TWO_ORIGINS = [entry for entry in TABLE if entry.ext in "12"]
CELLS = {
    "triclinic": (6.1, 7.3, 8.7, 83, 97, 104),
    "orthorhombic": (6.1, 7.3, 8.7, 90, 90, 90),
    "tetragonal": (6.1, 6.1, 8.7, 90, 90, 90),
    "trigonal": (6.1, 6.1, 8.7, 90, 90, 120),
    "hexagonal": (6.1, 6.1, 8.7, 90, 90, 120),
    "cubic": (7.3, 7.3, 7.3, 90, 90, 90),
}
UNIQUE = {"a": (6.1, 7.3, 8.7, 104, 90, 90), "b": (6.1, 7.3, 8.7, 90, 104, 90), "c": (6.1, 7.3, 8.7, 90, 90, 104)}
CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
SITES = [("Fe", (0.0, 0.0, 0.0)), ("O", (0.13, 0.21, 0.34))]
TAGS = {
    "formula": "_chemical_formula_sum",
    "z": "_cell_formula_units_Z",
    "density": "_exptl_crystal_density_diffrn",
    "hall": "_space_group_name_Hall",
    "symbol": "_space_group_name_H-M_alt",
    "number": "_space_group_IT_number",
    "code": "_space_group_IT_coordinate_system_code",
}


def cell_of(entry: gemmi.SpaceGroup) -> tuple[float, ...]:
    system = entry.crystal_system_str()
    if system == "monoclinic":
        return UNIQUE[entry.monoclinic_unique_axis()]
    return (6.1, 6.1, 6.1, 77, 77, 77) if entry.ext == "R" else CELLS[system]


def operators(entry: gemmi.SpaceGroup) -> list[str]:
    return [operation.triplet() for operation in entry.operations()]


def read(path: Path, cell: tuple[float, ...], listed: tuple[str, ...] = (), sites=SITES, **stated: object) -> Structure:
    """A CIF of these statements, written and read."""
    lines = ["data_x", *(f"_cell_{name} {value}" for name, value in zip(CELL, cell, strict=True))]
    lines += [f"{TAGS[name]} '{value}'" for name, value in stated.items()]
    if listed:
        lines += ["loop_", "_space_group_symop_operation_xyz", *(f"'{text}'" for text in listed)]
    lines += ["loop_", "_atom_site_label", *(f"_atom_site_fract_{axis}" for axis in "xyz")]
    lines += [f"{element} {x:.6f} {y:.6f} {z:.6f}" for element, (x, y, z) in sites]
    file = path / "stated.cif"
    file.write_text("\n".join(lines) + "\n")
    return read_structure(file)


def expected(entry: gemmi.SpaceGroup, sites=SITES) -> set[tuple[object, ...]]:
    lattice = lattice_from_cell(cell_of(entry))
    frac = np.array([place for _, place in sites])
    n = len(sites)
    made = expand_sites(
        lattice, [e for e, _ in sites], frac, np.ones(n), np.full(n, np.nan), None,
        *operators_from_triplets(operators(entry)),
    )  # fmt: skip
    return placed(made.elements, made.frac)


def placed(elements: tuple[str, ...], frac: np.ndarray) -> set[tuple[object, ...]]:
    inside = ((np.round(frac, 5) + 1e-9) % 1.0).round(5)
    return {(e, *place) for e, place in zip(elements, inside.tolist(), strict=True)}


def atoms(structure: Structure) -> set[tuple[object, ...]]:
    return placed(structure.elements, structure.frac)


@pytest.mark.parametrize("entry", TWO_ORIGINS, ids=lambda entry: entry.xhm())
def test_an_origin_that_is_stated_is_taken(tmp_path: Path, entry: gemmi.SpaceGroup) -> None:
    right, cell = expected(entry), cell_of(entry)
    mark = {"1": ("S", "O1"), "2": ("Z", "O2")}[entry.ext]
    for symbol in (entry.xhm(), *(f"{entry.hm} {one}" for one in (f":{entry.ext}", *mark))):
        found = read(tmp_path, cell, symbol=symbol)
        assert atoms(found) == right, symbol
        assert found.remarks == ""
    assert atoms(read(tmp_path, cell, symbol=entry.hm, code=f"{entry.ext}{entry.qualifier}")) == right
    assert atoms(read(tmp_path, cell, hall=entry.hall)) == right
    if not entry.qualifier:
        assert atoms(read(tmp_path, cell, number=entry.number, code=entry.ext)) == right


@pytest.mark.parametrize("entry", TWO_ORIGINS, ids=lambda entry: entry.xhm())
def test_an_origin_that_is_not_stated_is_what_the_content_wants(tmp_path: Path, entry: gemmi.SpaceGroup) -> None:
    """Iron at 0, 0, 0 has another multiplicity by the other choice, or the two cannot be told and that is said."""
    right, cell = expected(entry, SITES[:1]), cell_of(entry)
    other = next(e for e in TWO_ORIGINS if e.hm == entry.hm and e.ext != entry.ext)
    for stated in ({"symbol": entry.hm}, {"number": entry.number}):
        if "number" in stated and entry.qualifier:
            continue
        found = read(tmp_path, cell, sites=SITES[:1], formula="Fe", z=len(right), **stated)
        if len(expected(other, SITES[:1])) != len(right):
            assert atoms(found) == right
            assert found.remarks == ""
        else:
            assert [doubt.kind for doubt in found.doubts] == ["symmetry"]
            assert "origin of" in found.remarks


def test_without_content_the_origin_is_in_doubt(tmp_path: Path) -> None:
    found = read(tmp_path, CELLS["cubic"], symbol="F d -3 m", sites=[("Si", (0.125, 0.125, 0.125))])
    assert found.remarks == "origin of F d -3 m not stated, choice 1 taken"
    # By choice 1 the atoms of copper would lie much nearer than they are thick.
    copper = [("Cu", (0.1, 0.1, 0.1))]
    found = read(tmp_path, CELLS["cubic"], symbol="P n -3 n", sites=copper)
    assert atoms(found) == expected(gemmi.find_spacegroup_by_name("P n -3 n:2"), copper)
    assert found.remarks == ""


def test_a_density_decides_as_well_as_z(tmp_path: Path) -> None:
    silicon = [("Si", (0.125, 0.125, 0.125))]
    found = read(tmp_path, (5.431,) * 3 + (90,) * 3, symbol="F d -3 m", sites=silicon, formula="Si", density=2.33)
    assert len(found.elements) == 8
    assert found.remarks == ""


CENTRED = [e for e in TABLE if e.centring_type() != "P" and e.ext != "R" and e.is_reference_setting()]


@pytest.mark.parametrize("entry", CENTRED, ids=lambda entry: entry.xhm())
def test_a_centring_that_is_left_out_is_put_back(tmp_path: Path, entry: gemmi.SpaceGroup) -> None:
    listed = tuple(operation.triplet() for operation in entry.operations().sym_ops)
    if len(listed) == 1:
        pytest.skip("the identity alone: see below")
    right = expected(entry)
    for stated in ({"symbol": entry.xhm()}, {"hall": entry.hall}, {"number": entry.number}):
        found = read(tmp_path, cell_of(entry), listed, **stated)
        assert atoms(found) == right, stated
        assert found.space_group == entry.number
        assert found.remarks == ""


@pytest.mark.parametrize("listed", [(), ("x,y,z",)])
@pytest.mark.parametrize("number", [1, 2, 5, 15, 62, 88, 148, 167, 194, 216, 225, 227, 230])
def test_the_identity_says_nothing_beside_a_symbol_a_number_or_a_hall_symbol(
    tmp_path: Path, number: int, listed: tuple[str, ...]
) -> None:
    entry = next(e for e in TABLE if e.number == number and e.is_reference_setting())
    cell, right = cell_of(entry), expected(entry)
    assert atoms(read(tmp_path, cell, listed, symbol=entry.xhm())) == right
    assert atoms(read(tmp_path, cell, listed, hall=entry.hall)) == right
    code = entry.ext if entry.ext in "12HR" else ""
    assert atoms(read(tmp_path, cell, listed, number=number, **({"code": code} if code else {}))) == right


def test_all_atoms_listed_under_the_identity_stay_as_many(tmp_path: Path) -> None:
    """Programs write every atom in P 1 and leave the symbol of the crystal beside it."""
    halite = [("Na", p) for p in ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))]
    halite += [("Cl", p) for p in ((0.5, 0.5, 0.5), (0.5, 0, 0), (0, 0.5, 0), (0, 0, 0.5))]
    found = read(tmp_path, CELLS["cubic"], ("x,y,z",), sites=halite, symbol="F m -3 m")
    assert len(found.elements) == 8
    assert found.remarks == ""


def test_all_atoms_listed_about_another_origin_than_the_symbol_means_stay_as_they_are(tmp_path: Path) -> None:
    halite = [("Na", p) for p in ((0.1, 0, 0), (0.1, 0.5, 0.5), (0.6, 0, 0.5), (0.6, 0.5, 0))]
    halite += [("Cl", p) for p in ((0.6, 0.5, 0.5), (0.6, 0, 0), (0.1, 0.5, 0), (0.1, 0, 0.5))]
    found = read(tmp_path, CELLS["cubic"], ("x,y,z",), sites=halite, symbol="F m -3 m", formula="Cl Na", z=4)
    assert len(found.elements) == 8
    assert found.remarks == "symbol 'F m -3 m' stated, the operators are of group 1"


def test_number_0_is_none(tmp_path: Path) -> None:
    assert read(tmp_path, CELLS["cubic"], symbol="F m -3 m", number=0).remarks == ""


@pytest.mark.parametrize(
    ("spelling", "entry"),
    [
        ("R -3 c RS", "R -3 c:R"), ("R-3cRS", "R -3 c:R"), ("R -3 c R", "R -3 c:R"), ("R -3 c H", "R -3 c:H"),
        ("R -3 c :H", "R -3 c:H"), ("R-3cH", "R -3 c:H"), ("F d -3 m Z", "F d -3 m:2"), ("F d -3 m S", "F d -3 m:1"),
        ("Fd-3mZ", "F d -3 m:2"), ("F d -3 m (origin choice 2)", "F d -3 m:2"), ("F d -3 m O1", "F d -3 m:1"),
        ("P 21/c", "P 1 21/c 1"), ("P2(1)/c", "P 1 21/c 1"), ("P 2_1/c", "P 1 21/c 1"), ("P2~1~/c", "P 1 21/c 1"),
        ("P2(1)2(1)2(1)", "P 21 21 21"), ("P N M A", "P n m a"), ("Fm3m", "F m -3 m"), ("P 1 2 1", "P 1 2 1"),
    ],
)  # fmt: skip
def test_spellings(spelling: str, entry: str) -> None:
    assert settings_of_symbol(spelling)[0].xhm() == entry


@pytest.mark.parametrize("symbol", ["X 1", "P 99/x", "", "S", "Z", ":2"])
def test_what_is_no_symbol(symbol: str) -> None:
    assert settings_of_symbol(symbol) == ()


@pytest.mark.parametrize("axis", "abc")
@pytest.mark.parametrize("symbol", ["P 21/m", "P21/m", "P 2", "P m", "P 2/m", "P 21"])
def test_the_cell_says_which_axis_of_a_short_symbol_is_unique(tmp_path: Path, axis: str, symbol: str) -> None:
    entry = next(e for e in settings_of_symbol(symbol) if e.monoclinic_unique_axis() == axis)
    assert atoms(read(tmp_path, UNIQUE[axis], symbol=symbol)) == expected(entry)
    assert atoms(read(tmp_path, UNIQUE[axis], number=entry.number)) == expected(entry)


@pytest.mark.parametrize("axis", "ac")
def test_a_full_symbol_says_it_itself(tmp_path: Path, axis: str) -> None:
    with pytest.raises(StructureError, match="do not fit the cell"):
        read(tmp_path, UNIQUE[axis], symbol="P 1 21/m 1")


@pytest.mark.parametrize("axes", ["H", "R"])
def test_the_cell_says_which_axes_a_rhombohedral_symbol_means(tmp_path: Path, axes: str) -> None:
    entry = gemmi.find_spacegroup_by_name(f"R -3 c:{axes}")
    for stated in ({"symbol": "R -3 c"}, {"number": 167}, {"symbol": f"R -3 c {axes}S" if axes == "R" else "R -3 c H"}):
        assert atoms(read(tmp_path, cell_of(entry), **stated)) == expected(entry)


def test_a_symbol_or_number_against_the_operators_is_a_doubt(tmp_path: Path) -> None:
    rutile = tuple(operators(gemmi.find_spacegroup_by_name("P 42/m n m")))
    for stated, text in (
        ({"symbol": "P 42/n c m:2"}, "symbol 'P 42/n c m:2' stated, the operators are of group 136"),
        ({"number": 137}, "group 137 stated, the operators are of group 136"),
        ({"symbol": "P 42/m n m", "number": 138}, "group 138 stated, the operators are of group 136"),
    ):
        found = read(tmp_path, CELLS["tetragonal"], rutile, **stated)
        assert (found.space_group, found.remarks) == (136, text)
        assert [doubt.kind for doubt in found.doubts] == ["symmetry"]
    assert read(tmp_path, CELLS["tetragonal"], rutile, symbol="P 42/m n m", number=136).remarks == ""
    assert read(tmp_path, CELLS["tetragonal"], rutile, symbol="no symbol").remarks == "", "operators need no symbol"


def test_a_symbol_that_is_not_known_is_refused_or_a_doubt(tmp_path: Path) -> None:
    with pytest.raises(StructureError, match="'P 99/x' is not known"):
        read(tmp_path, CELLS["cubic"], symbol="P 99/x")
    alone = read(tmp_path, CELLS["cubic"], ("x,y,z",), symbol="P 99/x")
    assert alone.remarks == "symbol 'P 99/x' is not known, and only the identity is listed"
    assert "is not known, group 225 taken" in read(tmp_path, CELLS["cubic"], symbol="P 99/x", number=225).remarks


def test_listed_operators_give_way_to_a_symbol_that_the_content_bears_out(tmp_path: Path) -> None:
    """Spinel with operators about the other origin than its atoms."""
    wrong, right = (gemmi.find_spacegroup_by_name(f"F d -3 m:{n}") for n in "12")
    spinel = [("Mg", (0.125,) * 3), ("Al", (0.5,) * 3), ("O", (0.2624,) * 3)]
    more = {"symbol": "F d -3 m", "formula": "Al2 Mg O4", "z": 8}
    found = read(tmp_path, CELLS["cubic"], tuple(operators(wrong)), spinel, **more)
    assert atoms(found) == expected(right, spinel)
    assert len(found.elements) == 56
