"""The shipped tables are what the script derives, byte for byte."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = (1, 2, 5, 15, 24, 43, 47, 62, 70, 79, 88, 110, 146, 152, 167, 178, 194, 198, 214, 220)


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


def test_settings_and_conditions_are_derived_again(script: ModuleType) -> None:
    assert shipped(script, "settings.json", "settings") == script.setting_rows()
    conditions = shipped(script, "conditions.json", "conditions")
    assert all(conditions[number - 1] == script.condition_rows(number) for number in range(1, 231, 4))


def test_the_document_lists_the_shipped_classes(script: ModuleType) -> None:
    text = script.text_of_document(shipped(script, "extinction.json", "classes"))
    assert (ROOT / "docs/EXTINCTION.md").read_text(encoding="utf-8") == text


@pytest.mark.slow
def test_the_script_writes_the_same_bytes_again(script: ModuleType) -> None:
    for path, text in script.texts().items():
        assert path.read_bytes() == text.encode(), path.name
