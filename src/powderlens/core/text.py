"""Text that a stranger wrote, made safe to show."""

from __future__ import annotations

import unicodedata

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories without a picture of their own: controls, marks of direction, halves of characters, separators."""


def printable(text: str) -> str:
    r"""The text with what a terminal would obey, or the eye would miss, written out: "\x1b" for an escape.

    Args:
        text: one line or many; line ends and tabs are written out too.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_seen(character) if unicodedata.category(character) in _UNSEEN else character for character in text)


def _seen(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
