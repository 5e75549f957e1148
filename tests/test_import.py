"""`import powderlens` costs nothing, its names are there, and the program runs on the base dependencies alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import powderlens

HEAVY = ["ase", "gemmi", "matplotlib", "numba", "numpy", "onnxruntime", "pandas", "pymatgen", "scipy", "torch"]
OUTSIDE_THE_BASE = [
    "ase",
    "lightning",
    "onnx",
    "onnxscript",
    "pandas",
    "pyarrow",
    "pymatgen",
    "ray",
    "safetensors",
    "sklearn",
    "sympy",
    "torch",
    "torchmetrics",
]
BLOCKED_PROGRAM = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {OUTSIDE_THE_BASE!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)

sys.meta_path.insert(0, Absent())
from powderlens.cli.main import main
sys.exit(main())
"""


def run_python(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = run_python(f"import powderlens, sys; print([m for m in {HEAVY!r} if m in sys.modules])")
    assert loaded.strip() == "[]"


@pytest.mark.parametrize("name", powderlens.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(powderlens, name) is not None
    assert name in dir(powderlens)


def test_the_lazy_names_are_the_public_names() -> None:
    assert {*powderlens._HOME, "__version__"} == set(powderlens.__all__)


def test_identify_stays_a_function_when_its_package_is_imported_first() -> None:
    code = "import powderlens.identification.identify, powderlens; print(powderlens.identify.__name__)"
    assert run_python(code).strip() == "identify"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'identifi'"):
        powderlens.identifi  # noqa: B018


def test_identifying_needs_the_base_dependencies_only(workplace: Path, small_library: Path) -> None:
    words = ("identify", "examples/rutile.txt", "--wavelength", "CuKa", "--library", str(small_library))
    out = run_python(BLOCKED_PROGRAM, *words, "--only-library", "--json", "--output", "rutile.cif")
    assert json.loads(out)["cell"]["source"] == "Rutile"
    assert "data_Rutile" in (workplace / "rutile.cif").read_text()


def test_the_picture_needs_the_base_dependencies_only(workplace: Path, small_library: Path) -> None:
    words = ("match", "examples/rutile.txt", "--wavelength", "CuKa", "--library", str(small_library))
    run_python(BLOCKED_PROGRAM, *words, "--only-library", "--plot", "out.png")
    assert (workplace / "out.png").read_bytes().startswith(b"\x89PNG")


def test_simulating_needs_the_base_dependencies_only(workplace: Path) -> None:
    out = run_python(BLOCKED_PROGRAM, "simulate", "examples/quartz.cif", "--wavelength", "CuKa1", "--peaks", "--json")
    strongest = max(json.loads(out), key=lambda peak: peak["intensity"])
    assert strongest["two_theta_deg"] == pytest.approx(26.63, abs=0.01)


def test_fitting_needs_the_base_dependencies_only(workplace: Path) -> None:
    words = ("fit", "examples/quartz.cif", "examples/quartz.txt", "--wavelength", "CuKa", "--json")
    assert json.loads(run_python(BLOCKED_PROGRAM, *words))["cell"]["a_A"] == pytest.approx(4.9133, abs=1e-3)
