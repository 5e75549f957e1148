"""Text for people: what a stranger wrote made safe to show, and numbers with their uncertainty."""

from __future__ import annotations

import math
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


def with_uncertainty(value: float, uncertainty: float | None) -> str:
    """A number with its standard uncertainty in units of the last digits, 2 to 19: "4.91239(12)".

    Source of the rule: W. Clegg, Acta Cryst. E59, e2 (2003).
    """
    if uncertainty is None or not math.isfinite(uncertainty) or uncertainty <= 0:
        return f"{value:.6g}"
    digits = -math.floor(math.log10(uncertainty / 1.95))
    if digits <= 0:
        unit = 10.0**-digits
        return f"{round(value / unit) * unit:.0f}({round(uncertainty / unit) * unit:.0f})"
    return f"{value:.{digits}f}({round(uncertainty * 10**digits)})"
