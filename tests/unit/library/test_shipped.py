"""The minerals that ship with powderlens."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest

from powderlens.library.table import LibraryTable


@pytest.fixture(scope="module")
def shipped() -> LibraryTable:
    return LibraryTable.load()


def test_it_holds_the_database_and_stays_small(shipped: LibraryTable) -> None:
    assert len(shipped) > 9000
    assert (files("powderlens.library") / "data" / "minerals.npz").stat().st_size < 10_000_000  # type: ignore[attr-defined]
    assert len(set(shipped.source.tolist())) == len(shipped)
    assert all(source.startswith("amcsd:") for source in shipped.source.tolist())


def test_every_phase_is_sound(shipped: LibraryTable) -> None:
    assert shipped.space_group.min() >= 1
    assert shipped.space_group.max() <= 230
    assert np.isfinite(shipped.niggli).all()
    assert (shipped.niggli[:, :3] > 1).all()
    assert (np.diff(shipped.offset) > 0).all()
    assert shipped.offset[0] == 0
    strongest = np.maximum.reduceat(shipped.amplitude, shipped.offset[:-1])
    assert (strongest == 255).all()
    assert (np.char.str_len(shipped.formula) > 0).all()
    assert 0.5 < (np.char.str_len(shipped.name) > 0).mean() < 1, "some phases are no minerals and have no name"


@pytest.mark.parametrize(
    ("name", "spacings_A", "groups"),
    [
        # Quartz: a 4.913, c 5.405 A; 100, 101, 110, 102, 111. NIST SRM 1878b and any textbook.
        ("Quartz", [4.255, 3.343, 2.456, 2.281, 2.236], {152, 154}),
        # Halite: a 5.640 A; 111, 200, 220.
        ("Halite", [3.256, 2.820, 1.994], {225}),
        # Rutile: a 4.594, c 2.959 A; 110, 101, 200, 111.
        ("Rutile", [3.248, 2.487, 2.297, 2.188], {136}),
    ],
)
def test_first_lines_stand_where_textbooks_have_them(
    shipped: LibraryTable, name: str, spacings_A: list[float], groups: set[int]
) -> None:
    rows = np.flatnonzero(shipped.name == name)
    assert len(rows) > 0
    at_room_conditions = 0
    for row in rows:
        d_A, intensity = shipped.lines(int(row))
        assert intensity.max() == 1
        strong = d_A[intensity > 0.01]
        near = len(strong) >= len(spacings_A) and np.allclose(strong[: len(spacings_A)], spacings_A, rtol=4e-3)
        at_room_conditions += near and int(shipped.space_group[row]) in groups
    assert at_room_conditions >= 1
