"""How far the peaks of powderlens are from those made of gemmi's own structure factors, CIF by CIF.

    python benchmarks/gemmi_agreement.py CIF_DIR --output results/gemmi-agreement.json

The yardstick takes everything from gemmi: its reader of small structures, its operators, its treatment of special
positions, its International Tables 1992 form factors and its sum over atoms. Reflections are enumerated and gathered in
families here, and the Lorentz-polarisation factor is written out once more. No dispersion; displacements as in the
file. Exit code 1 when a file that both read deviates by more than the tolerances.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import gemmi
import numpy as np

import powderlens
from powderlens.core.errors import PowderlensError
from powderlens.crystal.read import read_structure
from powderlens.diffraction.simulate import Peak, peaks

WAVELENGTH_A = 1.5405929
RANGE_DEG = (5.0, 90.0)
TOLERANCE_PERCENT, TOLERANCE_DEG = 0.01, 1e-5
ONE_ATOM_A, GEMMI_DEFAULT_A = 0.05, 0.4

Hkl = tuple[int, int, int]


class Line(NamedTuple):
    """One family by gemmi: its multiplicity, its angle in degrees and its intensity (100 for the strongest)."""

    multiplicity: int
    two_theta_deg: float
    intensity: float


class Deviation(NamedTuple):
    """Largest differences, in per cent of the strongest line and in degrees, and how many families were compared."""

    percent: float
    degrees: float
    families: int


def read_with_gemmi(path: Path) -> tuple[gemmi.SmallStructure, list[gemmi.Op], list[str]]:
    """Atoms with occupancies that count special positions once, every operator, and where gemmi's default was left.

    By default gemmi takes images within 0.4 A for one atom, which swallows split sites, and sums a site that a file
    lists twice both times. Here 0.05 A is one atom, and a repeated site counts once, as an atom does.
    """
    small = gemmi.read_small_structure(str(path))
    listed = [gemmi.Op(text) for text in small.symops]
    operators = list(gemmi.GroupOps(listed) if listed else small.spacegroup.operations())
    images = len(small.cell.images) + 1
    if images != len(operators):
        raise ValueError(f"gemmi expands sites by {images} operators, the file has {len(operators)}")
    notes = []
    for i in reversed(range(1, len(small.sites))):
        for j in range(i):
            one, other = small.sites[i], small.sites[j]
            if one.element == other.element and one.occ + other.occ > 1.01:
                here, there = small.cell.orthogonalize(one.fract), small.cell.orthogonalize(other.fract)
                if small.cell.find_nearest_image(here, there, gemmi.Asu.Any).dist() < ONE_ATOM_A:
                    notes.append(f"{one.label} repeats {other.label}: counted once")
                    del small.sites[i]
                    break
    for site in small.sites:
        mates, by_default = (small.cell.is_special_position(site.fract, d) for d in (ONE_ATOM_A, GEMMI_DEFAULT_A))
        if mates != by_default:
            notes.append(f"{site.label} is split: its images within {GEMMI_DEFAULT_A} A are atoms of their own")
    small.change_occupancies_to_crystallographic(ONE_ATOM_A)
    return small, operators, notes


def families_of(small: gemmi.SmallStructure, operators: list[gemmi.Op]) -> dict[Hkl, tuple[frozenset[Hkl], float]]:
    """Every family in the range as {any member: (all members, 2theta in degrees)}."""
    sine_max = np.sin(np.radians(RANGE_DEG[1] / 2))
    limits = [int(length * 2 * sine_max / WAVELENGTH_A) for length in (small.cell.a, small.cell.b, small.cell.c)]
    axes = [np.arange(-n, n + 1) for n in limits]
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    sine = 0.5 * WAVELENGTH_A * np.sqrt(small.cell.calculate_1_d2_array(hkl))
    angle = 2 * np.degrees(np.arcsin(np.minimum(sine, 1.0)))
    inside = (angle >= RANGE_DEG[0]) & (angle <= RANGE_DEG[1])
    turns = np.unique([operator.rot for operator in operators], axis=0) // gemmi.Op.DEN
    turns = np.unique(np.concatenate([turns, -turns]), axis=0)
    found: dict[Hkl, tuple[frozenset[Hkl], float]] = {}
    for index, two_theta_deg in zip(hkl[inside], angle[inside], strict=True):
        if tuple(index) not in found:
            members = frozenset(tuple(int(v) for v in row) for row in index @ turns)
            found.update(dict.fromkeys(members, (members, float(two_theta_deg))))
    return found


def lines_of_gemmi(small: gemmi.SmallStructure, operators: list[gemmi.Op]) -> dict[Hkl, Line]:
    """{any member of a family: Line}; families that symmetry extinguishes are there, with an intensity near zero."""
    calculator = gemmi.StructureFactorCalculatorX(small.cell)
    families = families_of(small, operators)
    intensity: dict[frozenset[Hkl], float] = {}
    for members, two_theta_deg in set(families.values()):
        theta = np.radians(two_theta_deg / 2)
        lp = (1 + np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
        f = calculator.calculate_sf_from_small_structure(small, list(max(members)))
        intensity[members] = len(members) * lp * abs(f) ** 2
    strongest = max(intensity.values())
    return {
        hkl: Line(len(members), two_theta_deg, 100 * intensity[members] / strongest)
        for hkl, (members, two_theta_deg) in families.items()
    }


def compare(ours: list[Peak], theirs: dict[Hkl, Line]) -> Deviation:
    """Families that only one of the two has count with their whole intensity.

    Raises:
        ValueError: a family with another multiplicity, or listed twice.
    """
    left = set(theirs.values())
    percent = degrees = 0.0
    for peak in ours:
        line = theirs.get((peak.h, peak.k, peak.l))
        if line is None:
            percent = max(percent, peak.intensity)
            continue
        if line.multiplicity != peak.multiplicity:
            raise ValueError(f"{peak}: gemmi's operators make {line.multiplicity} members")
        percent = max(percent, abs(peak.intensity - line.intensity))
        degrees = max(degrees, abs(peak.two_theta_deg - line.two_theta_deg))
        left.discard(line)
    return Deviation(max([percent, *(line.intensity for line in left)]), degrees, len(ours))


def compare_file(path: Path) -> tuple[Deviation, list[str]]:
    """One CIF, read by both; and notes, see `read_with_gemmi`.

    Raises:
        PowderlensError: powderlens does not read it.
        RuntimeError, ValueError: gemmi does not read it.
    """
    ours = peaks(read_structure(path), WAVELENGTH_A, two_theta_deg=RANGE_DEG)
    small, operators, notes = read_with_gemmi(path)
    return compare(ours, lines_of_gemmi(small, operators)), notes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, metavar="CIF_DIR")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    compared: dict[str, dict[str, float]] = {}
    notes: dict[str, list[str]] = {}
    unread: dict[str, str] = {}
    for path in sorted(arguments.folder.glob("*.cif"), key=lambda p: (len(p.stem), p.stem)):
        try:
            found, remarks = compare_file(path)
        except (PowderlensError, RuntimeError, ValueError) as error:
            unread[path.name] = " ".join(str(error).split())
            print(f"{path.name:12} {unread[path.name]}", file=sys.stderr)
            continue
        compared[path.name] = found._asdict()
        if remarks:
            notes[path.name] = remarks
        print(f"{path.name:12} {found.percent:.2e} % {found.degrees:.1e} deg {found.families}", file=sys.stderr)
    beyond = [
        name
        for name, found in compared.items()
        if found["percent"] > TOLERANCE_PERCENT or found["degrees"] > TOLERANCE_DEG
    ]
    record = {
        "what": "largest deviation of peaks from gemmi's structure factors, by CIF",
        "command": f"python benchmarks/gemmi_agreement.py CIF_DIR --output results/{arguments.output.name}",
        "wavelength_A": WAVELENGTH_A,
        "range_deg": RANGE_DEG,
        "tolerance": {"percent_of_strongest": TOLERANCE_PERCENT, "degrees": TOLERANCE_DEG},
        "versions": {
            "powderlens": powderlens.__version__,
            "gemmi": gemmi.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "date": datetime.now(UTC).date().isoformat(),
        "files": len(compared) + len(unread),
        "compared": len(compared),
        "largest": {
            "percent": max(found["percent"] for found in compared.values()),
            "degrees": max(found["degrees"] for found in compared.values()),
        },
        "beyond_tolerance": beyond,
        "not_parsed": unread,
        "not_as_gemmi_does_by_default": notes,
        "by_file": {
            name: {**found, "percent": float(f"{found['percent']:.3g}"), "degrees": float(f"{found['degrees']:.3g}")}
            for name, found in compared.items()
        },
    }
    arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"{len(compared)} compared, {len(beyond)} beyond tolerance, {len(unread)} not parsed")
    return 1 if beyond else 0


if __name__ == "__main__":
    sys.exit(main())
