"""Formulas without their elements, and as people write them."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

_PART = re.compile(r"([A-Z][a-z]?)([\d.]*)")

_ORDER = """
Rn Xe Kr Ar Ne He Fr Cs Rb K Na Li Ra Ba Sr Ca Mg Be
Lr No Md Fm Es Cf Bk Cm Am Pu Np U Pa Th Ac Lu Yb Tm Er Ho Dy Tb Gd Eu Sm Pm Nd Pr Ce La Y Sc
Hf Zr Ti Ta Nb V W Mo Cr Re Tc Mn Os Ru Fe Ir Rh Co Pt Pd Ni Au Ag Cu Hg Cd Zn
Tl In Ga Al B Pb Sn Ge Si C Bi Sb As P N D H Po Te Se S O At I Br Cl F
"""

WRITTEN_ORDER = tuple(_ORDER.split())
"""The order of elements in a formula, from the least to the most electronegative.

Source: IUPAC, Nomenclature of Inorganic Chemistry (2005), table VI; deuterium beside hydrogen.
"""


def written_formula(counts: Mapping[str, float]) -> str:
    """A formula with its elements in the order in which people write them: "SiO2", "LaB6", "CaSO4", "Mg1.8Fe0.2SiO4".

    Args:
        counts: atoms of each element in a cell; they are divided by the common factor of those that are whole to 0.02,
            among which all that are not, as those of a shared site, count as one. Traces below 0.005 are left out.
    """
    order = sorted((element for element in counts if counts[element] > 0), key=WRITTEN_ORDER.index)
    values = np.array([counts[element] for element in order], dtype=float)
    near = np.round(values)
    whole = near[(np.abs(values - near) <= 0.02) & (near > 0)].astype(int)
    if len(whole) == len(values):
        values = near
    elif len(whole):
        shared = float(values[(np.abs(values - near) > 0.02) | (near == 0)].sum())
        if abs(shared - round(shared)) <= 0.02 * len(values):
            whole = np.append(whole, max(round(shared), 1))
    if len(whole):
        values = values / np.gcd.reduce(whole)
    parts = []
    for element, count in zip(order, values, strict=True):
        if count >= 0.005:
            parts.append(element + ("" if abs(count - 1) < 0.005 else f"{count:.2f}".rstrip("0").rstrip(".")))
    return "".join(parts)


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
