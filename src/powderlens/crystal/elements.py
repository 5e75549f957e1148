"""The chemical elements by symbol and number, and what files call them."""

from __future__ import annotations

import re
from collections.abc import Set
from functools import lru_cache

_SYMBOLS = """
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr
Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu
Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr
"""

ELEMENTS: tuple[str, ...] = tuple(_SYMBOLS.split())
"""Elements 1 to 103 in order of their numbers: `ELEMENTS[z - 1]`."""

NUMBER: dict[str, int] = {symbol: z for z, symbol in enumerate(ELEMENTS, start=1)} | {"D": 1}
"""Atomic number of each symbol; deuterium, which is a symbol of its own here, has 1."""

WATER = re.compile(r"(Wat|WAT|wat|H2O|H3O|O-?[Hh]|O[DWw])")
"""How labels begin that stand for the oxygen of water or hydroxyl."""

DEUTERIUM = re.compile(r"D(?![a-z])")
"""How labels begin that stand for deuterium."""


_PLUS_SHARE = re.compile(r"\s*\+\s*(?=0?\.\d)")
_SHARE_FIRST = re.compile(r"(0?\.\d+)\s*\*?\s*([A-Z][a-z]?)(?:\d?[+-])?")
_SHARE_LAST = re.compile(r"([A-Z][a-z]?)\s*(0?\.\d+)")
_MIXED = re.compile(rf"\s*(?:{_SHARE_LAST.pattern}[\s,+/]*){{2,}}$")


def element_from_text(text: str, present: Set[str] = frozenset()) -> str | None:
    """Element of a type symbol or site label of a CIF or POSCAR, charges and numbers left out.

    Args:
        text: such as "Fe3+", "O2-", "Si1", "CA2", "OW1".
        present: elements of the formula, where it is known; it settles what two readings leave open.

    Returns:
        Symbol ("D" for deuterium), or None when the text names no element.
    """
    text = text.strip()
    if WATER.match(text):
        return "O"
    if DEUTERIUM.match(text) and text[:2].capitalize() not in present:
        return "D"
    two, one = text[:2].capitalize(), text[:1].upper()
    two_stands = two in NUMBER and len(text) > 1
    if text[1:2].islower():
        readings = [two] if two_stands else []
        readings += [one] if one in present else []
    else:
        # "FE" or "CA" in capitals: with no formula to ask, a run of exactly two letters is taken together.
        run = re.match(r"[A-Za-z]*", text)
        together = two_stands and run is not None and len(run.group()) == 2
        readings = [two, one] if together else [one, two] if two_stands else [one]
    for reading in readings:
        if reading in present:
            return reading
    return readings[0] if readings and readings[0] in NUMBER else None


def shares_from_text(text: str) -> list[tuple[str, float]]:
    """Elements of a type symbol that says how much of its site each fills.

    Args:
        text: such as "0.75Si + 0.25Al", "0.75Si4+ + 0.25Al3+", "Si0.75+Al0.25" or "Si0.75Al0.25".

    Returns:
        Each element with its share, charges left out; empty when the text says no such thing.
    """
    found = [_SHARE_FIRST.fullmatch(part) for part in _PLUS_SHARE.split(text.strip())]
    pairs = [(match[2], float(match[1])) for match in found if match]
    if len(pairs) < len(found):
        pairs = [(element, float(share)) for element, share in _SHARE_LAST.findall(text)] if _MIXED.match(text) else []
    return pairs if all(element in NUMBER for element, _ in pairs) else []


@lru_cache(maxsize=256)
def atomic_mass_u(symbol: str) -> float:
    """Standard atomic weight of an element, u, as gemmi tabulates it; 2.014 for deuterium."""
    import gemmi

    return float(gemmi.Element(symbol).weight)
