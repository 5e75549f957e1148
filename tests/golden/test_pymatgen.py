"""Peaks in pymatgen mode against pymatgen itself: 0.001 % of the strongest line.

The yardstick is that of `benchmarks/pymatgen_agreement.py`, which also runs over crystals of the shared databases.
"""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import gemmi
import numpy as np
import pytest

from powderlens.crystal.convert import from_gemmi
from powderlens.crystal.read import read_structure
from powderlens.crystal.structure import Structure
from powderlens.diffraction.simulate import peaks

ROOT = Path(__file__).resolve().parents[2]
CIFS = [ROOT / "examples" / "quartz.cif", *sorted(Path(__file__).with_name("cif").glob("*.cif"))]

# A group of each system with glides, screws or centring, and a cell that fits it.
GROUPS = {
    "P -1": (5.1, 6.3, 7.2, 82.0, 101.0, 95.0),
    "C 1 2/c 1": (9.1, 8.3, 5.4, 90.0, 113.0, 90.0),
    "I m m a": (4.1, 9.7, 6.6, 90.0, 90.0, 90.0),
    "P 41 21 2": (5.2, 5.2, 8.3, 90.0, 90.0, 90.0),
    "R 3 c:H": (5.3, 5.3, 12.9, 90.0, 90.0, 120.0),
    "R -3:R": (6.1, 6.1, 6.1, 71.0, 71.0, 71.0),
    "P 61 2 2": (5.7, 5.7, 9.1, 90.0, 90.0, 120.0),
    "F d -3 m:2": (8.4, 8.4, 8.4, 90.0, 90.0, 90.0),
    "P a -3": (5.9, 5.9, 5.9, 90.0, 90.0, 90.0),
}


@pytest.fixture(scope="module")
def yardstick() -> ModuleType:
    path = ROOT / "benchmarks" / "pymatgen_agreement.py"
    spec = importlib.util.spec_from_file_location("pymatgen_agreement", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["pymatgen_agreement"] = module
    spec.loader.exec_module(module)
    return module


def made(group: str, seed: int) -> Structure:
    """Three partly filled atoms at random, light and heavy, in general position."""
    rng = np.random.default_rng([seed, list(GROUPS).index(group)])
    small = gemmi.SmallStructure()
    small.cell = gemmi.UnitCell(*GROUPS[group])
    small.spacegroup = gemmi.SpaceGroup(group)
    for element in rng.choice(["O", "D", "Si", "Fe", "La", "Pb", "U", "N"], 3, replace=False):
        site = gemmi.SmallStructure.Site()
        site.label = site.type_symbol = str(element)
        site.element = gemmi.Element(str(element))
        site.fract = gemmi.Fractional(*rng.uniform(0.03, 0.97, 3))
        site.occ = float(rng.uniform(0.3, 1.0))
        small.add_site(site)
    return from_gemmi(small)


def within(yardstick: ModuleType, structure: Structure) -> None:
    still = yardstick.still(structure)
    found = yardstick.compare(yardstick.lines_of_powderlens(still), yardstick.lines_of_pymatgen(still))
    assert found.percent < yardstick.TOLERANCE_PERCENT == 0.001
    assert found.degrees < yardstick.TOLERANCE_DEG == 1e-5
    assert found.lines > 5


@pytest.mark.parametrize("path", CIFS, ids=lambda path: path.stem)
def test_measured_structures(path: Path, yardstick: ModuleType) -> None:
    within(yardstick, read_structure(path))


@pytest.mark.parametrize("name", ["Rutile", "Quartz", "Halite", "Fluorite", "Corundum", "Calcite", "Sphalerite"])
def test_textbook_structures(name: str, minerals: dict[str, Structure], yardstick: ModuleType) -> None:
    within(yardstick, minerals[name])


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("seed", [1, 2])
def test_disordered_structures_of_every_system(group: str, seed: int, yardstick: ModuleType) -> None:
    within(yardstick, made(group, seed))


@pytest.mark.parametrize("group", GROUPS)
def test_debye_waller_factors(group: str, yardstick: ModuleType) -> None:
    structure = made(group, 3)
    b_A2 = {element: 0.4 + 0.3 * i for i, element in enumerate(["H", *structure.elements])}
    ours = yardstick.lines_of_powderlens(yardstick.moving(structure, b_A2))
    assert yardstick.compare(ours, yardstick.lines_of_pymatgen(structure, b_A2)).percent < 0.001
    assert yardstick.compare(ours, yardstick.lines_of_pymatgen(structure)).percent > 0.1, "the factors count"


def test_the_yardstick_notices_what_is_wrong(minerals: dict[str, Structure], yardstick: ModuleType) -> None:
    """International Tables instead of pymatgen's table, a line that is missing, a line that is brighter."""
    structure = yardstick.still(minerals["Corundum"])
    theirs = yardstick.lines_of_pymatgen(structure)
    x, y = yardstick.lines_of_powderlens(structure)
    assert yardstick.compare((x, y), theirs).percent < 0.001
    it92 = np.array([p.intensity for p in peaks(structure, yardstick.WAVELENGTH_A, two_theta_deg=(5.0, 90.0))])
    assert yardstick.compare((x, it92), theirs).percent > 0.05
    assert yardstick.compare((x[1:], y[1:]), theirs).percent == pytest.approx(y[0], rel=1e-3)
    brighter = y + 0.01 * (np.arange(len(y)) == 3)
    assert yardstick.compare((x, brighter), theirs).percent == pytest.approx(0.01, rel=1e-2)


def test_the_record_in_results_is_within_tolerance() -> None:
    record = json.loads((ROOT / "results" / "pymatgen-agreement.json").read_text())
    assert record["crystals"]["compared"] >= 1000
    assert record["beyond_tolerance"] == []
    assert max(found["percent"] for found in record["largest"].values()) <= 0.001
