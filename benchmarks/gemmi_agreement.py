"""How far the peaks of powderlens are from those made of gemmi's own structure factors, CIF by CIF.

    python benchmarks/gemmi_agreement.py CIF_DIR --output results/gemmi-agreement.json

The yardstick takes everything from gemmi: its reader of small structures, its group operators, its expansion of special
positions, its International Tables 1992 form factors and its sum over atoms. Reflections are enumerated and put into
families here, with the Lorentz-polarisation factor written out once more. No dispersion; displacements as the file gives
them. Exit code 1 when a file that both read deviates by more than the tolerances.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import gemmi
import numpy as np

from powderlens.core.errors import PowderlensError
from powderlens.diffraction.simulate import Peak

WAVELENGTH_A = 1.5405929
RANGE_DEG = (5.0, 90.0)
TOLERANCE_PERCENT, TOLERANCE_DEG = 0.01, 1e-5


class Line(NamedTuple):
    """One family by gemmi: its multiplicity, its angle in degrees and its intensity (100 for the strongest)."""

    multiplicity: int
    two_theta_deg: float
    intensity: float


Hkl = tuple[int, int, int]


def read_with_gemmi(path: Path) -> tuple[gemmi.SmallStructure, gemmi.GroupOps]:
    small = gemmi.read_small_structure(str(path))
    # Two ways to the operators: by name or, where a file lists them, as they stand.
    operators = gemmi.GroupOps([gemmi.Op(text) for text in small.symops]) if len(small.symops) else None
    if operators is None:
        operators = small.spacegroup.operations()
    small.cell.set_cell_images_from_groupops(operators)
    small.change_occupancies_to_crystallographic()
    return small, operators


def family_of(hkl: Hkl, operators: gemmi.GroupOps) -> frozenset[Hkl]:
    images = {tuple(operator.apply_to_hkl(list(hkl))) for operator in operators.sym_ops}
    return frozenset(images | {(-h, -k, -l) for h, k, l in images})


def lines_of_gemmi(path: Path) -> dict[frozenset[Hkl], Line]:
    """Families in the range, those that symmetry extinguishes among them with intensity near zero."""
    small, operators = read_with_gemmi(path)
    calculator = gemmi.StructureFactorCalculatorX(small.cell)
    d_min = WAVELENGTH_A / (2 * np.sin(np.radians(RANGE_DEG[1] / 2)))
    found: dict[frozenset[Hkl], tuple[float, float]] = {}
    top = small.cell.get_hkl_limits(d_min)
    seen: set[Hkl] = set()
    for h in range(-top[0], top[0] + 1):
        for k in range(-top[1], top[1] + 1):
            for l in range(-top[2], top[2] + 1):
                d = small.cell.calculate_d([h, k, l]) if (h, k, l) != (0, 0, 0) else np.inf
                if d < d_min * (1 - 1e-9) or d == np.inf or (h, k, l) in seen:
                    continue
                family = family_of((h, k, l), operators)
                seen |= family
                theta = np.arcsin(min(WAVELENGTH_A / (2 * d), 1.0))
                if not RANGE_DEG[0] <= np.degrees(2 * theta) <= RANGE_DEG[1]:
                    continue
                f = calculator.calculate_sf_from_small_structure(small, [h, k, l])
                lp = (1 + np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
                found[family] = (float(np.degrees(2 * theta)), float(len(family) * lp * abs(f) ** 2))
    strongest = max(intensity for _, intensity in found.values())
    return {
        family: Line(len(family), angle, 100 * intensity / strongest) for family, (angle, intensity) in found.items()
    }


def deviation(ours: list[Peak], theirs: dict[frozenset[Hkl], Line]) -> dict[str, float]:
    """Largest differences: intensities in per cent of the strongest line, angles in degrees of lines above 0.001 %."""
    missing = {family: line.intensity for family, line in theirs.items()}
    percent = degrees = 0.0
    for peak in ours:
        family = next((f for f in (_member(theirs, peak),) if f is not None), None)
        if family is None:
            # A family at the very end of the range may fall on either side of it.
            percent = max(percent, 0.0 if abs(peak.two_theta_deg - RANGE_DEG[1]) < 1e-9 else peak.intensity)
            continue
        line = theirs[family]
        if peak.multiplicity != line.multiplicity:
            raise PowderlensError(f"{peak}: gemmi counts {line.multiplicity} members")
        missing.pop(family)
        percent = max(percent, abs(peak.intensity - line.intensity))
        degrees = max(degrees, abs(peak.two_theta_deg - line.two_theta_deg))
    return {"percent": max([percent, *missing.values()]), "degrees": degrees}
