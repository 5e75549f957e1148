"""A crystal on which a worker dies or never ends is counted; the others are not lost."""

import os
from pathlib import Path
from typing import Any

import pytest

from powderlens.core import guarded
from powderlens.core.errors import PowderlensError
from powderlens.crystal import reasons
from powderlens.crystal.structure import Structure
from powderlens.crystals import curate_part
from powderlens.crystals.curate import CrystalSource, curate
from powderlens.crystals.table import CrystalTable

ELEMENTS = ("Fe", "Cu", "Ni", "Pd", "Po", "Al", "Ag", "Au")


@pytest.fixture
def metals() -> list[Structure]:
    return [
        Structure.from_cell([3.0] * 3 + [90] * 3, [element], [[0, 0, 0]], source=f"metal:{element}")
        for element in ELEMENTS
    ]


def dying(monkeypatch: pytest.MonkeyPatch, wanted: set[str], how: Any) -> None:
    honest = curate_part._row

    def row(structure: Structure, rules: Any) -> dict[str, Any]:
        if structure.elements[0] in wanted:
            how()
        return honest(structure, rules)

    monkeypatch.setattr(curate_part, "_row", row)


def endless() -> None:
    while True:
        sum(range(1000))


@pytest.mark.parametrize("how", ["crash", "endless"])
def test_the_guilty_one_is_counted(
    metals: list[Structure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr("powderlens.crystals.curate.BLOCK", 2)
    # Whatever is compiled or loaded once is there before workers are made of this process: it counts as their time.
    curate([CrystalSource.of_objects(metals[:1])], tmp_path / "warm.parquet", protocol="alphadiffract", workers=0)
    monkeypatch.setattr(guarded, "PATIENCE_S", 0.5)
    dying(monkeypatch, {"Ni", "Ag"}, (lambda: os._exit(11)) if how == "crash" else endless)
    output = tmp_path / "t.parquet"
    manifest = curate([CrystalSource.of_objects(metals)], output, protocol="alphadiffract", workers=2)
    assert CrystalTable.load(output).ids == [f"metal:{e}" for e in ELEMENTS if e not in ("Ni", "Ag")]
    assert manifest["rejects"] == {"symmetry: the search does not end or breaks down": 2}
    assert manifest["examples"] == {"symmetry: the search does not end or breaks down": ["metal:Ni", "metal:Ag"]}


def test_a_worker_ended_from_outside_costs_nothing(
    metals: list[Structure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("powderlens.crystals.curate.BLOCK", 2)
    mark = tmp_path / "once"

    def once() -> None:
        if not mark.exists():
            mark.touch()
            os._exit(9)

    dying(monkeypatch, {"Pd"}, once)
    manifest = curate([CrystalSource.of_objects(metals)], tmp_path / "t.parquet", protocol="alphadiffract", workers=2)
    assert manifest["crystals_kept"] == len(ELEMENTS)


def test_workers_that_cannot_begin_are_no_fault_of_a_crystal(
    metals: list[Structure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded, "_stuck", lambda task: os._exit(9))
    with pytest.raises(PowderlensError, match="before its first crystal"):
        curate([CrystalSource.of_objects(metals)], tmp_path / "t.parquet", protocol="alphadiffract", workers=1)


def test_progress_is_told(metals: list[Structure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("powderlens.crystals.curate.BLOCK", 2)
    monkeypatch.setattr(guarded, "REPORT_S", 0.0)
    said: list[str] = []
    curate(
        [CrystalSource.of_objects(metals)], tmp_path / "t.parquet", protocol="simxrd", workers=0, progress=said.append
    )
    assert said[0].startswith("2 crystals; ")
    assert any("duplicates among 8 crystals" in line for line in said)


def test_reasons_without_what_is_a_crystals_own() -> None:
    assert reasons.unreadable("cell lengths 0, 1e-3, -1.5 A: all must") == (
        "unreadable: cell lengths N, N, N A: all must",
        "cell lengths 0, 1e-3, -1.5 A: all must",
    )
    assert reasons.unreadable("atom O1: unknown element 'Xx'; give")[0] == (
        "unreadable: atom ON: unknown element '...'; give"
    )
    assert reasons.unreadable("atoms: none") == ("unreadable: atoms: none", "")
