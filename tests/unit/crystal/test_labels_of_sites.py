"""Elements from AMCSD labels, CIF type symbols and POSCAR names."""

import pytest

from powderlens.crystal.elements import ELEMENTS, NUMBER, element_from_text
from powderlens.crystal.site_labels import element_of_label


@pytest.mark.parametrize(
    ("label", "formula", "element"),
    [
        ("Wat1", "Fe P O H", "O"),
        ("Wat(4)", "Ba Si O H", "O"),
        ("WatII", "Fe As O H", "O"),
        ("OH", "Ca Al O H", "O"),
        ("O-H3", "K S Al O H", "O"),
        ("O-h", "Cu I O H", "O"),
        ("Ow3", "U Si O H", "O"),
        ("ODw1", "Ni S O", "O"),
        ("H3O", "H Fe S O", "O"),
        ("O(1)", "Ca P O", "O"),
        ("Oab", "Al Si O", "O"),
        ("Oc*", "Al Si O", "O"),
        ("Ob1", "Al Si O", "O"),
        ("OSi1", "Mg U Si O H", "O"),
        ("OU1", "Mg U Si O H", "O"),
        ("Os1", "Os S", "Os"),
        ("Os", "Pt Ru Os As S", "Os"),
        ("Os1", "N Al S Os O H", "O"),
        ("D1", "Ca S O H", "D"),
        ("D1", "Ca S O D", "D"),
        ("Dy1", "Dy Ge Cr", "Dy"),
        ("NH4", "N Np P O H", "N"),
        ("Ni1", "Ni S", "Ni"),
        ("FeM", "Mg Fe O", "Fe"),
        ("Fe2+M1", "Fe Al O", "Fe"),
        ("AlT", "Al Si O", "Al"),
        ("MgT1", "Ca Mg Si O", "Mg"),
        ("Fe(A)", "Fe Ta O", "Fe"),
        ("CaX", "Ca Fe Al Si O", "Ca"),
        ("FeO", "Mg Fe O", "Fe"),
        ("Sn1", "Sn Si O", "Sn"),
        ("Sn1", "Cu S", "S"),
        ("SX1", "As S", "S"),
        ("Co1", "Si Co O", "Co"),
        ("CO3", "Mg Cr O H C", "C"),
        ("C1", "Ca C O", "C"),
        ("KA", "K Mg Si O", "K"),
        ("BT2", "Ca Si B O", "B"),
        ("Hd", "K O H U As", "H"),
        ("Hg1", "Hg Si O", "Hg"),
        ("Fl", "Mg Al F", "F"),
        ("Pda1", "Pd Pb Bi", "Pd"),
        ("CA1", "Ca Si O", "Ca"),
        ("Fe", "Ag Cu", "Fe"),
        ("M1", "Ca Si O", None),
        ("Ox", "Ca Si", None),
    ],
)
def test_amcsd_rules(label: str, formula: str, element: str | None) -> None:
    assert element_of_label(label, set(formula.split())) == element


@pytest.mark.parametrize(
    ("text", "present", "element"),
    [
        ("Fe3+", "", "Fe"),
        ("O2-", "", "O"),
        ("Si1", "", "Si"),
        ("FE", "", "Fe"),
        ("CU2+", "", "Cu"),
        ("D", "", "D"),
        ("Dy3+", "", "Dy"),
        ("DY1", "Dy O", "Dy"),
        ("OW1", "", "O"),
        ("Wat", "", "O"),
        ("C1A", "", "C"),
        ("CA1", "C H O", "C"),
        ("CA1", "Ca C O", "Ca"),
        ("CA1", "Ca O", "Ca"),
        ("Cd1", "C H", "C"),
        ("OA", "", "O"),
        ("Va", "", None),
        ("X1", "", None),
        ("?", "", None),
        ("", "", None),
        ("12", "", None),
    ],
)
def test_texts_of_cif_and_poscar(text: str, present: str, element: str | None) -> None:
    assert element_from_text(text, set(present.split())) == element


def test_every_element_is_read_from_its_own_symbol_and_has_its_number() -> None:
    assert len(ELEMENTS) == 103
    assert (NUMBER["Fe"], NUMBER["Lr"], NUMBER["D"]) == (26, 103, 1)
    for symbol in ELEMENTS:
        assert element_from_text(symbol) == symbol, symbol
        assert element_from_text(symbol + "2+") == symbol, symbol
