"""What a terminal would obey is written out; numbers carry their uncertainty."""

import pytest

from powderlens.core.text import printable, with_uncertainty


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("Löllingite – Å", "Löllingite – Å"),
        ("\x1b[2Ja\x07", r"\x1b[2Ja\x07"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("\x9b2J", r"\x9b2J"),
        ("safe\u202egnp.exe", r"safe\u202egnp.exe"),
        ("\u2028\x7f", r"\u2028\x7f"),
        ("", ""),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("value", "uncertainty", "text"),
    [
        (4.912341, 0.00012, "4.91234(12)"),
        (4.912341, 0.0002, "4.9123(2)"),
        (0.0, 0.0053, "0.000(5)"),
        (435.2, 34.0, "440(30)"),
        (435.2, 17.0, "435(17)"),
        (3.2, 0.0, "3.2"),
        (0.123456789, None, "0.123457"),
    ],
)
def test_numbers_with_uncertainties(value: float, uncertainty: float | None, text: str) -> None:
    assert with_uncertainty(value, uncertainty) == text
