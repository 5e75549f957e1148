"""Write `src/powderlens/diffraction/data/pymatgen-form-factors.json`: the form factors of pymatgen's XRDCalculator.

Source: `analysis/diffraction/atomic_scattering_params.json` of the installed pymatgen (MIT), which took it from
M. De Graef and M. E. McHenry, Structure of Materials (2007). Atomic numbers are added, so that the formula
f(s) = Z - 41.78214 s^2 sum a_i exp(-b_i s^2) needs nothing else. pymatgen's licence is written into the file.

Run: python scripts/make_pymatgen_form_factors.py
"""

import json
from importlib.metadata import distribution, version
from pathlib import Path

import gemmi
from pymatgen.analysis.diffraction import xrd

TARGET = Path(__file__).resolve().parents[1] / "src/powderlens/diffraction/data/pymatgen-form-factors.json"
PACKAGE = "pymatgen-core"


def licence() -> str:
    """The text of pymatgen's licence as installed."""
    found = [path for path in distribution(PACKAGE).files or [] if path.name.startswith("LICENSE")]
    return Path(str(found[0].locate())).read_text(encoding="utf-8").strip()


def rows() -> dict[str, list[float]]:
    """Z, a1..a4, b1..b4 of each element, in order of Z; deuterium is hydrogen's row and left out."""
    table = xrd.ATOMIC_SCATTERING_PARAMS
    assert table.get("D", table["H"]) == table["H"]
    numbers = {symbol: gemmi.Element(symbol).atomic_number for symbol in table if symbol != "D"}
    assert all(numbers.values())
    return {
        symbol: [numbers[symbol], *(a for a, _ in table[symbol]), *(b for _, b in table[symbol])]
        for symbol in sorted(numbers, key=lambda symbol: numbers[symbol])
    }


def main() -> None:
    """One element a line."""
    head = {
        "what": "Z, a1..a4, b1..b4 (1/A, A^2) of f(s) = Z - 41.78214 s^2 sum a_i exp(-b_i s^2), s = sin(theta)/lambda",
        "source": f"pymatgen, atomic_scattering_params.json of {PACKAGE} {version(PACKAGE)}; "
        "after M. De Graef and M. E. McHenry, Structure of Materials, Cambridge University Press (2007)",
        "generated_by": "scripts/make_pymatgen_form_factors.py; do not edit",
        "licence": licence(),
    }
    lines = ",\n".join(f"  {json.dumps(symbol)}: {json.dumps(values)}" for symbol, values in rows().items())
    text = json.dumps(head, indent=1)[:-2] + ',\n "elements": {\n' + lines + "\n }\n}\n"
    assert json.loads(text)["elements"] == rows()
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
