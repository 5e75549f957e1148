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
import io, json, sys
from contextlib import redirect_stdout

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {OUTSIDE_THE_BASE!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)

sys.meta_path.insert(0, Absent())
from powderlens.cli.main import main

said = []
for words in json.loads(sys.argv[1]):
    with redirect_stdout(io.StringIO()) as out:
        code = main(words)
    said.append((code, out.getvalue()))
print(json.dumps(said))
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


def test_the_base_dependencies_are_enough(workplace: Path, small_library: Path) -> None:
    """To identify, draw, simulate and fit, one after the other in a process that finds nothing else."""
    library = ["--wavelength", "CuKa", "--library", str(small_library), "--only-library"]
    quartz = ["examples/quartz.cif", "--wavelength", "CuKa1", "--json"]
    commands = {
        "identify": ["identify", "examples/rutile.txt", *library, "--json", "--output", "rutile.cif"],
        "match": ["match", "examples/rutile.txt", *library, "--plot", "out.png"],
        "simulate": ["simulate", *quartz, "--peaks"],
        "fit": ["fit", "examples/quartz.cif", "examples/quartz.txt", "--wavelength", "CuKa", "--json"],
    }
    said = json.loads(run_python(BLOCKED_PROGRAM, json.dumps([*commands.values()])))
    assert [code for code, _ in said] == [0] * 4
    out = dict(zip(commands, (text for _, text in said), strict=True))
    assert json.loads(out["identify"])["cell"]["source"] == "Rutile"
    assert "data_Rutile" in (workplace / "rutile.cif").read_text()
    assert (workplace / "out.png").read_bytes().startswith(b"\x89PNG")
    strongest = max(json.loads(out["simulate"]), key=lambda peak: peak["intensity"])
    assert strongest["two_theta_deg"] == pytest.approx(26.63, abs=0.01)
    assert json.loads(out["fit"])["cell"]["a_A"] == pytest.approx(4.9133, abs=1e-3)
