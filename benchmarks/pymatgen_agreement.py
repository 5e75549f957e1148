"""How far the peaks of powderlens in pymatgen mode are from those of pymatgen's XRDCalculator.

    python benchmarks/pymatgen_agreement.py CRYSTALS --output results/pymatgen-agreement.json

Crystals of every crystal system from the databases that `crystal_sample.py` describes, minerals with their partial
occupancies, relaxed cells in the standard cell. Both get the same atoms; pymatgen knows no symmetry. Displacements are
left out, and in a second pass every element gets a Debye-Waller factor. pymatgen adds up whatever falls into the same
1e-5 degrees: lines of both are joined here where they are closer than twice that, and what one of the two lacks counts
with its whole intensity. pymatgen drops lines weaker than 0.001 % of the strongest; here it is told to keep all that
are not zero but for rounding. Exit code 1 beyond 0.001 %.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from pymatgen.analysis.diffraction.core import AbstractDiffractionPatternCalculator
from pymatgen.analysis.diffraction.xrd import XRDCalculator
from pymatgen.core import Lattice
from pymatgen.core import Structure as PymatgenStructure

import powderlens
from powderlens.core.errors import StructureError
from powderlens.crystal.structure import Structure
from powderlens.diffraction.simulate import peaks

WAVELENGTH_A = 1.5405929
RANGE_DEG = (5.0, 90.0)
TOLERANCE_PERCENT, TOLERANCE_DEG = 1e-3, 1e-5
JOIN_DEG = 2e-5
FAINT_PERCENT = 1e-9
SEED, MAX_ATOMS = 20261121, 60
QUOTA = {"amcsd": 60, "oqmd": 60, "mp": 60}

Lines = tuple[NDArray[np.float64], NDArray[np.float64]]


class Deviation(NamedTuple):
    """Largest differences, in per cent of the strongest line and in degrees, and how many lines were compared."""

    percent: float
    degrees: float
    lines: int


def still(structure: Structure) -> Structure:
    """Without displacements."""
    return replace(structure, u_iso_A2=np.full(len(structure.elements), np.nan), beta=None)


def moving(structure: Structure, b_A2: Mapping[str, float]) -> Structure:
    """With exp(-B s^2) for each element, U = B / (8 pi^2); deuterium calls itself H in pymatgen."""
    u = np.array([b_A2["H" if element == "D" else element] for element in structure.elements]) / (8 * np.pi**2)
    return replace(structure, u_iso_A2=u, beta=None)


def as_pymatgen(structure: Structure) -> PymatgenStructure:
    """The same atoms, row by row: rows that share a site stay apart, which changes no structure factor."""
    species = [
        {element: float(filled)} for element, filled in zip(structure.elements, structure.occupancy, strict=True)
    ]
    return PymatgenStructure(Lattice(structure.lattice), species, structure.frac)


def lines_of_pymatgen(structure: Structure, b_A2: Mapping[str, float] | None = None) -> Lines:
    """Angles and intensities by pymatgen, not yet scaled."""
    calculator = XRDCalculator(WAVELENGTH_A, debye_waller_factors=dict(b_A2) if b_A2 else None)
    with (
        warnings.catch_warnings(),
        patch.object(AbstractDiffractionPatternCalculator, "SCALED_INTENSITY_TOL", FAINT_PERCENT),
    ):
        warnings.simplefilter("ignore")
        found = calculator.get_pattern(as_pymatgen(structure), scaled=False, two_theta_range=RANGE_DEG)
    return np.asarray(found.x), np.asarray(found.y)


def lines_of_powderlens(structure: Structure) -> Lines:
    """Angles and intensities in pymatgen mode."""
    found = peaks(structure, WAVELENGTH_A, two_theta_deg=RANGE_DEG, form_factors="pymatgen")
    return np.array([p.two_theta_deg for p in found]), np.array([p.intensity for p in found])


def compare(ours: Lines, theirs: Lines) -> Deviation:
    """Join both lists, then line by line."""
    angle = np.concatenate([ours[0], theirs[0]])
    order = np.argsort(angle)
    cluster = np.cumsum(np.diff(angle[order], prepend=0.0) > JOIN_DEG) - 1
    place = np.empty_like(cluster)
    place[order] = cluster
    total = np.zeros((2, cluster[-1] + 1))
    for row, (_, y), where in zip((0, 1), (ours, theirs), np.split(place, [len(ours[0])]), strict=True):
        np.add.at(total[row], where, y)
    total *= 100 / total.max(axis=1, keepdims=True)
    # A joined line of pymatgen stands at the angle of the first reflection in it.
    apart = np.abs(ours[0] - theirs[0][:, None]).min(axis=1)
    return Deviation(float(np.abs(total[0] - total[1]).max()), float(apart.max()), total.shape[1])


def main() -> int:
    from crystal_sample import data_of, draw, hardware, origin

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, metavar="CRYSTALS")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    sample = draw(arguments.folder, QUOTA, SEED, max_atoms=MAX_ATOMS)
    rng = np.random.default_rng(SEED)
    found: dict[str, list[tuple[Deviation, str]]] = {"still": [], "moving": []}
    passed_over = Counter(sample.passed_over)
    for structure in sample.structures:
        b_A2 = {element: float(rng.uniform(0.2, 2.0)) for element in dict.fromkeys(("H", *structure.elements))}
        try:
            plain, warm = still(structure), moving(structure, b_A2)
            results = (
                compare(lines_of_powderlens(plain), lines_of_pymatgen(plain)),
                compare(lines_of_powderlens(warm), lines_of_pymatgen(warm, b_A2)),
            )
        except StructureError as error:
            passed_over[str(error).split(":")[-1].strip()] += 1
            continue
        for name, result in zip(found, results, strict=True):
            found[name].append((result, structure.source))
        if max(r.percent for r in results) > TOLERANCE_PERCENT:
            print(f"{structure.source:16} {results[0].percent:.1e} {results[1].percent:.1e} %", file=sys.stderr)
    worst = {name: max(rows, key=lambda row: row[0].percent) for name, rows in found.items()}
    beyond = sorted(
        {
            source
            for rows in found.values()
            for d, source in rows
            if d.percent > TOLERANCE_PERCENT or d.degrees > TOLERANCE_DEG
        }
    )
    record = {
        "what": "largest deviation of peaks in pymatgen mode from pymatgen's XRDCalculator, both with the same atoms",
        "command": f"python benchmarks/pymatgen_agreement.py CRYSTALS --output results/{arguments.output.name}",
        "wavelength_A": WAVELENGTH_A,
        "range_deg": RANGE_DEG,
        "tolerance": {"percent_of_strongest": TOLERANCE_PERCENT, "degrees": TOLERANCE_DEG},
        "seed": SEED,
        "crystals": {
            "compared": len(found["still"]),
            "by_database": dict(Counter(origin(source) for _, source in found["still"])),
            "sha256_of_ids": sample.digest(),
            "passed_over": dict(passed_over),
        },
        "lines_compared": {name: sum(d.lines for d, _ in rows) for name, rows in found.items()},
        "largest": {
            name: {
                "percent": float(f"{worst[name][0].percent:.3g}"),
                "crystal": worst[name][1],
                "degrees": float(f"{max(d.degrees for d, _ in rows):.3g}"),
            }
            for name, rows in found.items()
        },
        "median_percent": {
            name: float(f"{np.median([d.percent for d, _ in rows]):.3g}") for name, rows in found.items()
        },
        "beyond_tolerance": beyond,
        "data": data_of(arguments.folder, QUOTA),
        "hardware": hardware(),
        "versions": {
            "powderlens": powderlens.__version__,
            "pymatgen": version("pymatgen"),
            "pymatgen-core": version("pymatgen-core"),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "date": datetime.now(UTC).date().isoformat(),
    }
    arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"{len(found['still'])} crystals, {len(beyond)} beyond tolerance; largest {record['largest']}")
    return 1 if beyond else 0


if __name__ == "__main__":
    sys.exit(main())
