"""Fits of measured RRUFF patterns with their mineral's structure: R factors, and how far the cells are from the given.

    python benchmarks/fit_rruff.py DATA --output results/fit-rruff-dev.json

DATA is the folder with crystals/amcsd.db and patterns/ (see the record for the files used). Patterns are taken from the
development set in an order that a seed gives, those with an accepted cell only, until 100 have a structure: an entry of
the AMCSD of the same mineral whose cell is within 3 % and 3 degrees, of these one of the same space group before
others, then the one with the nearest cell. Each is fitted twice: from the entry's cell as it is, and from that cell
strained at random by up to 2 % along everything that its symmetry leaves free. The given cells come from a fit too,
good to about 0.2 %. Exit code 1 when the median difference of the cells is 0.1 % or more.
"""

# ruff: noqa: E402
from __future__ import annotations

import os

# Before numpy is loaded, which reads them once.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import csv
import json
import re
import time
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from powderlens.core.errors import PowderlensError
from powderlens.core.files import file_sha256, read_arrays
from powderlens.crystal.formats.amcsd import iter_amcsd
from powderlens.crystal.label import with_symmetry
from powderlens.crystal.structure import Structure
from powderlens.evaluate.record import write_result
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.read import read_pattern
from powderlens.refine.fit import fit
from powderlens.refine.model import invariant_strains
from powderlens.refine.result import POOR

CELL = ("a_A", "b_A", "c_A", "alpha_deg", "beta_deg", "gamma_deg")
WAVELENGTH_A, START_DEG, STEP_DEG = 1.541838, 5.0, 0.01
CELL_ANGLES = ("alpha", "beta", "gamma")
NEAR, NEAR_DEG = 0.03, 3.0
DISTURBANCE = 0.02
FAR_PERCENT = 0.3
TARGET_PERCENT = 0.1
ANOTHER_CELL = "no entry of the mineral with a cell within 3 % and 3 degrees"


def difference(cell: Any, given: np.ndarray) -> tuple[float, float]:
    """Largest relative difference of the lengths, and largest difference of the angles in degrees."""
    cell = np.asarray(cell)
    return float(np.abs(cell[:3] / given[:3] - 1).max()), float(np.abs(cell[3:] - given[3:]).max())


def choose(entries: list[Structure], given: np.ndarray, group: int) -> Structure | str:
    """The entry that is fitted, or why there is none."""
    if not entries:
        return "no entry of the mineral"
    ranked = []
    for i, entry in enumerate(entries):
        lengths, angles = difference(entry.cell, given)
        if lengths <= NEAR and angles <= NEAR_DEG:
            ranked.append((entry.space_group != group, lengths + np.radians(angles), i))
    return entries[min(ranked)[2]] if ranked else ANOTHER_CELL


def disturbed(entry: Structure, rng: np.random.Generator) -> Structure:
    structure = with_symmetry(entry)
    basis = invariant_strains(structure.lattice, np.unique(structure.rotations, axis=0))
    strain = np.tensordot(rng.uniform(-DISTURBANCE, DISTURBANCE, len(basis)), basis, axes=1)
    return replace(structure, lattice=structure.lattice @ (np.eye(3) + strain))


def one(entry: Structure, pattern: Pattern, given: np.ndarray) -> dict[str, Any]:
    """Fit, and compare with the given cell."""
    before = time.process_time()
    try:
        found = fit(entry, pattern)
    except PowderlensError as error:
        return {"failed": " ".join(str(error).split())}
    lengths = 100 * (np.array(found.cell[:3]) / given[:3] - 1)
    return {
        "r_p": round(found.r_p, 4) if found.r_p is not None else None,
        "r_wp": round(found.r_wp, 4),
        "r_expected": round(found.r_expected, 4),
        "chi2": round(found.chi2, 3),
        "unexplained": round(found.unexplained, 3),
        "cell": [round(v, 5) for v in found.cell],
        "cell_uncertainty": [None if v is None else round(v, 5) for v in found.cell_uncertainty],
        "length_difference_percent": [round(float(v), 4) for v in lengths],
        "largest_difference_percent": round(float(np.abs(lengths).max()), 4),
        "largest_start_difference_percent": round(100 * difference(entry.cell, given)[0], 4),
        "zero_shift_deg": round(found.parameter("zero_shift_deg").value, 4),
        "processor_s": round(time.process_time() - before, 2),
        "warnings": list(found.warnings),
    }


def summary(fits: list[dict[str, Any]]) -> dict[str, Any]:
    done = [f for f in fits if "failed" not in f]
    largest = np.array([f["largest_difference_percent"] for f in done])
    every = np.abs([v for f in done for v in f["length_difference_percent"]])

    def at(values: Any) -> dict[str, float]:
        values = np.asarray(values, float)
        return {"median": round(float(np.median(values)), 4), "p90": round(float(np.percentile(values, 90)), 4)}

    return {
        "fitted": len(done),
        "failed": dict(Counter(f["failed"] for f in fits if "failed" in f)),
        "not_in_the_pattern": sum(f["unexplained"] > POOR for f in done),
        f"cell_more_than_{FAR_PERCENT}_percent_away": int((largest > FAR_PERCENT).sum()),
        "largest_length_difference_percent": at(largest),
        "every_length_difference_percent": at(every),
        "start_largest_length_difference_percent": at([f["largest_start_difference_percent"] for f in done]),
        "r_p": at([f["r_p"] for f in done if f["r_p"] is not None]),
        "r_wp": at([f["r_wp"] for f in done]),
        "r_expected": at([f["r_expected"] for f in done]),
        "chi2": at([f["chi2"] for f in done]),
        "unexplained": at([f["unexplained"] for f in done]),
        "processor_s": at([f["processor_s"] for f in done]),
    }


def originals(folder: Path, entries: dict[str, list[Structure]]) -> list[dict[str, Any]]:
    """The files as RRUFF publishes them, with the cell of their header."""
    out = []
    for path in sorted(folder.glob("*.txt")):
        pattern = read_pattern(path, "CuKa")
        header = path.read_text(encoding="utf-8", errors="replace")
        words = re.search(r"##CELL PARAMETERS=(.*)", header)
        name = re.search(r"##NAMES=(.*)", header)
        assert words is not None
        assert name is not None
        given = np.array([float(re.search(rf"{k}: ([\d.]+)", words[1])[1]) for k in ("a", "b", "c", *CELL_ANGLES)])  # type: ignore[index]
        entry = choose(entries[name[1].strip().lower()], given, 0)
        row = {"file": path.name, "given_cell": given.tolist()}
        if isinstance(entry, str):
            out.append({**row, "failed": entry})
        else:
            out.append({**row, "structure": entry.source, **one(entry, pattern, given)})
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    database = arguments.data / "crystals" / "amcsd.db"
    stored = arguments.data / "patterns" / "rruff" / "rruff-dev.npz"
    table = stored.with_suffix(".csv")
    entries: dict[str, list[Structure]] = defaultdict(list)
    for item in iter_amcsd(database):
        if isinstance(item, Structure):
            entries[item.name.lower()].append(item)
    with open(table, newline="", encoding="utf-8") as handle:
        rows = [row for row in csv.DictReader(handle) if row["cell_accepted"] == "1"]
    intensity = read_arrays(stored)["intensity"]
    angle = START_DEG + STEP_DEG * np.arange(intensity.shape[1])
    rng = np.random.default_rng(arguments.seed)
    left_out: Counter[str] = Counter()
    listed, plain, strained = [], [], []
    for k in rng.permutation(len(rows)):
        row = rows[k]
        given = np.array([float(row[name]) for name in CELL])
        mineral, group = row["mineral_inferred"], int(row["space_group"])
        entry = choose(entries.get(mineral.strip().lower(), []), given, group)
        if isinstance(entry, str):
            left_out[entry] += 1
            listed.append({"row": int(row["row"]), "mineral": mineral, "left_out": entry})
            continue
        number = int(row["row"])
        pattern = Pattern(angle, intensity[number].astype(float), WAVELENGTH_A, source=f"rruff-dev/{number}")
        first = one(entry, pattern, given)
        second = one(disturbed(entry, rng), pattern, given)
        plain.append(first)
        strained.append(second)
        described = {"row": number, "mineral": mineral, "space_group": group, "given_cell": given.tolist()}
        described |= {"structure": entry.source, "structure_space_group": entry.space_group}
        listed.append({**described, "fit": first, "fit_from_strained_cell": second})
        print(len(plain), mineral, first.get("largest_difference_percent"), second.get("largest_difference_percent"))
        if len(plain) == arguments.count:
            break
    given_rows = [entry for entry in listed if "fit" in entry]
    far = [
        {"row": entry["row"], "mineral": entry["mineral"], "percent": entry["fit"]["largest_difference_percent"]}
        for entry in given_rows
        if entry["fit"].get("largest_difference_percent", 0) > FAR_PERCENT
    ]
    agree = [
        abs(np.array(a["cell"]) - np.array(b["cell"]))[:3].max() / min(a["cell"][:3]) < 2e-4
        for a, b in zip(plain, strained, strict=True)
        if "failed" not in a and "failed" not in b
    ]
    body: dict[str, Any] = {
        "what": "least squares of AMCSD structures on measured patterns; the given cells are good to about 0.2 %",
        "data": {path.name: file_sha256(path) for path in (stored, table, database)},
        "split": "development patterns; nothing was trained. They chose the limit of `unexplained`, and that the zero "
        "shift is refined without the displacement",
        "seed": arguments.seed,
        "versions": {"numpy": np.__version__, "scipy": scipy.__version__},
        "target_median_percent": TARGET_PERCENT,
        "from_the_entry": summary(plain),
        "from_the_entry_strained_by_up_to_2_percent": summary(strained),
        "both_starts_end_in_one_cell_within_0.02_percent": f"{sum(agree)} of {len(agree)}",
        "left_out": dict(left_out),
        "farthest": sorted(far, key=lambda entry: -entry["percent"]),
        "originals": originals(arguments.data / "patterns" / "rruff-original", entries),
        "patterns": listed,
    }
    write_result(
        arguments.output,
        command=f"python benchmarks/fit_rruff.py DATA --output results/{arguments.output.name}",
        body=body,
    )
    shown = ("from_the_entry", "from_the_entry_strained_by_up_to_2_percent", "left_out", "farthest")
    print(json.dumps({name: body[name] for name in shown}, indent=1))
    return 0 if body["from_the_entry"]["largest_length_difference_percent"]["median"] < TARGET_PERCENT else 1


if __name__ == "__main__":
    raise SystemExit(main())
