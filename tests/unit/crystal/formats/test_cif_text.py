"""The text of a CIF: letters, names in any spelling, numbers."""

import numpy as np
import pytest

from powderlens.core.errors import StructureError
from powderlens.crystal.formats.cif_text import Names, decoded, number, parsed, triplets


def names(text: str) -> Names:
    return Names(parsed("data_x\n" + text)[0])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16"])
def test_letters_of_any_encoding(encoding: str) -> None:
    text = "data_x\n_chemical_name_mineral 'Löllingite'\n"
    assert decoded(text.encode(encoding)) == text


def test_bytes_that_windows_does_not_know_are_latin_1() -> None:
    assert decoded(b"\x81\xf6") == "\x81ö"


@pytest.mark.parametrize("value", ["385–386", "385—386", "Müller", "Å", "日本"])
def test_letters_beyond_ascii_without_quotes(value: str) -> None:
    assert names(f"_journal_volume {value}\n").pair("_journal_volume") == value
    assert names(f"_journal_volume '{value} and'\n").pair("_journal_volume") == f"{value} and"


def test_what_is_no_cif_is_refused_with_and_without_such_letters() -> None:
    for text in ("these are words", "dies sind Wörter"):
        with pytest.raises(StructureError, match="not a readable CIF"):
            parsed(text)


@pytest.mark.parametrize(
    "text",
    [
        "_cell_length_a 5\n", "_cell.length_a 5\n", "_CELL_LENGTH_A 5\n", "_Cell.Length_A 5\n",
        "_cell_length_a ?\n_cell.length_a 5\n", "_cell.length_a .\n_cell_length_a 5\n",
        "loop_\n_cell.length_a\n5\n",
    ],
)  # fmt: skip
def test_a_name_in_any_spelling(text: str) -> None:
    assert names(text).pair("_cell_length_a") == "5"


def test_columns_of_a_loop_and_what_is_stated() -> None:
    found = names("loop_\n_atom_site.label\n_atom_site_fract_x\n'C 1' .\n? 0.5(1)\n_symmetry_cell_setting ?\n")
    assert found.column("_atom_site_label") == ["C 1", ""]
    assert found.column("_atom_site_fract_x") == [".", "0.5(1)"]
    assert found.pair("_atom_site_label") == "", "two values are none"
    assert found.stated("_symmetry_") == []
    assert found.stated("_atom_site_") == ["_atom_site_label", "_atom_site_fract_x"]


def test_controls_in_a_value_are_written_out() -> None:
    assert names("_chemical_name_mineral 'a\x1b[2Jb'\n").pair("_chemical_name_mineral") == r"a\x1b[2Jb"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5.640(2)", 5.64), ("5.640 (2)", 5.64), ("5.640( 2)", 5.64), ("5.640(2", 5.64), ("5.64(?)", 5.64),
        ("1/3", 1 / 3), ("-2/3", -2 / 3), ("+.5", 0.5), ("5.", 5.0), ("1.2E3", 1200.0), ("1.2d-3", 0.0012),
        ("−0.25", -0.25), ("–0.25(3)", -0.25), (" 7 ", 7.0),
    ],
)  # fmt: skip
def test_numbers(text: str, value: float) -> None:
    assert number(text) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("text", ["", "?", "x", "nan", "inf", "-inf", "1/0", "0,25", "1 2", "(2)", "5.6.4", "--1"])
def test_what_is_no_number(text: str) -> None:
    assert np.isnan(number(text))
    assert np.isnan(number(text, 1.0))


def test_a_dot_is_the_default_of_the_dictionary() -> None:
    assert np.isnan(number("."))
    assert number(".", 0.0) == 0.0


def test_operators_with_a_dash_for_their_minus() -> None:
    assert triplets(["−x,y,z", "", ".", "x,-y,z"]) == ["-x,y,z", "x,-y,z"]
