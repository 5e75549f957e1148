"""Whether the atoms of a cell are those that its source says it holds: formula, formula units, density."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from powderlens.crystal.elements import NUMBER, atomic_mass_u
from powderlens.crystal.structure import Doubt

TOLERANCE = 0.1
"""Formulas are rounded and occupancies refined: a tenth of the atoms, or of the density, may be off."""

MASS_DENSITY = 1.66053907
"""g/cm^3 of one u in one A^3, from the atomic mass constant (CODATA 2018)."""

HEAVIEST_G_CM3 = 30.0
"""Stated densities beyond this are in other units; osmium, the densest element, has 22.6."""

Formula = dict[str, float]
"""Counts by element, D as H."""

_TOKEN = re.compile(r"([A-Z][a-z]?)|(\()|(\))|(\d+\.?\d*|\.\d+)|(\s+|[,*·])|(.)")


@dataclass(frozen=True)
class Content:
    """What a source says that a cell holds; each None where it says nothing.

    Attributes:
        formula: counts by element in one formula unit, D as H.
        text: the formula as it is written.
        units: formula units in the cell (Z).
        density_g_cm3: as computed by the source.
    """

    formula: Formula | None = None
    text: str = ""
    units: float | None = None
    density_g_cm3: float | None = None

    @classmethod
    def of(cls, formula: str = "", units: float = float("nan"), density_g_cm3: float = float("nan")) -> Content:
        """From what is written; text that is no formula, and numbers that cannot be, say nothing."""
        return cls(
            formula=counted(formula),
            text=formula,
            units=units if np.isfinite(units) and units > 0 else None,
            density_g_cm3=density_g_cm3 if 0 < density_g_cm3 < HEAVIEST_G_CM3 else None,
        )


def counted(formula: str) -> Formula | None:
    """Counts of a formula such as "C2 H6 O", "Ca (O H)2" or "Nb0.8 Zr0.2", D as H; None where it is none."""
    stack: list[Formula] = [{}]
    last: Formula = {}
    for element, opens, closes, count, _, other in _TOKEN.findall(formula):
        if other or (element and element not in NUMBER) or (closes and len(stack) == 1):
            return None
        if element:
            last = {_kind(element): 1.0}
            _add(stack[-1], last)
        elif opens:
            stack.append({})
            last = {}
        elif closes:
            last = stack.pop()
            _add(stack[-1], last)
        elif count:
            _add(stack[-1], last, float(count) - 1)
            last = {}
    total = stack[0]
    return total if len(stack) == 1 and sum(total.values()) > 0 else None


def contradictions(
    content: Content, elements: Sequence[str], occupancy: NDArray[np.float64], volume_A3: float
) -> list[Doubt]:
    """What the source says of a cell's content and the cell does not hold; empty where all agrees.

    Hydrogen may be missing, as X-rays hardly see it, but not be in excess; and it may be deuterium in the density.

    Args:
        content: what the source says.
        elements: symbol of each atom of the cell.
        occupancy: (n,) how much of each is there.
        volume_A3: of the cell.

    Returns:
        One doubt for each statement that is off by more than `TOLERANCE`: of the formula, of Z, of the density.
    """
    found: Formula = {}
    for element, share in zip(elements, occupancy.tolist(), strict=True):
        _add(found, {_kind(element): share})
    off = []
    hydrogen = found.get("H", 0.0)
    if content.formula is not None:
        units = _units(content.formula, found)
        hydrogen = max(hydrogen, content.formula.get("H", 0.0) * units)
        if not _same_formula(content.formula, found, units):
            off.append(f"formula {content.text!r} stated, {_written(found)!r} found")
        elif content.units is not None and abs(units / content.units - 1) > TOLERANCE:
            off.append(f"Z {content.units:g} stated, {units:.3g} found")
    if content.density_g_cm3 is not None:
        heavy = sum(atomic_mass_u(e) * n for e, n in found.items() if e != "H")
        least, most = (
            (heavy + hydrogen * atomic_mass_u(e)) * MASS_DENSITY / volume_A3 / content.density_g_cm3 for e in "HD"
        )
        if least > 1 + TOLERANCE or most < 1 - TOLERANCE:
            off.append(f"density {content.density_g_cm3:g} g/cm^3 stated, {least * content.density_g_cm3:.3g} found")
    return [Doubt("content", text) for text in off]


def _units(stated: Formula, found: Formula) -> float:
    """How many of the stated formula the atoms found make, by all but hydrogen where there is anything else."""
    light = set(stated) | set(found) == {"H"}
    wanted, there = (sum(n for e, n in some.items() if light or e != "H") for some in (stated, found))
    return there / wanted if wanted else 0.0


def _same_formula(stated: Formula, found: Formula, units: float) -> bool:
    elements = sorted((set(stated) | set(found)) - {"H"})
    apart = sum(abs(stated.get(e, 0.0) * units - found.get(e, 0.0)) for e in elements)
    if not units or apart > 2 * TOLERANCE * sum(found.values()):
        return False
    return found.get("H", 0.0) <= units * (stated.get("H", 0.0) * (1 + TOLERANCE) + TOLERANCE)


def _kind(element: str) -> str:
    return "H" if element == "D" else element


def _add(total: Formula, more: Formula, times: float = 1.0) -> None:
    for element, n in list(more.items()):
        total[element] = total.get(element, 0.0) + times * n


def _written(found: Formula) -> str:
    return " ".join(f"{e}{n:.4g}" for e, n in sorted(found.items()))
