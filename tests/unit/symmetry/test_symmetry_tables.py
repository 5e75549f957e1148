"""The shipped tables are what the script derives, byte for byte: positions and normalisers of a sample, the rest whole.

`python scripts/make_symmetry_tables.py --check` derives all of them, see docs/notes/proofs.md.
"""

import importlib.util
import json
import random
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = random.Random(12).sample(range(1, 231), 12)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = ROOT / "scripts/make_symmetry_tables.py"
    spec = importlib.util.spec_from_file_location("make_symmetry_tables", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shipped(script: ModuleType, name: str, key: str) -> list:
    return json.loads((script.DATA / name).read_text(encoding="utf-8"))[key]


def test_positions_and_normalisers_of_a_sample_are_derived_again(script: ModuleType) -> None:
    positions, generators = (
        shipped(script, "wyckoff.json", "positions"),
        shipped(script, "normaliser.json", "generators"),
    )
    for number, derived in zip(SAMPLE, script.wyckoff_and_normaliser(SAMPLE), strict=True):
        assert derived == (positions[number - 1], generators[number - 1])


def test_the_script_writes_the_same_bytes_again(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    known = zip(
        shipped(script, "wyckoff.json", "positions"), shipped(script, "normaliser.json", "generators"), strict=True
    )
    monkeypatch.setattr(script, "wyckoff_and_normaliser", lambda numbers: list(known))
    for path, text in script.texts().items():
        assert path.read_bytes() == text.encode(), path.name
