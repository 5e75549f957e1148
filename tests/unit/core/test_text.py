"""What a terminal would obey is written out."""

import pytest

from powderlens.core.text import printable


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
