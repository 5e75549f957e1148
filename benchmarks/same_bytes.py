"""Whether the same seed gives the same bytes on other processors: what is drawn, by one program in many environments.

    python benchmarks/same_bytes.py --output results/same-bytes.json

The program draws conditions and patterns of every shipped protocol, reflections of the shipped minerals, synthetic
crystals, and a small corpus of every protocol with its files. It runs as it is, and then as other processors would have
it run: linear algebra of other cores (OpenBLAS), NumPy without its vector code, compiled code for a processor without
any extension (numba, a cache of its own), the C library without AVX2 and FMA, one and two threads. What it drew is
compared with the first run, array by array: equal to the byte, or the largest relative difference and where.

This machine may lack what another has, such as AVX512. For that there is one more run, in which every elementary
function and every function of linear algebra that NumPy and Python offer is wrong in its last bits: what another
processor would round differently is then different here. An environment that the processor cannot run is listed so.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEED = 7
ROOT = Path(__file__).parents[1]
CRYSTALS = (ROOT / "examples" / "quartz.cif", ROOT / "tests" / "golden" / "cif" / "2.cif")
PARTS = ("conditions", "patterns", "reflections", "crystals", "corpora")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")
WITHOUT = "X86_V4 AVX512_ICL AVX512_SPR"
"""What numpy 2.4 calls its vector code beyond AVX2; `X86_V3` is AVX2 with FMA."""
LIBM = "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F"
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "as it is": {},
    "OPENBLAS_CORETYPE=Nehalem": {"OPENBLAS_CORETYPE": "Nehalem"},
    "OPENBLAS_CORETYPE=Haswell": {"OPENBLAS_CORETYPE": "Haswell"},
    "OPENBLAS_CORETYPE=SkylakeX": {"OPENBLAS_CORETYPE": "SkylakeX"},
    f"NPY_DISABLE_CPU_FEATURES={WITHOUT}": {"NPY_DISABLE_CPU_FEATURES": WITHOUT},
    f"NPY_DISABLE_CPU_FEATURES=X86_V3 {WITHOUT}": {"NPY_DISABLE_CPU_FEATURES": f"X86_V3 {WITHOUT}"},
    f"GLIBC_TUNABLES={LIBM}": {"GLIBC_TUNABLES": LIBM},
    "NUMBA_CPU_NAME=generic": {"NUMBA_CPU_NAME": "generic"},
    "NUMBA_CPU_NAME=haswell": {"NUMBA_CPU_NAME": "haswell"},
    "one thread": dict.fromkeys(THREADS, "1"),
    "two threads": dict.fromkeys(THREADS, "2"),
    "an old processor": {
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": f"X86_V3 {WITHOUT}",
        "GLIBC_TUNABLES": LIBM,
        "NUMBA_CPU_NAME": "generic",
    },
    "NumPy and Python wrong in the last bits": {"SAME_BYTES_WRONG": "1"},
}
"""What is set for each run; whatever of it the caller had set is taken out first."""

WRONG = 1 + 2.0**-50
NUMPY_FUNCTIONS = (
    "exp exp2 expm1 log log2 log10 log1p sin cos tan arcsin arccos arctan arctan2 sinh cosh tanh power float_power "
    "cbrt hypot dot vdot inner tensordot einsum matmul"
)
LINEAR_ALGEBRA = "inv det eig eigh eigvals eigvalsh cholesky solve norm svd qr lstsq pinv"
PYTHON_FUNCTIONS = (
    "exp expm1 log log2 log10 log1p sin cos tan asin acos atan atan2 sinh cosh tanh pow hypot erf erfc gamma lgamma"
)

Arrays = dict[str, NDArray[Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--parts", default=",".join(PARTS), help="which of " + ", ".join(PARTS))
    parser.add_argument("--only", help="environments whose name holds this word, beside the first")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    parts = given.parts.split(",")
    if given.child is not None:
        if "SAME_BYTES_WRONG" in os.environ:
            make_wrong()
        np.savez(given.child, **drawn(parts))
        return
    chosen = [name for name in ENVIRONMENTS if given.only is None or given.only in name or name == "as it is"]
    with tempfile.TemporaryDirectory() as place:
        found = {}
        for number, name in enumerate(chosen):
            ended = run(ENVIRONMENTS[name], parts, Path(place) / f"{number}.npz", Path(place))
            if ended == -signal.SIGILL:
                found[name] = {"verdict": "this processor cannot run it (illegal instruction)"}
            elif ended:
                raise SystemExit(f"{name}: the program ended with {ended}")
            else:
                found[name] = compared(Path(place) / "0.npz", Path(place) / f"{number}.npz")
            print(f"{name}: {found[name]['verdict']}", flush=True)
        arrays = np.load(Path(place) / "0.npz")
        sha256 = {name: hashlib.sha256(arrays[name].tobytes()).hexdigest() for name in arrays.files}
    record = {
        "command": " ".join(["python", "benchmarks/same_bytes.py", *sys.argv[1:]]),
        "date": datetime.now(UTC).date().isoformat(),
        **about(),
        "environments": found,
        "sha256": sha256,
    }
    if given.output is not None:
        given.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def run(environment: dict[str, str], parts: list[str], output: Path, place: Path) -> int:
    """The program in a process of its own, `output` its arrays; compiled code for another processor in a new cache."""
    set_here = {key for one in ENVIRONMENTS.values() for key in one}
    environ = {key: value for key, value in os.environ.items() if key not in set_here} | environment
    if "NUMBA_CPU_NAME" in environment:
        environ["NUMBA_CACHE_DIR"] = str(place / output.stem)
    command = [sys.executable, __file__, "--child", str(output), "--parts", ",".join(parts)]
    return subprocess.run(command, env=environ, check=False).returncode


def make_wrong() -> None:
    """Have NumPy's and Python's functions give results that are off in the last bits; what is compiled stays."""
    import numba

    numba.njit(lambda x: x)(1.0)  # has numba look up NumPy's functions while they are as they were
    for module, names in ((np, NUMPY_FUNCTIONS), (np.linalg, LINEAR_ALGEBRA), (math, PYTHON_FUNCTIONS)):
        for name in names.split():
            setattr(module, name, wrong(getattr(module, name)))


def wrong(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with every number of its result too large by some 2^-50."""

    def off(value: Any) -> Any:
        if isinstance(value, tuple):
            return type(value)(*map(off, value)) if hasattr(value, "_fields") else tuple(map(off, value))
        return value * WRONG if np.asarray(value).dtype.kind in "fc" else value

    @functools.wraps(function)
    def called(*arguments: Any, **more: Any) -> Any:
        return off(function(*arguments, **more))

    return called


def compared(first: Path, other: Path) -> dict[str, Any]:
    """How much of two runs is equal to the byte; the largest relative difference of the rest, and where."""
    one, two = np.load(first), np.load(other)
    assert one.files == two.files
    worst, where, unequal = 0.0, "", []
    for name in one.files:
        a, b = one[name], two[name]
        if a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes():
            continue
        unequal.append(name)
        if a.dtype.kind not in "US" and (apart := difference(a, b)) >= worst:
            worst, where = apart, name
    said = "equal to the byte"
    if unequal:
        said = f"{len(unequal)} of {len(one.files)} differ"
        said += f", by {worst:.2g} in {where}" if where else ", files and texts alone"
    return {"verdict": said, "arrays": len(one.files), "unequal": unequal, "largest": worst, "where": where}


def difference(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Largest difference of any number, relative to the largest of its field or array; infinite for another shape."""
    if a.shape != b.shape:
        return float("inf")
    if a.dtype.names:
        return max(difference(a[field], b[field]) for field in a.dtype.names)
    if a.size == 0:
        return 0.0
    x, y = a.astype(float), b.astype(float)
    x, y = x[unlike := (x != y) & ~(np.isnan(x) & np.isnan(y))], y[unlike]
    if x.size == 0:
        return 0.0
    largest = np.abs(a.astype(float)[np.isfinite(a)]).max(initial=1e-300)
    return float(np.abs(x - y).max() / largest)


def about() -> dict[str, Any]:
    """Processor and versions."""
    from crystal_sample import hardware

    names = ("powderlens", "numpy", "numba", "llvmlite", "moyopy", "gemmi", "pyarrow")
    return {"hardware": hardware(), "versions": {name: version(name) for name in names}}


def drawn(parts: list[str]) -> Arrays:
    """Everything that is drawn, by name."""
    makers = {
        "conditions": conditions, "patterns": patterns, "reflections": reflections, "crystals": crystals,
        "corpora": corpora,
    }  # fmt: skip
    return {f"{part}/{name}": np.asarray(array) for part in parts for name, array in makers[part]()}


def conditions() -> Iterator[tuple[str, NDArray[Any]]]:
    """200 records of each protocol."""
    from powderlens.diffraction.protocol import load_protocol, protocol_names

    for name in protocol_names():
        yield name, load_protocol(name).draw(SEED, 200)


def patterns() -> Iterator[tuple[str, NDArray[Any]]]:
    """Patterns of two crystals under each protocol."""
    from powderlens.diffraction.draw import draw_patterns
    from powderlens.diffraction.protocol import protocol_names

    for path in CRYSTALS:
        for name in protocol_names():
            yield f"{path.stem}/{name}", draw_patterns(path, name, count=6, seed=SEED).intensity


def reflections() -> Iterator[tuple[str, NDArray[Any]]]:
    """What the shipped minerals scatter, for a protocol of each kind of table, and as a pattern is read for answers."""
    from powderlens.corpus.store.reflection_table import reflection_row
    from powderlens.crystal.common import common_minerals
    from powderlens.diffraction.draw import prepare
    from powderlens.diffraction.protocol import load_protocol

    for mineral in common_minerals():
        for name in ("lab", "simxrd", "ml4pxrds"):
            phase = prepare(mineral, load_protocol(name))
            yield f"{mineral.name}/{name}/hkl", phase.hkl
            yield f"{mineral.name}/{name}/strength", phase.strength
            yield f"{mineral.name}/{name}/lattice", phase.lattice
        for column, value in reflection_row(mineral).items():
            yield f"{mineral.name}/row/{column}", np.asarray(value)


def crystals() -> Iterator[tuple[str, NDArray[Any]]]:
    """40 synthetic crystals."""
    from powderlens.generate.draw import CrystalGenerator
    from powderlens.generate.statistics import shipped_statistics

    generator = CrystalGenerator(shipped_statistics(), seed=SEED)
    for index in range(40):
        structure = generator.crystal(index).structure()
        yield f"{index}/lattice", structure.lattice
        yield f"{index}/frac", structure.frac
        yield f"{index}/elements", np.array(structure.elements)


def corpora() -> Iterator[tuple[str, NDArray[Any]]]:
    """A corpus of the shipped minerals by each protocol: sha256 of its files, and all of its patterns."""
    import pyarrow as pa

    from powderlens.core.files import file_sha256
    from powderlens.corpus.store.build import build_corpus
    from powderlens.corpus.store.corpus import Corpus
    from powderlens.crystal.common import common_minerals
    from powderlens.crystal.label import find_symmetry
    from powderlens.crystals.table import SCHEMA, crystal_row, write_crystals
    from powderlens.diffraction.protocol import protocol_names

    with tempfile.TemporaryDirectory() as place:
        table = Path(place) / "minerals.parquet"
        rows = [crystal_row(find_symmetry(mineral)) for mineral in common_minerals()]
        write_crystals(pa.Table.from_pylist(rows, schema=SCHEMA), table)
        yield "table", np.array(file_sha256(table))
        for column in ("cell", "niggli", "site_frac"):
            yield f"table/{column}", np.concatenate([np.ravel(row[column]) for row in rows])
        for name in protocol_names():
            folder = Path(place) / name
            build_corpus(table, folder, protocol=name, per_crystal=3, split="in-library", seed=SEED, workers=1)
            for path in sorted(folder.rglob("*")):
                if path.is_file() and path.name != "manifest.json":
                    yield f"{name}/{path.relative_to(folder)}", np.array(file_sha256(path))
            corpus = Corpus.open(folder)
            yield f"{name}/drawn", corpus.draw(np.arange(len(corpus)), np.float64)


if __name__ == "__main__":
    main()
