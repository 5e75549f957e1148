"""Every structure of `cases/`: the crystal that it is, or the reason why it is none."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from powderlens.core.errors import StructureError
from powderlens.crystal.read import read_structure
from powderlens.crystal.sources import open_source
from powderlens.crystal.structure import Reject, Structure

CASES = Path(__file__).parent / "cases"
HOSTILE = CASES / "hostile"


def crystal(name: str) -> Structure:
    return read_structure(CASES / name)


def shares(structure: Structure) -> dict[str, float]:
    """How much of each element the cell holds."""
    found: Counter[str] = Counter()
    for element, share in zip(structure.elements, structure.occupancy, strict=True):
        found[element] += share
    return {element: round(n, 6) for element, n in found.items()}


@pytest.mark.parametrize(
    ("name", "holds", "group"),
    [
        ("m01_magnetic_operators.mcif", {"La": 4, "Mn": 4, "O": 12}, 62),
        ("m02_dot_is_zero.cif", {"F": 3, "K": 1, "Mn": 1}, 221),
        ("m03_identity_only.cif", {"Na": 4, "Cl": 4}, 225),
        ("m04_origin_choice_2_unsaid.cif", {"Si": 8}, 227),
        ("m06_dotted_names.cif", {"Al": 4, "O": 6}, 167),
        ("m06b_symmetry_dot.cif", {"Na": 4, "Cl": 4}, 225),
        ("m06c_equiv_dot.cif", {"Fe": 2}, 1),
        ("m08_same_in_P4mmm.cif", {"Ba": 1, "Ti": 1, "O": 3}, 123),
        ("m08_small_distortion_in_P1.cif", {"Ba": 1, "Ti": 1, "O": 3}, 1),
        ("m09_mixed_type_symbol.cif", {"Nb": 1.6, "Zr": 0.4}, 229),
        ("m10_centring_left_out.cif", {"Fe": 8, "O": 16}, 15),
        ("m11_letter_in_journal_volume.cif", {"Na": 4, "Cl": 4}, 225),
        ("m12_split_hydrogen_without_occupancy.cif", {"Mg": 1, "O": 2, "H": 2}, 164),
        ("m13_blank_before_esd.cif", {"Na": 4, "Cl": 4}, 225),
        ("m14_origin_in_coordinate_system_code.cif", {"Si": 8}, 227),
        ("m14_same_with_suffix.cif", {"Si": 8}, 227),
        ("hostile/latin1.cif", {"Si": 3, "O": 6}, 154),
    ],
)
def test_what_the_cell_holds(name: str, holds: dict[str, float], group: int) -> None:
    found = crystal(name)
    assert shares(found) == holds
    assert found.space_group == group
    assert found.remarks == ""


@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("m01_magnetic_operators.mcif", "m01_same_as_plain.cif"),
        ("m06_dotted_names.cif", "m06_same_with_underscores.cif"),
        ("m06b_symmetry_dot.cif", "m03_identity_only.cif"),
        ("m10_centring_left_out.cif", "m10_same_with_centring.cif"),
        ("m14_origin_in_coordinate_system_code.cif", "m14_same_with_suffix.cif"),
        ("m04_origin_choice_2_unsaid.cif", "m14_same_with_suffix.cif"),
    ],
)
def test_twins_have_the_same_atoms(name: str, twin: str) -> None:
    one, two = crystal(name), crystal(twin)
    assert one.cell == pytest.approx(two.cell)
    assert placed(one) == placed(two)


def placed(structure: Structure) -> set[tuple[object, ...]]:
    inside = np.round(structure.frac, 6) % 1.0 + 0.0
    return {(e, *place) for e, place in zip(structure.elements, inside.tolist(), strict=True)}


def test_thirds_of_two_digits_are_thirds() -> None:
    found = crystal("m05_thirds_to_two_digits.cif")
    assert shares(found) == {"Mg": 2, "O": 2}
    assert found.frac[0] == pytest.approx([1 / 3, 2 / 3, 0.25], abs=1e-12)
    assert found.remarks == "formula 'Mg' stated, 'Mg2 O2' found", "the file leaves its oxygen out of the formula"


def test_a_modulated_structure_gives_its_average_and_says_so() -> None:
    found = crystal("m07_superspace.cif")
    assert shares(found) == {"Cr": 2}
    assert placed(found) == {("Cr", 0, 0, 0), ("Cr", 0.5, 0.5, 0.5)}
    assert found.remarks == "modulated: the average structure is taken, without satellites"


def test_a_blank_before_the_esd_and_letters_beyond_ascii() -> None:
    assert crystal("m13_blank_before_esd.cif").cell[0] == 5.640
    assert crystal("hostile/latin1.cif").name == "Löllingite"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("POSCAR-3scale", "scale factor 1, -1, 1; give one number"),
        ("POSCAR-latnan", "nine finite numbers are needed"),
        ("POSCAR-panic", "coordinate -1e+308"),
        ("POSCAR-same", "2 atoms on one site, 'Na and Cl' at 0, 0, 0"),
        ("POSCAR-scale0", "scale factor 0;"),
        ("POSCAR-scaleinf", "scale factor inf;"),
        ("POSCAR-scalenan", "scale factor nan;"),
        ("esc.cif", r"atom \x1b]52;c;cm0gLXJmIH4=\x07\x1b[2JNa has no coordinates"),
    ],
)
def test_what_is_refused(name: str, reason: str) -> None:
    with pytest.raises(StructureError) as caught:
        read_structure(HOSTILE / name)
    assert str(caught.value).startswith(f"{name}: ")
    assert reason in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("name", "read", "rejects"),
    [
        ("badname.zip", 0, {"no unit cell; give _cell_length_a to _cell_angle_gamma": 1}),
        ("lzma.zip", 2, {"archive: the file in it is damaged": 1}),
        ("lzma.tar.xz", 2, {"archive: damaged; what follows in it is lost": 1}),
        ("bigint.jsonl", 0, {"record: int too large to convert to float": 1}),
        ("overflow.jsonl", 29, {"record: int too large to convert to float": 1}),
        ("overflow-optimade.json", 0, {"OPTIMADE: not a structure entry": 1}),
        ("infgroup.json", 0, {"record: cannot convert float infinity to integer": 1}),
    ],
)
def test_damaged_entries_are_counted_and_the_rest_read(name: str, read: int, rejects: dict[str, int]) -> None:
    items = list(open_source(HOSTILE / name))
    assert sum(isinstance(item, Structure) for item in items) == read
    assert Counter(item.reason for item in items if isinstance(item, Reject)) == rejects


@pytest.mark.parametrize("name", ["deep.jsonl", "deep.json"])
def test_json_that_is_nested_too_deep(tmp_path: Path, name: str) -> None:
    good = '{"id":"mp-7","cell":[4,4,4,90,90,90],"el":["Po"],"x":[[0,0,0]]}'
    (tmp_path / name).write_text("[" * 200_000 + "\n" + good)
    if name == "deep.json":
        with pytest.raises(StructureError.__base__, match="nested too deep"):
            list(open_source(tmp_path / name))
    else:
        bad, fine = open_source(tmp_path / name)
        assert bad == Reject("mp:line 1", "record: nested too deep")
        assert isinstance(fine, Structure)
