"""Symbols, formulas and indices as matplotlib sets them: with subscripts and bars."""

from __future__ import annotations

import re
from functools import cache

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_SCREW = re.compile(r"^([2346])([1-5])")


@cache
def group_text(number: int) -> str:
    r"""The Hermann-Mauguin symbol of a space group: "$P2_1/c$" for 14, "$Fm\bar{3}m$" for 225.

    Args:
        number: International Tables number.
    """
    import gemmi

    group = gemmi.find_spacegroup_by_number(number)
    lattice, *axes = group.hm.split()
    if 3 <= number <= 15:
        # Of the full symbol of a monoclinic group, the axis that is none.
        axes = [axis for axis in axes if axis != "1"]
    return f"${lattice}{''.join(map(_axis, axes))}$"


def _axis(text: str) -> str:
    if text.startswith("-"):
        return rf"\bar{{{text[1]}}}" + text[2:]
    return _SCREW.sub(r"\1_\2", text)


def formula_text(formula: str) -> str:
    """A formula with its numbers set low: "SiO$_{2}$"."""
    return _NUMBER.sub(lambda found: f"$_{{{found[0]}}}$", plain_text(formula))


def hkl_text(hkl: tuple[int, int, int]) -> str:
    r"""Indices with bars: "$\bar{1}04$"; with spaces between them where one has two digits."""
    space = r"\," if max(map(abs, hkl)) > 9 else ""
    parts = [rf"\bar{{{-index}}}" if index < 0 else str(index) for index in hkl]
    return f"${space.join(parts)}$"


def plain_text(text: str) -> str:
    """Words that matplotlib is to show as they are."""
    return text.replace("$", r"\$")
