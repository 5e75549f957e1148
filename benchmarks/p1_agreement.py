"""Patterns of crystals without operators against a sum over P1: every atom, every reflection, no symmetry.

    python benchmarks/p1_agreement.py materials-project.jsonl.gz --output results/p1-agreement.json

Of the crystals with at most 60 atoms 200 are drawn with a seed. The sum is written out in NumPy, form factors by gemmi;
its reflections are drawn one by one, in P1, by the renderer that draws the others too. Single copper line, 5 to 90
degrees, FWHM at least 0.07 degrees. The largest difference of two curves is given as a share of the highest point:

- `simulate`: the cell as it stands, against the sum over it;
- `table_of_reflections`: the crystal moved onto its group, of which the label is, against the sum over that one;
- `moved`: the two sums, of the crystal that was moved and of the cell as it stands;
- `group_at_0.01_A`: families of the group that is found at 0.01 A, on the cell as it stands: what was done before.

Exit code 1 where `simulate` or `table_of_reflections` is off by more than 0.1 %, in which the tails are cut off.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
from numpy.typing import NDArray

from powderlens.core.constants import ANODES
from powderlens.core.files import file_sha256
from powderlens.corpus.store.reflection_table import reflection_row
from powderlens.crystal.formats.materials_project import iter_materials_project
from powderlens.crystal.label import find_symmetry, with_symmetry
from powderlens.crystal.structure import Structure
from powderlens.diffraction.conditions import Conditions, to_record
from powderlens.diffraction.phase import Phase
from powderlens.diffraction.reflections import reflections
from powderlens.diffraction.render import render
from powderlens.diffraction.simulate import simulate
from powderlens.evaluate.record import write_result
from powderlens.pattern.grid import Grid

WAVELENGTH_A = ANODES["Cu"].ka1_A
D_MIN_A = WAVELENGTH_A / (2 * np.sin(np.radians(46)))
GRID = Grid(start_deg=5.0, step_deg=0.02, points=4251, wavelength_A=WAVELENGTH_A)
RECORD = to_record(
    Conditions.of(
        ka1_A=WAVELENGTH_A, ka2_A=WAVELENGTH_A, ka2_ratio=0.0, polarised_share=0.5, crystallite_size_nm=200.0,
        microstrain=0.0, caglioti_u_deg2=0.0, caglioti_v_deg2=0.0, caglioti_w_deg2=0.0049,
    )
)  # fmt: skip
MAX_ATOMS = 60
LIMIT_PERCENT = 0.1
Curve = NDArray[np.float64]


def drawn(lattice: Curve, rotations: NDArray[np.int64], hkl: NDArray[np.int64], strength: Curve) -> Curve:
    """The curve of these lines, percent of its highest point."""
    phase = Phase(np.ascontiguousarray(lattice, float), rotations, hkl, strength)
    return 100 * np.asarray(render([phase], RECORD, GRID, seed=0)[0])


def p1_curve(structure: Structure) -> Curve:
    """The sum over P1."""
    reach = [int(np.linalg.norm(edge) / D_MIN_A) + 1 for edge in structure.lattice]
    hkl = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in reach], indexing="ij"), axis=-1).reshape(-1, 3)
    hkl = hkl[len(hkl) // 2 + 1 :]  # one of h and -h
    inv_d2 = ((hkl @ np.linalg.inv(structure.lattice).T) ** 2).sum(axis=1)
    hkl, inv_d2 = hkl[inv_d2 <= D_MIN_A**-2], inv_d2[inv_d2 <= D_MIN_A**-2]
    elements = np.array(structure.elements)
    total = np.zeros(len(hkl), complex)
    for element in sorted(set(structure.elements)):
        it92 = gemmi.Element(element).it92
        factor = it92.c + sum(a * np.exp(-b * inv_d2 / 4) for a, b in zip(it92.a, it92.b, strict=True))
        total += factor * np.exp(2j * np.pi * (hkl @ structure.frac[elements == element].T)).sum(axis=1)
    return drawn(structure.lattice, np.eye(3, dtype=np.int64)[None], hkl, 2 * np.abs(total) ** 2)


def table_curve(structure: Structure) -> Curve:
    row: dict[str, Any] = reflection_row(structure, d_min_A=D_MIN_A)
    rotations = row["rotations"].reshape(-1, 3, 3).astype(np.int64)
    hkl = row["hkl"].reshape(-1, 3).astype(np.int64)
    return drawn(np.array(row["lattice_A"]).reshape(3, 3), rotations, hkl, row["strength"].astype(float))


def loose_curve(structure: Structure) -> Curve:
    group = find_symmetry(structure)
    rotations = np.unique(group.rotations.reshape(-1, 9), axis=0).reshape(-1, 3, 3)
    found = reflections(replace(structure, rotations=rotations), d_min_A=D_MIN_A)
    return drawn(structure.lattice, rotations, found.hkl, found.multiplicity * found.f_squared)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crystals", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    every = [s for s in iter_materials_project(options.crystals) if isinstance(s, Structure)]
    every = [structure for structure in every if len(structure.elements) <= MAX_ATOMS]
    chosen = [every[i] for i in np.random.default_rng(options.seed).permutation(len(every))[: options.count]]
    off: dict[str, list[float]] = {}
    for structure in chosen:
        given, moved = p1_curve(structure), p1_curve(with_symmetry(structure))
        pairs = {
            "simulate": (simulate(structure, "CuKa1").intensity, given),
            "table_of_reflections": (table_curve(structure), moved),
            "moved": (moved, given),
            "group_at_0.01_A": (loose_curve(structure), given),
        }
        for name, (one, other) in pairs.items():
            off.setdefault(name, []).append(float(np.abs(one - other).max()))
    figures = {}
    for name, values in off.items():
        order = np.argsort(values)[::-1][:5]
        figures[name] = {
            "largest_percent": round(max(values), 4),
            "median_percent": round(float(np.median(values)), 4),
            "beyond_0.1_percent": int((np.array(values) > LIMIT_PERCENT).sum()),
            "worst": {chosen[i].source: round(values[i], 4) for i in order},
        }
        print(name, figures[name])
    body = {
        "data": {"file": options.crystals.name, "sha256": file_sha256(options.crystals)},
        "crystals": len(chosen), "seed": options.seed, "difference_from_a_sum_over_p1": figures,
    }  # fmt: skip
    command = f"python benchmarks/p1_agreement.py {options.crystals.name} --output {options.output}"
    write_result(options.output, command=command, body=body)
    return int(max(figures[name]["largest_percent"] for name in ("simulate", "table_of_reflections")) > LIMIT_PERCENT)


if __name__ == "__main__":
    raise SystemExit(main())
