"""What every test may use: where things are, and a seeded Hypothesis."""

from __future__ import annotations

import gc
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from powderlens.corpus.store.reflection_table import ReflectionTable
    from powderlens.crystal.structure import Structure

os.environ.setdefault("MPLBACKEND", "Agg")
# Tests share the processors among themselves: threads of linear algebra would only wait for each other.
for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")
if "PYTHONPATH" in os.environ:  # tests change directory and start programs
    os.environ["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, os.environ["PYTHONPATH"].split(os.pathsep)))
settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("repeatable")

ROOT = Path(__file__).resolve().parents[1]
SECONDS = ROOT / "tests" / "seconds.txt"
"""Tests that take their time, as `make seconds` wrote them down."""
LONG_S = 0.5
NOTHING_COMPILED = ("tests/contract/test_networks.py", "tests/unit/models/")
recorded: dict[str, float] = {}


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected lives to the end: the collector of garbage need not look at it, now or ever again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """What is written down in tests/seconds.txt is `slow`, and files that take long come first.

    The second of two processes begins in the middle: there come files that need no compiled code, which the first is
    making meanwhile; what one has compiled the other loads.
    """
    known = {name: float(seconds) for seconds, name in map(str.split, SECONDS.read_text().splitlines())}
    of_file: Counter[str] = Counter()
    for name, seconds in known.items():
        of_file[name.partition("::")[0]] += seconds
    for item in items:
        if _function(item) in known:
            item.add_marker(pytest.mark.slow)
    yield
    items.sort(key=lambda item: -of_file[_function(item).partition("::")[0]])
    without = [item for item in items if item.nodeid.startswith(NOTHING_COMPILED)]
    others = [item for item in items if not item.nodeid.startswith(NOTHING_COMPILED)]
    middle = (len(items) + 1) // 2
    items[:] = [*others[:middle], *without, *others[middle:]]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """With POWDERLENS_RECORD_SECONDS, the time of every test with its fixtures is taken."""
    before, wall_s = os.times(), time.monotonic()
    result = yield
    after = os.times()
    began_processes = after.children_user - before.children_user > 0.1
    recorded[_function(item)] = recorded.get(_function(item), 0.0) + time.monotonic() - wall_s
    if began_processes:
        recorded[_function(item)] = max(recorded[_function(item)], LONG_S)
    return result


def pytest_sessionfinish() -> None:
    """Write down the tests that began processes or took half a second, all their parameters together."""
    if os.environ.get("POWDERLENS_RECORD_SECONDS"):
        lines = [f"{seconds:.1f} {name}\n" for name, seconds in sorted(recorded.items()) if seconds >= LONG_S]
        SECONDS.write_text("".join(lines))


def _function(item: pytest.Item) -> str:
    return item.nodeid.partition("[")[0]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def data() -> Path:
    """The development data (`crystals/`, `patterns/`); a test that uses this carries the mark `data`."""
    path = Path(os.environ.get("POWDERLENS_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no development data at {path}; set POWDERLENS_DATA")
    return path


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory with a copy of `examples/`, made the current one."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


MINERALS: dict[str, tuple[str, tuple[float, ...], list[tuple[str, tuple[float, float, float]]]]] = {
    "Rutile": (
        "P 42/m n m",
        (4.5937, 4.5937, 2.9587, 90, 90, 90),
        [("Ti", (0, 0, 0)), ("O", (0.3048, 0.3048, 0))],
    ),
    "Quartz": (
        "P 32 2 1",
        (4.916, 4.916, 5.4054, 90, 90, 120),
        [("Si", (0.4697, 0, 2 / 3)), ("O", (0.4135, 0.2669, 0.78577))],
    ),
    "Halite": ("F m -3 m", (5.6402, 5.6402, 5.6402, 90, 90, 90), [("Na", (0, 0, 0)), ("Cl", (0.5, 0.5, 0.5))]),
    "Fluorite": ("F m -3 m", (5.463, 5.463, 5.463, 90, 90, 90), [("Ca", (0, 0, 0)), ("F", (0.25, 0.25, 0.25))]),
    "Corundum": (
        "R -3 c:H",
        (4.7589, 4.7589, 12.9912, 90, 90, 120),
        [("Al", (0, 0, 0.3522)), ("O", (0.3063, 0, 0.25))],
    ),
    "Calcite": (
        "R -3 c:H",
        (4.988, 4.988, 17.061, 90, 90, 120),
        [("Ca", (0, 0, 0)), ("C", (0, 0, 0.25)), ("O", (0.2567, 0, 0.25))],
    ),
    "Sphalerite": ("F -4 3 m", (5.4093, 5.4093, 5.4093, 90, 90, 90), [("Zn", (0, 0, 0)), ("S", (0.25, 0.25, 0.25))]),
}
"""Group, cell and asymmetric unit of textbook structures, to three or four digits: R. W. G. Wyckoff, Crystal
Structures (1963); quartz as in examples/quartz.cif."""


@pytest.fixture(scope="session")
def minerals() -> dict[str, Structure]:
    """Seven minerals of five space groups by name, every atom of the cell; their source is "test:NAME"."""
    from dataclasses import replace

    import gemmi

    from powderlens.crystal.convert import from_gemmi

    made = {}
    for name, (group, cell, atoms) in MINERALS.items():
        small = gemmi.SmallStructure()
        small.cell = gemmi.UnitCell(*cell)
        small.spacegroup = gemmi.SpaceGroup(group)
        for element, place in atoms:
            site = gemmi.SmallStructure.Site()
            site.label = site.type_symbol = element
            site.element = gemmi.Element(element)
            site.fract = gemmi.Fractional(*place)
            site.occ = 1.0
            small.add_site(site)
        made[name] = replace(from_gemmi(small), name=name, source=f"test:{name}")
    return made


@pytest.fixture(scope="session")
def small_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of the 25 common minerals that ship with powderlens: made in a second."""
    from dataclasses import replace

    from powderlens.crystal.common import common_minerals
    from powderlens.library.make import PhaseSource, build

    crystals = [replace(one, source=f"common:{one.name.lower()}.cif") for one in common_minerals()]
    path = tmp_path_factory.mktemp("phases") / "common.phases"
    build([PhaseSource("common", "0", lambda: iter(crystals))], path, workers=0)
    return path


@pytest.fixture(scope="session")
def small_table_path() -> Path:
    """Reflections of 600 crystals, as shipped for `make train-small`."""
    return ROOT / "examples" / "crystals-small.parquet"


@pytest.fixture(scope="session")
def small_table(small_table_path: Path) -> ReflectionTable:
    """The same, read."""
    from powderlens.corpus.store.reflection_table import ReflectionTable

    return ReflectionTable.load(small_table_path)


TINY_RECIPE = """
format = 2
name = "tiny"
seed = 3
batch = 4
gradient_clip = 1.0
averaging = { decay = 0.5 }

[network]
name = "prism"
mask = true
options = { widths = [4, 6, 8], hidden = 16 }

[tasks.crystal_system]
loss = { kind = "smoothed", smoothing = 0.02 }
weight = 0.5

[tasks.space_group]
loss = { kind = "smoothed", smoothing = 0.02 }

[tasks.lattice]
loss = { kind = "log_huber" }
weight = 0.5

[data]
kind = "crystals"
shares = { amcsd = 1.0 }
protocol = "lab"
epoch_patterns = 8
validation_patterns = 8
floor = true

[grid]
start_deg = 5.0
step_deg = 0.1
points = 850
wavelength_A = 1.5418711

[optimiser]
kind = "adamw"
learning_rate = 2e-3
betas = [0.9, 0.98]
weight_decay = 0.02

[schedule]
kind = "one_cycle"
warmup = 0.2

[limits]
steps = 6
"""


@pytest.fixture(scope="session")
def tiny_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe that trains in a second: prism, six steps of four patterns on a coarse grid, with mask and averaging."""
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(TINY_RECIPE)
    return path


@pytest.fixture(scope="session")
def train() -> Callable[..., Path]:
    """`powderlens.train.engine.train` in this process, on one thread; Lightning's remarks are not heard."""
    import warnings

    from powderlens.train import engine
    from powderlens.train.components.machine import Machine

    def quiet(*args: Any, **options: Any) -> Path:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
            warnings.filterwarnings("ignore", message="The dirpath has changed from")
            warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
            return engine.train(*args, **{"machine": Machine(workers=0, threads=1), **options})

    return quiet


@pytest.fixture(scope="session")
def make_record() -> Callable[..., Path]:
    """`make_record` of tests/unit/evaluate/records.py: a record and its predictions, made up."""
    from runpy import run_path

    made: Callable[..., Path] = run_path(str(ROOT / "tests" / "unit" / "evaluate" / "records.py"))["make_record"]
    return made
