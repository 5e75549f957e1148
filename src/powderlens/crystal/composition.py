"""Formulas without their elements."""

from __future__ import annotations

import re

_PART = re.compile(r"([A-Z][a-z]?)([\d.]*)")


def anonymous_formula(formula: str) -> str:
    """A formula with letters for elements, the smallest count first: "A2B3" for "Al2O3", "A0.5B" for "FeO0.5".

    Args:
        formula: as `Structure.formula` gives it.

    Returns:
        Counts in rising order, each with the next letter of the alphabet; 1 is left out.
    """
    parts = _PART.findall(formula)
    counts = sorted((float(count or 1), count) for _, count in parts)
    return "".join(chr(ord("A") + i) + ("" if text == "1" else text) for i, (_, text) in enumerate(counts))


def elements_of(formula: str) -> list[str]:
    """Elements of a formula, in alphabetical order, each once."""
    return sorted({element for element, _ in _PART.findall(formula)})
