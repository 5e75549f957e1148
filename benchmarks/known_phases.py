"""A library of known phases: what it holds, how true its packed crystals are, and how quick it is.

    python benchmarks/known_phases.py LIBRARY DATABASE... --output results/known-phases.json

Every STEP-th crystal of each database is labelled, packed and unpacked again. Lines of at least a twentieth of the
strongest multiplicity times |F|^2, with d from 0.8 A, are held against those of the crystal before it was packed: as it
is, and with its anisotropic displacements replaced by their equivalents, so that what is left is quantisation.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from powderlens.core.errors import PowderlensError
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.sources import open_source
from powderlens.crystal.structure import Structure
from powderlens.diffraction.phase import phase_of
from powderlens.evaluate.record import write_result
from powderlens.library.info import summary
from powderlens.library.packed import pack, unpack
from powderlens.library.store import PhaseLibrary, with_displacements

D_MIN_A = 0.8
STRONG = 0.05
TIMED = 500
OPEN = "from powderlens.library.store import PhaseLibrary as L; import sys, time; t = time.perf_counter(); "
OPEN += "L.open(sys.argv[1]); print(time.perf_counter() - t)"


def strengths(structure: Structure) -> dict[tuple[int, ...], float]:
    phase = phase_of(with_displacements(structure), d_min_A=D_MIN_A, labelled=True)
    return dict(zip(map(tuple, phase.hkl.tolist()), phase.strength.tolist(), strict=True))


def worst(exact: dict[tuple[int, ...], float], packed: dict[tuple[int, ...], float]) -> float:
    strong = [hkl for hkl, value in exact.items() if value > STRONG * max(exact.values())]
    return max(abs(packed.get(hkl, 0.0) / exact[hkl] - 1) for hkl in strong)


def fidelity(database: Path, step: int) -> dict[str, Any]:
    whole, quantised, kept, failed = [], [], [], 0
    for item in islice(open_source(database), 0, None, step):
        if not isinstance(item, Structure):
            continue
        try:
            symmetry = find_symmetry(item)
            back = unpack(pack(symmetry))
        except PowderlensError:
            failed += 1
            continue
        standard, packed = symmetry.standard, strengths(back)
        kept.append(find_symmetry(back).number == symmetry.number)
        whole.append(worst(strengths(standard), packed))
        quantised.append(worst(strengths(replace(standard, beta=None)), packed))
    shares = (0.5, 0.9, 0.99)
    return {
        "database": database.name,
        "crystals": len(kept),
        "failed": failed,
        "same_group_after": sum(kept),
        "worst_strong_line_off": {f"{q:g}": round(float(np.quantile(whole, q)), 4) for q in shares},
        "of_that_quantisation": {f"{q:g}": round(float(np.quantile(quantised, q)), 4) for q in shares},
    }


def timed(library: PhaseLibrary) -> dict[str, float]:
    rows = np.random.default_rng(1).choice(len(library), TIMED, replace=False).tolist()
    library.lines(rows[0], D_MIN_A)
    out = {}
    for name, work in (("structure", library.structure), ("lines", lambda i: library.lines(i, D_MIN_A))):
        began = time.process_time()
        for i in rows:
            work(i)
        out[f"{name}_ms"] = round((time.process_time() - began) / TIMED * 1e3, 3)
    opened = [
        float(subprocess.check_output([sys.executable, "-c", OPEN, str(library.path)], text=True)) for _ in range(3)
    ]
    return out | {"open_s": round(min(opened), 3)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", type=Path)
    parser.add_argument("databases", type=Path, nargs="*")
    parser.add_argument("--step", type=int, default=50)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    library = PhaseLibrary.open(arguments.library)
    held = {name: value for name, value in summary(library).items() if name != "origins"}
    body = {
        "held": held | {"folded_entries": int(library.determinations.astype(int).sum()) - len(library)},
        "calculated_folded_into_measured": sum(
            not identity.startswith(("amcsd:", "triclinic"))
            for i in np.flatnonzero(library.measured).tolist()
            for identity in library.folded(i)
        ),
        "speed": timed(library),
        "d_min_A": D_MIN_A,
        "fidelity": [fidelity(database, arguments.step) for database in arguments.databases],
    }
    write_result(
        arguments.output,
        command="python benchmarks/known_phases.py LIBRARY DATABASE... --output results/known-phases.json",
        body=body,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
