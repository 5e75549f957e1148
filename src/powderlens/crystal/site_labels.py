"""Chemical elements from the site labels of the American Mineralogist Crystal Structure Database."""

from __future__ import annotations

import re
from collections.abc import Set

from powderlens.crystal.elements import DEUTERIUM, ELEMENTS, WATER

_KNOWN = frozenset(ELEMENTS)
_AMMONIUM = re.compile(r"N[HD]\d?")


def element_of_label(label: str, present: Set[str]) -> str | None:
    """The element that a site label stands for, given the elements of the entry's formula.

    Rules, first that applies:

    1. water and hydroxyl by name (`Wat1`, `Ow`, `OH`, `O-h3`, `H3O`) are oxygen; `NH4` is nitrogen;
       `D` not followed by a small letter is deuterium, which AMCSD formulas may call H;
    2. `Os` in an entry with both sulfur and hydrogen is the oxygen of a hydrated sulfate (the source's own formula of
       two alums counts it as osmium); no osmium mineral of the collection has both;
    3. two letters, then one, that name an element of the formula (`FeM` Fe, `Oab` O, `Sn1` Sn, without tin S);
    4. the same with the second letter taken as small (`CA1`);
    5. two letters that name an element the formula leaves out (a trace), unless they begin with O or H.

    Args:
        label: as in the file.
        present: elements of the entry's formula.

    Returns:
        Element symbol, or None when no rule applies.
    """
    text = label.strip()
    if WATER.match(text) and "O" in present:
        return "O"
    if _AMMONIUM.match(text) and "N" in present:
        return "N"
    if DEUTERIUM.match(text) and present & {"D", "H"}:
        return "D"
    two, one = text[:2], text[:1]
    if two == "Os" and {"S", "H", "O"} <= present:
        return "O"
    if two in present and two in _KNOWN:
        return two
    if one in present and one in _KNOWN:
        return one
    if two.capitalize() in present and two.capitalize() in _KNOWN:
        return two.capitalize()
    return two if two in _KNOWN and one not in {"O", "H"} else None
