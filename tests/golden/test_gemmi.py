"""Peaks against gemmi's own structure factors: 0.01 % of the strongest line, 1e-5 degrees.

The yardstick is that of `benchmarks/gemmi_agreement.py`, which also runs over whole folders.
"""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from powderlens.diffraction.simulate import Peak, peaks

ROOT = Path(__file__).resolve().parents[2]
CIFS = sorted(Path(__file__).with_name("cif").glob("*.cif"))

# Made up: partial and mixed occupancy, isotropic and anisotropic displacement on oblique axes, no operators listed.
MOVING = """data_moving
_cell_length_a 9.1
_cell_length_b 8.3
_cell_length_c 5.4
_cell_angle_alpha 90
_cell_angle_beta 113
_cell_angle_gamma 90
_space_group_name_H-M_alt 'C 1 2/c 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
_atom_site_U_iso_or_equiv
_atom_site_adp_type
Fe1 Fe 0 0.13 0.25 0.6 0.01 Uani
Mg1 Mg 0 0.13 0.25 0.4 0.01 Uani
Si1 Si 0.29 0.41 0.06 1 0.02 Uani
O1 O 0.12 0.66 0.31 1 0.015 Uiso
O2 O 0.37 0.09 0.43 0.85 0.03 Uiso
loop_
_atom_site_aniso_label
_atom_site_aniso_U_11
_atom_site_aniso_U_22
_atom_site_aniso_U_33
_atom_site_aniso_U_12
_atom_site_aniso_U_13
_atom_site_aniso_U_23
Fe1 0.012 0.020 0.009 0 0.004 0
Mg1 0.012 0.020 0.009 0 0.004 0
Si1 0.022 0.013 0.030 0.003 0.010 -0.004
"""


@pytest.fixture(scope="module")
def yardstick() -> ModuleType:
    path = ROOT / "benchmarks" / "gemmi_agreement.py"
    spec = importlib.util.spec_from_file_location("gemmi_agreement", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gemmi_agreement"] = module
    spec.loader.exec_module(module)
    return module


def within(yardstick: ModuleType, path: Path) -> int:
    found, _ = yardstick.compare_file(path)
    assert found.percent < yardstick.TOLERANCE_PERCENT == 0.01
    assert found.degrees < yardstick.TOLERANCE_DEG == 1e-5
    return found.families


@pytest.mark.parametrize("path", CIFS, ids=lambda path: path.stem)
def test_measured_structures(path: Path, yardstick: ModuleType) -> None:
    assert within(yardstick, path) > 5


def test_quartz(yardstick: ModuleType) -> None:
    assert within(yardstick, ROOT / "examples" / "quartz.cif") > 30


def test_displacements_and_occupancies(yardstick: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "moving.cif"
    path.write_text(MOVING)
    assert within(yardstick, path) > 100
    still = tmp_path / "still.cif"
    still.write_text(
        MOVING.split("loop_\n_atom_site_aniso_label")[0].replace("_atom_site_U_iso_or_equiv", "_some_other")
    )
    moved, fixed = ({p[:3]: p.intensity for p in peaks(file, yardstick.WAVELENGTH_A)} for file in (path, still))
    assert max(abs(moved[hkl] - fixed[hkl]) for hkl in moved) > 5, "the displacements count"


def test_the_yardstick_notices_what_is_wrong(yardstick: ModuleType) -> None:
    small, operators, _ = yardstick.read_with_gemmi(ROOT / "examples" / "quartz.cif")
    theirs = yardstick.lines_of_gemmi(small, operators)
    ours = peaks(ROOT / "examples" / "quartz.cif", yardstick.WAVELENGTH_A)
    assert yardstick.compare(ours, theirs).percent < 0.01
    assert yardstick.compare(ours[1:], theirs).percent == pytest.approx(ours[0].intensity, rel=1e-6), "one is missing"
    brighter: list[Peak] = [ours[0]._replace(intensity=ours[0].intensity + 0.5), *ours[1:]]
    assert yardstick.compare(brighter, theirs).percent == pytest.approx(0.5, rel=1e-3)
    with pytest.raises(ValueError, match="members"):
        yardstick.compare([ours[0]._replace(multiplicity=12)], theirs)


def test_two_sites_need_a_word(yardstick: ModuleType) -> None:
    """Where the yardstick departs from gemmi's defaults it says so, and nowhere else."""
    notes = {path.stem: yardstick.read_with_gemmi(path)[2] for path in CIFS}
    assert {name for name, said in notes.items() if said} == {"26", "200"}


def test_the_record_in_results_is_of_all_files_and_within_tolerance() -> None:
    record = json.loads((ROOT / "results" / "gemmi-agreement.json").read_text())
    assert record["files"] == record["compared"] + len(record["not_parsed"]) == 227
    assert record["beyond_tolerance"] == []
    assert max(found["percent"] for found in record["by_file"].values()) < 0.01
    assert np.isfinite(record["largest"]["degrees"])
    assert record["largest"]["degrees"] < 1e-5


@pytest.mark.data
def test_the_whole_collection(yardstick: ModuleType, data: Path) -> None:
    for path in sorted((data / "crystals" / "cod-one-per-space-group").glob("*.cif")):
        within(yardstick, path)
