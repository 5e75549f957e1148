"""Certified standards: in a specimen, with cells that are held; alone, where they show the instrument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from powderlens.core.errors import InputError
from powderlens.crystal.common import common_minerals
from powderlens.crystal.structure import Structure, lattice_from_cell
from powderlens.diffraction.phase import phase_of
from powderlens.pattern.pattern import Pattern
from powderlens.refine.candidates import fit
from powderlens.refine.measured import Instrument, Measured
from powderlens.symmetry.wyckoff import wyckoff_positions

_CELLS = {
    "Si": (5.431144, 5.431144, 5.431144, 90.0, 90.0, 90.0),
    "LaB6": (4.156826, 4.156826, 4.156826, 90.0, 90.0, 90.0),
    "CeO2": (5.411651, 5.411651, 5.411651, 90.0, 90.0, 90.0),
    "Al2O3": (4.759091, 4.759091, 12.991779, 90.0, 90.0, 120.0),
}
"""A and degrees, at 22.5 degrees Celsius. Source: certificates of NIST SRM 640f (silicon), 660c (lanthanum hexaboride),
674b (cerium oxide) and 676a (corundum)."""
_SITES: Mapping[str, tuple[str, int, tuple[tuple[str, str, tuple[float, float, float]], ...]]] = {
    "Si": ("Silicon", 227, (("Si", "a", (0.125, 0.125, 0.125)),)),
    "LaB6": ("Lanthanum hexaboride", 221, (("La", "a", (0.0, 0.0, 0.0)), ("B", "f", (0.1997, 0.5, 0.5)))),
    "CeO2": ("Cerium oxide", 225, (("Ce", "a", (0.0, 0.0, 0.0)), ("O", "c", (0.25, 0.25, 0.25)))),
}
"""Name, space group and sites by Wyckoff letter; corundum has those of the common mineral. Source of boron's x: Black,
Windover, Henins, Filliben and Cline, Powder Diffr. 26, 155 (2011)."""


LEAST_AGREEMENT = 0.9
"""Freed of the noise; a pattern that agrees less with every standard is of none."""


@dataclass(frozen=True, eq=False)
class Standard:
    """A standard in a specimen.

    Attributes:
        structure: with its certified cell.
        weight_fraction: of the specimen, the standard included; None where it is not known.
    """

    structure: Structure
    weight_fraction: float | None = None


def parse_standard(text: str) -> Standard:
    """A standard as people write it: "Si", or "Si=20" where it is 20 per cent of the weight.

    Raises:
        InputError: none of `standards`, or no per cent above 0 and below 100.
    """
    name, equals, share = text.partition("=")
    found = {known.lower(): known for known in standards()}.get(name.strip().lower())
    if found is None:
        raise InputError(f"standard {name.strip()!r}: choose one of {', '.join(standards())}; give others with --phase")
    if not equals:
        return Standard(standards()[found])
    try:
        per_cent = float(share.strip().rstrip("%"))
    except ValueError:
        per_cent = 0.0
    if not 0 < per_cent < 100:
        raise InputError(
            f"standard {text!r}: give its per cent of the weight, above 0 and below 100, such as {found}=20"
        )
    return Standard(standards()[found], per_cent / 100)


@cache
def standards() -> Mapping[str, Structure]:
    """The standards by formula."""
    out = {}
    for formula, (name, group, sites) in _SITES.items():
        positions = {position.letter: position for position in wyckoff_positions(group)}
        elements, places = [], []
        for element, letter, xyz in sites:
            here = positions[letter].sites(np.array(xyz)).tolist()
            elements += [element] * len(here)
            places += here
        out[formula] = Structure.from_cell(_CELLS[formula], elements, places, name=name, source=f"standard:{formula}")
    corundum = next(one for one in common_minerals() if one.name == "Corundum")
    lattice = lattice_from_cell(_CELLS["Al2O3"])
    out["Al2O3"] = replace(corundum, lattice=lattice, name="Corundum", source="standard:Al2O3")
    return out


def with_width_of(instrument: Instrument, pattern: Pattern) -> Instrument:
    """An instrument with the width of its lines, from its pattern of one of the `standards`.

    Raises:
        InputError: no wavelength, or a pattern of none of them.
    """
    measured = Measured.of(pattern, instrument)
    best, width = 0.0, (0.0, 0.0)
    for structure in standards().values():
        try:
            found = fit(measured, [replace(phase_of(structure, d_min_A=measured.d_min_A), fixed_cell=True)], [1.0])
        except InputError:
            continue
        if found.agreement > best:
            best, width = found.agreement, (found.constant_deg, found.rising_deg)
    if best < LEAST_AGREEMENT * measured.ceiling:
        raise InputError(
            f"{pattern.source or 'pattern'}: a pattern of none of the standards {', '.join(standards())}; "
            "measure one of them alone"
        )
    return replace(instrument, width_deg=width)
