"""The yardstick of `benchmarks/gemmi_agreement.py` in all its modes, and the record it left of the databases."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from powderlens.crystal.read import read_structure
from powderlens.diffraction import reflections
from powderlens.diffraction.scattering import dispersion
from powderlens.symmetry.groups import SYSTEMS

ROOT = Path(__file__).resolve().parents[2]
CIFS = sorted(Path(__file__).with_name("cif").glob("*.cif"))


@pytest.fixture(scope="module")
def yardstick() -> ModuleType:
    path = ROOT / "benchmarks" / "gemmi_agreement.py"
    spec = importlib.util.spec_from_file_location("gemmi_agreement_modes", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gemmi_agreement_modes"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", CIFS, ids=lambda path: path.stem)
def test_every_mode_of_a_disturbed_crystal(path: Path, yardstick: ModuleType, tmp_path: Path) -> None:
    """Two elements on a site, too few atoms, U and tensors, f' and f'': each mode within tolerance, and different."""
    made = yardstick.disturbed(yardstick.listed_in(path), np.random.default_rng(int(path.stem)))
    file = tmp_path / "disturbed.cif"
    file.write_text(made.cif())
    found = {work.mode: yardstick.deviation(work) for work in yardstick.modes_of(read_structure(file), made)}
    assert set(found) == set(yardstick.MODES)
    assert not any(deviation.beyond() for deviation in found.values())


def test_what_is_left_out_shows(yardstick: ModuleType, tmp_path: Path) -> None:
    """A yardstick that agrees with everything would be none: leave out each part on one side."""
    path = next(path for path in CIFS if path.stem == "161")
    made = yardstick.disturbed(yardstick.listed_in(path), np.random.default_rng(1))
    file = tmp_path / "disturbed.cif"
    file.write_text(made.cif())
    ours = read_structure(file)
    full = yardstick.Work("everything", ours, made)
    assert not yardstick.deviation(full).beyond()
    assert ours.beta is not None
    for wrong in (
        full._replace(ours=replace(ours, beta=None)),
        full._replace(ours=replace(ours, beta=ours.beta.transpose(1, 2, 0)[[0] * len(ours.elements)] * 0.5)),
        full._replace(ours=replace(ours, occupancy=np.ones(len(ours.elements)))),
        full._replace(listed=made.still()),
        full._replace(
            listed=replace(made, occupancy=made.occupancy * np.where(np.arange(len(made.frac)) == 0, 0.99, 1))
        ),
        full._replace(mode="anisotropic", listed=replace(made, cell=(made.cell[0] * 1.000001, *made.cell[1:]))),
    ):
        assert yardstick.deviation(wrong).beyond()


def test_f_double_prime_counts(yardstick: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """f' alone is not enough, in an acentric crystal of heavy atoms."""
    path = next(path for path in CIFS if path.stem == "26")
    work = next(
        w for w in yardstick.modes_of(read_structure(path), yardstick.listed_in(path)) if w.mode == "dispersion"
    )
    assert not yardstick.deviation(work).beyond()
    monkeypatch.setattr(
        reflections, "dispersion", lambda kinds, wavelength_A: dispersion(kinds, wavelength_A).real + 0j
    )
    assert yardstick.deviation(work).percent > 0.1


def test_a_reason_is_given_only_where_it_explains(yardstick: ModuleType) -> None:
    """Atoms 0.02 A beside their inversion centre are moved onto it by powderlens; atoms elsewhere stay wrong."""
    path = next(path for path in CIFS if path.stem == "10")
    ours, listed = yardstick.without_displacement(read_structure(path)), yardstick.listed_in(path).still()
    aside = listed.frac + np.array([0.02, -0.01, 0.005]) / np.array(listed.cell[:3])
    beside = yardstick.Work("plain", ours, replace(listed, frac=aside))
    assert yardstick.deviation(beside).beyond()
    why, again = yardstick.reason_of(beside)
    assert why.startswith("sites listed off their special positions, by up to 0.02")
    assert not again.beyond()
    elsewhere = yardstick.Work(
        "plain", ours, replace(listed, frac=listed.frac + np.array([[0.1, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    )
    why, again = yardstick.reason_of(elsewhere)
    assert why == ""
    assert again.beyond()


def test_the_record_of_the_databases() -> None:
    record = json.loads((ROOT / "results" / "gemmi-agreement.json").read_text())["in_every_mode"]
    assert record["failed"] == {}
    for mode, found in record["modes"].items():
        assert found["crystals"] >= 2000, mode
        assert all(found["by_system"][system]["crystals"] >= 150 for system in SYSTEMS)
        assert found["largest_within"]["largest_percent"] < 0.01
        assert found["largest"]["largest_degrees"] < 1e-5
        # What lies beyond has a reason that was checked: read so, gemmi agrees.
        for entry in found["beyond_tolerance"]:
            assert entry["reason"] != "not found"
            assert entry["so_read_by_gemmi"]["percent"] < 0.01
    assert record["modes"]["plain"]["beyond_tolerance"] == []
    assert record["modes"]["dispersion"]["beyond_tolerance"] == []
